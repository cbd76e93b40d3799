"""One metric of all arms of a modality: its results, and the paired difference of any two of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from multigen.comparison.study import Arm
from multigen.evaluation import (
    Collection,
    Evidence,
    Extractor,
    Metric,
    PerPrompt,
    PerSet,
    Reads,
    Result,
    measure,
    prompted,
)
from multigen.evaluation.sets import SetStatistic, Sizes, statistic_of
from multigen.metrics import Interval
from multigen.significance import Difference, paired, paired_statistic


def goodness(metric: Metric | Result, value: float, /) -> float | None:
    """The higher the better; None for a metric that does not say what is better."""
    if metric.best is not None:
        return -abs(value - metric.best)
    return None if metric.higher_is_better is None else value if metric.higher_is_better else -value


def paired_repeats(repeats: int, /) -> int:
    """How often two sets are resampled for their difference, where intervals take so many resamplings."""
    return max(200, repeats // 4)


@dataclass(eq=False)
class Column:
    """Distances and the like are found once for each arm."""

    metric: Metric
    evidence: Mapping[Arm, Evidence]
    extractor: Extractor | None
    reader: Reads | None
    repeats: int
    _results: dict[Arm, Result] = field(default_factory=dict)
    _bound: dict[Evidence, SetStatistic] = field(default_factory=dict)
    _values: dict[Arm, Tensor] = field(default_factory=dict)
    _floors: dict[tuple[Sizes, int, int], Interval] = field(default_factory=dict)

    def result(self, arm: Arm, /) -> Result:
        if arm not in self._results:
            (self._results[arm],) = measure(
                self.evidence[arm],
                [self.metric],
                self.extractor,
                reader=self.reader,
                bind=self._bind,
                repeats=self.repeats,
            )
        return self._results[arm]

    def difference(self, first: Arm, second: Arm, /) -> Difference | None:
        """Second minus first over the samples that can be measured in both, of the distances from the best value where
        there is one; None where the metric has no value on them.
        """
        if any(self.result(arm).interval is None for arm in (first, second)):
            return None
        both = _shared(*(self.evidence[arm].made for arm in (second, first)))
        if isinstance(self.metric, PerSet):
            return self._of_sets(first, second, both) if len(both[0]) >= self.metric.fewest else None
        values = [self._per_sample(arm)[at] for arm, at in zip((second, first), both, strict=True)]
        told = torch.stack(values).isfinite().all(0)
        if not bool(told.any()):
            return None
        clusters = self.evidence[first].made.clusters()[both[1]][told]
        one, other = (each[told] for each in values)
        if self.metric.best is None:
            return paired(one, other, clusters=clusters)
        return paired_statistic(
            lambda u: (self._judged(float(u @ one / u.sum())), self._judged(float(u @ other / u.sum()))),
            clusters,
            repeats=self.repeats,
        )

    def better(self, difference: Difference, /) -> bool | None:
        """Whether the second arm of a difference is; None where the metric does not say, or there is none."""
        value = difference.interval.value
        if value == 0 or (self.metric.best is None and self.metric.higher_is_better is None):
            return None
        return (value > 0) == (self.metric.best is None and bool(self.metric.higher_is_better))

    def _judged(self, value: float) -> float:
        """What is compared of two arms."""
        return value if self.metric.best is None else abs(value - self.metric.best)

    def _bind(self, evidence: Evidence, metric: PerSet, extractor: Extractor, /) -> SetStatistic:
        if evidence not in self._bound:
            bound = statistic_of(evidence, metric, extractor)
            self._bound[evidence] = dataclasses.replace(bound, floors=self._floors)
        return self._bound[evidence]

    def _per_sample(self, arm: Arm) -> Tensor:
        """(n,) of every sample of an arm."""
        if arm not in self._values:
            made = self.evidence[arm].made
            if isinstance(self.metric, PerPrompt) and self.reader is not None:
                self._values[arm] = prompted.values(made, self.metric, self.reader)
            else:
                self._values[arm] = made.values(self.metric.name)
        return self._values[arm]

    def _of_sets(self, first: Arm, second: Arm, both: Sequence[Sequence[int]]) -> Difference:
        """Both arms against the same real samples, as many as they share of their own."""
        bound = [self._bound[self.evidence[arm]] for arm in (second, first)]
        one, other = (b.among(b.compared(torch.tensor(at))) for b, at in zip(bound, both, strict=True))
        return paired_statistic(
            lambda *counts: (self._judged(one(*counts)), self._judged(other(*counts))),
            *bound[0].names(len(both[0])),
            intervals=bound[0].metric.intervals,
            repeats=paired_repeats(self.repeats),
        )


def _shared(one: Collection, other: Collection) -> tuple[list[int], list[int]]:
    """Where the samples that can be measured in both are in each."""
    places = {record.name: i for i, record in enumerate(other.records)}
    found = [(i, places[record.name]) for i, record in enumerate(one.records) if record.name in places]
    return [i for i, _ in found], [i for _, i in found]
