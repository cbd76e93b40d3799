"""A metric of whole sets bound to samples: its interval and floor for the numbers of samples that are compared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from multigen.evaluation.contract import Evidence, Extractor, Need, PerSet, Statistic
from multigen.evaluation.general import standardised
from multigen.metrics import Interval, between_halves

Sizes: TypeAlias = tuple[int, int]
"""How many made and how many real samples."""
_NONE = torch.empty(0, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class SetStatistic:
    """A `PerSet` metric bound to features, whose distances are found once.

    made (n, d), real (m, d), training (k, d); the real ones stand in a random order, so that the first of them are a
    fair choice. clusters: (m,) of the real ones. floors: what `floor` found, for all that share the real and training
    features.
    """

    metric: PerSet
    made: Tensor
    real: Tensor
    training: Tensor
    clusters: Tensor
    floors: dict[tuple[Sizes, int, int], Interval] = field(default_factory=dict)

    def sizes(self, n: int, /) -> Sizes:
        """How many of n made samples, and of the real ones, are compared."""
        m = len(self.real)
        return (min(n, m), min(n, m)) if self.metric.balanced else (n, m)

    @cached_property
    def _estimate(self) -> Statistic:
        _, m = self.sizes(len(self.made))
        return self.metric.statistic(self.made, self.real[:m], self.training)

    def compared(self, places: Tensor, /) -> Tensor:
        """Those of the made samples at some places (n,) that are compared."""
        count, _ = self.sizes(len(places))
        return places[mixed(len(places))[:count]] if count < len(places) else places

    def names(self, n: int, /) -> list[Tensor]:
        """What is resampled where n made samples are compared: each of them, and whole clusters of real ones."""
        # The prompts of a set are given: to draw other ones would change what it is a set of.
        count, m = self.sizes(n)
        return [torch.arange(count), *([self.clusters[:m]] if m else [])]

    def among(self, places: Tensor, /) -> Callable[..., float]:
        """Of how often each of the made samples at some places (n,), and each of the first real ones, counts."""

        def statistic(u: Tensor, v: Tensor = _NONE) -> float:
            of_made = torch.zeros(len(self.made), dtype=torch.float64).index_copy_(0, places, u)
            of_real = torch.zeros(self.sizes(len(self.made))[1], dtype=torch.float64)
            of_real[: len(v)] = v
            return self._estimate(of_made, of_real)

        return statistic

    def interval(self, *, repeats: int, seed: int) -> Interval:
        n, places = len(self.made), torch.arange(len(self.made))
        statistic = self.among(self.compared(places))
        found = self.metric.intervals(statistic, *self.names(n), repeats=repeats, seed=seed)
        return found.within(*self.metric.limits)

    def floor(self, *, repeats: int, seed: int) -> tuple[Interval | None, Sizes]:
        """What random halves of the real samples read against each other, and how many of either half count.

        As many as are compared, where halves have them. A cluster is in one half. None where there are too few.
        """
        n, m = self.sizes(len(self.made))
        rows = self.real[: 2 * n] if self.metric.balanced else self.real
        clusters = self.clusters[: len(rows)]
        sizes = min(n, (len(rows) + 1) // 2), min(m, len(rows) // 2)
        if Need.REAL not in self.metric.needs or len(torch.unique(clusters)) < 2 * self.metric.fewest:
            return None, (0, 0)
        key = (sizes, repeats, seed)
        if key not in self.floors:
            statistic = self.metric.statistic(rows, rows, self.training)
            self.floors[key] = between_halves(statistic, clusters, sizes=sizes, repeats=repeats, seed=seed)
        return self.floors[key], sizes


Bind: TypeAlias = Callable[[Evidence, PerSet, Extractor], SetStatistic]
"""`statistic_of`, or what remembers its results."""


def statistic_of(evidence: Evidence, metric: PerSet, extractor: Extractor, /) -> SetStatistic:
    """The metric on these samples, to be weighted. extractor: for a metric without features of its own."""
    used = metric.features or extractor
    none = torch.empty(0, 0, dtype=torch.float64)
    sides = [side.features(used.name) if side else none for side in (evidence.real, evidence.made, evidence.training)]
    real, made, training = sides if metric.features else standardised(*sides)
    clusters = evidence.real.clusters() if evidence.real else torch.empty(0, dtype=torch.int64)
    order = mixed(len(real))
    return SetStatistic(metric, made, real[order], training, clusters[order])


def mixed(n: int, /) -> Tensor:
    """The numbers below n in a random order, always the same one."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))
