"""Coloured triangles and points as arrays, and what reading and writing files needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

GREY = 0.5


class FormatError(Exception):
    """Why the contents of a file are not what its extension says."""


class Geometry(NamedTuple):
    """A mesh, or a point cloud where there are no faces."""

    vertices: np.ndarray
    """(v, 3) floating point."""
    faces: np.ndarray
    """(f, 3) int64."""
    colors: np.ndarray
    """(v, 3) float32 in [0, 1], sRGB."""


NO_FACES = np.zeros((0, 3), np.int64)


def grey(count: int, /) -> np.ndarray:
    """The colours of what has none: (count, 3)."""
    return np.full((count, 3), GREY, np.float32)


def placed(geometry: Geometry, transform: np.ndarray, /) -> Geometry:
    """Moved by a (4, 4) matrix; triangles that a mirror turned inside out are turned back."""
    linear, shift = transform[:3, :3], transform[:3, 3]
    faces = geometry.faces[:, ::-1] if np.linalg.det(linear) < 0 else geometry.faces
    return geometry._replace(vertices=geometry.vertices @ linear.T + shift, faces=faces)


def joined(parts: Sequence[Geometry], /) -> Geometry:
    """All parts in one; at least one is needed."""
    starts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return Geometry(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.colors for part in parts]),
    )


def by_face_colors(vertices: np.ndarray, faces: np.ndarray, face_colors: np.ndarray, /) -> Geometry:
    """A mesh whose triangles keep their own colours: a vertex is doubled where triangles of two colours meet.

    face_colors: (f, 3) uint8.
    """
    red, green, blue = face_colors.astype(np.int64).T
    corners = (faces << 24) + (red << 16 | green << 8 | blue)[:, None]
    unique, faces = np.unique(corners, return_inverse=True)
    colors = np.stack([unique >> 16 & 255, unique >> 8 & 255, unique & 255], axis=1)
    return Geometry(vertices[unique >> 24], faces.reshape(-1, 3), (colors / 255).astype(np.float32))


def welded(vertices: np.ndarray, faces: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at exactly the same place made one, in the order of their first use: float32 (v, 3), (f, 3)."""
    bits = np.ascontiguousarray(vertices, np.float32) + np.float32(0)  # -0 is 0
    x, y, z = bits.view(np.uint32).astype(np.uint64).T
    order = np.lexsort((z, x << np.uint64(32) | y))
    ordered = bits[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    first = np.minimum.reduceat(order, np.flatnonzero(new))
    rank = np.empty(len(first), np.int64)
    by_first = np.argsort(first)
    rank[by_first] = np.arange(len(first))
    index = np.empty(len(order), np.int64)
    index[order] = rank[np.cumsum(new) - 1]
    return bits[first[by_first]], index[faces]


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, /) -> np.ndarray:
    """Unit normals (v, 3) float32: the mean of the triangles around a vertex, weighted by their areas.

    A vertex without any area around it gets (0, 1, 0).
    """
    a, b, c = vertices.astype(np.float64)[faces.T]
    across = np.cross(b - a, c - a)
    sums = np.zeros(vertices.shape)
    for corner in faces.T:
        for axis in range(3):
            sums[:, axis] += np.bincount(corner, across[:, axis], len(vertices))
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.where(length > 0, sums / np.where(length > 0, length, 1), [0.0, 1.0, 0.0]).astype(np.float32)
