"""What is measured of samples, made or real, one record for each; the samples themselves need not be kept."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections import Counter
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
from multigen.modality import Modality, Rated, Sample
from multigen.provenance import TAG, digest, read_record

METADATA = "metadata.csv"
NEAR = 0.002
"""Rates that differ by less than this share are equal, such as 29.97 and 30."""
Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Record:
    """What is known of one sample.

    cluster: equal for samples that are not independent, such as those of one prompt or one recording. values: of the
    `PerSample` metrics, NaN where the prompt does not ask. features: (d,) by the names of the extractors. faults: why
    it cannot be measured; then it has neither. sha256: of the sample. made: how, for those that were: seconds,
    evaluations and the like. measured: what has been, by the names of metrics and extractors, and their versions.
    from_file: whether some of it was measured later, on the sample as its file holds it. rates, sizes: of the sample
    (`multigen.modality.Rated`).
    """

    name: str
    prompt: str
    cluster: str
    sha256: str
    values: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, Tensor] = field(default_factory=dict)
    faults: Sequence[str] = ()
    made: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    from_file: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)

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
        rates, sizes = (
            (self.modality.rates(sample), self.modality.sizes(sample)) if isinstance(self.modality, Rated) else ({}, {})
        )
        about = Record(name, prompt, cluster, digest(sample), faults=faults, made=made or {}, rates=rates, sizes=sizes)
        return about if faults else self._filled(about, sample, self.versions)

    @property
    def versions(self) -> dict[str, str]:
        """What its records hold: the names of `PerSample` metrics and of extractors, with their versions."""
        metrics = {metric.name: str(metric.version) for metric in self.metrics if isinstance(metric, PerSample)}
        return metrics | {name: extractor.fingerprint for name, extractor in self._used().items()}

    def lacks(self, record: Record, /) -> bool:
        """Whether something is wanted that a record does not hold, or of another version."""
        return not record.faults and bool(self._missing(record))

    def again(self, record: Record, sample: Sample, /) -> Record:
        """The record with what it lacked, measured on the sample as its file holds it."""
        return dataclasses.replace(self._filled(record, sample, self._missing(record)), from_file=True)

    def _missing(self, record: Record) -> dict[str, str]:
        return {name: version for name, version in self.versions.items() if record.measured.get(name) != version}

    def _filled(self, record: Record, sample: Sample, wanted: Mapping[str, str]) -> Record:
        values = {
            metric.name: metric.value(sample, record.prompt)
            for metric in self.metrics
            if isinstance(metric, PerSample) and metric.name in wanted
        }
        features = {name: used(sample).float() for name, used in self._used().items() if name in wanted}
        return dataclasses.replace(
            record,
            values={**record.values, **values},
            features={**record.features, **features},
            measured={**record.measured, **wanted},
        )

    def _used(self) -> dict[str, Extractor]:
        own = [metric.features for metric in self.metrics if isinstance(metric, PerSet) and metric.features]
        return {extractor.name: extractor for extractor in (*self.extractors, *own)}


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

    @property
    def rates(self) -> Mapping[str, float]:
        """Those of most samples."""
        told = Counter(tuple(sorted(record.rates.items())) for record in self.records)
        return dict(told.most_common(1)[0][0]) if told else {}

    def at(self, rates: Mapping[str, float], /) -> Collection:
        """The same samples, of which those of other rates are faulty: what is measured of them does not compare."""
        told = ((record, record.faults or _mismatched(record, rates)) for record in self.every)
        return Collection.of(dataclasses.replace(record, faults=faults) for record, faults in told)

    @property
    def every(self) -> list[Record]:
        """Those that can be measured, and then the others."""
        return [*self.records, *self.faulty]

    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the samples and their order."""
        return hashlib.sha256("".join(record.sha256 for record in self.records).encode()).hexdigest()[:16]


def check_folder(modality: Modality, folder: Path, /) -> None:
    """Raises UsageError for a folder without samples; none of them is read."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give one with {modality.name} files")
    own = modality.collect(folder) if isinstance(modality, Collects) else None
    if own is None and not (_table(folder) if (folder / METADATA).is_file() else _paths(modality, folder)):
        raise UsageError(
            f"{folder} holds no {modality.name}: give a folder with {', '.join(modality.extensions)} files, "
            f"and a {METADATA} with the columns file_name and caption if their captions are known"
        )


def read_samples(modality: Modality, folder: Path, /, *, most: int = 0) -> Iterator[tuple[str, Sample, str, str]]:
    """Name, sample, prompt and cluster of each file in a folder, evenly spread over it if there are more than `most`
    (0 is all).

    The folder has a layout that the modality knows, or a metadata.csv with the columns file_name and, where they are
    known, caption (or prompt) and source, or just files; those that multigen wrote say themselves what their prompt is.

    Raises UsageError for a folder without samples, and for a file that cannot be read.
    """
    check_folder(modality, folder)
    own = modality.collect(folder) if isinstance(modality, Collects) else None
    if own is not None:
        yield from ((str(i), *row) for i, row in enumerate(spread(list(own), most)))
        return
    files = _listed(modality, folder)
    for path, prompt, cluster in spread(files, most):
        yield path.name, read_sample(modality, path, remedy="take it out of the folder"), prompt, cluster


def read_collection(recorder: Recorder, folder: Path, /, *, most: int = 0) -> Collection:
    """The records of a folder's samples. Raises UsageError as `read_samples`."""
    return Collection.of(
        recorder(sample, name=name, prompt=prompt, cluster=cluster)
        for name, sample, prompt, cluster in read_samples(recorder.modality, folder, most=most)
    )


def _mismatched(record: Record, rates: Mapping[str, float]) -> Sequence[str]:
    return [
        f"{value:g} {unit}, not {rates[unit]:g}"
        for unit, value in record.rates.items()
        if unit in rates and abs(value - rates[unit]) > NEAR * rates[unit]
    ]


def _listed(modality: Modality, folder: Path) -> list[tuple[Path, str, str]]:
    """Files with their captions and sources."""
    if (folder / METADATA).is_file():
        return _table(folder)
    told = [(path, _own_prompt(modality, path)) for path in _paths(modality, folder)]
    return [(path, prompt, prompt or str(path)) for path, prompt in told]


def _paths(modality: Modality, folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in modality.extensions)


def _table(folder: Path) -> list[tuple[Path, str, str]]:
    """What its metadata.csv lists."""
    with (folder / METADATA).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and "file_name" not in rows[0]:
        raise UsageError(
            f"{folder / METADATA} has no column file_name: it needs one, and one called caption where it is known"
        )
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


def scattered(rows: Sequence[Row], /) -> list[Row]:
    """All rows, in an order of which every beginning is evenly spread over them: every second one of a half, and so on.

    The places are those of a van der Corput sequence, their bits in reverse.
    """
    bits = max(1, (len(rows) - 1).bit_length())
    return [rows[i] for i in sorted(range(len(rows)), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))]


def spread(rows: Sequence[Row], most: int, /) -> list[Row]:
    """At most `most` of the rows, evenly spread over them; all for 0."""
    count = min(most, len(rows)) if most else len(rows)
    return [rows[i * len(rows) // count] for i in range(count)]
