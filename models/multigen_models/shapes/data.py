"""Shapes to train on: a collection of coloured meshes, turned into grids and points once, and split by families.

The folder holds `meshes.npz` (verts (V, 3) integers or floats, faces (F, 3) local to each mesh, face_rgb (F, 3) uint8,
vert_offset and face_offset (n + 1)) and `metadata.csv` with the columns index, id and label; name, category,
modular_part, author, licence and url are used where they exist. What is prepared is kept as memory-mapped arrays.

    python -m multigen_models.shapes.data --data FOLDER --cache FOLDER --sheet sheet.png
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from multigen.errors import UsageError
from multigen_models.shapes.captions import Usual, usual_extents
from multigen_models.shapes.colors import Colors
from multigen_models.shapes.names import Name, shape_name
from multigen_models.shapes.prepare import ARRAYS, LAYOUT, WIDE, prepare_all

_OF = "meshes.sha256"
"""In a prepared folder: which meshes.npz it was made of."""


@final
@dataclass(frozen=True, eq=False)
class Shape:
    """One prepared mesh.

    row: its place in the arrays. family: shapes of one family stay on one side of a split. extents: (3,) sides of
    its box, the longest 2. palette: (k, 3) sRGB. slabs: (SLABS, k) shares of the surface by height and palette entry.
    usual: what shapes of its kind are like. faces: of the mesh.
    """

    row: int
    id: str
    name: Name
    category: str
    family: str
    extents: NDArray[np.float32]
    palette: Colors
    slabs: NDArray[np.float32]
    usual: Usual
    faces: int
    author: str
    licence: str
    url: str

    @property
    def kind(self) -> str:
        """The class it is counted with."""
        return self.name.kind


@final
@dataclass(frozen=True, eq=False)
class Shapes:
    """The prepared shapes of a folder, their split, and their arrays by `Shape.row`.

    distance: (n, 64, 64, 64) int8, signed distance / (REACH * truncation) * 127. color: (n, 3, 32, 32, 32) int8, sRGB
    in [-1, 1] * 127. points, normals: (n, POINTS, 3) float16, int8 (* 127). point_colors: (n, POINTS, 3) uint8.
    """

    shapes: tuple[Shape, ...]
    training: tuple[int, ...]
    validation: tuple[int, ...]
    distance: NDArray[np.int8] = field(repr=False)
    color: NDArray[np.int8] = field(repr=False)
    points: NDArray[np.float16] = field(repr=False)
    normals: NDArray[np.int8] = field(repr=False)
    point_colors: NDArray[np.uint8] = field(repr=False)

    def split(self, name: str, /) -> tuple[int, ...]:
        """Indices of the shapes of "train" or "validation"."""
        return {"train": self.training, "validation": self.validation}[name]


def load_shapes(data: Path, /, *, cache: Path, workers: int | None = None) -> Shapes:
    """The shapes of a folder; prepared in `cache` at first by so many processes (by default as many as torch has
    threads), read from there afterwards.

    A preparation that was interrupted goes on where it was.

    Raises
    ------
    UsageError: the folder lacks one of its two files, they do not fit together, or other meshes were prepared.
    """
    rows, key = _read_metadata(data)
    kept = cache / f"shapes-{key}"
    digest = hashlib.sha256((data / "meshes.npz").read_bytes()).hexdigest()
    if kept.is_dir():
        _check_prepared(kept, digest)
    else:
        parts = cache / f"preparing-{key}"
        parts.mkdir(parents=True, exist_ok=True)
        whole = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
        try:
            prepare_all(data, rows, whole, parts=parts, workers=workers)
            (whole / _OF).write_text(digest)
            os.replace(whole, kept)
        except BaseException:
            shutil.rmtree(whole, ignore_errors=True)
            raise
        shutil.rmtree(parts)
    arrays = {name: np.load(kept / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    shapes = _describe(rows, json.loads((kept / "shapes.json").read_text()))
    training, validation = split_by_family(shapes)
    return Shapes(shapes, training, validation, **arrays)


def _check_prepared(kept: Path, digest: str) -> None:
    """Raise UsageError where a folder says that it was prepared from other meshes."""
    of = kept / _OF
    if of.is_file() and of.read_text() != digest:
        raise UsageError(
            f"{kept} was prepared from another meshes.npz of the same size: delete it, or give its own data"
        )


def split_by_family(shapes: Sequence[Shape], /, *, fraction: float = 1 / 11) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Indices (training, validation) of about `fraction` of every kind, whole families only.

    Kinds of fewer than four families are split together. Deterministic in the names of the families.
    """
    families: Mapping[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, shape in enumerate(shapes):
        families[shape.kind][shape.family].append(index)
    rare = {kind for kind, members in families.items() if len(members) < 4}
    pools: Mapping[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, shape in enumerate(shapes):
        pools["" if shape.kind in rare else shape.kind][shape.family].append(index)
    held_out: dict[str, bool] = {}
    for kind in sorted(pools, key=lambda kind: (kind == "", kind)):
        wanted = round(fraction * sum(map(len, pools[kind].values())))
        for family in sorted(pools[kind], key=lambda name: hashlib.sha256(name.encode()).digest()):
            members = len(pools[kind][family])
            held_out.setdefault(family, members <= wanted)
            wanted -= members if held_out[family] else 0
    training = tuple(index for index, shape in enumerate(shapes) if not held_out[shape.family])
    return training, tuple(index for index, shape in enumerate(shapes) if held_out[shape.family])


def sampling_weights(shapes: Sequence[Shape], /, *, power: float = 0.5) -> NDArray[np.float64]:
    """(n,) probabilities: a family of m shapes counts m to `power`, so that variants of one model do not crowd in."""
    members: dict[str, int] = defaultdict(int)
    for shape in shapes:
        members[shape.family] += 1
    weights = np.array([members[shape.family] ** (power - 1) for shape in shapes])
    return np.asarray(weights / weights.sum())


def write_attribution(origins: Iterable[tuple[str, str, str]], path: Path, /) -> None:
    """Every author, licence and source with the number of shapes, as CSV."""
    counted = Counter(origins)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("author", "licence", "source", "shapes"))
        writer.writerows((*origin, count) for origin, count in sorted(counted.items()))


def _read_metadata(folder: Path) -> tuple[list[dict[str, str]], str]:
    """The rows that are whole objects, and a key of everything that the prepared arrays depend on."""
    path, meshes = folder / "metadata.csv", folder / "meshes.npz"
    try:
        text = path.read_text(encoding="utf-8")
        size = meshes.stat().st_size
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder} is no folder of shapes ({error}); it needs metadata.csv and meshes.npz") from error
    rows = list(csv.DictReader(io.StringIO(text)))
    missing = {"index", "id", "label"} - set(rows[0] if rows else ())
    if missing:
        lacking = " and no ".join(sorted(missing))
        raise UsageError(f"{path} has no {lacking} in it; it needs the columns index, id and label")
    key = hashlib.sha256(f"{LAYOUT}\n{WIDE}\n{size}\n{text}".encode()).hexdigest()[:16]
    return [row for row in rows if row.get("modular_part", "0") != "1"], key


