"""What a metric is: a name, what it needs, which way is better, its unit and source, and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, final, runtime_checkable

from torch import Tensor

from multigen.metrics import Interval
from multigen.modality import Sample

if TYPE_CHECKING:
    from multigen.evaluation.collection import Collection


class Need(Enum):
    """What a metric cannot do without, beside the samples."""

    PROMPTS = "prompts"
    REAL = "real samples, --against"
    TRAINING = "training samples, --training"


class Extractor(Protocol):
    """Turns a sample into a feature vector. Results of different extractors do not compare."""

    name: str
    fingerprint: str
    """A hash of everything that the features depend on: version of the formula, weights."""

    def __call__(self, sample: Sample, /) -> Tensor:
        """(d,), finite."""


@dataclass(frozen=True)
class Evidence:
    """What the metrics of one evaluation see."""

    made: Collection
    real: Collection | None = None
    training: Collection | None = None

    def lacks(self, needs: frozenset[Need], /) -> Need | None:
        """The first of the needs that is not there."""
        there = {
            Need.PROMPTS: self.made.prompted,
            Need.REAL: self.real is not None,
            Need.TRAINING: self.training is not None,
        }
        return next((need for need in Need if need in needs and not there[need]), None)


Statistic: TypeAlias = Callable[[Tensor, Tensor], float]
"""Of how often each made sample (n,) and each real one (m,) counts; NaN where that leaves it undefined."""
Intervals: TypeAlias = Callable[..., Interval]
"""`multigen.metrics.bootstrap` or `jackknife`."""


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

    value: of a sample and its prompt; NaN where the prompt does not ask for what is measured.
    """

    value: Callable[[Sample, str], float]


@final
@dataclass(frozen=True, kw_only=True)
class PerSet(Metric):
    """A number for a whole set, by features of an extractor.

    statistic: from the features of made (n, d), real (m, d) and training samples (k, d), the latter two empty where
    there are none. intervals: how its interval is found. fewest: samples on either side below which it says nothing.
    features: the only ones that it works on, as they are; None for those of whichever extractor is named, standardised.
    """

    statistic: Callable[[Tensor, Tensor, Tensor], Statistic]
    intervals: Intervals
    fewest: int = 10
    features: Extractor | None = None


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
