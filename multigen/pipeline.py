"""A modality, a model, a sampler, a schedule and a guidance, joined.

`Pipeline` is a frozen dataclass, so that ``dataclasses.replace(pipe, sampler=heun)`` is the research interface.
`multigen.job` makes one from a request.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from multigen.denoise import Denoiser, counted
from multigen.edit import Edit, Plan
from multigen.guidance import AnyGuidance, compose, on_grid
from multigen.modality import Finishes, Modality, Sample
from multigen.model import Bounded, Model
from multigen.noise import Brownian, Correlates, Noise, white
from multigen.options import make
from multigen.request import components
from multigen.samplers import Sampler, Step
from multigen.schedules import Schedule


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
    count: Callable[[int], None] | None = None
    """Told how many rows a network is given, of the model or of the guide, each time that it is asked."""

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
        if isinstance(self.model, Bounded) and math.isfinite(self.model.bound):
            denoise = _clamped(denoise, self.model.bound)
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
        bound = [(self._bound(self.model, text, options), weight) for text, weight in parts]
        if len(bound) == 1 and bound[0][1] == 1:
            return bound[0][0]
        return compose(self._bound(self.model, "", options), bound)

    def _unwanted(self, prompt: str, negative_prompt: str, options: Any) -> Denoiser:
        if self.guide is None:
            return self._bound(self.model, negative_prompt, options)
        return self._bound(self.guide, prompt, options)

    def _bound(self, model: Model, prompt: str, options: Any) -> Denoiser:
        denoise = model.denoiser(model.condition([prompt]), options)
        return denoise if self.count is None else counted(denoise, self.count)

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


def _clamped(denoise: Denoiser, bound: float) -> Denoiser:
    return lambda x, sigma, /: denoise(x, sigma).clamp(-bound, bound)
