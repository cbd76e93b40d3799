"""Signed distance of the solid that a surface encloses, at the points of a cubic lattice; lengths in voxels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from multigen_models.shapes.surface import Booleans, Floats, Integers, Surface, thin_parts

SHELL = 0.8  # radius of what stands for a part in which no ball of this radius fits

_BLOCK = 4
_SPACING = 0.45  # of the samples among which thin parts are looked for
_SURE = 0.3  # a winding number so far from 1/2 decides for its surroundings
_FOOT_GAP = 0.3  # square of the typical distance from a point of the boundary to the closest foot


@final
@dataclass(frozen=True)
class Solid:
    """A solid at the points of an (n, n, n) lattice.

    distance: to its boundary, negative inside, at most `reach` in magnitude. face: the face of the surface that is
    closest, of those that are seen from outside; -1 beyond `reach`.
    """

    distance: Floats
    face: Integers


def solidify(surface: Surface, n: int, /, *, reach: float) -> Solid:
    """The solid that `surface` encloses.

    A point is inside where the generalised winding number is above 1/2, so holes are closed and shells united, and
    within the box of the surface, beyond which doubled walls would go on through an opening. What is too thin for the
    lattice, down to sheets, is replaced by a shell of radius `SHELL` around its middle, and cavities without a way out
    are filled. Distances are those to the boundary that remains: surface inside of the solid does not count.

    Args:
        surface: vertices in voxels; lattice point (i, j, k) is at that position.
        n: lattice points along each axis, a multiple of 4.
        reach: distances beyond are not computed.
    """
    cells = _near(n, reach, lambda points: surface.closest(points)[0])
    to_surface, face = np.full((n, n, n), np.inf), np.full((n, n, n), -1)
    at = tuple(cells.T)
    to_surface[at], face[at], foot = surface.closest(cells.astype(np.float64))
    winding = np.where(_beyond(surface, n), 0, _windings(surface, cells, to_surface, foot))
    inside = winding > 0.5
    cover = _Nearest.of(_covers(winding, to_surface), n, reach)
    shell = _Nearest.of(_lost(surface, inside, to_surface), n, reach + SHELL)
    to_cover, to_shell = cover.distance, shell.distance - SHELL
    solid = _filled(inside | (to_shell < 0))
    outside = np.minimum(np.minimum(to_surface, to_cover), to_shell)

    edge = ~solid & (outside < 2)
    feet = np.full((n, n, n, 3), np.nan)
    feet[at] = foot
    covered, thickened = edge & (to_cover == outside), edge & (to_shell == outside)
    feet[covered] = cover.points[cover.index[covered]]
    feet[thickened] = _pushed(np.argwhere(thickened), shell.points[shell.index[thickened]])
    boundary = _Nearest.of(feet[edge], n, reach, wanted=solid)
    # Exact, unless surface inside of the solid, which does not count, is closer than its boundary.
    depth = np.maximum(np.where(inside, np.minimum(to_surface, to_cover), 0), -np.minimum(to_shell, 0))
    beyond = np.sqrt(np.maximum(boundary.distance**2 - _FOOT_GAP, 0))
    hidden = solid & (beyond > depth) & (boundary.index >= 0)
    face[hidden] = face[edge][boundary.index[hidden]]
    distance = np.where(solid, -np.maximum(depth, beyond), outside)
    return Solid(np.clip(distance, -reach, reach), face)


@final
@dataclass(frozen=True)
class _Nearest:
    """The closest one of `points` to each lattice point: its distance, and its index, -1 beyond reach."""

    points: Floats
    distance: Floats
    index: Integers

    @classmethod
    def of(cls, points: Floats, n: int, reach: float, *, wanted: Booleans | None = None) -> _Nearest:
        from scipy.spatial import cKDTree

        distance, index = np.full((n, n, n), np.inf), np.full((n, n, n), -1)
        if len(points):
            tree = cKDTree(points)
            cells = _near(n, reach, lambda queries: tree.query(queries, distance_upper_bound=2 * reach)[0])
            if wanted is not None:
                cells = cells[wanted[tuple(cells.T)]]
            away, closest = tree.query(cells, distance_upper_bound=reach)
            found = away < np.inf
            at = tuple(cells[found].T)
            distance[at], index[at] = away[found], closest[found]
        return cls(points, distance, index)


def _pushed(cells: Integers, middles: Floats) -> Floats:
    """Points at the distance `SHELL` from `middles` (k, 3), towards `cells` (k, 3)."""
    ahead = cells - middles
    return middles + ahead * (SHELL / np.linalg.norm(ahead, axis=1, keepdims=True))


def _near(n: int, reach: float, distance: Callable[[Floats], Floats]) -> Integers:
    """(m, 3) lattice points of the blocks that come within `reach`, block by block."""
    blocks = np.indices((n // _BLOCK,) * 3).reshape(3, -1).T * _BLOCK
    half = (_BLOCK - 1) / 2
    near = blocks[distance((blocks + half).astype(np.float64)) < reach + half * math.sqrt(3)]
    cells = near[:, None] + np.indices((_BLOCK,) * 3).reshape(3, -1).T
    return cells.reshape(-1, 3)


def _beyond(surface: Surface, n: int) -> Booleans:
    """Lattice points (n, n, n) outside of the box of `surface`."""
    corners = surface.vertices[surface.faces]
    steps = np.arange(n)[:, None]
    within = (corners.min((0, 1)) <= steps) & (steps <= corners.max((0, 1)))
    beyond: Booleans = ~(within[:, None, None, 0] & within[:, None, 1] & within[:, 2])
    return beyond


def _windings(surface: Surface, cells: Integers, to_surface: Floats, foot: Floats) -> Floats:
    """Winding numbers (n, n, n), computed only where they may differ from those of neighbours.

    A winding number is harmonic off the surface, and of a closed surface constant. So the points of a block that are
    joined by lines clear of the surface form a piece, for all of which the deepest point speaks, unless it is
    undecided or the piece reaches around an edge of the surface. Blocks far from the surface are pieces as a whole.

    Args:
        cells: (m, 3) lattice points close to the surface, whole blocks.
        to_surface: (n, n, n) distance from the surface.
        foot: (m, 3) the closest points of the surface.
    """
    n, at = len(to_surface), tuple(cells.T)
    distance = to_surface[at]
    piece, around = _pieces(distance, cells - foot)
    deepest = np.empty(piece.max() + 1, dtype=np.int64)
    order = np.argsort(distance)
    deepest[piece[order]] = order
    far = np.ones((n // _BLOCK,) * 3, dtype=bool)
    far[tuple((cells // _BLOCK).T)] = False
    label = np.full(far.shape, -1)
    label[far] = len(deepest) + np.arange(far.sum())
    label = label.repeat(_BLOCK, 0).repeat(_BLOCK, 1).repeat(_BLOCK, 2)
    label[at] = piece

    w = surface.winding(np.concatenate([cells[deepest], np.argwhere(far) * _BLOCK + (_BLOCK - 1) / 2]))
    undecided = abs(w - 0.5) < _SURE
    undecided[around] = True
    winding, each = w[label], undecided[label]
    if each.any():
        winding[each] = surface.winding(np.argwhere(each).astype(np.float64))
    return winding


def _pieces(distance: Floats, away: Floats) -> tuple[Integers, Integers]:
    """The piece (m,) to which each point of some blocks belongs, and the pieces that lie on both sides of a surface.

    Args:
        distance: (m,) from the surface.
        away: (m, 3) vectors from the surface to the points.
    """
    from scipy.sparse import coo_array, csgraph

    index = np.arange(len(distance)).reshape(-1, _BLOCK, _BLOCK, _BLOCK)
    one = np.concatenate([index[:, :-1].ravel(), index[:, :, :-1].ravel(), index[..., :-1].ravel()])
    other = np.concatenate([index[:, 1:].ravel(), index[:, :, 1:].ravel(), index[..., 1:].ravel()])
    clear = distance[one] + distance[other] > 1
    links = coo_array((np.ones(clear.sum(), dtype=bool), (one[clear], other[clear])), shape=(len(distance),) * 2)
    _, piece = csgraph.connected_components(links, directed=False)
    one, other = one[~clear], other[~clear]
    faced = np.einsum("ij,ij->i", away[one], away[other]) < 0
    return piece.astype(np.int64), piece[one[faced & (piece[one] == piece[other])]]


def _covers(winding: Floats, to_surface: Floats) -> Floats:
    """Points (m, 3) of the covers of holes: where the winding number passes 1/2 without a surface."""
    found = []
    for axis in range(3):
        here = (slice(None),) * axis + (slice(None, -1),)
        there = (slice(None),) * axis + (slice(1, None),)
        w, ahead = winding[here], winding[there]
        crossing = ((w > 0.5) != (ahead > 0.5)) & (to_surface[here] + to_surface[there] > 1)
        points = np.argwhere(crossing).astype(np.float64)
        points[:, axis] += (0.5 - w[crossing]) / (ahead[crossing] - w[crossing])
        found.append(points)
    return np.concatenate(found)


def _lost(surface: Surface, inside: Booleans, to_surface: Floats) -> Floats:
    """Middles (m, 3) of the parts of `surface` that the lattice does not resolve."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    def solid(q: Floats) -> Booleans:
        near = np.clip(np.rint(q), 0, len(inside) - 1).astype(np.int64)
        at = tuple(near.T)
        answer = inside[at]
        crossed = np.linalg.norm(q - near, axis=1) >= to_surface[at]
        if crossed.any():
            answer[crossed] = surface.winding(q[crossed]) > 0.5
        return answer

    points, faces = surface.samples(_SPACING)
    third = np.rint(points * 3).astype(np.int64)
    _, first = np.unique(third @ (1, 8 * len(inside), (8 * len(inside)) ** 2), return_index=True)
    points, faces = points[first], faces[first]
    thick = np.argwhere(ndimage.binary_erosion(inside) & (to_surface < 2 + SHELL)).astype(np.float64)
    away, _ = cKDTree(thick).query(points, distance_upper_bound=2 * SHELL)
    doubtful = np.isinf(away)
    return thin_parts(surface, points[doubtful], faces[doubtful], thick, solid, radius=SHELL)


def _filled(solid: Booleans) -> Booleans:
    """`solid` and the cavities that have no way out."""
    from scipy import ndimage

    filled: Booleans = ndimage.binary_fill_holes(solid)
    return filled
