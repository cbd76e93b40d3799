"""Samples made to be measured: how long each took, how often the denoiser was asked, and where they are kept."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigen.atomic import replace_file
from multigen.denoise import Denoiser, Sigma
from multigen.errors import GenerationError, UsageError
from multigen.evaluation.collection import Record, Recorder
from multigen.job import Job
from multigen.modality import Modality, Sample
from multigen.provenance import tags


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


class Kept:
    """A folder of samples and their records, which goes on where it was left.

    asked: all that a record depends on but its number, as JSON. Raises UsageError where the folder holds what was asked
    in another way.
    """

    def __init__(self, folder: Path, modality: Modality, asked: Mapping[str, Any], /) -> None:
        self._folder, self._modality = folder, modality
        told = folder / "asked.json"
        text = json.dumps(asked, indent=1, sort_keys=True)
        if told.exists() and told.read_text(encoding="utf-8") != text:
            raise UsageError(
                f"{folder} holds another evaluation: give another -o, or ask for what {told} says to go on with it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(told, text.encode())

    def find(self, name: str, /) -> Record | None:
        """The record of that name, if it was made."""
        path = self._record(name)
        return Record.read(path) if path.exists() else None

    def add(self, job: Job, seed: int, sample: Sample, found: Record, /) -> None:
        path = self._folder / "samples" / f"{found.name}{self._modality.extensions[0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._modality.write(sample, path, tags=tags(job.request, seed, sample))
        found.write(self._record(found.name))  # last, because it says that the sample is there

    def _record(self, name: str) -> Path:
        return self._folder / "records" / f"{name}.safetensors"


def records(jobs: Sequence[Job], recorder: Recorder, seeds: Sequence[int], kept: Kept | None, /) -> Iterator[Record]:
    """One for each seed, the jobs in turn; what is kept already is not made again."""
    for i, seed in enumerate(seeds):
        job, name = jobs[i % len(jobs)], f"{i:05d}"
        there = kept.find(name) if kept else None
        if there is not None:
            yield there
            continue
        sample, found = record(job, recorder, seed, name=name)
        if kept is not None:
            kept.add(job, seed, sample, found)
        yield found
