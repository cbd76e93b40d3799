"""The one place where a modality, a model, a sampler, a schedule and a guidance meet.

`generate` is the short way; `Pipeline` is a frozen dataclass, so that ``dataclasses.replace(pipe, sampler=heun)`` is
the research interface; `prepare` turns a `Request` (plain text and numbers, what a file's metadata holds) into a
pipeline and its edits.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from multigen import registry
from multigen.denoise import Denoiser
from multigen.edit import Edit, Plan, variation
from multigen.errors import UsageError
from multigen.guidance import AnyGuidance, compose, on_grid, within
from multigen.inputs import edits, model_name, read_input
from multigen.modality import Finishes, Modality, Refines, Sample
from multigen.model import Model
from multigen.noise import Brownian, Correlates, Noise, white
from multigen.options import make
from multigen.request import Request, components, number, span
from multigen.samplers import Sampler, Step
from multigen.schedules import Schedule

REFINED = 0.35
"""How much of the guess is made anew in a second pass, as ``--strength``."""
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")


@dataclass(frozen=True)
class Pipeline:
    """A modality and a model with the way they are sampled."""

    modality: Modality
    model: Model
    sampler: Sampler
    schedule: Schedule
    guidance: AnyGuidance
    steps: int
    guide: Model | None = None
    """A weaker model to steer away from (autoguidance, arXiv 2406.02507) in place of the negative prompt."""

    def plan(
        self,
        prompt: str,
        /,
        *,
        seeds: Sequence[int],
        options: Any,
        negative_prompt: str = "",
        edits: Sequence[Edit] = (),
    ) -> Plan:
        """One sample per seed, edited and ready to be run."""
        sigmas = list(self.schedule(self.steps))
        shape = self.model.shape(options)
        denoise = on_grid(self.guidance, sigmas)(
            self._wanted(prompt, options), self._unwanted(prompt, negative_prompt, options)
        )
        unit, noise = _noise(self.model, seeds, shape)
        plain = Plan(
            denoise=denoise,
            sampler=self.sampler,
            sigmas=sigmas,
            origin=torch.zeros(len(seeds), *shape),
            unit=unit,
            noise=noise,
        )
        return functools.reduce(lambda plan, edit: edit(plan), edits, plain)

    def _wanted(self, prompt: str, options: Any) -> Denoiser:
        parts = components(prompt)
        bound = [(_bound(self.model, text, options), weight) for text, weight in parts]
        if len(bound) == 1 and bound[0][1] == 1:
            return bound[0][0]
        return compose(_bound(self.model, "", options), bound)

    def _unwanted(self, prompt: str, negative_prompt: str, options: Any) -> Denoiser:
        if self.guide is None:
            return _bound(self.model, negative_prompt, options)
        return _bound(self.guide, prompt, options)

    @torch.no_grad()  # as a decorator it spares the caller between two steps, as a context it would not
    def stream(
        self,
        prompt: str,
        /,
        *,
        seeds: Sequence[int] = (0,),
        negative_prompt: str = "",
        edits: Sequence[Edit] = (),
        **options: Any,
    ) -> Iterator[Step]:
        """The sampler's steps, as they are made; `Pipeline.decode` turns any of their states into samples."""
        chosen: Any = make(self.modality.Options, options)
        plan = self.plan(prompt, seeds=seeds, options=chosen, negative_prompt=negative_prompt, edits=edits)
        yield from plan.steps()

    def decode(self, states: torch.Tensor, options: Any, /) -> list[Sample]:
        """Finished samples from states (b, *shape)."""
        with torch.no_grad():
            made = [self.model.decode(state, options) for state in states]
        return [
            self.modality.finish(sample, options) if isinstance(self.modality, Finishes) else sample for sample in made
        ]

    def __call__(
        self,
        prompt: str,
        /,
        *,
        seeds: Sequence[int] = (0,),
        negative_prompt: str = "",
        edits: Sequence[Edit] = (),
        **options: Any,
    ) -> list[Sample]:
        """One finished sample per seed. Raises UsageError for an option that the modality does not have or allow."""
        chosen: Any = make(self.modality.Options, options)
        plan = self.plan(prompt, seeds=seeds, options=chosen, negative_prompt=negative_prompt, edits=edits)
        with torch.no_grad():
            return self.decode(plan.result(), chosen)


def _noise(model: Model, seeds: Sequence[int], shape: Sequence[int]) -> tuple[torch.Tensor, Noise]:
    """Where a run starts, and the noise of its steps."""
    unit, path = white(seeds, shape), Brownian(seeds, shape)
    if not isinstance(model, Correlates):
        return unit, path
    correlate = model.correlate
    return correlate(unit), lambda sigma, sigma_next: correlate(path(sigma, sigma_next))


