"""Preparation of shapes: from coloured meshes of any making to signed distances, colours and points in arrays."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen_models.processes import mapped
from multigen_models.shapes.captions import SLABS
from multigen_models.shapes.colors import Colors, palette_of
from multigen_models.shapes.distance_grid import DistanceGrid

LAYOUT = 1
"""Raised when what is kept of a shape changes."""
POINTS = 8192
"""Points of a prepared shape."""
GRID = DistanceGrid()
"""The grids that samples are made for."""
REACH = 1.5
"""Distances are kept up to so many truncations of `GRID`: a shape that is shrunk needs them."""
WIDE = replace(GRID, truncation=REACH * GRID.truncation)
ARRAYS: Mapping[str, tuple[tuple[int, ...], str]] = {
    "distance": ((GRID.resolution,) * 3, "i1"),
    "color": ((3, *(GRID.color_resolution,) * 3), "i1"),
    "points": ((POINTS, 3), "f2"),
    "normals": ((POINTS, 3), "i1"),
    "point_colors": ((POINTS, 3), "u1"),
}
"""Shape and type of what is kept of a shape, by the names of the files."""

_MEASURES = "measures"
_INSIDE = 1.0  # voxels below the surface at which a face cannot be seen
_TWINS = 0.9  # intersection over union from which two shapes are one model

# Packs whose textures came out 0.4 times as bright as they are, in linear light: their white is 170 of 255. Parts that
# were cut out of a model kept their brightness.
_DIM = re.compile(r"kaykit/|kenney/|quaternius/ultimate_space_pack/")
_BRIGHT = re.compile(
    r"building_\w+_building_|catapult_turret|(?<!crate)_lid\.|(chest_gold|fridge_\w+|oven|garage|doorway)_door|_fan\."
    r"|_gate_(left|right)|_drill_module|lantern_lantern|Remastered/spikes\.|_wheel_"
)
# Where the sRGB of a model was taken for linear light and turned into sRGB again, nothing is darker than this.
_PASTEL = 100
# Quarter turns about y that bring the front of a model to +z, where the front of all others is.
_TURNED: Mapping[str, int] = {
    "quaternius/tank_pack/Tank.glb": 1,
    "quaternius/tank_pack/Tank2.glb": 1,
    "quaternius/tank_pack/Tank4.glb": 1,
    "kaykit/Dungeon-Remastered/chair.glb": 1,
    "sweethome3d/BlendSwap-CC-0/forkLift.obj": 1,
    "sweethome3d/Scopia/ext_chair.obj": 1,
    "sweethome3d/Scopia/silla_teca.obj": 1,
    "pmndrs/ice-cream-truck.glb": 3,
    "sweethome3d/Scopia/chair.obj": 3,
}

Prepared = tuple[dict[str, Any], dict[str, NDArray[Any]]]


def prepare_all(
    data: Path, rows: Sequence[Mapping[str, str]], into: Path, /, *, parts: Path, workers: int | None
) -> None:
    """Write `ARRAYS` and shapes.json of the meshes that `rows` name, by so many processes as `mapped` takes.

    Every mesh is first written to a file of its own in `parts`, where a later call finds it: what was interrupted goes
    on. Meshes without a surface are left out. shapes.json has for each of the others its id, its measures, and `twin`,
    the position of the first that is the same model.

    Raises
    ------
    UsageError: meshes.npz cannot be read, or there is no surface in it.
    """
    from tqdm import tqdm

    parts.mkdir(parents=True, exist_ok=True)
    files = [parts / f"{i:06d}.npz" for i in range(len(rows))]
    missing = [(row, file) for row, file in zip(rows, files, strict=True) if not file.exists()]
    written = mapped(_write, missing, workers=workers, start=partial(_open, data))
    for _ in tqdm(written, "preparing shapes", len(missing), leave=False, disable=None):
        pass
    about = []
    for row, file in zip(rows, files, strict=True):
        with np.load(file) as stored:
            if stored.files != [_MEASURES]:
                about.append({"id": row["id"], "file": file, **json.loads(str(stored[_MEASURES]))})
    if not about:
        raise UsageError(f"{data} has no mesh with a surface in it")
    arrays = {
        name: np.lib.format.open_memmap(into / f"{name}.npy", "w+", np.dtype(kind), (len(about), *shape))
        for name, (shape, kind) in ARRAYS.items()
    }
    for position, measured in enumerate(about):
        with np.load(measured.pop("file")) as stored:
            for name, array in arrays.items():
                array[position] = stored[name]
    for measured, twin in zip(about, twins(arrays["distance"]), strict=True):
        measured["twin"] = twin
    for array in arrays.values():
        array.flush()
    (into / "shapes.json").write_text(json.dumps(about))


def prepare(vertices: NDArray[np.float32], faces: NDArray[np.int64], colors: Colors, /) -> Prepared | None:
    """What is kept of a mesh (v, 3), (f, 3), (f, 3): its measures, and its `ARRAYS`; None where it has no surface.

    Points are drawn by area from what is seen from outside, the same ones every time.
    """
    import torch

    try:
        distance, color = (grid.numpy() for grid in WIDE.analyse(*map(torch.from_numpy, (vertices, faces, colors))))
    except UsageError:
        return None
    low, high = vertices[faces].min((0, 1)), vertices[faces].max((0, 1))
    points, normals, shades = _surface_points(vertices, faces, colors, distance)
    palette, entries = palette_of(shades)
    slab = np.clip((points[:, 1] - low[1]) / max(float(high[1] - low[1]), 1e-6) * SLABS, 0, SLABS - 1).astype(int)
    slabs = np.zeros((SLABS, len(palette)))
    np.add.at(slabs, (slab, entries), 1 / len(points))
    measures = {
        "extents": np.round(high - low, 4).tolist(),
        "palette": np.round(palette, 4).tolist(),
        "slabs": np.round(slabs, 4).tolist(),
        "faces": len(faces),
    }
    return measures, {
        "distance": np.rint(distance * 127).astype(np.int8),
        "color": np.rint(color * 127).astype(np.int8),
        "points": points.astype(np.float16),
        "normals": np.rint(normals * 127).astype(np.int8),
        "point_colors": np.rint(shades * 255).astype(np.uint8),
    }


def twins(distance: NDArray[np.int8], /) -> list[int]:
    """For each of (n, r, r, r) signed grids the position of the first that is the same model, in about as many seconds
    as there are millions of pairs.

    The same model: a chain of pairs whose insides, at half the resolution, overlap by 0.9 of their union, one mirrored
    in x or not.
    """
    n, half = len(distance), distance.shape[1] // 2
    inside = np.stack([(grid < 0).reshape(half, 2, half, 2, half, 2).any((1, 3, 5)) for grid in distance])
    flat, mirrored = (grids.reshape(n, -1).astype(np.float32) for grids in (inside, inside[:, ::-1]))
    volume = flat.sum(1)
    first = list(range(n))

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    for begin in range(0, n, 256):
        block = slice(begin, begin + 256)
        common = np.maximum(flat[block] @ flat.T, mirrored[block] @ flat.T)
        union = np.maximum(volume[block, None] + volume - common, 1)
        for index, other in np.argwhere(common > _TWINS * union):
            low, high = sorted((root(begin + int(index)), root(int(other))))
            first[high] = low
    return [root(index) for index in range(n)]


class Meshes:
    """The meshes of a folder."""

    def __init__(self, data: Path, /) -> None:
        path = data / "meshes.npz"
        names = ("verts", "faces", "face_rgb", "vert_offset", "face_offset")
        try:
            with np.load(path) as stored:
                self.verts, self.faces, self.face_rgb, self.first_vert, self.first_face = (stored[n] for n in names)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{path} cannot be read ({error}); it needs the arrays {', '.join(names)}") from error

    def mesh(self, row: Mapping[str, str], /) -> tuple[NDArray[np.float32], NDArray[np.int64], Colors]:
        """Vertices (v, 3), centred, the longest side 2; faces (f, 3); their colours (f, 3) in [0, 1]."""
        index = int(row["index"])
        if not 0 <= index < len(self.first_vert) - 1:
            raise UsageError(f"{row['id']} has the index {index}, but there are {len(self.first_vert) - 1} meshes")
        vertices = self.verts[self.first_vert[index] : self.first_vert[index + 1]].astype(np.float32)
        part = slice(self.first_face[index], self.first_face[index + 1])
        faces = self.faces[part].astype(np.int64)
        corners = vertices[faces] if len(faces) else vertices[:, None]
        low, high = corners.min((0, 1)), corners.max((0, 1))
        vertices = (vertices - (low + high) / 2) * np.float32(2 / max(float((high - low).max()), 1e-12))
        return _turned(vertices, _TURNED.get(row["id"], 0)), faces, _true_colors(self.face_rgb[part], row)


_opened: list[Meshes] = []  # of a worker process


def _open(data: Path) -> None:
    _opened[:] = [Meshes(data)]


def _write(row: Mapping[str, str], file: Path) -> Path:
    """Prepare a mesh into a file, whole or not at all."""
    measures, arrays = prepare(*_opened[0].mesh(row)) or ({}, {})
    named: dict[str, Any] = {_MEASURES: np.array(json.dumps(measures)), **arrays}
    content = io.BytesIO()
    np.savez(content, **named)
    replace_file(file, content.getvalue())
    return file


def _surface_points(
    vertices: NDArray[np.float32], faces: NDArray[np.int64], colors: Colors, distance: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], Colors]:
    """POINTS points by area with unit normals and colours; of three times as many drawn, not the hidden ones."""
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(0)
    corners = vertices[faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    face = rng.choice(len(faces), 3 * POINTS, p=area / area.sum())
    root, side = np.sqrt(rng.random(3 * POINTS)), rng.random(3 * POINTS)
    weights = np.stack([1 - root, root * (1 - side), root * side], 1)
    points = np.einsum("nk,nkd->nd", weights, corners[face])
    depth = map_coordinates(distance, ((points + 1) / WIDE.voxel + WIDE.margin - 0.5).T, order=1, mode="nearest")
    hidden = depth * WIDE.truncation < -_INSIDE
    chosen = np.argsort(hidden, kind="stable")[:POINTS]
    normals = cross[face[chosen]] / area[face[chosen], None]
    return points[chosen].astype(np.float32), normals.astype(np.float32), colors[face[chosen]]


def _true_colors(rgb: NDArray[np.uint8], row: Mapping[str, str]) -> Colors:
    """Face colours in [0, 1] sRGB, those of packs that came out too dark or too pale as they are."""
    colors = rgb.astype(np.float32) / np.float32(255)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    if row["id"].startswith("pmndrs/") and row.get("author") == "kenney" and rgb.min() >= _PASTEL:
        return np.asarray(linear, np.float32)
    if not _DIM.match(row["id"]) or _BRIGHT.search(row["id"]):
        return colors
    bright = np.minimum(linear / 0.4, 1)
    return np.where(bright <= 0.0031308, bright * 12.92, 1.055 * bright ** (1 / 2.4) - 0.055).astype(np.float32)


def _turned(vertices: NDArray[np.float32], turns: int) -> NDArray[np.float32]:
    """Vertices turned about y by quarters, the front from +z to +x, -z, -x."""
    for _ in range(turns):
        vertices = np.stack([vertices[:, 2], vertices[:, 1], -vertices[:, 0]], 1)
    return vertices
