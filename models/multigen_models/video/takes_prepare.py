"""Preparation of takes: figures filmed into files of their own, and these joined to what `Takes` reads."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen_models.processes import mapped
from multigen_models.shapes.prepare import Meshes
from multigen_models.video.figures import Motion, animated, choose, still
from multigen_models.video.filming import film, views
from multigen_models.video.takes import pack

LAYOUT = 1
"""Raised when takes come out differently."""

_STILLS = 20  # shapes in one file

Figures = Callable[[], Iterable[Motion]]


def figures(data: Path, /) -> tuple[list[Figures], str]:
    """What is to be filmed, in parts of some seconds or minutes each, and a key of all that the takes depend on.

    Raises
    ------
    UsageError: data/animated has no .glb file, or data/shapes no metadata.csv.
    """
    models = sorted((data / "animated").glob("*.glb"))
    if not models:
        raise UsageError(f"{data / 'animated'} has no .glb file in it; give the folder that holds animated and shapes")
    rows, text = _still_rows(data)
    sizes = [(model.name, model.stat().st_size) for model in models]
    key = hashlib.sha256(f"{LAYOUT}\n{sizes}\n{text}".encode()).hexdigest()[:16]
    stills = [rows[start : start + _STILLS] for start in range(0, len(rows), _STILLS)]
    parts: list[Figures] = [partial(animated, model) for model in models]
    return parts + [partial(_still, data / "shapes", some) for some in stills], key


def origins(data: Path, /) -> list[tuple[str, str, str]]:
    """Author, licence and source of every still figure. Raises UsageError as `figures` does."""
    return [(row.get("author", ""), row.get("licence", ""), row.get("url", "")) for row in _still_rows(data)[0]]


def film_all(parts: Sequence[Figures], into: Path, /, *, done: Path, workers: int | None) -> None:
    """Write content.npy, sizes.npy, starts.npy and takes.json of all figures, by so many processes as `mapped` takes.

    Every part is first written to a file of its own in `done`, where a later call finds it: what was interrupted goes
    on.
    """
    from tqdm import tqdm

    done.mkdir(parents=True, exist_ok=True)
    files = [done / f"{index:04d}.npz" for index in range(len(parts))]
    missing = [(part, file) for part, file in zip(parts, files, strict=True) if not file.exists()]
    for _ in tqdm(mapped(_film, missing, workers=workers), "filming", len(missing), leave=False, disable=None):
        pass
    takes: list[Any] = []
    sizes, lengths = [], []
    for file in files:
        with np.load(file) as part:
            takes += json.loads(str(part["takes"]))
            sizes.append(part["sizes"])
            lengths.append(part["lengths"])
    starts = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
    content = np.lib.format.open_memmap(into / "content.npy", "w+", np.uint8, (int(starts[-1]),))
    end = 0
    for file in files:
        with np.load(file) as part:
            begin, end = end, end + len(part["content"])
            content[begin:end] = part["content"]
    content.flush()
    np.save(into / "sizes.npy", np.concatenate(sizes))
    np.save(into / "starts.npy", starts)
    (into / "takes.json").write_text(json.dumps(takes))


def _still_rows(data: Path) -> tuple[list[Mapping[str, str]], str]:
    """The shapes that are filmed, and all that is written of shapes."""
    path = data / "shapes" / "metadata.csv"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); give the folder that holds animated and shapes") from error
    return choose(list(csv.DictReader(io.StringIO(text)))), text


def _still(folder: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[Motion]:
    meshes = _meshes(folder)
    return (still(meshes, row) for row in rows)


@cache
def _meshes(folder: Path) -> Meshes:
    return Meshes(folder)


def _film(part: Figures, file: Path) -> Path:
    """Film a part into a file, whole or not at all."""
    takes, sizes, packed = [], [], []
    for motion in part():
        for view in views(motion):
            take, frames, shadows = film(motion, view)
            takes.append(asdict(take))
            sizes.append(shadows.shape)
            packed += [pack(frame, shadow) for frame, shadow in zip(frames, shadows, strict=True)]
    arrays: dict[str, Any] = {
        "takes": np.array(json.dumps(takes)),
        "sizes": np.array(sizes, np.int64).reshape(-1, 3),
        "lengths": np.array([len(picture) for picture in packed], np.int64),
        "content": np.frombuffer(b"".join(packed), np.uint8),
    }
    content = io.BytesIO()
    np.savez(content, **arrays)
    replace_file(file, content.getvalue())
    return file
