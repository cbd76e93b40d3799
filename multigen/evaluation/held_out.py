"""How well a model knows the held-out part of its dataset: its error at fixed noise levels, and bits/dim.

Both are of the model's own states, so they compare models that share a codec: samplers, steps and guidance have no part
in them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigen.denoise import Cond, Denoiser
from multigen.evaluation.collection import spread
from multigen.evaluation.contract import Need, PerItem
from multigen.likelihood import log_likelihood
from multigen.model import Model
from multigen.noise import Correlates
from multigen.objective import LEVELS, noised
from multigen.training import Items

LIKELIHOODS = 12
"""Items whose likelihood is found: each takes as long as some hundred steps of sampling."""
STEPS, PROBES = 16, 2


@runtime_checkable
class Held(Protocol):
    """A recipe's items, as `multigen.training.Recipe` has them."""

    def items(self, split: str, /) -> Items: ...

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]: ...


@dataclass(frozen=True, eq=False)
class Item:
    """A held-out item with the denoiser of its caption. x0, unit: (1, ...), the noise that always goes with it."""

    model: Model
    denoise: Denoiser
    x0: Tensor
    unit: Tensor
    seed: int
    _errors: dict[float, float] = field(default_factory=dict)

    def error(self, t: float, /) -> float:
        """Mean squared x0 error at the time t = sigma / (1 + sigma), as training measures it; found once."""
        if t not in self._errors:
            sigma = t / (1 - t)
            with torch.no_grad():
                missed = self.denoise(self.x0 + sigma * self.unit, sigma) - self.x0
            self._errors[t] = float(missed.square().mean())
        return self._errors[t]

    def bits_per_dim(self) -> float:
        """By `multigen.likelihood.log_likelihood` between the model's levels; NaN for noise that is not white."""
        if isinstance(self.model, Correlates):
            return math.nan
        ends = self.model.defaults
        found = log_likelihood(
            self.denoise,
            self.x0,
            seeds=[self.seed],
            sigma_min=ends.sigma_min,
            sigma_max=ends.sigma_max,
            steps=STEPS,
            probes=PROBES,
        )
        return float(found.bits_per_dim)


def item_values(
    recipe: Held, model: Model, options: Any, metrics: Sequence[PerItem], /, *, most: int = 0
) -> Mapping[str, Tensor]:
    """Values by metric, (n,) float64 over the recipe's held-out items, at most so many of them (0 is all)."""
    held = recipe.items("validation")
    chosen = spread(range(len(held)), most)
    asked = {metric.name: set(spread(chosen, metric.most)) for metric in metrics}
    values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for index in chosen:
        x0, cond = recipe.collate([held[index]])
        x0, unit = noised(recipe, x0, [index], model=model)
        item = Item(model, model.denoiser(cond, options), x0, unit, index)
        for metric in metrics:
            values[metric.name].append(metric.value(item) if index in asked[metric.name] else math.nan)
    return {name: torch.tensor(row, dtype=torch.float64) for name, row in values.items()}


def _at(t: float) -> PerItem:
    return PerItem(
        name=f"held-out-error-{t:g}",
        about=f"mean squared error of the model's guess at held-out items, at the noise level t = {t:g}",
        source="multigen.objective",
        higher_is_better=False,
        needs=frozenset({Need.ITEMS}),
        value=lambda item: item.error(t),
    )


HELD_OUT: tuple[PerItem, ...] = (
    PerItem(
        name="held-out-error",
        about="mean squared error of the model's guess at held-out items, over the noise levels of training",
        source="multigen.objective",
        higher_is_better=False,
        needs=frozenset({Need.ITEMS}),
        value=lambda item: sum(map(item.error, LEVELS)) / len(LEVELS),
    ),
    *map(_at, LEVELS),
    PerItem(
        name="bits/dim",
        about="of held-out items under the probability flow, for each number of the model's state at its lowest level",
        source="arXiv 2011.13456, equation 39 (multigen.likelihood)",
        higher_is_better=False,
        unit="bits",
        needs=frozenset({Need.ITEMS}),
        value=Item.bits_per_dim,
        most=LIKELIHOODS,
    ),
)
"""In the order in which they are shown."""
