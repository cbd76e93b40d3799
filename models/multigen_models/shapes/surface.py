"""Triangle soups as surfaces of solids: clean-up, orientation, distances, winding numbers, thin parts.

Meshes made by hand are open, intersect themselves, are covered twice or turned inside out. Nothing here asks for more
than triangles; lengths are in whatever unit the vertices have, but those of `thin_parts` count voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Inside = Callable[[Floats], Booleans]

_CLOSED = 0.5  # |sum of area vectors| / area: 0 for a closed surface, 1/2 for a hemisphere, 1 for a flat sheet
_ACCURACY = 1.5  # of winding numbers: errors stay below 0.03, and are below 0.002 as a rule
_BALL_STEPS = 8
_NEIGHBOURS = 24


@final
@dataclass(frozen=True)
class Surface:
    """Triangles, oriented outwards as far as that means something.

    vertices: (v, 3). faces: (f, 3) indices of vertices, none of them degenerate, f >= 1.
    """

    vertices: Floats
    faces: Integers

    def normals(self) -> Floats:
        """(f, 3) unit normals, outwards."""
        n = _area_vectors(self.vertices, self.faces)
        return n / np.linalg.norm(n, axis=1, keepdims=True)

    def closest(self, points: Floats, /) -> tuple[Floats, Integers, Floats]:
        """Distance (n,), face (n,) and position (n, 3) of the surface point closest to each of `points` (n, 3)."""
        squared, face, foot = self._boxes.squared_distance(self.vertices, self.faces, np.ascontiguousarray(points))
        return np.sqrt(squared), face, foot

    def winding(self, points: Floats, /) -> Floats:
        """Generalised winding numbers (n,) of `points` (n, 3): about 1 inside, 0 outside, 1/2 in an opening.

        Barill, Dickson, Schmidt, Levin, Jacobson, "Fast winding numbers for soups and clouds", SIGGRAPH 2018.
        """
        w: Floats = self._dipoles.winding_number(np.ascontiguousarray(points), _ACCURACY)
        return w

    def samples(self, spacing: float, /) -> tuple[Floats, Integers]:
        """Points at most about `spacing` apart that cover every triangle: (n, 3), and their faces (n,).

        Rows parallel to the longest edge, so that slivers are covered along their length and cost no more than that.
        """
        corner = self.vertices[self.faces]
        edge = np.roll(corner, -1, axis=1) - corner
        length = np.linalg.norm(edge, axis=2)
        first = length.argmax(axis=1)
        every = np.arange(len(corner))
        base, along, apex = corner[every, first], edge[every, first], corner[every, (first + 2) % 3]
        longest = length[every, first]
        height = np.linalg.norm(_area_vectors(self.vertices, self.faces), axis=1) / longest
        face, v = _strata(np.ceil(height / spacing).astype(np.int64))
        row, u = _strata(np.ceil(longest[face] * (1 - v) / spacing).astype(np.int64))
        face, v = face[row], v[row, None]
        return (1 - v) * (base[face] + u[:, None] * along[face]) + v * apex[face], face

    @cached_property
    def _boxes(self) -> Any:
        import igl

        tree = igl.AABB()
        tree.init(self.vertices, self.faces)
        return tree

    @cached_property
    def _dipoles(self) -> Any:
        import igl

        tree = igl.FastWindingNumberBVH()
        tree.init(self.vertices, self.faces)
        return tree

    @classmethod
    def clean(cls, vertices: Floats, faces: Integers, /, *, tolerance: float) -> tuple[Surface, Integers]:
        """The surface that triangles stand for, and which of `faces` its faces are.

        Corners closer than about `tolerance` become one, degenerate triangles go, of parts that are covered once from
        either side one side is kept, and parts that are inside out are turned. The surface may have no face.

        Args:
            vertices: (v, 3), finite.
            faces: (f, 3) indices of vertices.
        """
        vertices, faces = _merge(vertices, faces, tolerance)
        area = np.linalg.norm(_area_vectors(vertices, faces), axis=1) / 2
        kept = np.flatnonzero(area > tolerance**2)
        if not len(kept):
            return cls(vertices, faces[kept]), kept
        kept = kept[_one_side(faces[kept], len(vertices))]
        return cls(vertices, _orient(vertices, faces[kept])), kept


def thin_parts(
    surface: Surface, points: Floats, faces: Integers, thick: Floats, inside: Inside, /, *, radius: float
) -> Floats:
    """Middles of the parts in which no ball of `radius` fits: (m, 3).

    A ball that touches the surface from within at a point of it is shrunk until it contains nothing else (Ma, Bae,
    Choi, "3D medial axis point approximation using nearest neighbors and the normal field", The Visual Computer
    2012). The point belongs to a thin part if the ball had to shrink and no ball that fits is close: beside a convex
    edge of something thick there is one. A sheet has nothing within, and is its own middle.

    Args:
        points: (n, 3) on the surface.
        faces: (n,) the faces on which they lie.
        thick: (k, 3) centres of other balls that fit.
        inside: tells which points (k, 3) belong to the solid.
    """
    from scipy.spatial import cKDTree

    normal = surface.normals()[faces]
    r = _ball_radii(surface, points, normal, radius)
    centre = points - r[:, None] * normal
    solid = inside(centre)
    # A ball may also fit into the lens that counts as solid behind a bulging sheet, and reach beyond it.
    fits = solid & (r == radius)
    fits[fits] = inside(points[fits] - 1.9 * radius * normal[fits])
    r[~solid] = 0
    middle = _towards_larger(np.where(solid[:, None], centre, points)[~fits], r[~fits], radius)
    away, _ = cKDTree(np.concatenate([thick, centre[fits]])).query(points[~fits])
    # The corner of a cube is sqrt(3) radii from the ball that touches its faces.
    return middle[away > np.where(solid[~fits], 2.2, 1.25) * radius]


def _ball_radii(surface: Surface, points: Floats, normal: Floats, radius: float) -> Floats:
    """Radii (n,) up to `radius` of the largest empty balls that touch `points` (n, 3) from within."""
    r = np.full(len(points), radius)
    moving = np.arange(len(points))
    for _ in range(_BALL_STEPS):
        s, n = points[moving], normal[moving]
        distance, _, foot = surface.closest(s - r[moving, None] * n)
        shrinks = distance < 0.97 * r[moving]
        moving, n, chord = moving[shrinks], n[shrinks], (s - foot)[shrinks]
        if not len(moving):
            break
        r[moving] = np.einsum("ij,ij->i", chord, chord) / (2 * np.einsum("ij,ij->i", chord, n))
    return r


def _towards_larger(centres: Floats, r: Floats, radius: float) -> Floats:
    """Centres (m, 3) of balls moved to the mean of those within `radius`, larger ones counting more.

    In a rod with corners most of the balls shrink into a corner; so they come to its axis.
    """
    from scipy.spatial import cKDTree

    if not len(centres):
        return centres
    _, index = cKDTree(centres).query(centres, k=_NEIGHBOURS, distance_upper_bound=radius)
    weight = np.append(r**2 + 1e-4, 0)[index]
    return np.einsum(
        "ij,ijk->ik", weight / weight.sum(axis=1, keepdims=True), np.append(centres, [[0.0] * 3], 0)[index]
    )


def _area_vectors(vertices: Floats, faces: Integers) -> Floats:
    """(f, 3) normals, twice as long as the area of their triangles."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _strata(counts: Integers) -> tuple[Integers, Floats]:
    """For item i, `counts[i]` entries: the item (sum,), and the middles of that many equal parts of [0, 1] (sum,)."""
    item = np.repeat(np.arange(len(counts)), counts)
    k = np.arange(len(item)) - np.repeat(np.cumsum(counts) - counts, counts)
    return item, (k + 0.5) / counts[item]


