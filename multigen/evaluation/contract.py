"""What a metric is: a name, what it needs, which way is better, its unit and source, and how it is computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, final, runtime_checkable

from torch import Tensor

from multigen.metrics import Interval
from multigen.modality import Sample

if TYPE_CHECKING:
    from multigen.evaluation.collection import Collection
    from multigen.evaluation.held_out import Item


class Need(Enum):
    """What a metric cannot do without, beside the samples."""

    PROMPTS = "prompts"
    REAL = "real samples, --against"
    TRAINING = "training samples, --training"
    ITEMS = "the dataset of the model that is measured, --data"


class Extractor(Protocol):
    """Turns a sample into a feature vector. Results of different extractors do not compare."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the features depend on: version of the formula, weights."""

    def __call__(self, sample: Sample, /) -> Tensor:
        """(d,), finite."""


@runtime_checkable
class Reads(Extractor, Protocol):
    """An extractor that gives texts a place among its features: a sample is like a text where their cosine is high."""

    def text(self, prompts: Sequence[str], /) -> Tensor:
        """(n, d), finite."""


class ExtractorLoader(Protocol):
    """What the entry-point group "multigen.extractors" names."""

    @property
    def modality(self) -> str:
        """Whose samples it sees, empty where that depends on the place."""

    @property
    def ready(self) -> bool:
        """Whether it needs no place: its weights are there, or it has none."""

    def __call__(self, place: str = "", /) -> Extractor:
        """The extractor, or the one in a folder that ``multigen train`` wrote. Raises UsageError."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the metrics of one evaluation see."""

    made: Collection
    real: Collection | None = None
    training: Collection | None = None
    items: Mapping[str, Tensor] | None = None
    """Values of the `PerItem` metrics by name, (n,) each, NaN where an item was not asked or cannot tell."""

    def lacks(self, needs: frozenset[Need], /) -> Need | None:
        """The first of the needs that is not there."""
        there = {
            Need.PROMPTS: self.made.prompted,
            Need.REAL: self.real is not None,
            Need.TRAINING: self.training is not None,
            Need.ITEMS: self.items is not None,
        }
        return next((need for need in Need if need in needs and not there[need]), None)


Statistic: TypeAlias = Callable[[Tensor, Tensor], float]
"""Of how often each made sample (n,) and each real one (m,) counts; NaN where that leaves it undefined."""
Intervals: TypeAlias = Callable[..., Interval]
"""`multigen.metrics.bootstrap` or `jackknife`, or what takes and returns the same."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Abstract: what is told of a metric.

    higher_is_better: None where a certain value is best, which `best` is. version: raised when its values change.
    """

    name: str
    about: str
    source: str
    higher_is_better: bool | None
    unit: str = ""
    best: float | None = None
    needs: frozenset[Need] = frozenset()
    version: int = 1


@final
@dataclass(frozen=True, kw_only=True)
class PerSample(Metric):
    """A number for every sample: two arms of a study are compared sample by sample.

    value: of a sample and its prompt; NaN where the prompt does not ask for what is measured. share: whether it is 0 or
    1, so that the mean is a share of the samples.
    """

    value: Callable[[Sample, str], float]
    share: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class PerSet(Metric):
    """A number for a whole set, by features of an extractor.

    statistic: from the features of made (n, d), real (m, d) and training samples (k, d), the latter two empty where
    there are none. intervals: how its interval is found. limits: between which its values lie. fewest: samples on
    either side below which it says nothing. balanced: whether as many real as made samples are compared, because its
    value depends on how many there are of either; the larger set is thinned out at random. features: the only ones that
    it works on, as they are; None for those of whichever extractor is named, standardised.
    """

    statistic: Callable[[Tensor, Tensor, Tensor], Statistic]
    intervals: Intervals
    limits: tuple[float, float] = (-math.inf, math.inf)
    fewest: int = 10
    balanced: bool = False
    features: Extractor | None = None


@final
@dataclass(frozen=True, kw_only=True)
class PerPrompt(Metric):
    """A number for every sample, by how like it is to each prompt of its set; it takes an extractor that `Reads`.

    score, chance: from the cosines (n, k) of samples and different prompts, and which prompt is each sample's (n,):
    every sample's value (n,), and what their mean would be on average if no sample had to do with its prompt. share:
    whether values are 0 or 1, so that the mean is a share of the samples.
    """

    score: Callable[[Tensor, Tensor], Tensor]
    chance: Callable[[Tensor, Tensor], float]
    share: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class PerItem(Metric):
    """A number for every held-out item of a model's dataset, by the model itself: no samples are made for it.

    value: of an item; NaN where the model does not allow it. most: items that are asked at most, 0 is all.
    """

    value: Callable[[Item], float]
    most: int = 0


@runtime_checkable
class Measured(Protocol):
    """A modality that knows what can be measured of its samples."""

    def extractors(self) -> Sequence[Extractor]:
        """The first one is used unless another is named."""

    def metrics(self) -> Sequence[Metric]:
        """Those of this modality alone; the general ones come beside them."""

    def faults(self, sample: Sample, /) -> Sequence[str]:
        """Why a sample cannot be measured or is next to nothing, such as "silent"; empty for a good one."""


@runtime_checkable
class Collects(Protocol):
    """A modality whose real samples come in a folder of its own layout."""

    def collect(self, folder: Path, /) -> Iterable[tuple[Sample, str, str]] | None:
        """Samples, what they show, and what they were cut from; None for a folder of another layout."""
