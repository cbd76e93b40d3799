"""From evidence and metrics to results, each with its interval, its floor and its protocol."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
from torch import Tensor

from multigen.evaluation import prompted
from multigen.evaluation.collection import Collection
from multigen.evaluation.contract import (
    Evidence,
    Extractor,
    Metric,
    Need,
    PerItem,
    PerPrompt,
    PerSample,
    PerSet,
    Reads,
    Statistic,
)
from multigen.evaluation.general import standardised
from multigen.metrics import Interval, between_halves, bootstrap


@dataclass(frozen=True)
class Result:
    """What a metric says.

    extractor: its name and its fingerprint, empty where none is used. n, reference: how many made and real samples
    were counted. floor: what real samples reach, against real samples or with their own captions; None where that says
    nothing. chance: what would be reached without regard to the prompts, None where nothing is asked of them. note: why
    there is no value, empty where there is one.
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
    chance: float | None = None


@dataclass(frozen=True, eq=False)
class SetStatistic:
    """A `PerSet` metric bound to features, whose distances are found once.

    floors: what `floor` found, for all that share the real and training features.
    """

    metric: PerSet
    made: Tensor
    real: Tensor
    training: Tensor
    floors: dict[tuple[int, int], Interval] = field(default_factory=dict)

    @cached_property
    def weighted(self) -> Statistic:
        """Of how often each made and each real sample counts."""
        return self.metric.statistic(self.made, self.real, self.training)

    def interval(self, made: Tensor, real: Tensor, /, *, repeats: int, seed: int) -> Interval:
        """made (n,), real (m,): the samples' clusters."""
        if not len(self.real):
            nothing = torch.empty(0, dtype=torch.float64)
            return self.metric.intervals(lambda u: self.weighted(u, nothing), made, repeats=repeats, seed=seed)
        return self.metric.intervals(self.weighted, made, real, repeats=repeats, seed=seed)

    def floor(self, real: Tensor, /, *, repeats: int, seed: int) -> Interval:
        """Between random halves of the real samples, whole clusters (m,) on either side."""
        if (repeats, seed) not in self.floors:
            statistic = self.metric.statistic(self.real, self.real, self.training)
            self.floors[repeats, seed] = between_halves(statistic, real, repeats=repeats, seed=seed)
        return self.floors[repeats, seed]


def statistic_of(evidence: Evidence, metric: PerSet, extractor: Extractor, /) -> SetStatistic:
    """The metric on these samples, to be weighted. extractor: for a metric without features of its own."""
    used = metric.features or extractor
    none = torch.empty(0, 0, dtype=torch.float64)
    sides = [side.features(used.name) if side else none for side in (evidence.real, evidence.made, evidence.training)]
    real, made, training = sides if metric.features else standardised(*sides)
    return SetStatistic(metric, made, real, training)


Bind: TypeAlias = Callable[[Evidence, PerSet, Extractor], SetStatistic]
"""`statistic_of`, or what remembers its results."""


@dataclass(frozen=True)
class _Found:
    """What came of a metric. n: how many samples were counted."""

    n: int = 0
    interval: Interval | None = None
    floor: Interval | None = None
    chance: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Sight:
    """What is looked with, and how often is resampled."""

    extractor: Extractor | None
    reader: Reads | None
    bind: Bind
    repeats: int
    seed: int

    def used(self, metric: Metric, /) -> Extractor | None:
        if isinstance(metric, PerPrompt):
            return self.reader
        return metric.features or self.extractor if isinstance(metric, PerSet) else None


def measure(
    evidence: Evidence,
    metrics: Sequence[Metric],
    extractor: Extractor | None = None,
    /,
    *,
    reader: Reads | None = None,
    bind: Bind = statistic_of,
    repeats: int = 1000,
    seed: int = 0,
) -> list[Result]:
    """One result for every metric, in their order; the evidence was recorded for these metrics and extractors.

    extractor: whose features sets are compared by; reader: the one that samples and prompts are compared by. A metric
    that lacks something, or has too few samples, says so in its note and has no value.
    """
    sight = _Sight(extractor, reader, bind, repeats, seed)
    results = []
    for metric in metrics:
        began = time.perf_counter()
        found, used = _judged(evidence, metric, sight), sight.used(metric)
        results.append(
            Result(
                metric=metric.name,
                version=metric.version,
                unit=metric.unit,
                higher_is_better=metric.higher_is_better,
                best=metric.best,
                source=metric.source,
                extractor=f"{used.name} {used.fingerprint}" if used else "",
                n=found.n,
                reference=len(evidence.real) if evidence.real is not None and Need.REAL in metric.needs else 0,
                interval=found.interval,
                floor=found.floor,
                seconds=time.perf_counter() - began,
                note=found.note,
                chance=found.chance,
            )
        )
    return results


