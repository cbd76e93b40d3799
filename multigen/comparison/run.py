"""Running a study: every sample of every arm once, whatever happens in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multigen import registry
from multigen.atomic import replace_file
from multigen.comparison.kept import keep
from multigen.comparison.study import Arm, Study, arms
from multigen.errors import UsageError
from multigen.evaluation import Collection, PerPrompt, Record, Recorder, extractors
from multigen.evaluation.collection import check_folder, read_collection
from multigen.evaluation.contract import Extractor, Measured, Metric, Reads
from multigen.evaluation.datasets import check_data, parts, recipe_of
from multigen.evaluation.general import GENERAL
from multigen.evaluation.making import Place, recorded, warm_up
from multigen.evaluation.protocol import sha
from multigen.evaluation.states import StateFeatures
from multigen.job import Job, prepare
from multigen.modality import Modality
from multigen.model import Model
from multigen.options import make
from multigen.pipeline import Pipeline
from multigen.request import Request

RECORDS, SAMPLES, REAL, DONE = "records", "samples", "real", "complete"
MOST_REAL = 1000
"""Samples of each part of a dataset that are measured."""


@dataclass(frozen=True)
class Share:
    """Which part of a study this process runs, of so many of like cost."""

    index: int = 0
    of: int = 1

    def part(self, arms: Sequence[Arm], items: int, /) -> list[tuple[Arm, int]]:
        """Of the arms and the numbers of their samples: as many of each arm for every process, give or take one.

        The arms are counted in an order without a rule, so that what is left over is not of arms that are alike. All
        arms have a sample before one has the next.
        """
        mixed = random.Random(0).sample(arms, len(arms))
        mine = [(arm, i) for arm in mixed for i in range(items)][self.index :: self.of]
        return sorted(mine, key=lambda one: one[1])


@dataclass(frozen=True)
class Progress:
    """One sample more. left: seconds until the end at the present pace."""

    done: int
    of: int
    left: float
    arm: Arm


class Runner:
    """A study in a folder, which may hold others with the same prompts and seeds: what they share is there once.

    Raises
    ------
    UsageError: the folder holds samples that were made in another way, or an arm cannot run; nothing is made then.
    """

    def __init__(self, study: Study, folder: Path, /, *, device: str | None = None, cache: Path | None = None) -> None:
        """cache: where the datasets are kept prepared, by modality."""
        self.study, self.folder, self.cache = study, folder, cache or folder / "cache"
        self.arms = arms(study)
        models: dict[tuple[str, str], Model] = {}
        self._jobs = {arm: _prepared(study, arm, models, device) for arm in self.arms}
        firsts = {arm.modality: arm for arm in reversed(self.arms)}
        for arm in firsts.values():
            for prompt in study.prompts[arm.modality]:
                self._jobs[arm].again(arm.request(study, prompt))
        self._recorders = {
            name: recorder(
                self._jobs[arm].pipeline, study.options.get(name, {}), study.metrics, study.extractor.get(name, "")
            )
            for name, arm in firsts.items()
        }
        for name in study.modalities:
            self._check_folders(name)
        self._real: dict[tuple[str, str], Collection | None] = {}
        self._rates: dict[str, Mapping[str, float]] = {}
        self._warm: set[tuple[str, str, str]] = set()
        keep(folder, study, self._jobs)

    def run(self, share: Share, said: Callable[[Progress], None], /) -> None:
        """Make and measure what is missing. A sample that fails is kept as a faulty record, with the reason.

        Datasets are prepared first, by the first process. Raises UsageError for one that cannot be.
        """
        for name, data in self.study.data.items() if share.index == 0 else ():
            recipe_of(self._model(name), Path(data), self.cache / name)
        mine = [(arm, i) for arm, i in share.part(self.arms, self.study.items) if not self._done(arm, i)]
        began = time.monotonic()
        for done, (arm, i) in enumerate(mine):
            self._make(arm, i)
            pace = (time.monotonic() - began) / (done + 1)
            said(Progress(done + 1, len(mine), pace * (len(mine) - done - 1), arm))

    def path(self, arm: Arm, index: int, /) -> Path:
        """Where the record of a sample is kept."""
        return self.folder / RECORDS / arm.modality / arm.key / f"{index:05d}.safetensors"

    def sample_path(self, arm: Arm, index: int, /) -> Path:
        extension = self.modality(arm.modality).extensions[0]
        return self.folder / SAMPLES / arm.modality / arm.key / f"{index:05d}{extension}"

    def place(self, arm: Arm, index: int, /) -> Place:
        """Of a sample and its record."""
        return Place(self.sample_path(arm, index), self.path(arm, index))

    def complete(self) -> bool:
        return all(self._done(arm, i) for arm in self.arms for i in range(self.study.items))

    def collection(self, arm: Arm, /) -> Collection:
        """The records of an arm, in the order of the samples; those of other rates than the first arm's are faulty."""
        return self._records(arm).at(self._rates_of(arm.modality))

    def request(self, arm: Arm, /) -> Request:
        """With the model's own choices filled in."""
        return self._jobs[arm].request

    def pipeline(self, arm: Arm, /) -> Pipeline:
        return self._jobs[arm].pipeline

    def shape(self, arm: Arm, /) -> tuple[int, ...]:
        """Of the arm's states."""
        return self.pipeline(arm).model.shape(self._jobs[arm].options)

    def modality(self, name: str, /) -> Modality:
        return self._recorders[name].modality

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
        return self._measured(modality, "training", self.study.training) or None

    def _measured(self, modality: str, kind: str, folders: Mapping[str, str]) -> Collection | None:
        if (modality, kind) not in self._real:
            source = self.study.data.get(modality) or folders.get(modality)
            if source is None:
                return None
            versions = self._recorders[modality].versions
            key = sha([str(Path(source).resolve()), self._model(modality), *map(" ".join, versions.items())])
            kept = self.folder / REAL / modality / kind / key
            if not (kept / DONE).exists():
                self._measure(modality, kept, source)
            found = Collection.of(Record.read(path) for path in sorted(kept.glob("*.safetensors")))
            self._real[modality, kind] = found.at(self._rates_of(modality))
        return self._real[modality, kind]

    def _measure(self, modality: str, kept: Path, source: str) -> None:
        """Both parts of a dataset, or one folder."""
        recorder = self._recorders[modality]
        found = {}
        if modality in self.study.data:
            name = self._model(modality)
            recipe = recipe_of(name, Path(source), self.cache / modality)
            both = parts(recipe, recorder, name, most=MOST_REAL)
            places = [kept.parent.with_name(kind) / kept.name for kind in ("against", "training")]
            found = dict(zip(places, both, strict=True))
        else:
            found[kept] = read_collection(recorder, Path(source))
        for place, collection in found.items():
            for i, one in enumerate(collection.every):
                one.write(place / f"{i:06d}.safetensors")
            replace_file(place / DONE, b"")

    def _check_folders(self, modality: str) -> None:
        """Before anything is made. Raises UsageError."""
        for folders in (self.study.against, self.study.training):
            if modality in folders:
                check_folder(self.modality(modality), Path(folders[modality]))
        if modality in self.study.data:
            check_data(self._model(modality), Path(self.study.data[modality]))

    def _model(self, modality: str) -> str:
        """The first one of a modality."""
        return next(iter(self.study.model.get(modality) or ()), self.modality(modality).default_model)

    def _records(self, arm: Arm) -> Collection:
        return Collection.of(Record.read(self.path(arm, i)) for i in range(self.study.items))

    def _rates_of(self, modality: str) -> Mapping[str, float]:
        """Those of the first arm."""
        if modality not in self._rates:
            self._rates[modality] = self._records(next(a for a in self.arms if a.modality == modality)).rates
        return self._rates[modality]

    def _done(self, arm: Arm, index: int) -> bool:
        return self.place(arm, index).found(self._recorders[arm.modality]) is not None

    def _make(self, arm: Arm, index: int) -> None:
        prompt, seed = self.study.item(arm.modality, index)
        job = self._jobs[arm].again(arm.request(self.study, prompt))
        place, kind = self.place(arm, index), (arm.modality, arm.model, arm.guidance)
        if kind not in self._warm and not place.made:
            warm_up(job)
            self._warm.add(kind)
        recorded(job, self._recorders[arm.modality], seed, name=f"{index:05d}", place=place)


def recorder(
    pipeline: Pipeline, options: Mapping[str, Any], names: Sequence[str] = (), extractor: str = "", /
) -> Recorder:
    """All metrics of a modality, or those of some names, with an extractor, or else the modality's first one, or else
    the states of the pipeline's model, and a reader where one is needed.

    Raises UsageError for a name that no metric of the modality has, and for an extractor that does not fit.
    """
    modality = pipeline.modality
    own = extractors.own(modality)
    if extractor:
        known = [extractors.find(extractor, modality, own)]
    else:
        known = [*own[:1]] or [StateFeatures(pipeline.model, make(modality.Options, options))]
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


def _told(arm: Arm) -> str:
    return " ".join([arm.modality, *(f"{name}={value}" for name, value in arm.levels().items() if value)])
