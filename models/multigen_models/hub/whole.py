"""A pipeline of diffusers that runs as it is, told what its call takes."""

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch

from multigen.errors import GenerationError, UsageError
from multigen.modality import Sample
from multigen.model import Defaults
from multigen.options import flag
from multigen.request import Request
from multigen_models.hub.families import ALIASES, Family
from multigen_models.hub.quiet import quiet

NEEDED = {"audio": "duration", "video": "frames"}
"""What a call must take to be that of a modality, where the family is not known."""
AFTERWARDS = {
    "audio": ("sample_rate", "loudness"),
    "video": ("fps", "size", "duration", "frames"),
    "3d": ("size", "smooth", "faces"),
}
"""Options that a modality itself sees to, whatever the model makes."""
SPELLED = {"width": "size", "height": "size"}


@final
@dataclass(frozen=True, eq=False, repr=False)
class Entire:
    """A `multigen.model.Whole`. arguments, fixed: see `multigen_models.hub.families.Family`."""

    pipe: Any
    arguments: Mapping[str, str]
    fixed: Mapping[str, Any]
    name: str
    modality: str
    fingerprint: str
    defaults: Defaults
    suggested: Mapping[str, Any]
    kind: str = ""

    @property
    def takes(self) -> Collection[str]:
        known = {SPELLED.get(name, name) for name in self.arguments}
        return known | set(AFTERWARDS.get(self.modality, ()))

    def make(self, request: Request, options: Any, given: Sample | None, seed: int, /) -> Sample:
        if "init" in self.arguments and given is None:
            raise UsageError(f"the model {self.name!r} starts from an image: add --init FILE")
        told = said(self.arguments, request, options, given)
        if "prompt" in inspect.signature(self.pipe.__call__).parameters:
            told["prompt"] = request.prompt
        generator = torch.Generator().manual_seed(seed)
        with quiet():
            made = self.pipe(**told, **self.fixed, generator=generator)
        return _SAMPLES[self.modality](self.pipe, made, options, self.suggested)


def said(
    arguments: Mapping[str, str], request: Request, options: Any, given: Sample | None = None, /
) -> dict[str, Any]:
    """A request by the names that a call takes."""
    film = hasattr(options, "resolution")
    values: dict[str, Any] = {
        "steps": request.steps,
        "guidance": float(request.guidance) if request.guidance else None,
        "negative_prompt": request.negative_prompt or None,
        "duration": getattr(options, "duration", None),
        "init": _image(given) if given is not None else None,
    }
    if film:
        width, height = options.resolution
        values |= {"frames": options.count, "width": width, "height": height, "fps": round(options.fps)}
    return {theirs: values[ours] for ours, theirs in arguments.items() if values.get(ours) is not None}


def by_signature(pipe: Any, name: str, modality: str | None, /) -> Family:
    """A family made of what the call of an unknown pipeline takes. Raises UsageError where it makes something else."""
    parameters = inspect.signature(pipe.__call__).parameters
    arguments = {}
    for ours, aliases in ALIASES.items():
        found = next((alias for alias in aliases if alias in parameters), None)
        # An image that may be left out is for something else than to start from it.
        if found and (ours != "init" or parameters[found].default is inspect.Parameter.empty):
            arguments[ours] = found
    kind = type(pipe).__name__
    if modality is None or (NEEDED.get(modality) not in arguments):
        lacks = flag(NEEDED[modality]) if modality in NEEDED else "no shape"
        raise UsageError(
            f"the model {name!r} is a {kind}, which is not known here and takes no {lacks}: choose a model of "
            "multigen list models"
        )
    fixed = {"output_type": "np"} if "output_type" in parameters else {}
    return Family(kind, modality, kind, "", arguments=arguments, fixed=fixed)


def _image(given: Sample) -> Any:
    from PIL import Image

    return Image.fromarray(given["frames"][0].permute(1, 2, 0).numpy())


def _audio(pipe: Any, made: Any, options: Any, suggested: Mapping[str, Any]) -> Sample:
    wave = torch.as_tensor(_result(made, "audios")[0]).float().cpu()
    rate = _rate(pipe)
    wave = wave[None] if wave.ndim == 1 else wave
    length = round(options.duration * rate)
    wave = torch.nn.functional.pad(wave[:, :length], (0, max(0, length - wave.shape[-1])))
    return {"wave": wave.clamp(-1, 1), "sample_rate": rate}


def _rate(pipe: Any) -> int:
    """Samples per second, from where the families keep it. Raises GenerationError."""
    for part, key in (("vocoder", "sampling_rate"), ("vae", "sampling_rate"), ("vae", "sample_rate")):
        config = getattr(getattr(pipe, part, None), "config", None)
        if config is not None and getattr(config, key, None):
            return int(getattr(config, key))
    if getattr(pipe, "sample_rate", None):
        return int(pipe.sample_rate)
    raise GenerationError(f"{type(pipe).__name__} does not say at what rate it makes sound")


def _video(pipe: Any, made: Any, options: Any, suggested: Mapping[str, Any]) -> Sample:
    frames = torch.as_tensor(_result(made, "frames")[0]).permute(0, 3, 1, 2)
    return {"frames": (frames * 255).round().clamp(0, 255).to(torch.uint8), "fps": suggested.get("fps", options.fps)}


def _shape(pipe: Any, made: Any, options: Any, suggested: Mapping[str, Any]) -> Sample:
    from multigen_models.hub.shapes import mesh_sample

    return mesh_sample(_result(made, "images")[0])


def _result(made: Any, name: str) -> Any:
    if not hasattr(made, name):
        raise GenerationError(f"the model made a {type(made).__name__}, in which there are no {name}")
    return getattr(made, name)


_SAMPLES = {"audio": _audio, "video": _video, "3d": _shape}