def _merge(vertices: Floats, faces: Integers, tolerance: float) -> tuple[Floats, Integers]:
    """Corners of faces only, those in the same cell of a lattice of `tolerance` as one."""
    lattice = np.rint((vertices - vertices.min(axis=0)) / tolerance).astype(np.int64)
    size = lattice.max(axis=0) + 1
    key = np.ravel_multi_index(tuple(lattice.T), tuple(size))
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    return vertices[first], index.reshape(-1)[faces]


def _one_side(faces: Integers, vertices: int) -> Integers:
    """Indices of `faces` (f, 3) without the second sides of connected parts that have two everywhere.

    A face that two solids share also occurs twice, but the rest of such a part does not; both are needed there.
    """
    from scipy.sparse import coo_array, csgraph

    low, mid, high = np.sort(faces, axis=1).T
    order = np.lexsort((low, mid, high))
    same = np.flatnonzero((np.diff(low[order]) == 0) & (np.diff(mid[order]) == 0) & (np.diff(high[order]) == 0))
    if not len(same):
        return np.arange(len(faces))
    twin = np.zeros(len(faces), dtype=bool)
    twin[order[same]] = twin[order[same + 1]] = True
    links = coo_array((np.ones(2 * len(faces)), (np.tile(low, 2), np.append(mid, high))), shape=(vertices,) * 2)
    _, label = csgraph.connected_components(links, directed=False)
    single = np.zeros(vertices, dtype=bool)
    single[label[low[~twin]]] = True
    second = np.zeros(len(faces), dtype=bool)
    second[order[same + 1]] = True
    return np.flatnonzero(~second | single[label[low]])


def _orient(vertices: Floats, faces: Integers) -> Integers:
    """`faces` turned so that neighbours agree, and that what is nearly closed has a positive volume."""
    import igl

    faces, patch = igl.bfs_orient(np.ascontiguousarray(faces))
    vectors = _area_vectors(vertices, faces)
    area = np.linalg.norm(vectors, axis=1)
    middle = vertices[faces].mean(axis=1)
    total = np.bincount(patch, area)
    origin = _sums(patch, middle * area[:, None]) / total[:, None]
    volume = np.bincount(patch, np.einsum("ij,ij->i", middle - origin[patch], vectors))
    closed = np.linalg.norm(_sums(patch, vectors), axis=1) < _CLOSED * total
    turned = (closed & (volume < 0))[patch]
    return np.ascontiguousarray(np.where(turned[:, None], faces[:, ::-1], faces))


def _sums(group: Integers, values: Floats) -> Floats:
    """Sums of the rows of `values` (n, 3) with the same `group` (n,)."""
    return np.stack([np.bincount(group, column) for column in values.T], axis=1)
