"""What a finished study found: every figure, every difference, and how far the modalities agree."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from multigen.comparison.column import Column, goodness
from multigen.comparison.run import Runner
from multigen.comparison.study import VARIED, Arm
from multigen.evaluation import Collection, Evidence, Result
from multigen.metrics import Interval
from multigen.significance import average_ranks, concordance, holm

ALPHA = 0.05
"""Differences below it are significant."""


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

    first, second: its levels; at: all the others. difference: second minus first, of the distances from `best` where a
    value is best, its p-value adjusted for all contrasts of this metric (Holm). better: whether the second one is by
    this difference, None where that cannot be told. least: the smallest p-value that so many clusters allow.
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
    best: float | None = None
    least: float = 0.0


@dataclass(frozen=True)
class Leader:
    """The best arm by a metric, and the cheapest one that is not significantly worse.

    cheapest: by its network evaluations. Its paired difference to the best one has p >= `ALPHA`, without an adjustment:
    that would let worse arms pass.
    """

    modality: str
    metric: str
    best: Arm
    cheapest: Arm


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
    leaders: Sequence[Leader]
    repeats: int


def find(runner: Runner, /, *, repeats: int = 1000) -> Findings:
    """Measure a complete study."""
    results: dict[Arm, list[Result]] = {arm: [] for arm in runner.arms}
    costs: dict[Arm, Cost] = {}
    contrasts: list[Contrast] = []
    leaders: list[Leader] = []
    for modality in runner.study.modalities:
        mine = [arm for arm in runner.arms if arm.modality == modality]
        real, training = runner.real(modality), runner.training(modality)
        evidence = {arm: Evidence(runner.collection(arm), real, training) for arm in mine}
        costs |= {arm: _cost(evidence[arm].made) for arm in mine}
        for metric in runner.metrics(modality):
            column = Column(metric, evidence, runner.extractor(modality), runner.reader(modality), repeats)
            for arm in mine:
                results[arm].append(column.result(arm))
            contrasts += _contrasts(modality, column)
            leaders += _leader(modality, column, costs)
    return Findings(
        arms=runner.arms,
        results=results,
        costs=costs,
        contrasts=contrasts,
        agreements=_agreements(runner.arms, results),
        leaders=leaders,
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


def _contrasts(modality: str, column: Column) -> list[Contrast]:
    """Of all arms in which the metric has a value, adjusted over all of them."""
    found = []
    for factor, first, second in pairs(list(column.evidence)):
        difference = column.difference(first, second)
        if difference is None:
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
                better=column.better(difference),
                best=column.metric.best,
                least=difference.least,
            )
        )
    adjusted = holm([contrast.p for contrast in found])
    return [dataclasses.replace(contrast, adjusted=p) for contrast, p in zip(found, adjusted, strict=True)]


def undecidable(contrasts: Sequence[Contrast], /) -> str:
    """Which metrics could not have shown a significant difference, as a sentence; empty where all could have."""
    said = []
    for name in dict.fromkeys(c.metric for c in contrasts):
        mine = [c for c in contrasts if c.metric == name]
        smallest = min(1.0, len(mine) * min(c.least for c in mine))
        if smallest >= ALPHA:
            said.append(f"{name} (p at least {smallest:.2g})")
    if not said:
        return ""
    return f"With so few prompts and so many comparisons no difference could be significant by {', '.join(said)}."


def _leader(modality: str, column: Column, costs: Mapping[Arm, Cost]) -> list[Leader]:
    """One, or none where fewer than two arms can be told apart."""
    values = {arm: r.interval.value for arm in column.evidence if (r := column.result(arm)).interval is not None}
    good = {arm: g for arm, value in values.items() if (g := goodness(column.metric, value)) is not None}
    if len(good) < 2:
        return []
    best = max(good, key=good.__getitem__)
    for arm in sorted(good, key=lambda arm: costs[arm].evaluations):
        difference = column.difference(best, arm)
        worse = difference is None or (difference.p < ALPHA and column.better(difference) is False)
        if arm == best or not worse:
            return [Leader(modality, column.metric.name, best, arm)]
    return []


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
            found.append(Agreement(name, factor, w, p, order, ranks))
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
        score = goodness(result, result.interval.value)
        if score is None:
            return math.nan
        scores.append(score)
    return sum(scores) / len(scores) if scores else math.nan
