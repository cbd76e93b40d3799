"""A modality: everything about a kind of sample that is not trained.

Required is `Modality`; a plugin that can do more also has the methods of `Finishes`, `Keeps` or `Shows`. None of this
needs torch at import, so that ``multigen <modality> --help`` is quick.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
class Places(Protocol):
    """A modality whose last step moves or scales a sample: of an edit of a part, the rest stays where it was."""

    def finish_in_place(self, made: Sample, given: Sample, options: Any, /) -> Sample:
        """`Finishes.finish` of what was made of `given`, in its place and scale."""


@runtime_checkable
class Checks(Protocol):
    """A modality that knows before anything is made whether a file can hold it."""

    def check(self, path: Path, options: Any, kind: str, /) -> None:
        """Raise UsageError where a sample with these options cannot be written to the path.

        kind: the model's `multigen.model.Kind`, empty where it has none or is not loaded yet.
        """


@runtime_checkable
class Rated(Protocol):
    """A modality whose samples have rates, which must agree where samples are compared."""

    resampler: ClassVar[str]
    """What brings one rate to another where samples are measured, for the protocol of a measurement."""

    def rates(self, sample: Sample, /) -> Mapping[str, float]:
        """What must agree, by its unit, such as {"fps": 8.0}: as far as measures see it."""

    def sizes(self, sample: Sample, /) -> Mapping[str, float]:
        """What may differ, by its name, such as {"width": 256.0}."""


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
    show_extensions: ClassVar[Sequence[str]]
    """What it can be drawn as, with the dot; ".png" is among them."""

    def show(self, samples: Sequence[tuple[str, Sample]], path: Path, /) -> None:
        """Titled samples as one picture."""


@runtime_checkable
class Embeds(Protocol):
    """A modality whose samples can be seen or heard on a page that needs nothing beside it."""

    def embed(self, sample: Sample, title: str, /) -> str:
        """One HTML element, with data: URIs for its content and the title as its name.

        Elements within one ``[data-together]`` were made from the same prompt and seed: what turns or plays one of
        them may do so with all.
        """

    def embed_script(self) -> str:
        """JavaScript that all elements of a page share, empty where they need none; it runs once, after them."""


@runtime_checkable
class Timed(Protocol):
    """A modality with a time axis: it takes ``--extend SECONDS``."""

    def seconds(self, sample: Sample, /) -> float: ...


@runtime_checkable
class Masks(Protocol):
    """A modality a part of whose samples can be made anew: it takes ``--mask``."""

    mask_help: ClassVar[str]
    """How the part is typed, such as "START:END, the seconds to make anew"."""

    def region(self, mask: str, sample: Sample, /) -> Region:
        """The part of a sample that is to be made anew. Raises UsageError for one that is not in it."""


@runtime_checkable
class Boxes(Protocol):
    """A modality of pictures, a part of which can be made anew: it takes ``--box``."""

    box_help: ClassVar[str]
    """How the part is typed, such as "X,Y,WIDTH,HEIGHT in pixels"."""

    def box(self, text: str, sample: Sample, /) -> Region:
        """The part of every picture of a sample that is to be made anew. Raises UsageError for one outside."""


@runtime_checkable
class Stills(Protocol):
    """A modality whose samples may have no extent in time, which ``--init`` alone sets in motion."""

    def still(self, sample: Sample, /) -> bool: ...

    def beginning(self, sample: Sample, options: Any, /) -> Region:
        """What is made anew where a still is the beginning of a sample with these options."""


@runtime_checkable
class Fits(Protocol):
    """A modality whose options follow from an input, where they are not typed."""

    def fit(self, sample: Sample, typed: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The options of what is made of this sample, from those that were typed."""


@runtime_checkable
class Crops(Protocol):
    """A modality that cuts an input to the shape of what is made, before anything is read from it."""

    def crop(self, sample: Sample, options: Any, /) -> Sample: ...


@runtime_checkable
class Refines(Protocol):
    """A modality whose samples can be made finer by a second pass, as films with more frames a second."""

    def coarse(self, options: Any, /) -> Any | None:
        """The options of the first pass; None where one pass is all."""

    def between(self, sample: Sample, options: Any, /) -> Sample:
        """A guess at the finer sample, which the model then makes better."""

    def join(self, made: Sample, sample: Sample, options: Any, /) -> Sample:
        """`made` with all that was in `sample` put back."""


@runtime_checkable
class Implies(Protocol):
    """A modality some of whose options follow from the name of the file that is written."""

    def implied(self, path: Path, /) -> Mapping[str, Any]: ...


@runtime_checkable
class Preserves(Protocol):
    """A modality some of whose options change what an edit keeps."""

    unedited: ClassVar[Collection[str]]
    """Their names: an edit does without what a model suggests for them."""


@runtime_checkable
class Parts(Protocol):
    """A modality that takes ``--complete FILE``: the file is a part of the result, and the rest is made."""

    complete_help: ClassVar[str]
    complete_model: ClassVar[str]
    """The model that completes unless another one is named."""
