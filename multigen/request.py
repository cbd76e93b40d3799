"""What is asked for, in plain text and numbers: the flags, the keyword arguments and a file's metadata are all this."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from multigen.errors import UsageError
from multigen.options import Limits, check, flag, limits, option

MODELS_OWN = "the model's own"


@dataclass(frozen=True)
class Request:
    """Everything that determines a sample but its seed, in plain text and numbers. Empty means the model's default."""

    LONGEST: ClassVar[int] = 1000

    modality: str
    prompt: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    negative_prompt: str = option("", "what to steer away from")
    model: str = option(
        "",
        "a model's name or hub id (multigen list models), or a folder that multigen train or diffusers wrote",
        unset="the modality's own",
    )
    revision: str = option("", "the branch, tag or commit of a model with a hub id", unset="its main branch")
    steps: int | None = option(None, "steps of the sampler", low=1, high=1000, unset=MODELS_OWN)
    sampler: str = option("", "NAME or NAME:KEY=VALUE,... (multigen list samplers)", unset=MODELS_OWN)
    schedule: str = option("", "NAME or NAME:KEY=VALUE,... (multigen list schedules)", unset=MODELS_OWN)
    guidance: str = option(
        "", "a scale from -100 to 100 (1 is off), or NAME:KEY=VALUE,... (multigen list guidance)", unset=MODELS_OWN
    )
    guidance_interval: str = option("", "LOW:HIGH, the noise levels sigma between which guidance is on")
    guide_model: str = option("", "a weaker model to steer away from (autoguidance)")
    lora: tuple[str, ...] = option(
        (), "PATH or PATH:SCALE of a LoRA that is added to the model; several add up (scale 1 unless it is given)"
    )
    init: str = option("", "a file to start from, with --strength")
    strength: float | None = option(None, "how much of --init is made anew", low=0, high=1)
    mask: str = option("", "the part of --init to make anew; the rest is kept")
    box: str = option("", "the part of each picture of --init to make anew; the rest is kept")
    extend: float | None = option(None, "how much to add at the end of --init", unit="s", low=0.1, high=600)
    complete: str = option("", "a file that is a part of the result; the rest is made")
    resample: int = option(
        1, "times that each stretch of an edit is resampled, so that its parts agree", low=1, high=20
    )
    fingerprint: str = ""

    def __post_init__(self) -> None:
        lora = (self.lora,) if isinstance(self.lora, str) else tuple(self.lora)  # a list in a file's metadata
        object.__setattr__(self, "lora", lora)

    def validate(self) -> None:
        """Raise UsageError for what cannot be asked of any model."""
        if not self.prompt.strip():
            raise UsageError(f'the prompt is empty: say what to make, such as multigen {self.modality} "a barking dog"')
        for name, text in (("prompt", self.prompt), ("negative prompt", self.negative_prompt)):
            if len(text) > self.LONGEST:
                raise UsageError(
                    f"the {name} has {len(text)} characters: at most {self.LONGEST} are allowed, so shorten it"
                )
        components(self.prompt)
        for field in dataclasses.fields(self):
            check(getattr(self, field.name), limits(field), name=flag(field.name), default=field.default)
        scale = number(self.guidance)
        if scale is not None:
            check(scale, Limits("the scale", low=-100, high=100), name="--guidance")
        if self.guidance_interval:
            span(self.guidance_interval, "--guidance-interval", "0.3:5")
        self._validate_edit()

    def _validate_edit(self) -> None:
        edits = {"--mask": self.mask, "--box": self.box, "--extend": self.extend, "--strength": self.strength}
        asked = [name for name, value in edits.items() if value not in ("", None)]
        if asked and not self.init:
            raise UsageError(f"{asked[0]} edits an input: add --init FILE")
        for part in ("--mask", "--box"):
            if part in asked and "--extend" in asked:
                raise UsageError(f"{part} and --extend are two edits: run one, then the other on its result")
        if self.complete and self.init:
            raise UsageError("--complete and --init are two edits: run one, then the other on its result")


def components(prompt: str, /) -> list[tuple[str, float]]:
    """The parts of a prompt with their weights: ``rain AND wind:0.5 NOT a dog`` is rain 1, wind 0.5, a dog -1.

    Raises UsageError for an empty part.
    """
    pieces = re.split(r"\s*\b(AND|NOT)\b\s*", prompt.strip())
    signed = [("AND", pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    parts = []
    for sign, piece in signed:
        match = re.fullmatch(r"(.*?)(?::(\d*\.?\d+))?", piece.strip(), re.DOTALL)
        text, weight = (match[1].strip(), float(match[2] or 1)) if match else (piece, 1.0)
        if not text:
            raise UsageError(f"the prompt {prompt!r} has an empty part: write it as 'rain AND wind:0.5 NOT a dog'")
        parts.append((text, weight if sign == "AND" else -weight))
    return parts


def span(text: str, name: str, example: str, /) -> tuple[float, float]:
    """Two rising numbers from ``START:END``. Raises UsageError."""
    match = re.fullmatch(r"(\d*\.?\d+):(\d*\.?\d+)", text.strip())
    if not match or not float(match[1]) < float(match[2]):
        raise UsageError(f"{name} {text!r} is not START:END with START below END: type it as {name} {example}")
    return float(match[1]), float(match[2])


def number(text: str, /) -> float | None:
    """The number that a text is, or None."""
    try:
        return float(text)
    except ValueError:
        return None
