"""What is measured of samples, made or real, one record for each; the samples themselves need not be kept."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen.evaluation.contract import Collects, Extractor, Measured, Metric, PerSample, PerSet
from multigen.inputs import read_sample
from multigen.modality import Modality, Sample
from multigen.provenance import TAG, digest, read_record

METADATA = "metadata.csv"
Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of one sample.

    cluster: equal for samples that are not independent, such as those of one prompt or one recording. values: of the
    `PerSample` metrics, NaN where the prompt does not ask. features: (d,) by the names of the extractors. faults: why
    it cannot be measured; then it has neither. sha256: of the sample. made: how, for those that were: seconds,
    evaluations and the like.
    """

    name: str
    prompt: str
    cluster: str
    sha256: str
    values: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    faults: Sequence[str] = ()
    made: Mapping[str, float] = field(default_factory=dict)

    def write(self, path: Path, /) -> None:
        """As safetensors, whole or not at all."""
        from safetensors.torch import save

        about = {key: value for key, value in asdict(self).items() if key != "features"}
        tensors = {name: feature.contiguous() for name, feature in self.features.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, save(tensors, {"record": json.dumps(about)}))

    @classmethod
    def read(cls, path: Path, /) -> Record:
        """Raises ValueError or OSError for a file that `write` did not write."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["record"])
                return cls(**about, features={key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError) as error:
            raise ValueError(f"{path} holds no record ({error})") from error


@dataclass(frozen=True)
class Recorder:
    """Measures samples one by one. extractors: whose features the `PerSet` metrics without their own will see."""

    modality: Modality
    metrics: Sequence[Metric]
    extractors: Sequence[Extractor]

    def __call__(
        self, sample: Sample, /, *, name: str, prompt: str, cluster: str, made: Mapping[str, float] | None = None
    ) -> Record:
        faults = tuple(self.modality.faults(sample)) if isinstance(self.modality, Measured) else ()
        about = Record(name, prompt, cluster, digest(sample), faults=faults, made=made or {})
        if faults:
            return about
        own = [metric.features for metric in self.metrics if isinstance(metric, PerSet) and metric.features]
        used = {extractor.name: extractor for extractor in (*self.extractors, *own)}
        values = {m.name: m.value(sample, prompt) for m in self.metrics if isinstance(m, PerSample)}
        features = {key: extractor(sample).float() for key, extractor in used.items()}
        return Record(name, prompt, cluster, about.sha256, values, features, made=about.made)


@dataclass(frozen=True, eq=False)
class Collection:
    """Records of samples that can be measured, and apart from them the faulty ones."""

    records: Sequence[Record]
    faulty: Sequence[Record]

    @classmethod
    def of(cls, records: Iterable[Record], /) -> Collection:
        every = list(records)
        return cls([r for r in every if not r.faults], [r for r in every if r.faults])

    def __len__(self) -> int:
        return len(self.records)

    @property
    def prompted(self) -> bool:
        """Whether the prompt of every sample is known."""
        return all(record.prompt for record in self.records)

    def clusters(self) -> Tensor:
        """(n,) numbers, equal for samples of one cluster."""
        place: dict[str, int] = {}
        return torch.tensor([place.setdefault(r.cluster, len(place)) for r in self.records], dtype=torch.int64)

    def features(self, name: str, /) -> Tensor:
        """(n, d) float64 of the extractor of that name."""
        rows = [record.features[name] for record in self.records]
        return torch.stack(rows).double() if rows else torch.empty(0, 0, dtype=torch.float64)

    def values(self, name: str, /) -> Tensor:
        """(n,) float64 of the metric of that name, NaN where it does not apply."""
        return torch.tensor([record.values[name] for record in self.records], dtype=torch.float64)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the samples and their order."""
        return hashlib.sha256("".join(record.sha256 for record in self.records).encode()).hexdigest()[:16]


def read_samples(modality: Modality, folder: Path, /, *, most: int = 0) -> Iterator[tuple[str, Sample, str, str]]:
    """Name, sample, prompt and cluster of each file in a folder, evenly spread over it if there are more than `most`
    (0 is all).

    The folder has a layout that the modality knows, or a metadata.csv with the columns file_name and, where they are
    known, caption (or prompt) and source, or just files; those that multigen wrote say themselves what their prompt is.

    Raises UsageError for a folder without samples, and for a file that cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give one with {modality.name} files")
    own = modality.collect(folder) if isinstance(modality, Collects) else None
    if own is not None:
        yield from ((str(i), *row) for i, row in enumerate(spread(list(own), most)))
        return
    files = _listed(modality, folder)
    if not files:
        raise UsageError(
            f"{folder} holds no {modality.name}: give a folder with {', '.join(modality.extensions)} files, "
            f"and a {METADATA} with the columns file_name and caption if their captions are known"
        )
    for path, prompt, cluster in spread(files, most):
        yield path.name, read_sample(modality, path, remedy="take it out of the folder"), prompt, cluster


def read_collection(recorder: Recorder, folder: Path, /, *, most: int = 0) -> Collection:
    """The records of a folder's samples. Raises UsageError as `read_samples`."""
    return Collection.of(
        recorder(sample, name=name, prompt=prompt, cluster=cluster)
        for name, sample, prompt, cluster in read_samples(recorder.modality, folder, most=most)
    )


def _listed(modality: Modality, folder: Path) -> list[tuple[Path, str, str]]:
    """Files with their captions and sources."""
    table = folder / METADATA
    if not table.is_file():
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in modality.extensions)
        return [(path, prompt := _own_prompt(modality, path), prompt or str(path)) for path in paths]
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and "file_name" not in rows[0]:
        raise UsageError(f"{table} has no column file_name: it needs one, and one called caption where it is known")
    found = []
    for row in rows:
        name = row["file_name"]
        found.append((folder / name, row.get("caption") or row.get("prompt") or "", row.get("source") or name))
    return found


def _own_prompt(modality: Modality, path: Path) -> str:
    """What a file says that it was made from."""
    if TAG not in modality.read_tags(path):
        return ""
    return read_record(modality, path).request.prompt


def spread(rows: Sequence[Row], most: int, /) -> list[Row]:
    """At most `most` of the rows, evenly spread over them; all for 0."""
    count = min(most, len(rows)) if most else len(rows)
    return [rows[i * len(rows) // count] for i in range(count)]
