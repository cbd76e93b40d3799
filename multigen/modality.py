"""A modality: everything about a kind of sample that is not trained.

Required is `Modality`; a plugin that can do more also has the methods of `Finishes`, `Keeps` or `Shows`. None of this
needs torch at import, so that ``multigen <modality> --help`` is quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

Sample: TypeAlias = Mapping[str, Any]
"""One finished sample, its keys defined by its modality: audio is {"wave": (c, t) in [-1, 1], "sample_rate": int}."""

Region: TypeAlias = Mapping[str, tuple[float, float]]
"""A box: named axis to (start, stop) as fractions of its length; an axis that is not named is covered whole."""


class Modality(Protocol):
    """What a sample is, and how it is read and written."""

    name: ClassVar[str]
    Options: ClassVar[type]
    """A frozen dataclass of `multigen.options.option` fields: the flags and keyword arguments of this modality."""
    extensions: ClassVar[Sequence[str]]
    """What it writes, with the dot; the first is the default."""
    default_model: ClassVar[str]

    def read(self, path: Path, /) -> Sample:
        """A sample from a file. Raises UsageError, OSError or ValueError where the file is none."""

    def write(self, sample: Sample, path: Path, /, *, tags: Mapping[str, str]) -> None:
        """Write a sample in the container of the path's extension with the tags inside; a failure leaves no half
        file."""

    def read_tags(self, path: Path, /) -> Mapping[str, str]:
        """The tags in a file that `write` wrote; empty where there are none."""


@runtime_checkable
class Finishes(Protocol):
    """A modality with a last step between the model's output and the file: loudness, rate, loops."""

    def finish(self, sample: Sample, options: Any, /) -> Sample: ...


@runtime_checkable
class Checks(Protocol):
    """A modality that knows before anything is made whether a file can hold it."""

    def check(self, path: Path, options: Any, /) -> None:
        """Raise UsageError where a sample with these options cannot be written to the path."""


@runtime_checkable
class Keeps(Protocol):
    """A modality that can put the untouched part of an input back exactly after an edit."""

    def keep(self, made: Sample, given: Sample, region: Region, /) -> Sample:
        """`made` inside the region, `given` outside it, joined without a seam."""


@runtime_checkable
class Shows(Protocol):
    """A modality that can draw samples side by side on one picture."""

    show_flag: ClassVar[str]
    """The flag's name without dashes, such as "spectrogram"."""

    def show(self, samples: Sequence[tuple[str, Sample]], path: Path, /) -> None:
        """Titled samples as one PNG."""


@runtime_checkable
class Timed(Protocol):
    """A modality with a time axis: it takes ``--mask START:END`` and ``--extend SECONDS``."""

    def seconds(self, sample: Sample, /) -> float: ...