def _describe(rows: Sequence[Mapping[str, str]], prepared: Sequence[Mapping[str, Any]]) -> tuple[Shape, ...]:
    """The prepared shapes that have a name."""
    by_id = {row["id"]: row for row in rows}
    named = []
    for position, about in enumerate(prepared):
        row = by_id[about["id"]]
        name = shape_name(row["label"], row.get("name", ""), row.get("category", ""))
        if name is not None:
            named.append((position, about, row, name))
    boxes: Mapping[str, list[NDArray[np.float32]]] = defaultdict(list)
    for _, about, _, name in named:
        boxes[name.kind].append(np.array(about["extents"], np.float32))
    usual = {kind: usual_extents(members) for kind, members in boxes.items()}
    family = _families([(about["id"], name.noun, about["twin"]) for _, about, _, name in named])
    return tuple(
        Shape(
            row=position,
            id=about["id"],
            name=name,
            category=row.get("category", ""),
            family=group,
            extents=np.array(about["extents"], np.float32),
            palette=np.array(about["palette"], np.float32),
            slabs=np.array(about["slabs"], np.float32),
            usual=usual[name.kind],
            faces=about["faces"],
            author=_author(row.get("author", "")),
            licence=row.get("licence", ""),
            url=row.get("url", ""),
        )
        for (position, about, row, name), group in zip(named, family, strict=True)
    )


def _author(text: str) -> str:
    """The names in an author column, which may hold JSON: {"name": ...}, or a list of such."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    people = found if isinstance(found, list) else [found]
    return ", ".join(person["name"] if isinstance(person, dict) else str(person) for person in people)


def _families(shapes: Sequence[tuple[str, str, int]]) -> list[str]:
    """Of (id, noun, twin): what is called the same in one folder is one family, and so is what is one model."""
    links: dict[str, str] = {}

    def root(name: str) -> str:
        while links.setdefault(name, name) != name:
            name = links[name]
        return name

    for model, noun, twin in shapes:
        a, b = sorted((root(f"{model.rsplit('/', 1)[0]}/{noun}"), root(f"~{twin}")))
        links[b] = a
    return [root(f"~{twin}") for _, _, twin in shapes]


def _main() -> None:
    """Prepare a folder, print what is in it, and draw a sheet of it."""
    import argparse

    from multigen_models.shapes.samples import AS_MADE, AUGMENTED, ShapeGrids, Views
    from multigen_models.shapes.sheet import sheet

    parser = argparse.ArgumentParser(prog="python -m multigen_models.shapes.data", description=_main.__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="meshes.npz and metadata.csv")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="where prepared shapes are kept")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that prepare (default as many as torch has threads)"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw samples with their captions")
    parser.add_argument("--count", type=int, default=80, metavar="N", help="samples on the sheet (default 80)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sheet (default 0)")
    parser.add_argument("--as-made", action="store_true", help="the sheet shows shapes without changes")
    parser.add_argument("--attribution", type=Path, metavar="FILE.csv", help="write authors, licences and sources")
    given = parser.parse_args()
    shapes = load_shapes(given.data, cache=given.cache, workers=given.workers)
    kinds = Counter(shape.kind for shape in shapes.shapes).most_common(40)
    print(f"{len(shapes.training)} shapes for training, {len(shapes.validation)} held out")
    print(", ".join(f"{kind} {count}" for kind, count in kinds))
    if given.attribution:
        write_attribution(((s.author, s.licence, s.url) for s in shapes.shapes), given.attribution)
    if given.sheet:
        augmentation = AS_MADE if given.as_made else AUGMENTED
        every = range(len(shapes.shapes))
        views = Views(shapes, every, length=given.count, seed=given.seed, augmentation=augmentation)
        drawn = [ShapeGrids(shapes, views)[index] for index in range(given.count)]
        sheet([(distance.numpy(), color.numpy(), said) for (distance, color), said in drawn], given.sheet)


if __name__ == "__main__":
    _main()
