"""Samples made to be measured: how long each took, and how often the denoiser was asked."""

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import Tensor

from multigen.denoise import Denoiser, Sigma
from multigen.errors import GenerationError
from multigen.evaluation.collection import Record, Recorder
from multigen.modality import Sample
from multigen.pipeline import Job


def make(job: Job, seed: int, /, *, advance: Callable[[], None] = lambda: None) -> tuple[Sample, dict[str, float]]:
    """A sample, and what it took: seconds, evaluations of the guided denoiser, and its steps.

    advance: called after every step. Raises GenerationError for values that are not finite.
    """
    began = time.perf_counter()
    count = 0

    def counted(denoise: Denoiser) -> Denoiser:
        def asked(x: Tensor, sigma: Sigma, /) -> Tensor:
            nonlocal count
            count += 1
            return denoise(x, sigma)

        return asked

    plan = job.plan(seed)
    plan = dataclasses.replace(plan, denoise=counted(plan.denoise))
    steps = 0
    with torch.no_grad():
        state = plan.result() if len(plan.sigmas) < 2 else None
        for step in plan.steps():
            state = step.x
            steps += 1
            advance()
        if state is None or not bool(state.isfinite().all()):
            raise GenerationError(f"seed {seed} gave values that are not finite: choose another sampler or more steps")
        sample = job.finish(state, seed)
    return sample, {"seconds": time.perf_counter() - began, "evaluations": float(count), "steps": float(steps)}


def record(job: Job, recorder: Recorder, seed: int, /, *, name: str) -> tuple[Sample, Record]:
    """A sample, measured; samples of one prompt are one cluster."""
    sample, made = make(job, seed)
    prompt = job.request.prompt
    return sample, recorder(sample, name=name, prompt=prompt, cluster=prompt, made=made)
