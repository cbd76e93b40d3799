"""Samples made to be measured: what each took, and where they are kept."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from multigen.atomic import replace_file
from multigen.errors import GenerationError, UsageError
from multigen.evaluation.collection import Record, Recorder
from multigen.evaluation.protocol import peak_memory
from multigen.inputs import read_sample
from multigen.job import Job
from multigen.modality import Modality, Sample
from multigen.provenance import tags

WARM_STEPS = 2


def make(job: Job, seed: int, /, *, advance: Callable[[], None] = lambda: None) -> tuple[Sample, dict[str, float]]:
    """A sample, and what it took: seconds, evaluations, steps, threads, and the most memory so far in MiB.

    evaluations: rows that the network was given, of all windows and of both passes where there are two. A guided step
    takes two, and so does one of autoguidance, where a row of the guide counts as one of the model, however small it
    is. Steps are those of the first pass.

    advance: called after every step. Raises GenerationError for values that are not finite.
    """
    evaluations = 0

    def count(rows: int) -> None:
        nonlocal evaluations
        evaluations += rows

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    job = dataclasses.replace(job, pipeline=dataclasses.replace(job.pipeline, count=count))
    plan = job.plan(seed)
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
    took = {"seconds": time.perf_counter() - began, "evaluations": float(evaluations), "steps": float(steps)}
    memory = {f"{place}_mib": most for place, most in peak_memory().items()}
    return sample, {**took, "threads": float(torch.get_num_threads()), **memory}


def warm_up(job: Job, /) -> None:
    """Make a sample of two steps and forget it: what a process does once is no time of its first sample."""
    few = dataclasses.replace(job, pipeline=dataclasses.replace(job.pipeline, steps=WARM_STEPS))
    with suppress(GenerationError):
        make(few, 0)


def told_of_job(job: Job, /) -> dict[str, Any]:
    """All that its samples depend on but their prompts and seeds: choices, the model's own among them, and weights."""
    guide = job.pipeline.guide
    request = dataclasses.asdict(dataclasses.replace(job.request, prompt=""))
    return {"request": request, "guide": guide.fingerprint if guide else ""}


@dataclass(frozen=True)
class Place:
    """Where a sample and its record are kept; the record is written last, because it says that the sample is there."""

    sample: Path
    record: Path

    @property
    def made(self) -> bool:
        """Whether there is a sample, and how it was made."""
        return self.sample.exists() and self.record.exists()

    def found(self, recorder: Recorder, /) -> Record | None:
        """The record, if it holds all that is wanted of its sample; None where something is to be made or measured."""
        if not self.record.exists():
            return None
        record = Record.read(self.record)
        return None if recorder.lacks(record) else record

    def keep(self, job: Job, seed: int, sample: Sample, modality: Modality, record: Record, /) -> None:
        self.sample.parent.mkdir(parents=True, exist_ok=True)
        modality.write(sample, self.sample, tags=tags(job.request, seed, sample))
        record.write(self.record)


def recorded(job: Job, recorder: Recorder, seed: int, /, *, name: str, place: Place | None = None) -> Record:
    """The record of a sample, which is made unless it is in its place; samples of one prompt are one cluster.

    A sample that is there is read from its file where its record lacks something. One that fails is recorded as
    faulty, with the reason.
    """
    if place is not None and place.made:
        record = Record.read(place.record)
        if recorder.lacks(record):
            record = recorder.again(record, read_sample(recorder.modality, place.sample, remedy="delete it"))
            record.write(place.record)
        return record
    prompt = job.request.prompt
    try:
        sample, made = make(job, seed)
    except GenerationError as error:
        record = Record(name, prompt, prompt, "", faults=(str(error),))
        if place is not None:
            record.write(place.record)
        return record
    record = recorder(sample, name=name, prompt=prompt, cluster=prompt, made=made)
    if place is not None:
        place.keep(job, seed, sample, recorder.modality, record)
    return record


class Kept:
    """A folder of samples and their records, which goes on where it was left.

    asked: all that a sample depends on but its number, as JSON. Raises UsageError where the folder holds what was asked
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

    def place(self, name: str, /) -> Place:
        """Of the sample of that name."""
        return Place(
            self._folder / "samples" / f"{name}{self._modality.extensions[0]}",
            self._folder / "records" / f"{name}.safetensors",
        )


def records(jobs: Sequence[Job], recorder: Recorder, seeds: Sequence[int], kept: Kept | None, /) -> Iterator[Record]:
    """One for each seed, the jobs in turn; what is kept already is not made again."""
    warm = False
    for i, seed in enumerate(seeds):
        job, name = jobs[i % len(jobs)], f"{i:05d}"
        place = kept.place(name) if kept else None
        there = place.found(recorder) if place else None
        if there is None and not warm and not (place and place.made):
            warm_up(job)
            warm = True
        yield there or recorded(job, recorder, seed, name=name, place=place)
