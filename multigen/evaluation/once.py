"""What several metrics ask of a sample, found once."""

from collections.abc import Callable
from typing import TypeVar

from multigen.modality import Sample

T = TypeVar("T")


def once(find: Callable[[Sample], T], /) -> Callable[[Sample], T]:
    """The same, which is not found again for the sample that was asked about last: metrics ask one after another."""
    last: list[tuple[Sample, T]] = []

    def found(sample: Sample) -> T:
        if not last or last[0][0] is not sample:
            last[:] = [(sample, find(sample))]
        return last[0][1]

    return found
