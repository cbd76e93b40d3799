"""3D files: reading what trimesh reads into a sample, writing with provenance tags.

A mesh that is written to .xyz or .npz, which hold points alone, becomes points of its surface.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_3d import containers, gltf, readers
from multigen_3d.geometry import NO_FACES, Geometry, joined
from multigen_3d.tags import read_tags

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXTENSIONS", "READABLE", "check_writable", "read", "read_tags", "write"]

SURFACE_POINTS = 8192
MOST_FACES = 5_000_000
MOST_POINTS = 10_000_000
MOST_BYTES = 1 << 30

Reader = Callable[[bytes, Path, str], Iterator[Geometry]]

_WRITERS: Mapping[str, Callable[..., bytes]] = {
    ".glb": gltf.encode,
    ".obj": containers.obj,
    ".ply": containers.ply,
    ".stl": containers.stl,
    ".xyz": containers.xyz,
    ".npz": containers.npz,
}
_NO_POINTS = (".obj", ".stl")
_NO_FACES = (".xyz", ".npz")
EXTENSIONS: Sequence[str] = tuple(_WRITERS)

_READERS: Mapping[str, Reader] = {
    **dict.fromkeys((".glb", ".gltf", ".obj", ".ply", ".off", ".dae"), readers.scene),
    ".3mf": readers.threemf,
    ".stl": readers.stl,
    ".xyz": readers.xyz,
    ".npz": readers.npz,
}
_PACKAGES = {".3mf": "lxml networkx", ".dae": "pycollada"}
READABLE: Sequence[str] = tuple(_READERS)


def read(path: str | os.PathLike[str], /) -> Sample:
    """Read a mesh or a point cloud from a file of one of the `READABLE` kinds, in its own units and place.

    A scene becomes one mesh, its transforms applied; points and lines beside triangles are left out. Textures and
    materials become vertex colours; triangles of different colours get vertices of their own. What has no colour is
    grey. The mesh may be open, or not be a manifold.

    Returns:
        {"vertices": (v, 3) float32, "faces": (f, 3) int64, "colors": (v, 3) float32 in [0, 1] sRGB}, or for what has
        no triangles {"points": (n, 3) float32, "colors": (n, 3) float32}. Coordinates are finite, and differ.

    Raises:
        UsageError: missing, unreadable, empty, damaged, of another kind, without geometry, too large, with coordinates
            that are NaN or infinite, with faces beyond the vertices, or without extent.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise _unknown(path, READABLE)
    data = _contents(path)
    try:
        parts = _limited(reader(data, path.parent, path.suffix.lower()), path)
    except UsageError:
        raise
    except ImportError as error:
        packages = _PACKAGES.get(path.suffix.lower(), error.name)
        raise UsageError(f"{path} cannot be read without more packages; type pip install {packages}") from error
    except Exception as error:  # whatever a parser stumbles over in a file that is not as it should be
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{path} is damaged or no 3D file ({reason}); give an intact file") from error
    if not parts:
        raise UsageError(f"{path} holds no triangles and no points; give a file with a 3D shape")
    return _sample(joined(parts), path)


