"""Running a study: every sample of every arm once, whatever happens in between."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multigen import registry
from multigen.atomic import replace_file
from multigen.comparison.study import Arm, Study, arms
from multigen.errors import GenerationError, UsageError
from multigen.evaluation import Collection, PerPrompt, Record, Recorder, extractors
from multigen.evaluation.collection import read_collection
from multigen.evaluation.contract import Extractor, Measured, Metric, Reads
from multigen.evaluation.datasets import parts, recipe_of
from multigen.evaluation.general import GENERAL
from multigen.evaluation.making import record
from multigen.evaluation.states import StateFeatures
from multigen.job import Job, prepare
from multigen.modality import Modality
from multigen.model import Model
from multigen.options import make
from multigen.pipeline import Pipeline
from multigen.provenance import tags
from multigen.request import Request

RECORDS, SAMPLES, REAL, ASKED, DONE = "records", "samples", "real", "study.json", "complete"
MOST_REAL = 1000
"""Samples of each part of a dataset that are measured."""


@dataclass(frozen=True)
class Share:
    """Which part of a study this process runs: every `of`-th sample, from number `index`."""

    index: int = 0
    of: int = 1


@dataclass(frozen=True)
class Progress:
    """One sample more. left: seconds until the end at the present pace."""

    done: int
    of: int
    left: float
    arm: Arm


class Runner:
    """A study in a folder.

    Raises
    ------
    UsageError: the folder holds another study, or an arm cannot run; nothing is made then.
    """

    def __init__(self, study: Study, folder: Path, /, *, device: str | None = None, cache: Path | None = None) -> None:
        """cache: where the datasets are kept prepared, by modality."""
        self.study, self.folder, self.cache = study, folder, cache or folder / "cache"
        self.arms = arms(study)
        models: dict[tuple[str, str], Model] = {}
        self._jobs = {arm: _prepared(study, arm, models, device) for arm in self.arms}
        firsts = {arm.modality: arm for arm in reversed(self.arms)}
        self._recorders = {
            name: recorder(self._jobs[arm].pipeline, study.options.get(name, {}), study.metrics)
            for name, arm in firsts.items()
        }
        self._real: dict[tuple[str, str], Collection | None] = {}
        _keep(folder, {**dataclasses.asdict(study), "measured": {n: _told_of(r) for n, r in self._recorders.items()}})

    def run(self, share: Share, said: Callable[[Progress], None], /) -> None:
        """Make and measure what is missing. A sample that fails is kept as a faulty record, with the reason."""
        wanted = [(arm, i) for i in range(self.study.items) for arm in self.arms]
        mine = [(arm, i) for arm, i in wanted[share.index :: share.of] if not self.path(arm, i).exists()]
        began = time.monotonic()
        for done, (arm, i) in enumerate(mine):
            self._make(arm, i)
            pace = (time.monotonic() - began) / (done + 1)
            said(Progress(done + 1, len(mine), pace * (len(mine) - done - 1), arm))

    def path(self, arm: Arm, index: int, /) -> Path:
        """Where the record of a sample is kept."""
        return self.folder / RECORDS / arm.modality / arm.key / f"{index:05d}.safetensors"

    def sample_path(self, arm: Arm, index: int, /) -> Path:
        extension = self._modality(arm).extensions[0]
        return self.folder / SAMPLES / arm.modality / arm.key / f"{index:05d}{extension}"

    def complete(self) -> bool:
        return all(self.path(arm, i).exists() for arm in self.arms for i in range(self.study.items))

    def collection(self, arm: Arm, /) -> Collection:
        """The records of an arm, in the order of the samples."""
        return Collection.of(Record.read(self.path(arm, i)) for i in range(self.study.items))

    def request(self, arm: Arm, /) -> Request:
        """With the model's own choices filled in."""
        return self._jobs[arm].request

    def pipeline(self, arm: Arm, /) -> Pipeline:
        return self._jobs[arm].pipeline

    def shape(self, arm: Arm, /) -> tuple[int, ...]:
        """Of the arm's states."""
        return self.pipeline(arm).model.shape(self._jobs[arm].options)

    def metrics(self, modality: str, /) -> Sequence[Metric]:
        return self._recorders[modality].metrics

    def extractor(self, modality: str, /) -> Extractor | None:
        """Whose features sets are compared by."""
        return next(iter(self._recorders[modality].extractors), None)

    def reader(self, modality: str, /) -> Reads | None:
        """What samples and prompts are compared by."""
        return next((e for e in self._recorders[modality].extractors if isinstance(e, Reads)), None)

    def real(self, modality: str, /) -> Collection | None:
        """Real samples of a modality that its models have not seen, if the study names any; measured once and kept."""
        return self._measured(modality, "against", self.study.against)

    def training(self, modality: str, /) -> Collection | None:
        """Samples that a modality's models were trained on, if the study names any; measured once and kept."""
        return self._measured(modality, "training", self.study.training)

    def _measured(self, modality: str, kind: str, folders: Mapping[str, str]) -> Collection | None:
        if (modality, kind) not in self._real:
            kept = self.folder / REAL / modality / kind
            if modality not in folders and modality not in self.study.data:
                return None
            if not (kept / DONE).exists():
                self._measure(modality, kind, kept, folders)
            found = Collection.of(Record.read(path) for path in sorted(kept.glob("*.safetensors")))
            self._real[modality, kind] = found
        return self._real[modality, kind]

    def _measure(self, modality: str, kind: str, kept: Path, folders: Mapping[str, str]) -> None:
        """Both parts of a dataset, or one folder."""
        recorder, data = self._recorders[modality], self.study.data.get(modality)
        found = {}
        if data is None:
            found[kept] = read_collection(recorder, Path(folders[modality]))
        else:
            name = next(iter(self.study.model.get(modality) or ()), recorder.modality.default_model)
            recipe = recipe_of(name, Path(data), self.cache / modality)
            both = parts(recipe, recorder, name, most=MOST_REAL)
            found = dict(zip((kept.with_name("against"), kept.with_name("training")), both, strict=True))
        for place, collection in found.items():
            for i, one in enumerate([*collection.records, *collection.faulty]):
                one.write(place / f"{i:06d}.safetensors")
            replace_file(place / DONE, b"")

    def _make(self, arm: Arm, index: int) -> None:
        prompt, seed = self.study.item(arm.modality, index)
        job = self._jobs[arm].again(arm.request(self.study, prompt))
        try:
            sample, found = record(job, self._recorders[arm.modality], seed, name=f"{index:05d}")
        except GenerationError as error:
            Record(f"{index:05d}", prompt, prompt, "", faults=(str(error),)).write(self.path(arm, index))
            return
        path = self.sample_path(arm, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._modality(arm).write(sample, path, tags=tags(job.request, seed, sample))
        found.write(self.path(arm, index))  # last, because it says that the sample is done

    def _modality(self, arm: Arm) -> Modality:
        return self._recorders[arm.modality].modality


def recorder(pipeline: Pipeline, options: Mapping[str, Any], names: Sequence[str] = (), /) -> Recorder:
    """All metrics of a modality, or those of some names, with its first extractor, or else the states of the pipeline's
    model, and a reader where one is needed.

    Raises UsageError for a name that no metric of the modality has.
    """
    modality = pipeline.modality
    own = extractors.own(modality)
    known = own[:1] or [StateFeatures(pipeline.model, make(modality.Options, options))]
    metrics = (*GENERAL, *(modality.metrics() if isinstance(modality, Measured) else ()))
    there = [metric.name for metric in metrics]
    unknown = sorted(set(names) - set(there))
    if unknown:
        raise UsageError(f"{modality.name}: {registry.unknown('metric', unknown[0], there)}")
    chosen = [metric for metric in metrics if not names or metric.name in names]
    asks = any(isinstance(metric, PerPrompt) for metric in chosen)
    reader = extractors.reader(modality, [*known, *own]) if asks else None
    return Recorder(modality, chosen, [*known, *([reader] if reader and reader not in known else [])])


def _prepared(study: Study, arm: Arm, models: dict[tuple[str, str], Model], device: str | None) -> Job:
    """A job for an arm; models are loaded once. Raises UsageError for an arm that cannot run."""
    prompt, _ = study.item(arm.modality, 0)
    place = (arm.modality, arm.model or registry.modalities[arm.modality]().default_model)
    try:
        job = prepare(arm.request(study, prompt), device=device, model=models.get(place))
    except UsageError as error:
        raise UsageError(f"the arm {_told(arm)} cannot run: {error}") from None
    models[place] = job.pipeline.model
    return job


def _keep(folder: Path, asked: Mapping[str, Any]) -> None:
    """Write what a study asks and how it is measured. Raises UsageError where the folder holds another one."""
    told = folder / ASKED
    text = json.dumps(asked, indent=1)
    if told.exists() and json.loads(told.read_text(encoding="utf-8")) != json.loads(text):
        raise UsageError(f"{folder} holds another study: give another -o, or repeat what {told} says to go on with it")
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(told, text.encode())


def _told_of(recorder: Recorder) -> Sequence[str]:
    """What its records hold."""
    metrics = [f"{metric.name} {metric.version}" for metric in recorder.metrics]
    return [*metrics, *(f"{extractor.name} {extractor.fingerprint}" for extractor in recorder.extractors)]


def _told(arm: Arm) -> str:
    return " ".join([arm.modality, *(f"{name}={value}" for name, value in arm.levels().items() if value)])
