"""The input of an edit: from ``--init`` with ``--strength``, ``--mask``, ``--box`` or ``--extend``, and from
``--complete``, to edits of a plan."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from multigen import edit
from multigen.edit import Edit, region_mask, resample
from multigen.errors import UsageError
from multigen.modality import (
    Boxes,
    Crops,
    Finishes,
    Fits,
    Keeps,
    Masks,
    Modality,
    Parts,
    Places,
    Refines,
    Region,
    Sample,
    Stills,
    Timed,
)
from multigen.model import Completes, Edits, Masked, Model, Padded
from multigen.options import limits_of, make
from multigen.request import Request


def read_input(request: Request, modality: Modality, options: Any, /) -> tuple[Sample | None, Region, Any]:
    """The input to edit, the region to make anew, and the options fitted to it (an input keeps its duration).

    Raises UsageError for a file that cannot be read, an edit that the modality does not know, a region outside, and an
    input without an edit.
    """
    for name, asked, known in (
        ("--mask", request.mask, Masks),
        ("--box", request.box, Boxes),
        ("--extend", request.extend, Timed),
        ("--complete", request.complete, Parts),
    ):
        if asked not in ("", None) and not isinstance(modality, known):
            raise UsageError(f"{name} is not possible for {request.modality}: use --init FILE --strength 0.6")
    path = request.init or request.complete
    if not path:
        return None, {}, options
    given = read_sample(modality, Path(path))
    typed = dict(request.options)
    if request.init and isinstance(modality, Fits):  # a part says nothing of the whole
        typed = {**modality.fit(given, typed), **typed}
    if isinstance(modality, Stills) and modality.still(given):
        if request.mask or request.extend is not None:
            raise UsageError(f"{path} is a still, and --mask and --extend are for what lasts: use --box or --strength")
        options = make(modality.Options, typed)
        given = _cropped(given, modality, options)
        whole = request.strength is not None or request.box
        return given, _region(request, modality, given) if whole else modality.beginning(given, options), options
    _check_asked(request, modality, options)
    extended: Region = {}
    if isinstance(modality, Timed):
        seconds = modality.seconds(given)
        if "duration" in request.options:
            raise UsageError(
                f"{path} keeps its {seconds:.2f} s when it is edited: leave out --duration, or use --extend"
            )
        typed.setdefault("duration", seconds)
        if request.extend is not None:
            typed["duration"] = _extended(modality, seconds, request.extend)
            extended = {"time": (seconds / typed["duration"], 1.0)}
    options = make(modality.Options, typed)
    given = _cropped(given, modality, options)
    return given, extended or _region(request, modality, given), options


def _extended(modality: Modality, seconds: float, more: float) -> float:
    """Seconds of an input that goes on. Raises UsageError where that is too long."""
    most = limits_of(modality.Options)["duration"].high
    if seconds + more > most:
        room = f"give --extend up to {most - seconds:.2f}" if seconds < most else "shorten the input first"
        raise UsageError(f"--extend {more:g} makes {seconds + more:.2f} s, at most {most:g} s are possible: {room}")
    return seconds + more


def _cropped(given: Sample, modality: Modality, options: Any) -> Sample:
    return modality.crop(given, options) if isinstance(modality, Crops) else given


def edited(request: Request, /) -> bool:
    """Whether an edit of the input is asked for."""
    return bool(request.complete or request.mask or request.box) or (request.strength, request.extend) != (None, None)


def _check_asked(request: Request, modality: Modality, options: Any) -> None:
    """Raise UsageError where nothing says what is to be done with the input."""
    refined = isinstance(modality, Refines) and modality.coarse(options) is not None
    if edited(request) or refined:
        return
    ways = ["--strength 0.6"]
    ways += ["--mask PART"] if isinstance(modality, Masks) else []
    ways += ["--box PART"] if isinstance(modality, Boxes) else []
    ways += ["--extend SECONDS"] if isinstance(modality, Timed) else []
    raise UsageError(f"--init needs to know what to change: add {' or '.join(ways)}")


def _region(request: Request, modality: Modality, given: Sample) -> Region:
    region: dict[str, tuple[float, float]] = {}
    if request.mask and isinstance(modality, Masks):
        region |= modality.region(request.mask, given)
    if request.box and isinstance(modality, Boxes):
        region |= modality.box(request.box, given)
    return region


def read_sample(modality: Modality, path: Path, /, *, remedy: str = "give an intact file") -> Sample:
    """The sample of a file. Raises UsageError, with what to do about it, where it cannot be read."""
    try:
        return modality.read(path)
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {modality.name} ({error}): {remedy}") from None


def model_name(request: Request, modality: Modality, /) -> str:
    """The model that is named, or the modality's own for what is asked."""
    own = modality.complete_model if request.complete and isinstance(modality, Parts) else modality.default_model
    return request.model or own


@torch.no_grad()
def edits(
    request: Request, modality: Modality, model: Model, options: Any, given: Sample | None, region: Region, /
) -> tuple[tuple[Edit, ...], Callable[[Sample], Sample]]:
    """What is done to the plan, and to the model's sample in the end.

    Raises UsageError for a model that cannot do it.
    """
    if given is None:
        return (), lambda sample: _finished(sample, modality, options)
    if request.complete and not isinstance(model, Completes):
        raise UsageError(f"the model {model.name!r} cannot complete a part: choose another --model, or --mask")
    try:
        made = tuple(_changes(request, model, options, given, region))
    except UsageError as error:
        raise UsageError(f"{request.init or request.complete}: {error}") from None

    def last(sample: Sample) -> Sample:
        if region and isinstance(modality, Places):
            return modality.finish_in_place(sample, given, options)
        finished = _finished(sample, modality, options)
        return modality.keep(finished, given, region) if region and isinstance(modality, Keeps) else finished

    return made, last


def _changes(request: Request, model: Model, options: Any, given: Sample, region: Region) -> Iterator[Edit]:
    own = edits_of(model)
    if request.complete and isinstance(model, Completes):
        yield own.inpaint(*model.known(given, options))
    elif region:
        yield own.inpaint(model.encode(given, options), _mask(region, model, given, options))
    if (request.complete or region) and request.resample > 1:
        yield resample(request.resample)
    if request.strength is not None:
        yield own.variation(model.encode(given, options), request.strength)


def edits_of(model: Model, /) -> Edits:
    """A model's own edits, or those of any grid."""
    if isinstance(model, Edits):
        return model
    return edit


def _finished(sample: Sample, modality: Modality, options: Any) -> Sample:
    return modality.finish(sample, options) if isinstance(modality, Finishes) else sample


def _mask(region: Region, model: Model, given: Sample, options: Any) -> torch.Tensor:
    if isinstance(model, Masked):
        return model.mask(region, given, options)
    return region_mask(model.shape(options), model.axes, _on_state(region, model, options))


def _on_state(region: Region, model: Model, options: Any) -> Region:
    """A region of the sample as one of the state; what reaches the sample's end reaches the state's."""
    covered = model.extent(options) if isinstance(model, Padded) else {}
    shape = model.shape(options)

    def fitted(axis: str, edge: float) -> float:
        return edge if edge == 1 or axis not in covered else edge * covered[axis] / shape[model.axes[axis]]

    return {axis: (fitted(axis, start), fitted(axis, stop)) for axis, (start, stop) in region.items()}
