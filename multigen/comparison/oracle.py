"""What samplers err by where the denoiser is exact: Gaussian mixtures of each modality's rank in place of its model.

A model's own errors hide those of a sampler, and may even undo them. Here there are none, and the exact result is
known: the solution of the probability-flow ODE by very many steps, or, for a sampler with noise, where it goes along
the same Brownian path as its steps become small. The densities are known too, and with them what bits/dim err by
(`likelihoods`).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from multigen import samplers
from multigen.comparison.run import Runner
from multigen.comparison.study import Arm
from multigen.evaluation.held_out import PROBES, STEPS
from multigen.likelihood import log_likelihood
from multigen.metrics import Interval, bootstrap
from multigen.noise import Brownian, white
from multigen.pipeline import Pipeline
from multigen.schedules import Schedule, karras
from multigen.testing import GaussianMixture

COMPONENTS = 8
CELLS = 8
"""Along each axis of the mixture's samples, at most; the first axis, of channels, is kept."""
WITHIN = 0.05
"""Variance within a component, about; that of the means is the rest of 1."""
FINE = 640
"""Steps of the reference."""


@dataclass(frozen=True)
class OracleError:
    """Root mean squared distance of the sampler's results from the exact ones, in deviations of the data."""

    modality: str
    sampler: str
    schedule: str
    steps: int
    error: Interval


@dataclass(frozen=True)
class LikelihoodError:
    """Root mean squared error of bits/dim as `multigen eval` finds them, on draws whose density is known.

    known: whether with the exact divergence of the denoiser in place of its estimate: what is then left is the
    integrator's. value: the exact bits/dim on average.
    """

    modality: str
    known: bool
    value: float
    error: Interval


def oracle(runner: Runner, /, *, seeds: Sequence[int] = range(8), fine: int = FINE) -> list[OracleError]:
    """One row for each combination of modality, sampler, schedule and steps of a study."""
    rows: dict[tuple[str, str, str, int], OracleError] = {}
    flows: dict[tuple[int, ...], _Flow] = {}
    for arm in runner.arms:
        request, shape = runner.request(arm), _shape(runner, arm)
        key = (arm.modality, request.sampler, request.schedule, request.steps or 0)
        if key in rows:
            continue
        if shape not in flows:
            flows[shape] = _Flow(mixture(shape), white(seeds, shape).double(), fine)
        rows[key] = OracleError(*key, error=_error(runner.pipeline(arm), flows[shape], tuple(seeds)))
    return list(rows.values())


def likelihoods(runner: Runner, /, *, seeds: Sequence[int] = range(8)) -> list[LikelihoodError]:
    """Two rows for each modality, by the levels of its first arm's model: the divergence estimated, and exact."""
    rows = []
    for modality in runner.study.modalities:
        arm = next(arm for arm in runner.arms if arm.modality == modality)
        ends, shape = runner.pipeline(arm).model.defaults, _shape(runner, arm)
        data = mixture(shape)
        x = data.sample(seeds) + ends.sigma_min * white(seeds, shape).double()
        exact = -data.log_prob(x, ends.sigma_min) / (x[0].numel() * math.log(2))
        for known in (False, True):
            found = log_likelihood(
                data.denoise,
                x,
                seeds=seeds,
                sigma_min=ends.sigma_min,
                sigma_max=ends.sigma_max,
                steps=STEPS,
                probes=PROBES,
                divergence=data.divergence if known else None,
            )
            squares = (found.bits_per_dim - exact).square()
            error = bootstrap(partial(_root_mean, squares), torch.arange(len(seeds)))
            rows.append(LikelihoodError(modality, known, float(exact.mean()), error))
    return rows


def _root_mean(squares: Tensor, u: Tensor) -> float:
    return float((u @ squares / u.sum()).sqrt())


def mixture(shape: Sequence[int], /, *, seed: int = 0) -> GaussianMixture:
    """Components of smooth random means, in float64; cells differ in their variance within a component."""
    means = white(range(seed, seed + COMPONENTS), shape, stream=7).double()
    for dim in range(2, means.ndim):
        means = (means + means.roll(1, dim)) / 2**0.5
    spread = white(range(seed, seed + COMPONENTS), shape, stream=8).double()
    variances = WITHIN * (0.5 * spread).exp()
    return GaussianMixture(torch.ones(COMPONENTS), (1 - WITHIN) ** 0.5 * means, variances)


def _shape(runner: Runner, arm: Arm) -> tuple[int, ...]:
    """That of the arm's states, but no longer than `CELLS` along the axes behind the first."""
    first, *rest = runner.shape(arm)
    return (first, *(min(length, CELLS) for length in rest))


def _error(pipeline: Pipeline, flow: _Flow, seeds: tuple[int, ...]) -> Interval:
    shape = flow.unit.shape[1:]
    sigmas = list(pipeline.schedule(pipeline.steps))

    def sampled(sigmas: Sequence[float]) -> Tensor:
        noise = Brownian(seeds, shape, dtype=torch.float64)
        return samplers.sample(pipeline.sampler, flow.data.denoise, sigmas[0] * flow.unit, sigmas, noise)

    noisy = "noise" in inspect.signature(pipeline.sampler).parameters
    exact = sampled(_from(pipeline.schedule, sigmas[0], flow.fine)) if noisy else flow(sigmas[0])
    errors = (sampled(sigmas) - exact).flatten(1).square().mean(1).sqrt()
    return bootstrap(lambda u: float(u @ errors / u.sum()), torch.arange(len(seeds)))


def _from(schedule: Schedule, start: float, fine: int) -> list[float]:
    """The schedule's levels in many steps, from a given one on."""
    return [start, *(sigma for sigma in schedule(fine) if sigma < start)]


@dataclass(eq=False)
class _Flow:
    """The exact solution of the probability-flow ODE, found once for every first level."""

    data: GaussianMixture
    unit: Tensor
    fine: int
    solved: dict[float, Tensor] = field(default_factory=dict)

    def __call__(self, start: float, /) -> Tensor:
        if start not in self.solved:
            sigmas = karras(sigma_min=1e-3, sigma_max=start)(self.fine)
            begin = start * self.unit
            self.solved[start] = samplers.sample(samplers.heun, self.data.denoise, begin, sigmas, lambda s, t: begin)
        return self.solved[start]