def _contents(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no file; give a 3D file")
        if not status.st_size:
            raise UsageError(f"{path} is empty; give a 3D file")
        if status.st_size > MOST_BYTES:
            raise UsageError(f"{path} has {status.st_size:,} bytes: at most {MOST_BYTES:,} are read; simplify it first")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; give a 3D file") from error


def _limited(found: Iterator[Geometry], path: Path) -> list[Geometry]:
    """All meshes, or all clouds where there is no mesh, unless they are too many."""
    parts: list[Geometry] = []
    for part in found:
        if not len(part.vertices):
            continue
        parts.append(part)
        faces, points = sum(len(part.faces) for part in parts), sum(len(p.vertices) for p in parts if not len(p.faces))
        if faces > MOST_FACES or points > MOST_POINTS:
            raise UsageError(
                f"{path} has {faces:,} triangles and {points:,} points or more: "
                f"at most {MOST_FACES:,} and {MOST_POINTS:,} are read; simplify it first"
            )
    return [part for part in parts if len(part.faces)] or parts


def _sample(geometry: Geometry, path: Path) -> Sample:
    import numpy as np
    import torch

    with np.errstate(over="ignore"):
        vertices = geometry.vertices.astype(np.float32)
    used = np.full(len(vertices), not len(geometry.faces))
    used[geometry.faces] = True
    if not np.isfinite(vertices).all():
        raise UsageError(f"{path} holds coordinates that are NaN or infinite; give a shape with finite ones")
    if not np.ptp(vertices[used], axis=0).any():
        raise UsageError(f"{path} has no extent: all its points are one; give a shape that has a size")
    tensors = {"colors": torch.from_numpy(np.ascontiguousarray(geometry.colors, np.float32))}
    if not len(geometry.faces):
        return {"points": torch.from_numpy(vertices), **tensors}
    faces = torch.from_numpy(np.ascontiguousarray(geometry.faces))
    return {"vertices": torch.from_numpy(vertices), "faces": faces, **tensors}


def write(path: str | os.PathLike[str], sample: Sample, /, *, tags: Mapping[str, str]) -> None:
    """Write a mesh or a point cloud in the format of the extension, or leave what was there untouched.

    .stl has no colours. .xyz and .npz take `SURFACE_POINTS` points of a mesh, uniform by area, always the same ones.

    Args:
        sample: see `multigen_3d.Shape`.
        tags: see `multigen_3d.tags`.

    Raises:
        UsageError: another extension, points for a format that holds triangles, nothing to write, faces beyond the
            vertices, coordinates that are not finite, or colours outside [0, 1].
        OSError: the file cannot be written.
    """
    path = Path(path)
    kind = "mesh" if "faces" in sample else "points"
    check_writable(path, kind=kind)
    suffix = path.suffix.lower()
    if kind == "mesh" and suffix in _NO_FACES:
        _checked(sample)
        sample = _surface(sample)
    replace_file(path, _WRITERS[suffix](_checked(sample), tags=tags))


def check_writable(path: str | os.PathLike[str], /, *, kind: str) -> None:
    """Raise the `UsageError` that `write` would raise for this name, before any work.

    kind: "mesh", "points", or empty where it is not known yet.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in EXTENSIONS:
        raise _unknown(path, EXTENSIONS)
    if kind == "points" and suffix in _NO_POINTS:
        allowed = ", ".join(extension for extension in EXTENSIONS if extension not in _NO_POINTS)
        raise UsageError(f"{path}: {suffix} holds triangles, and this is a point cloud; use {allowed}")


def _unknown(path: Path, allowed: Sequence[str]) -> UsageError:
    given = f"{path.suffix} is not a 3D format that is supported" if path.suffix else "no file extension"
    return UsageError(f"{path}: {given}; use {', '.join(allowed)}")


def _checked(sample: Sample) -> Geometry:
    """The sample's arrays. Raises UsageError for what no file should hold."""
    import numpy as np

    vertices, colors = _array(sample["vertices" if "faces" in sample else "points"]), _array(sample["colors"])
    faces = _array(sample["faces"]) if "faces" in sample else NO_FACES
    if not len(vertices) or ("faces" in sample and not len(faces)):
        raise UsageError("there is nothing to write: the shape has no points or no faces")
    if not np.isfinite(vertices).all():
        raise UsageError("the shape has coordinates that are NaN or infinite; they must be finite")
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise UsageError(f"the shape has a face beyond its {len(vertices)} vertices")
    if len(colors) != len(vertices) or not (abs(colors - 0.5) <= 0.501).all():  # false for NaN
        raise UsageError("the shape's colors must be one for each point, in [0, 1]")
    return Geometry(vertices, faces, colors.clip(0, 1))


def _array(values: Tensor) -> Any:
    return values.detach().cpu().numpy()


def _surface(mesh: Sample) -> Sample:
    from multigen_3d.metrics import surface_points

    try:
        points, face, weights = surface_points(mesh["vertices"], mesh["faces"], SURFACE_POINTS)
    except ValueError as error:
        raise UsageError(f"{error}; write it as .glb or .ply") from None
    colors = (weights[:, :, None] * mesh["colors"][mesh["faces"][face]]).sum(1)
    return {"points": points, "colors": colors}
