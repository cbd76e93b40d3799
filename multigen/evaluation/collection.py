"""Samples to be measured, made or real, with what they were made from."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from multigen.errors import UsageError
from multigen.evaluation.contract import Collects, Extractor, Measured
from multigen.modality import Modality, Sample
from multigen.provenance import TAG, digest, read_record

METADATA = "metadata.csv"
Row = TypeVar("Row")


@dataclass(frozen=True, eq=False)
class Collection:
    """Samples that can be measured; those that cannot be are named apart.

    samples, prompts: of the same length; a prompt is empty where it is not known. clusters: (n,) numbers, equal for
    samples that are not independent, such as those of one prompt or one recording. names: of the samples. faulty: the
    name and the faults of each sample that was left out.
    """

    samples: Sequence[Sample]
    prompts: Sequence[str]
    clusters: Tensor
    names: Sequence[str]
    faulty: Sequence[tuple[str, Sequence[str]]] = ()
    _features: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.samples)

    def features(self, extractor: Extractor, /) -> Tensor:
        """(n, d) float64, computed once."""
        if extractor.name not in self._features:
            rows = [extractor(sample).double() for sample in self.samples]
            self._features[extractor.name] = torch.stack(rows) if rows else torch.empty(0, 0, dtype=torch.float64)
        return self._features[extractor.name]

    def fingerprint(self) -> str:
        """16 hexadecimal digits that depend on the samples and their order."""
        state = hashlib.sha256()
        for sample in self.samples:
            state.update(digest(sample).encode())
        return state.hexdigest()[:16]


def collection(modality: Modality, rows: Iterable[tuple[str, Sample, str, str]], /) -> Collection:
    """From names, samples, prompts, and what samples have in common with others that are not independent of them."""
    kept: list[tuple[str, Sample, str, str]] = []
    faulty = []
    for row in rows:
        faults = modality.faults(row[1]) if isinstance(modality, Measured) else ()
        if faults:
            faulty.append((row[0], tuple(faults)))
        else:
            kept.append(row)
    place: dict[str, int] = {}
    clusters = [place.setdefault(cluster, len(place)) for *_, cluster in kept]
    return Collection(
        samples=[sample for _, sample, _, _ in kept],
        prompts=[prompt for _, _, prompt, _ in kept],
        clusters=torch.tensor(clusters, dtype=torch.int64),
        names=[name for name, *_ in kept],
        faulty=faulty,
    )


def read_collection(modality: Modality, folder: Path, /, *, most: int = 0) -> Collection:
    """The samples of a folder, evenly spread over it if there are more than `most` (0 is all).

    The folder has a layout that the modality knows, or a metadata.csv with the columns file_name and, where they are
    known, caption (or prompt) and source, or just files; those that multigen wrote say themselves what their prompt is.

    Raises UsageError for a folder without samples.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give one with {modality.name} files")
    own = modality.collect(folder) if isinstance(modality, Collects) else None
    if own is not None:
        listed = [(f"{i}", sample, prompt, cluster) for i, (sample, prompt, cluster) in enumerate(own)]
        return collection(modality, _spread(listed, most))
    files = _listed(modality, folder)
    if not files:
        raise UsageError(
            f"{folder} holds no {modality.name}: give a folder with {', '.join(modality.extensions)} files, "
            f"and a {METADATA} with the columns file_name and caption if their captions are known"
        )
    rows = ((path.name, _read(modality, path), prompt, cluster) for path, prompt, cluster in _spread(files, most))
    return collection(modality, rows)


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


def _read(modality: Modality, path: Path) -> Sample:
    try:
        return modality.read(path)
    except UsageError:
        raise
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as {modality.name} ({error}): take it out of the folder") from None


def _spread(rows: Sequence[Row], most: int) -> list[Row]:
    count = min(most, len(rows)) if most else len(rows)
    return [rows[i * len(rows) // count] for i in range(count)]
