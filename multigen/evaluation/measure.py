"""From evidence and metrics to results, each with its interval, its floor and its protocol."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

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
)
from multigen.evaluation.sets import Bind, Sizes, statistic_of
from multigen.metrics import Interval, bootstrap, proportion


@dataclass(frozen=True)
class Result:
    """What a metric says.

    extractor: its name and its fingerprint, empty where none is used. n, reference: how many made and real samples
    were compared. floor: what real samples reach, against real samples or with their own captions; None where that says
    nothing. floor_n, floor_reference: how many real samples that was, on either side. chance: what would be reached
    without regard to the prompts, None where nothing is asked of them. note: why there is no value, or no interval, and
    empty where there are both.
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
    floor_n: int = 0
    floor_reference: int = 0


@dataclass(frozen=True)
class _Found:
    """What came of a metric. sizes, floor_sizes: how many samples were counted, made and real ones, or only those."""

    sizes: Sizes = (0, 0)
    interval: Interval | None = None
    floor: Interval | None = None
    floor_sizes: Sizes = (0, 0)
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
                n=found.sizes[0],
                reference=found.sizes[1],
                interval=found.interval,
                floor=found.floor,
                floor_n=found.floor_sizes[0],
                floor_reference=found.floor_sizes[1],
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
    if isinstance(metric, PerItem):
        return _per_item(evidence, metric, sight)
    if not len(evidence.made):
        return _Found(note="there is no sample that can be measured")
    if isinstance(metric, PerSample):
        return _per_sample(evidence, metric, sight)
    if isinstance(metric, PerPrompt):
        return _per_prompt(evidence, metric, sight)
    if isinstance(metric, PerSet):
        return _per_set(evidence, metric, sight)
    raise TypeError(f"{metric.name} is none of PerSample, PerPrompt, PerSet and PerItem")


def _per_sample(evidence: Evidence, metric: PerSample, sight: _Sight) -> _Found:
    made, real = evidence.made, evidence.real
    values = made.values(metric.name)
    if not bool(values.isfinite().any()):
        return _Found(note="no prompt asks for it")
    theirs = real.values(metric.name) if real is not None else torch.empty(0)
    floor = _mean(theirs, real, metric, sight)[0] if real is not None and bool(theirs.isfinite().any()) else None
    interval, note = _mean(values, made, metric, sight)
    return _Found((_counted(values), 0), interval, floor, (_counted(theirs), 0), note=note)


def _per_prompt(evidence: Evidence, metric: PerPrompt, sight: _Sight) -> _Found:
    """The interval is for other prompts of the kind, the floor for other real samples."""
    if sight.reader is None:
        return _Found(note="needs an extractor that knows texts: name one that does, --extractor")
    similarity, own = prompted.similarities(evidence.made, sight.reader)
    count = similarity.shape[1]
    if count < 2:
        return _Found(note="needs two different prompts")
    interval, note = _mean(metric.score(similarity, own), evidence.made, metric, sight)
    floor, read, real = None, 0, evidence.real
    if real is not None and len(real) and real.prompted:
        theirs = prompted.similarities(real, sight.reader)
        if theirs[0].shape[1] >= count:
            values = prompted.expected(metric, *theirs, count)
            floor, read = _mean(values, real, metric, sight)[0], _counted(values)
    return _Found((len(own), 0), interval, floor, (read, 0), metric.chance(similarity, own), note)


def _per_item(evidence: Evidence, metric: PerItem, sight: _Sight) -> _Found:
    found = evidence.items[metric.name] if evidence.items else torch.empty(0)
    kept = found[found.isfinite()]
    if not len(kept):
        return _Found(note="not defined for this model")
    clusters = torch.arange(len(kept))
    interval, note = _checked(_bootstrapped(kept, clusters, sight), clusters)
    return _Found((len(kept), 0), interval, note=note)


def _mean(found: Tensor, collection: Collection, metric: PerSample | PerPrompt, sight: _Sight) -> tuple[Interval, str]:
    """Of the finite values (n,), one for each sample of the collection, and why there is no interval."""
    counted = found.isfinite()
    kept, clusters = found[counted], collection.clusters()[counted]
    return _checked(proportion(kept, clusters) if metric.share else _bootstrapped(kept, clusters, sight), clusters)


def _counted(values: Tensor) -> int:
    return int(values.isfinite().sum())


def _bootstrapped(kept: Tensor, clusters: Tensor, sight: _Sight) -> Interval:
    """The mean of values (n,)."""
    return bootstrap(lambda u: float(u @ kept / u.sum()), clusters, repeats=sight.repeats, seed=sight.seed)


def _per_set(evidence: Evidence, metric: PerSet, sight: _Sight) -> _Found:
    extractor = metric.features or sight.extractor
    if extractor is None:
        return _Found(note="needs features: the modality has no extractor, name one")
    needed = {Need.REAL: evidence.real, Need.TRAINING: evidence.training}
    few = min(len(side) for side in (evidence.made, *(needed.get(need) for need in metric.needs)) if side is not None)
    if few < metric.fewest:
        return _Found(note=f"too few samples: {few}, at least {metric.fewest} are needed")
    bound = sight.bind(evidence, metric, extractor)
    found = bound.interval(repeats=sight.repeats, seed=sight.seed)
    n, m = bound.sizes(len(evidence.made))
    sizes = (n, m if Need.REAL in metric.needs else 0)
    if math.isnan(found.value):
        return _Found(sizes, note="undefined on these samples")
    interval, note = _checked(found, *bound.names(n))
    floor, floor_sizes = bound.floor(repeats=sight.repeats, seed=sight.seed)
    return _Found(sizes, interval, floor, floor_sizes, note=note)


def _checked(interval: Interval, *clusters: Tensor) -> tuple[Interval, str]:
    """Without ends that would say nothing, and why."""
    if any(len(torch.unique(names)) < 2 for names in clusters):
        return Interval.none(interval.value), "all are of one prompt or source: no interval"
    if interval.low == interval.high:
        return Interval.none(interval.value), "the same in all resamplings: no interval"
    return interval, ""