def _judged(evidence: Evidence, metric: Metric, sight: _Sight) -> _Found:
    lacking = evidence.lacks(metric.needs)
    if lacking is not None:
        return _Found(note=f"needs {lacking.value}")
    if isinstance(metric, PerSample):
        return _per_sample(evidence, metric, sight)
    if isinstance(metric, PerPrompt):
        return _per_prompt(evidence, metric, sight)
    if isinstance(metric, PerSet):
        return _per_set(evidence, metric, sight)
    if isinstance(metric, PerItem):
        return _per_item(evidence, metric, sight)
    raise TypeError(f"{metric.name} is none of PerSample, PerPrompt, PerSet and PerItem")


def _per_sample(evidence: Evidence, metric: PerSample, sight: _Sight) -> _Found:
    found = evidence.made.values(metric.name)
    counted = found.isfinite()
    if not bool(counted.any()):
        return _Found(note="no prompt asks for it")
    floor = None
    if evidence.real is not None:
        floor = _mean(evidence.real.values(metric.name), evidence.real, sight)
    return _Found(int(counted.sum()), _mean(found, evidence.made, sight), floor)


def _per_prompt(evidence: Evidence, metric: PerPrompt, sight: _Sight) -> _Found:
    """The interval is for other prompts of the kind, the floor for other real samples."""
    if sight.reader is None:
        return _Found(note="needs an extractor that knows texts: name one that does, --extractor")
    similarity, own = prompted.similarities(evidence.made, sight.reader)
    count = similarity.shape[1]
    if count < 2:
        return _Found(note="needs two different prompts")
    interval = _mean(metric.score(similarity, own), evidence.made, sight)
    floor, real = None, evidence.real
    if real is not None and len(real) and real.prompted:
        theirs = prompted.similarities(real, sight.reader)
        if theirs[0].shape[1] >= count:
            floor = _mean(prompted.expected(metric, *theirs, count), real, sight)
    return _Found(len(own), interval, floor, metric.chance(similarity, own))


def _per_item(evidence: Evidence, metric: PerItem, sight: _Sight) -> _Found:
    found = evidence.items[metric.name] if evidence.items else torch.empty(0)
    kept = found[found.isfinite()]
    if not len(kept):
        return _Found(note="not defined for this model")
    return _Found(len(kept), _bootstrapped(kept, torch.arange(len(kept)), sight))


def _mean(found: Tensor, collection: Collection, sight: _Sight) -> Interval | None:
    """Of the finite values (n,), one for each sample of the collection."""
    counted = found.isfinite()
    if not bool(counted.any()):
        return None
    return _bootstrapped(found[counted], collection.clusters()[counted], sight)


def _bootstrapped(kept: Tensor, clusters: Tensor, sight: _Sight) -> Interval:
    """The mean of values (n,)."""
    return bootstrap(lambda u: float(u @ kept / u.sum()), clusters, repeats=sight.repeats, seed=sight.seed)


def _per_set(evidence: Evidence, metric: PerSet, sight: _Sight) -> _Found:
    n = len(evidence.made)
    extractor = metric.features or sight.extractor
    if extractor is None:
        return _Found(note="needs features: the modality has no extractor, name one")
    real = evidence.real if Need.REAL in metric.needs else None
    few = min(n, len(real)) if real is not None else n
    if few < metric.fewest:
        return _Found(note=f"too few samples: {few}, at least {metric.fewest} are needed")
    bound = sight.bind(evidence, metric, extractor)
    clusters = real.clusters() if real is not None else torch.empty(0, dtype=torch.int64)
    # The prompts of a set are given: to draw other ones would change what it is a set of.
    interval = bound.interval(torch.arange(n), clusters, repeats=sight.repeats, seed=sight.seed)
    floor = None
    if real is not None and len(torch.unique(clusters)) >= 2 * metric.fewest:
        floor = bound.floor(clusters, repeats=sight.repeats, seed=sight.seed)
    note = "undefined on these samples" if math.isnan(interval.value) else ""
    return _Found(n, None if note else interval, floor, note=note)
