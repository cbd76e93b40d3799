"""What training minimises: the denoising error of diffusion, or what a recipe puts in its place."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from multigen.denoise import Cond, Parameterization, along, shaped, told
from multigen.noise import Correlates, white

LEVELS = (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.97)
"""The fixed times t = sigma / (1 + sigma) at which the held-out error is measured."""


@runtime_checkable
class Objective(Protocol):
    """A loss, and what is measured on held-out items; a recipe of a codec has both, to be trained without diffusion.

    x0: (b, ...); seeds: one for each sample, from which everything random comes.
    """

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        """The loss of each sample, (b,)."""

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Mapping[str, Tensor]:
        """Measures of each sample by name, (b,); one is called "mean", and the lower it is the better."""


@runtime_checkable
class Couples(Protocol):
    """A recipe that pairs samples with noise, as for sets, whose elements can be put in any order."""

    def couple(self, x0: Tensor, unit: Tensor, /) -> Tensor:
        """x0 rearranged to suit its noise: (b, ...) each. Every result must still be the sample."""


@runtime_checkable
class Staggers(Protocol):
    """A recipe whose samples have parts with noise of levels of their own (`multigen.denoise.staggered`)."""

    def levels(self, x0: Tensor, seeds: Sequence[int], /) -> Tensor:
        """The level of each part over sigma: positive, of the rank of x0 (b, ...) and broadcasting to it."""


class Denoising:
    """The objective of diffusion (`multigen.denoise`): x0 from x0 + sigma n, at random levels sigma."""

    def __init__(self, recipe: object, parameterization: Parameterization, /, *, t_mean: float, t_sd: float) -> None:
        self._recipe, self._parameterization = recipe, parameterization
        self._mean, self._sd = t_mean, t_sd

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        """`velocity_loss` at levels whose logit t is normal."""
        sigma = noise_levels(white(seeds, (), stream=1), mean=self._mean, sd=self._sd)
        x0, unit = noised(self._recipe, x0, seeds)
        sigma = shaped(sigma, x0) * self._levels(x0, seeds)
        x = x0 + along(lambda s: s, sigma, x0) * unit
        return velocity_loss(self._predict(network, x, sigma, cond), x0, x, sigma, self._parameterization)

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Mean squared x0 error at each of `LEVELS` ("0.1", ...) and their "mean".

        A seed always gives the same noise, so two evaluations differ by the network alone.
        """
        x0, unit = noised(self._recipe, x0, seeds)
        levels = self._levels(x0, seeds)
        errors = {}
        for t in LEVELS:
            sigma = shaped(t / (1 - t), x0) * levels
            x = x0 + along(lambda s: s, sigma, x0) * unit
            d = self._parameterization.to_x0(self._predict(network, x, sigma, cond), x, sigma)
            errors[str(t)] = (d - x0).square().flatten(1).mean(1)
        return {**errors, "mean": torch.stack(list(errors.values())).mean(0)}

    def _predict(self, network: nn.Module, x: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        p = self._parameterization
        prediction: Tensor = network(along(p.into, sigma, x) * x, told(p, sigma, x), **cond)
        return prediction.float()

    def _levels(self, x0: Tensor, seeds: Sequence[int]) -> Tensor | float:
        return self._recipe.levels(x0, seeds) if isinstance(self._recipe, Staggers) else 1.0


def noised(
    recipe: object, x0: Tensor, seeds: Sequence[int], /, *, model: object | None = None
) -> tuple[Tensor, Tensor]:
    """Samples (b, ...) and the unit noise that goes with them, one seed for each: as a recipe trains on them, or as a
    model that correlates its noise denoises them."""
    unit = white(seeds, x0.shape[1:]).to(x0.device)
    source = model if isinstance(model, Correlates) else recipe
    if isinstance(source, Correlates):
        unit = source.correlate(unit)
    return (recipe.couple(x0, unit) if isinstance(recipe, Couples) else x0), unit


def velocity_loss(
    prediction: Tensor, x0: Tensor, x: Tensor, sigma: Tensor, parameterization: Parameterization, /
) -> Tensor:
    """Mean squared error of the flow velocity n - x0 that a prediction implies, per sample: (b,).

    With v = (x - D) / sigma - D the error of v is (1 + sigma) / sigma times that of D, whatever the network predicts
    ("x-prediction with a v-loss", arXiv 2511.13720, table 1).
    """
    target = parameterization.from_x0(x0, x, sigma)
    weight = along(lambda s: parameterization.out(s) * (1 + s) / s, sigma, x)
    return (weight * (prediction - target)).square().flatten(1).mean(1)


def noise_levels(z: Tensor, /, *, mean: float, sd: float) -> Tensor:
    """Levels sigma = t / (1 - t) whose logit t is normal, from standard normal z: exp(mean + sd z) (arXiv
    2403.03206)."""
    return (mean + sd * z.double()).exp()
