"""A request for a model that runs only as a whole (`multigen.model.Whole`): what reaches it, and what does not."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from multigen import registry
from multigen.modality import Finishes, Modality, Sample
from multigen.model import Whole
from multigen.options import flag
from multigen.request import Request, number
from multigen.samplers import Step

NAMES = ("modality", "prompt", "options", "model", "revision", "fingerprint")
"""The fields of `Request` that say which sample of which model it is, and need not reach it."""


@dataclass(frozen=True)
class WholeJob:
    """Such a request made ready, in place of a `multigen.job.Job`."""

    request: Request
    modality: Modality
    model: Whole
    options: Any
    given: Sample | None
    ignored: tuple[str, ...]
    """The flags that were typed and do not reach the model."""

    def again(self, request: Request, /) -> "WholeJob":
        """The same job with another prompt. Raises UsageError for a prompt that is refused."""
        request.validate()
        return dataclasses.replace(self, request=dataclasses.replace(self.request, prompt=request.prompt))

    def steps(self, seed: int, /) -> Iterator[Step]:
        """None of them can be seen."""
        return iter(())

    def run(self, seed: int, /) -> Sample:
        """The sample of one seed."""
        made = self.model.make(self.request, self.options, self.given, seed)
        return self.modality.finish(made, self.options) if isinstance(self.modality, Finishes) else made


def whole_job(
    request: Request, typed: Request, modality: Modality, model: Whole, options: Any, given: Sample | None, /
) -> WholeJob:
    """typed: the request before the model's own options were added to it. Raises UsageError for a guidance that is not
    known."""
    filled = dataclasses.replace(
        request,
        steps=request.steps or model.defaults.steps,
        guidance=_scale(request.guidance),
        fingerprint=model.fingerprint,
    )
    return WholeJob(filled, modality, model, options, given, tuple(_ignored(typed, model)))


def _scale(guidance: str) -> str:
    """The scale of a guidance as text, empty where none is typed: all that a pipeline can be told of it."""
    if not guidance or number(guidance) is not None:
        return guidance
    _, options = registry.guidances.configured(guidance)
    return f"{options['scale']:g}" if "scale" in options else ""


def _ignored(typed: Request, model: Whole) -> Iterator[str]:
    for field in dataclasses.fields(Request):
        value = getattr(typed, field.name)
        if field.name in NAMES or value == field.default:
            continue
        plain = field.name != "guidance" or number(value) is not None or value.startswith("cfg:")
        if field.name not in model.takes or not plain:
            yield f"{flag(field.name)}{'' if plain else ' ' + value.partition(':')[0]}"
    for name in typed.options:
        if name not in model.takes:
            yield flag(name)
