"""From a request, plain text and numbers as a file's metadata holds them, to a pipeline with its edits, and samples.

`generate` is the short way; `prepare` and `ready` check everything and load what is named before anything is sampled.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from multigen import registry
from multigen.edit import Edit, Plan
from multigen.errors import UsageError
from multigen.guidance import AnyGuidance, within
from multigen.inputs import edits, edits_of, model_name, read_input
from multigen.loaders import load, load_any, placed
from multigen.loading import AUTOMATIC, Loading, tuned
from multigen.lora import read_loras, with_loras
from multigen.modality import Finishes, Modality, Preserves, Refines, Region, Sample
from multigen.model import Model, Paired, Scheduled, Suggests, Whole
from multigen.options import make
from multigen.pipeline import Pipeline
from multigen.request import Request, number, span
from multigen.samplers import Sampler, Step, adds_noise
from multigen.schedules import Schedule
from multigen.whole import WholeJob, whole_job

REFINED = 0.35
"""How much of the guess is made anew in a second pass, as ``--strength``."""
OWN = "own"
"""The schedule of a model with levels of its own (`multigen.model.Scheduled`)."""


@dataclass(frozen=True)
class Job:
    """A request made ready: everything was checked and loaded, nothing is sampled yet."""

    request: Request
    pipeline: Pipeline
    options: Any
    edits: tuple[Edit, ...]
    last: Callable[[Sample], Sample]
    """From the model's sample to a finished one."""
    fine: Any | None = None
    """The options of a second pass (`multigen.modality.Refines`), if there is one; `options` are then the first's."""
    base: Sample | None = None
    """What stands for the result of the first pass, where that makes nothing."""

    @property
    def model(self) -> Model:
        return self.pipeline.model

    def again(self, request: Request, /) -> "Job":
        """The same job with another prompt; nothing is loaded again. Raises UsageError for a prompt that is refused."""
        request.validate()
        return dataclasses.replace(self, request=dataclasses.replace(self.request, prompt=request.prompt))

    def plan(self, seed: int, /) -> Plan:
        """The edited plan for one seed."""
        r = self.request
        return self.pipeline.plan(
            r.prompt, seeds=[seed], options=self.options, negative_prompt=r.negative_prompt, edits=self.edits
        )

    @torch.no_grad()
    def steps(self, seed: int, /) -> Iterator[Step]:
        """The sampler's steps for one seed; of the first pass, if there are two."""
        if self.base is None:
            yield from self.plan(seed).steps()

    def finish(self, state: torch.Tensor, seed: int, /) -> Sample:
        """The sample of a final state (1, *shape)."""
        with torch.no_grad():
            made = self.model.decode(state[0], self.options)
        return self._refined(self.last(made), seed)

    @torch.no_grad()
    def run(self, seed: int, /) -> Sample:
        """The sample of one seed."""
        if self.base is not None:
            return self._refined(self.base, seed)
        return self.finish(self.plan(seed).result(), seed)

    @torch.no_grad()
    def _refined(self, sample: Sample, seed: int) -> Sample:
        modality, pipe, r = self.pipeline.modality, self.pipeline, self.request
        if self.fine is None or not isinstance(modality, Refines):
            return sample
        guess = pipe.model.encode(modality.between(sample, self.fine), self.fine)
        plan = pipe.plan(
            r.prompt,
            seeds=[seed],
            options=self.fine,
            negative_prompt=r.negative_prompt,
            edits=[edits_of(pipe.model).variation(guess, REFINED)],
        )
        return modality.join(pipe.decode(plan.result(), self.fine)[0], sample, self.fine)


@dataclass(frozen=True)
class Asked:
    """A request, read as far as it can be without a model."""

    request: Request
    modality: Modality
    options: Any
    given: Sample | None
    region: Region


def read_request(request: Request, /) -> Asked:
    """Raises UsageError for what cannot be asked of any model, and for an input that cannot be read."""
    modality: Modality = registry.modalities[request.modality]()
    request.validate()
    given, region, options = read_input(request, modality, make(modality.Options, request.options))
    return Asked(request, modality, options, given, region)


def prepare(
    request: Request,
    /,
    *,
    device: str | None = None,
    dtype: str | None = None,
    loading: Loading = AUTOMATIC,
    model: Model | None = None,
) -> Job:
    """Check a request, load what it names, and fill in the model's own defaults for what it leaves open.

    device, dtype: in place of those of `loading`. model: the one that is named, where it is loaded already.

    Raises UsageError with one sentence for anything that cannot be done.
    """
    asked, loading = read_request(request), placed(loading, device, dtype)
    name = model_name(request, asked.modality)
    loras = read_loras(request.lora)
    bare = _bare(loading, loras)
    model = model or load(name, modality=request.modality, revision=request.revision, loading=bare)
    return _job(asked, _with_loras(model, loras, loading), loading)


def ready(request: Request, /, *, loading: Loading = AUTOMATIC) -> Job | WholeJob:
    """`prepare`, also for a model that runs only as a whole."""
    asked = read_request(request)
    name = model_name(request, asked.modality)
    loras = read_loras(request.lora)
    bare = _bare(loading, loras)
    model = load_any(name, modality=request.modality, revision=request.revision, loading=bare)
    if not isinstance(model, Whole):
        return _job(asked, _with_loras(model, loras, loading), loading)
    asked = fitted(asked, model)
    named = dataclasses.replace(asked.request, model=name)
    return whole_job(named, request, asked.modality, model, asked.options, asked.given)


