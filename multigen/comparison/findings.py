"""What a finished study found: every figure, every difference, and how far the modalities agree."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from multigen.comparison.run import Runner
from multigen.comparison.study import VARIED, Arm
from multigen.evaluation import Collection, Evidence, Metric, PerSample, PerSet, Result, measure
from multigen.evaluation.measure import statistic_of
from multigen.metrics import Interval
from multigen.significance import Difference, concordance, holm, paired, paired_statistic


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

    order: for each modality its levels from the best to the worst, by the mean over everything else.
    """

    metric: str
    factor: str
    w: float
    p: float
    order: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Findings:
    """results, costs: of each arm. notes: what could not be found, and why."""

    arms: Sequence[Arm]
    results: Mapping[Arm, Sequence[Result]]
    costs: Mapping[Arm, Cost]
    contrasts: Sequence[Contrast]
    agreements: Sequence[Agreement]


def find(runner: Runner, /, *, repeats: int = 1000) -> Findings:
    """Measure a complete study."""
    evidence = {arm: _evidence(runner, arm) for arm in runner.arms}
    results = {
        arm: measure(evidence[arm], runner.metrics(arm.modality), runner.extractor(arm.modality), repeats=repeats)
        for arm in runner.arms
    }
    return Findings(
        arms=runner.arms,
        results=results,
        costs={arm: _cost(evidence[arm].made) for arm in runner.arms},
        contrasts=_contrasts(runner, evidence, results, repeats),
        agreements=_agreements(runner.arms, results),
    )


def _evidence(runner: Runner, arm: Arm) -> Evidence:
    study = runner.study
    real, training = (runner.real(arm.modality, folders) for folders in (study.against, study.training))
    return Evidence(runner.collection(arm), real, training)


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


def _contrasts(
    runner: Runner, evidence: Mapping[Arm, Evidence], results: Mapping[Arm, Sequence[Result]], repeats: int
) -> list[Contrast]:
    """Of all metrics that have a value in both arms; adjusted over a modality's contrasts of the metric."""
    found: dict[tuple[str, str], list[Contrast]] = {}
    for factor, first, second in pairs(runner.arms):
        for metric, one, other in zip(runner.metrics(first.modality), results[first], results[second], strict=True):
            if one.interval is None or other.interval is None:
                continue
            difference = _difference(runner, evidence, metric, first, second, repeats)
            if difference is None:
                continue
            better = _better(metric, one.interval.value, other.interval.value)
            found.setdefault((first.modality, metric.name), []).append(
                Contrast(
                    modality=first.modality,
                    metric=metric.name,
                    factor=factor,
                    first=getattr(first, factor),
                    second=getattr(second, factor),
                    at={name: value for name, value in first.levels().items() if name != factor},
                    difference=difference.interval,
                    p=difference.p,
                    adjusted=math.nan,
                    better=better,
                )
            )
    adjusted = []
    for family in found.values():
        for contrast, p in zip(family, holm([contrast.p for contrast in family]), strict=True):
            adjusted.append(dataclasses.replace(contrast, adjusted=p))
    return adjusted


def _difference(
    runner: Runner, evidence: Mapping[Arm, Evidence], metric: Metric, first: Arm, second: Arm, repeats: int
) -> Difference | None:
    """Second minus first over the samples that can be measured in both; None where there are none."""
    one, other = (_shared(evidence[a].made, evidence[b].made) for a, b in ((first, second), (second, first)))
    if not len(one):
        return None
    if isinstance(metric, PerSample):
        clusters = one.clusters()
        values = torch.stack([side.values(metric.name) for side in (other, one)])
        both = values.isfinite().all(0)
        return paired(values[0, both], values[1, both], clusters=clusters[both]) if bool(both.any()) else None
    if not isinstance(metric, PerSet) or len(one) < metric.fewest:
        return None
    extractor = metric.features or runner.extractor(first.modality)
    if extractor is None:
        return None
    sides = [(second, other), (first, one)]
    bound = [
        statistic_of(Evidence(side, evidence[arm].real, evidence[arm].training), metric, extractor)
        for arm, side in sides
    ]
    statistics = [metric.statistic(b.made, b.real, b.training) for b in bound]
    real = torch.ones(len(bound[0].real), dtype=torch.float64)

    def both_values(u: Tensor) -> tuple[float, float]:
        return statistics[0](u, real), statistics[1](u, real)

    alone = torch.arange(len(one))  # as in `measure`
    return paired_statistic(both_values, alone, intervals=metric.intervals, repeats=max(100, repeats // 4))


def _shared(made: Collection, other: Collection) -> Collection:
    """The records of samples that can be measured in the other arm as well."""
    names = {record.name for record in other.records}
    return Collection([record for record in made.records if record.name in names], ())


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
            order = {
                modality: [levels[i] for i in row.argsort(descending=True).tolist()]
                for modality, row in zip(modalities, scores, strict=True)
            }
            found.append(Agreement(name, factor, w, p, order))
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
