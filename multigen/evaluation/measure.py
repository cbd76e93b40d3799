"""From evidence and metrics to results, each with its interval, its floor and its protocol."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from multigen.evaluation.contract import Evidence, Extractor, Metric, Need, PerSample, PerSet
from multigen.evaluation.general import standardised
from multigen.metrics import Interval, between_halves, bootstrap


@dataclass(frozen=True)
class Result:
    """What a metric says.

    extractor: its name and its fingerprint, empty where none is used. n, reference: how many made and real samples
    were counted. floor: what real samples reach against real samples, None where that says nothing. note: why there is
    no value, empty where there is one.
    """

    metric: str
    version: int
    unit: str
    higher_is_better: bool | None
    best: float | None
    source: str
    extractor: str
    n: int
    reference: int
    interval: Interval | None
    floor: Interval | None
    seconds: float
    note: str = ""


def measure(
    evidence: Evidence,
    metrics: Sequence[Metric],
    extractor: Extractor | None = None,
    /,
    *,
    repeats: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """One result for every metric, in their order; the evidence was recorded for these metrics and this extractor.

    A metric that lacks something, or has too few samples, says so in its note and has no value.
    """
    results = []
    for metric in metrics:
        began = time.perf_counter()
        note, interval, floor, n = _judged(evidence, metric, extractor, repeats, seed)
        used = metric.features or extractor if isinstance(metric, PerSet) else None
        results.append(
            Result(
                metric=metric.name,
                version=metric.version,
                unit=metric.unit,
                higher_is_better=metric.higher_is_better,
                best=metric.best,
                source=metric.source,
                extractor=f"{used.name} {used.fingerprint}" if used else "",
                n=n,
                reference=len(evidence.real) if evidence.real is not None and Need.REAL in metric.needs else 0,
                interval=interval,
                floor=floor,
                seconds=time.perf_counter() - began,
                note=note,
            )
        )
    return results


def statistic_of(evidence: Evidence, metric: PerSet, extractor: Extractor, /) -> "SetStatistic":
    """The metric on these samples, to be weighted. extractor: for a metric without features of its own."""
    used = metric.features or extractor
    none = torch.empty(0, 0, dtype=torch.float64)
    sides = [side.features(used.name) if side else none for side in (evidence.real, evidence.made, evidence.training)]
    real, made, training = sides if metric.features else standardised(*sides)
    return SetStatistic(metric, made, real, training)


@dataclass(frozen=True, eq=False)
class SetStatistic:
    """A `PerSet` metric bound to features."""

    metric: PerSet
    made: Tensor
    real: Tensor
    training: Tensor

    def interval(self, made: Tensor, real: Tensor, /, *, repeats: int, seed: int) -> Interval:
        """made (n,), real (m,): the samples' clusters."""
        statistic = self.metric.statistic(self.made, self.real, self.training)
        if not len(self.real):
            nothing = torch.empty(0, dtype=torch.float64)
            return self.metric.intervals(lambda u: statistic(u, nothing), made, repeats=repeats, seed=seed)
        return self.metric.intervals(statistic, made, real, repeats=repeats, seed=seed)

    def floor(self, real: Tensor, /, *, repeats: int, seed: int) -> Interval:
        """Between random halves of the real samples, whole clusters (m,) on either side."""
        statistic = self.metric.statistic(self.real, self.real, self.training)
        return between_halves(statistic, real, repeats=repeats, seed=seed)


def _judged(
    evidence: Evidence, metric: Metric, extractor: Extractor | None, repeats: int, seed: int
) -> tuple[str, Interval | None, Interval | None, int]:
    """The note, the interval, the floor, and how many samples were counted."""
    lacking = evidence.lacks(metric.needs)
    if lacking is not None:
        return f"needs {lacking.value}", None, None, 0
    if isinstance(metric, PerSample):
        return _per_sample(evidence, metric, repeats, seed)
    if not isinstance(metric, PerSet):
        raise TypeError(f"{metric.name} is neither a PerSample nor a PerSet")
    return _per_set(evidence, metric, extractor, repeats, seed)


def _per_sample(
    evidence: Evidence, metric: PerSample, repeats: int, seed: int
) -> tuple[str, Interval | None, Interval | None, int]:
    found = evidence.made.values(metric.name)
    counted = found.isfinite()
    if not bool(counted.any()):
        return "no prompt asks for it", None, None, 0
    floor = None
    if evidence.real is not None:
        floor = _mean(evidence.real.values(metric.name), evidence.real.clusters(), repeats, seed)
    return "", _mean(found, evidence.made.clusters(), repeats, seed), floor, int(counted.sum())


def _mean(found: Tensor, clusters: Tensor, repeats: int, seed: int) -> Interval | None:
    counted = found.isfinite()
    if not bool(counted.any()):
        return None
    kept = found[counted]
    return bootstrap(lambda u: float(u @ kept / u.sum()), clusters[counted], repeats=repeats, seed=seed)


def _per_set(
    evidence: Evidence, metric: PerSet, extractor: Extractor | None, repeats: int, seed: int
) -> tuple[str, Interval | None, Interval | None, int]:
    n = len(evidence.made)
    extractor = metric.features or extractor
    if extractor is None:
        return "needs features: the modality has no extractor, name one", None, None, 0
    real = evidence.real if Need.REAL in metric.needs else None
    few = min(n, len(real)) if real is not None else n
    if few < metric.fewest:
        return f"too few samples: {few}, at least {metric.fewest} are needed", None, None, 0
    bound = statistic_of(evidence, metric, extractor)
    clusters = real.clusters() if real is not None else torch.empty(0, dtype=torch.int64)
    # The prompts of a set are given: to draw other ones would change what it is a set of.
    interval = bound.interval(torch.arange(n), clusters, repeats=repeats, seed=seed)
    floor = None
    if real is not None and len(torch.unique(clusters)) >= 2 * metric.fewest:
        floor = bound.floor(clusters, repeats=repeats, seed=seed)
    if math.isnan(interval.value):
        return "undefined on these samples", None, floor, n
    return "", interval, floor, n
