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
from multigen.evaluation import Collection, Record, Recorder
from multigen.evaluation.collection import read_collection
from multigen.evaluation.contract import Extractor, Measured, Metric
from multigen.evaluation.general import GENERAL
from multigen.evaluation.making import record
from multigen.evaluation.states import StateFeatures
from multigen.modality import Modality
from multigen.model import Model
from multigen.options import make
from multigen.pipeline import Job, Pipeline, load, prepare
from multigen.provenance import tags
from multigen.request import Request

RECORDS, SAMPLES, REAL, ASKED = "records", "samples", "real", "study.json"


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

    def __init__(self, study: Study, folder: Path, /, *, device: str | None = None) -> None:
        self.study, self.folder = study, folder
        self.arms = arms(study)
        _check_folder(study, folder)
        models: dict[tuple[str, str], Model] = {}
        self._jobs = {arm: _prepared(study, arm, models, device) for arm in self.arms}
        firsts = {arm.modality: arm for arm in reversed(self.arms)}
        self._recorders = {
            name: recorder(self._jobs[arm].pipeline, study.options.get(name, {})) for name, arm in firsts.items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / ASKED, json.dumps(dataclasses.asdict(study), indent=1).encode())

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
        return next(iter(self._recorders[modality].extractors), None)

    def real(self, modality: str, folders: Mapping[str, str], /) -> Collection | None:
        """The real samples of one of the study's folders, measured once and kept."""
        if modality not in folders:
            return None
        source = Path(folders[modality])
        kept = self.folder / REAL / modality / source.name
        done = kept / "complete"
        if not done.exists():
            found = read_collection(self._recorders[modality], source)
            for i, one in enumerate([*found.records, *found.faulty]):
                one.write(kept / f"{i:06d}.safetensors")
            replace_file(done, b"")
        return Collection.of(Record.read(path) for path in sorted(kept.glob("*.safetensors")))

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


def recorder(pipeline: Pipeline, options: Mapping[str, Any], /) -> Recorder:
    """All metrics of a modality, with its first extractor, or else the states of the pipeline's model."""
    modality = pipeline.modality
    if isinstance(modality, Measured):
        return Recorder(modality, (*GENERAL, *modality.metrics()), modality.extractors()[:1])
    return Recorder(modality, GENERAL, (StateFeatures(pipeline.model, make(modality.Options, options)),))


def _prepared(study: Study, arm: Arm, models: dict[tuple[str, str], Model], device: str | None) -> Job:
    """A job for an arm; models are loaded once. Raises UsageError for an arm that cannot run."""
    prompt, _ = study.item(arm.modality, 0)
    place = (arm.modality, arm.model or registry.modalities[arm.modality]().default_model)
    try:
        if place not in models:
            models[place] = load(place[1], modality=arm.modality, device=device)
        return prepare(arm.request(study, prompt), model=models[place])
    except UsageError as error:
        raise UsageError(f"the arm {_told(arm)} cannot run: {error}") from None


def _check_folder(study: Study, folder: Path) -> None:
    asked = folder / ASKED
    if not asked.exists():
        return
    there = json.loads(asked.read_text(encoding="utf-8"))
    if there != json.loads(json.dumps(dataclasses.asdict(study))):
        raise UsageError(f"{folder} holds another study: give another -o, or repeat what {asked} says to go on with it")


def _told(arm: Arm) -> str:
    return " ".join([arm.modality, *(f"{name}={value}" for name, value in arm.levels().items() if value)])