def _bare(loading: Loading, loras: Sequence[Any]) -> Loading:
    """LoRAs change the weights themselves: before they are brought to 8 bits, and before the network is compiled."""
    return dataclasses.replace(loading, quantize="", compile=False) if loras else loading


def _with_loras(model: Model, loras: Sequence[Any], loading: Loading) -> Model:
    return tuned(with_loras(model, loras), loading) if loras else model


def _job(asked: Asked, model: Model, loading: Loading) -> Job:
    asked = fitted(asked, model)
    request, modality, options = asked.request, asked.modality, asked.options
    guide = load(request.guide_model, modality=request.modality, loading=loading) if request.guide_model else None
    d = model.defaults
    filled = dataclasses.replace(
        request,
        model=model_name(request, modality),
        steps=request.steps or d.steps,
        sampler=request.sampler or d.sampler,
        schedule=request.schedule or d.schedule,
        guidance=_guidance_spec(request.guidance, d.guidance),
        fingerprint=model.fingerprint,
    )
    fine, options = _passes(modality, options)
    sampler = _sampler(filled.sampler)
    if isinstance(model, Paired) and model.paired and (adds_noise(sampler) or filled.resample > 1):
        typed = f"--resample {filled.resample}" if filled.resample > 1 else f"--sampler {filled.sampler}"
        raise UsageError(f"{typed} adds noise, and {model.name} is for samplers that add none, such as {d.sampler}")
    pipeline = Pipeline(
        modality=modality,
        model=model,
        sampler=sampler,
        schedule=_schedule(filled.schedule, model, options),
        guidance=_guidance(filled),
        steps=filled.steps or d.steps,
        guide=guide,
    )
    given = asked.given
    changes, last = edits(filled, modality, model, options, given, asked.region)
    base = modality.finish(given, options) if given and not changes and isinstance(modality, Finishes) else None
    return Job(filled, pipeline, options, changes, last, fine, base)


def fitted(asked: Asked, model: Model | Whole, /) -> Asked:
    """With the options that the model suggests, where others are not typed."""
    typed = asked.request.options
    left_out = asked.modality.unedited if asked.given and isinstance(asked.modality, Preserves) else ()
    suggested = model.suggested if isinstance(model, Suggests) else {}
    added = {k: v for k, v in suggested.items() if k not in typed and k not in left_out}
    if not added:
        return asked
    return read_request(dataclasses.replace(asked.request, options={**typed, **added}))


def _passes(modality: Modality, options: Any) -> tuple[Any | None, Any]:
    """The options of the second pass, None where there is none, and of the first."""
    coarse = modality.coarse(options) if isinstance(modality, Refines) else None
    return (None, options) if coarse is None else (options, coarse)


def generate(
    modality: str,
    prompt: str,
    /,
    *,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    generator: torch.Generator | None = None,
    device: str | None = None,
    dtype: str | None = None,
    loading: Loading = AUTOMATIC,
    **fields: Any,
) -> list[Sample]:
    """Samples from a prompt, one per seed (default 0): ``generate("audio", "rain on a tin roof", duration=5)``.

    fields: those of `Request` (steps, sampler, schedule, guidance, model, negative_prompt, init, strength, mask, ...)
    and the modality's own options. num_inference_steps, guidance_scale and generator mean what they mean in diffusers:
    steps, guidance, and a source of the seed.

    Raises UsageError for anything that the command line would refuse.
    """
    if seeds is None:
        drawn = generator.initial_seed() if generator is not None else 0
        seeds = [seed if seed is not None else drawn]
    if num_inference_steps is not None:
        fields["steps"] = num_inference_steps
    if guidance_scale is not None:
        fields["guidance"] = str(guidance_scale)
    known = {f.name for f in dataclasses.fields(Request)}
    request = Request(
        modality=modality,
        prompt=prompt,
        options={k: v for k, v in fields.items() if k not in known},
        **{k: v for k, v in fields.items() if k in known},
    )
    job = ready(request, loading=placed(loading, device, dtype))
    return [job.run(s) for s in seeds]


def _guidance_spec(spec: str, default: str) -> str:
    """The guidance to use: a bare number replaces the scale of the model's default."""
    scale = number(spec)
    if scale is None:
        return spec or default
    name, _, tail = default.partition(":")
    others = [part for part in tail.split(",") if part and not part.startswith("scale=")]
    return f"{name}:{','.join([f'scale={scale:g}', *others])}"


def _sampler(spec: str) -> Sampler:
    function, options = registry.samplers.configured(spec)
    return functools.partial(function, **options) if options else function


def _schedule(spec: str, model: Model, options: Any) -> Schedule:
    """A schedule over the model's own range of levels, unless the spec says another."""
    if spec == OWN and isinstance(model, Scheduled):
        return functools.partial(_own, model, options)
    function, options = registry.schedules.configured(spec)
    ends = {"sigma_min": model.defaults.sigma_min, "sigma_max": model.defaults.sigma_max}
    accepted = inspect.signature(function).parameters
    try:
        schedule: Schedule = function(**{**{k: v for k, v in ends.items() if k in accepted}, **options})
    except ValueError as error:
        raise UsageError(f"--schedule {spec}: {error}") from None
    return schedule


def _own(model: Scheduled, options: Any, steps: int) -> Sequence[float]:
    return model.schedule(steps, options)


def _guidance(request: Request) -> AnyGuidance:
    function, options = registry.guidances.configured(request.guidance)
    guidance: AnyGuidance = function(**options)
    if not request.guidance_interval:
        return guidance
    low, high = span(request.guidance_interval, "--guidance-interval", "0.3:5")
    return within(guidance, low, high)
