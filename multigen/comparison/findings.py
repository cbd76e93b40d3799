"""What a finished study found: every figure, every difference, and how far the modalities agree."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from multigen.comparison.run import Runner
from multigen.comparison.study import VARIED, Arm
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
from multigen.evaluation.measure import SetStatistic, statistic_of
from multigen.metrics import Interval, bootstrap
from multigen.significance import Difference, average_ranks, concordance, holm, paired, paired_statistic


@dataclass(frozen=True)
class Cost:
    """Of an arm: means over its samples, and how many could be measured."""

    evaluations: float
    seconds: float
    samples: int
    faulty: int


@dataclass(frozen=True)
class Contrast:
    """Two arms of a modality that differ in one thing only.

    first, second: its levels; at: all the others. difference: second minus first, its p-value adjusted for all
    contrasts of this metric (Holm). better: whether the second one is, None where that cannot be told.
    """

    modality: str
    metric: str
    factor: str
    first: Any
    second: Any
    at: Mapping[str, Any]
    difference: Interval
    p: float
    adjusted: float
    better: bool | None


@dataclass(frozen=True)
class Agreement:
    """How far modalities rank the levels of one thing alike: Kendall's W, with its p-value by permutation.

    order: for each modality its levels from the best to the worst, by the mean over everything else. ranks: their
    places, which levels that are as good share (1.5, 1.5, 3). w, p: NaN where all levels are as good by a modality.
    """

    metric: str
    factor: str
    w: float
    p: float
    order: Mapping[str, Sequence[Any]]
    ranks: Mapping[str, Sequence[float]]

    def written(self, modality: str, named: Callable[[Any], str] = str, /) -> str:
        """The order of a modality as text: a = b > c."""
        order, ranks = self.order[modality], self.ranks[modality]
        signs = [" = " if rank == after else " > " for rank, after in itertools.pairwise(ranks)]
        return "".join(itertools.chain(*zip(map(named, order), [*signs, ""], strict=True)))


@dataclass(frozen=True)
class Findings:
    """results, costs: of each arm. repeats: resamplings of each interval."""

    arms: Sequence[Arm]
    results: Mapping[Arm, Sequence[Result]]
    costs: Mapping[Arm, Cost]
    contrasts: Sequence[Contrast]
    agreements: Sequence[Agreement]
    repeats: int


def find(runner: Runner, /, *, repeats: int = 1000) -> Findings:
    """Measure a complete study."""
    results: dict[Arm, list[Result]] = {arm: [] for arm in runner.arms}
    costs: dict[Arm, Cost] = {}
    contrasts: list[Contrast] = []
    for modality in runner.study.modalities:
        mine = [arm for arm in runner.arms if arm.modality == modality]
        real, training = runner.real(modality), runner.training(modality)
        evidence = {arm: Evidence(runner.collection(arm), real, training) for arm in mine}
        costs |= {arm: _cost(evidence[arm].made) for arm in mine}
        for metric in runner.metrics(modality):
            column = _Column(metric, evidence, runner.extractor(modality), runner.reader(modality), repeats)
            for arm in mine:
                results[arm].append(column.result(arm))
            contrasts += _contrasts(modality, column)
    return Findings(
        arms=runner.arms,
        results=results,
        costs=costs,
        contrasts=contrasts,
        agreements=_agreements(runner.arms, results),
        repeats=repeats,
    )


def _cost(made: Collection) -> Cost:
    told = [record.made for record in (*made.records, *made.faulty) if record.made]

    def mean(name: str) -> float:
        return sum(one[name] for one in told) / len(told) if told else math.nan

    return Cost(mean("evaluations"), mean("seconds"), len(made), len(made.faulty))


# --- differences ------------------------------------------------------------------------------------------------------


def pairs(every: Sequence[Arm], /) -> list[tuple[str, Arm, Arm]]:
    """What is varied, and two arms that differ in it alone: each level against the first one."""
    found = []
    for factor in VARIED:
        groups: dict[tuple[Any, ...], list[Arm]] = {}
        for arm in every:
            others = tuple(value for name, value in arm.levels().items() if name != factor)
            groups.setdefault((arm.modality, *others), []).append(arm)
        found += [(factor, members[0], other) for members in groups.values() for other in members[1:]]
    return found


@dataclass(eq=False)
class _Column:
    """One metric of all arms of a modality; distances and the like are found once for each arm."""

    metric: Metric
    evidence: Mapping[Arm, Evidence]
    extractor: Extractor | None
    reader: Reads | None
    repeats: int
    _results: dict[Arm, Result] = field(default_factory=dict)
    _bound: dict[Evidence, SetStatistic] = field(default_factory=dict)
    _values: dict[Arm, Tensor] = field(default_factory=dict)
    _floors: dict[tuple[int, int], Interval] = field(default_factory=dict)

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
        """Second minus first over the samples that can be measured in both; None where there are none."""
        made = [self.evidence[arm].made for arm in (second, first)]
        both = _shared(*made)
        if not both[0]:
            return None
        if isinstance(self.metric, PerSet):
            return self._of_sets(first, second, both) if len(both[0]) >= self.metric.fewest else None
        values = [self._per_sample(arm)[at] for arm, at in zip((second, first), both, strict=True)]
        told = torch.stack(values).isfinite().all(0)
        clusters = made[1].clusters()[both[1]]
        return paired(values[0][told], values[1][told], clusters=clusters[told]) if bool(told.any()) else None

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
        bound = [self._bound[self.evidence[arm]] for arm in (second, first)]
        real = torch.ones(len(bound[0].real), dtype=torch.float64)

        def values(u: Tensor) -> tuple[float, float]:
            one, other = (
                b.weighted(torch.zeros(len(b.made), dtype=u.dtype).index_put_((torch.tensor(at),), u), real)
                for b, at in zip(bound, both, strict=True)
            )
            return one, other

        alone = torch.arange(len(both[0]))  # as in `measure`
        intervals = self.metric.intervals if isinstance(self.metric, PerSet) else bootstrap
        return paired_statistic(values, alone, intervals=intervals, repeats=paired_repeats(self.repeats))


def paired_repeats(repeats: int, /) -> int:
    """How often two sets are resampled for their difference, where intervals take so many resamplings."""
    return max(100, repeats // 4)


def _contrasts(modality: str, column: _Column) -> list[Contrast]:
    """Of all arms in which the metric has a value, adjusted over all of them."""
    found = []
    for factor, first, second in pairs(list(column.evidence)):
        one, other = (column.result(arm).interval for arm in (first, second))
        difference = column.difference(first, second) if one is not None and other is not None else None
        if one is None or other is None or difference is None:
            continue
        found.append(
            Contrast(
                modality=modality,
                metric=column.metric.name,
                factor=factor,
                first=getattr(first, factor),
                second=getattr(second, factor),
                at={name: value for name, value in first.levels().items() if name != factor},
                difference=difference.interval,
                p=difference.p,
                adjusted=math.nan,
                better=_better(column.metric, one.value, other.value),
            )
        )
    adjusted = holm([contrast.p for contrast in found])
    return [dataclasses.replace(contrast, adjusted=p) for contrast, p in zip(found, adjusted, strict=True)]


def _shared(one: Collection, other: Collection) -> tuple[list[int], list[int]]:
    """Where the samples that can be measured in both are in each."""
    places = {record.name: i for i, record in enumerate(other.records)}
    found = [(i, places[record.name]) for i, record in enumerate(one.records) if record.name in places]
    return [i for i, _ in found], [i for _, i in found]


def _better(metric: Metric, first: float, second: float) -> bool | None:
    if metric.best is not None:
        return abs(second - metric.best) < abs(first - metric.best)
    return None if metric.higher_is_better is None else (second > first) == metric.higher_is_better


# --- agreement --------------------------------------------------------------------------------------------------------


def _agreements(every: Sequence[Arm], results: Mapping[Arm, Sequence[Result]]) -> list[Agreement]:
    """Of every metric that all modalities have, and everything with three levels or more."""
    modalities = list(dict.fromkeys(arm.modality for arm in every))
    found: list[Agreement] = []
    if len(modalities) < 2:
        return found
    names = [r.metric for r in results[every[0]]]
    for factor in VARIED:
        levels = list(dict.fromkeys(getattr(arm, factor) for arm in every))
        if factor == "model" or len(levels) < 3:
            continue
        for name in names:
            scores = torch.tensor(
                [[_score(every, results, m, factor, level, name) for level in levels] for m in modalities],
                dtype=torch.float64,
            )
            if not bool(scores.isfinite().all()):
                continue
            w, p = concordance(scores)
            places = {m: row.argsort(descending=True, stable=True) for m, row in zip(modalities, scores, strict=True)}
            order = {m: [levels[i] for i in place.tolist()] for m, place in places.items()}
            ranks = {m: average_ranks(-row)[places[m]].tolist() for m, row in zip(modalities, scores, strict=True)}
            found.append(Agreement(name, factor, w, p if math.isfinite(w) else math.nan, order, ranks))
    return found


def _score(
    every: Sequence[Arm], results: Mapping[Arm, Sequence[Result]], modality: str, factor: str, level: Any, name: str
) -> float:
    """How good the arms with this level are on average, the higher the better; NaN where that cannot be told."""
    scores = []
    for arm in every:
        if arm.modality != modality or getattr(arm, factor) != level:
            continue
        result = next((r for r in results[arm] if r.metric == name and r.interval is not None), None)
        if result is None or result.interval is None:
            return math.nan
        value = result.interval.value
        if result.best is not None:
            scores.append(-abs(value - result.best))
        elif result.higher_is_better is not None:
            scores.append(value if result.higher_is_better else -value)
        else:
            return math.nan
    return sum(scores) / len(scores) if scores else math.nan