def _bound(model: Model, prompt: str, options: Any) -> Denoiser:
    return model.denoiser(model.condition([prompt]), options)


# --- from a request ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """A request made ready: everything was checked and loaded, nothing is sampled yet."""

    request: Request
    pipeline: Pipeline
    options: Any
    edits: tuple[Edit, ...]
    restore: Callable[[Sample], Sample]
    fine: Any | None = None
    """The options of a second pass (`multigen.modality.Refines`), if there is one; `options` are then the first's."""
    base: Sample | None = None
    """What stands for the result of the first pass, where that makes nothing."""

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
        return self._refined(self.restore(self.pipeline.decode(state, self.options)[0]), seed)

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
            edits=[variation(guess, REFINED)],
        )
        return modality.join(pipe.decode(plan.result(), self.fine)[0], sample, self.fine)


def prepare(
    request: Request, /, *, device: str | None = None, dtype: str | None = None, model: Model | None = None
) -> Job:
    """Check a request, load what it names, and fill in the model's own defaults for what it leaves open.

    model: the one that is named, where it is loaded already.

    Raises UsageError with one sentence for anything that cannot be done.
    """
    modality: Modality = registry.modalities[request.modality]()
    request.validate()
    options: Any = make(modality.Options, request.options)
    given, region, options = read_input(request, modality, options)
    name = model_name(request, modality)
    model = model or load(name, modality=request.modality, device=device, dtype=dtype)
    guide = (
        load(request.guide_model, modality=request.modality, device=device, dtype=dtype)
        if request.guide_model
        else None
    )
    d = model.defaults
    filled = dataclasses.replace(
        request,
        model=name,
        steps=request.steps or d.steps,
        sampler=request.sampler or d.sampler,
        schedule=request.schedule or d.schedule,
        guidance=_guidance_spec(request.guidance, d.guidance),
        fingerprint=model.fingerprint,
    )
    pipeline = Pipeline(
        modality=modality,
        model=model,
        sampler=_sampler(filled.sampler),
        schedule=_schedule(filled.schedule, model),
        guidance=_guidance(filled),
        steps=filled.steps or d.steps,
        guide=guide,
    )
    fine, options = _passes(modality, options)
    changes, restore = edits(filled, modality, model, options, given, region)
    base = modality.finish(given, options) if given and not changes and isinstance(modality, Finishes) else None
    return Job(filled, pipeline, options, changes, restore, fine, base)


def _passes(modality: Modality, options: Any) -> tuple[Any | None, Any]:
    """The options of the second pass, None where there is none, and of the first."""
    coarse = modality.coarse(options) if isinstance(modality, Refines) else None
    return (None, options) if coarse is None else (options, coarse)


def load(name: str, /, *, modality: str | None = None, device: str | None = None, dtype: str | None = None) -> Model:
    """A model by its name in the zoo or by the folder that ``multigen train`` wrote.

    device: "cuda", "mps" or "cpu"; None is the best there is. Raises UsageError where there is no such model, or where
    it is another modality's.
    """
    path = Path(name)
    if path.suffix in PICKLES:
        raise UsageError(
            f"{name} is a pickle, which can run any code when it is opened: give a folder with .safetensors weights"
        )
    device = device or best_device()
    where: dict[str, Any] = {"device": device, "dtype": dtype or "float32"}
    if name in registry.models:
        model: Model = registry.models[name](**where)
    elif path.is_dir():
        from multigen.provenance import read_loader

        model = registry.models[read_loader(path)](path, **where)
    else:
        known = registry.unknown("model", name, registry.models.names())
        raise UsageError(f"{known}, or give a folder that multigen train wrote")
    if modality is not None and model.modality != modality:
        raise UsageError(f"the model {name!r} makes {model.modality}, not {modality}: type multigen {model.modality}")
    return model


def best_device() -> str:
    """ "cuda", "mps" or "cpu", whichever is there first."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


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
    job = prepare(request, device=device, dtype=dtype)
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


def _schedule(spec: str, model: Model) -> Schedule:
    """A schedule over the model's own range of levels, unless the spec says another."""
    function, options = registry.schedules.configured(spec)
    ends = {"sigma_min": model.defaults.sigma_min, "sigma_max": model.defaults.sigma_max}
    accepted = inspect.signature(function).parameters
    try:
        schedule: Schedule = function(**{**{k: v for k, v in ends.items() if k in accepted}, **options})
    except ValueError as error:
        raise UsageError(f"--schedule {spec}: {error}") from None
    return schedule


def _guidance(request: Request) -> AnyGuidance:
    function, options = registry.guidances.configured(request.guidance)
    guidance: AnyGuidance = function(**options)
    if not request.guidance_interval:
        return guidance
    low, high = span(request.guidance_interval, "--guidance-interval", "0.3:5")
    return within(guidance, low, high)
