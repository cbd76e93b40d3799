"""The codec of the voxel models: truncated signed distances and colours on grids, and the mesh that they stand for.

Nothing here is trained.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from multigen.errors import UsageError
from multigen_models.shapes.solid import solidify
from multigen_models.shapes.surface import Floats, Integers, Surface

FOLD = 4
"""Cells of the distance grid along the edge of a packed position."""
_BAND = 3.0  # voxels from the boundary to the cells that have a colour
_MERGE = 1e-3  # voxels within which corners of triangles are one
_CLEARANCE = 0.01  # voxels that a cell's centre keeps from the level
_FEWEST = 1e-3  # of all cells, so many are inside where the distances say that none is


@final
@dataclass(frozen=True)
class DistanceGrid:
    """Signed distances and colours of a solid on grids over a cube, and back.

    A voxel is a cell of the distance grid. Cell `i` of an axis is centred `i + 1/2 - margin` voxels from the side of
    [-1, 1]^3, so `margin` voxels stay empty around a shape that fills that cube. Arrays are indexed [x, y, z].

    Args:
        resolution: cells of the distance grid along each axis, a multiple of 4.
        color_resolution: cells of the colour grid along each axis, half as many.
        truncation: distance in voxels that becomes 1, at least 3.
        margin: voxels around [-1, 1]^3.
        speck: connected pieces of a rebuilt mesh with less than this share of the largest one's volume are dropped.
    """

    resolution: int = 64
    color_resolution: int = 32
    truncation: float = 4.0
    margin: int = 2
    speck: float = 0.01

    def __post_init__(self) -> None:
        if self.resolution % FOLD or self.resolution <= 2 * self.margin:
            raise ValueError(f"resolution is {self.resolution}; it must be a multiple of 4 above twice the margin")
        if self.color_resolution * 2 != self.resolution:
            raise ValueError(f"color_resolution is {self.color_resolution}; it must be half of {self.resolution}")
        if not self.truncation >= _BAND:
            raise ValueError(f"truncation is {self.truncation}; it must be at least 3 voxels")

    @property
    def voxel(self) -> float:
        """Edge of a cell of the distance grid, in units of the cube [-1, 1]^3."""
        return 2 / (self.resolution - 2 * self.margin)

    def analyse(self, vertices: Tensor, faces: Tensor, face_colors: Tensor, /) -> tuple[Tensor, Tensor]:
        """Grids of a mesh, which may be open, intersect itself and consist of any number of shells.

        See `solidify` for what is inside. The colour of a cell is that of the closest face seen from outside,
        averaged over the cell.

        Args:
            vertices: (v, 3) in [-1, 1].
            faces: (f, 3) indices of vertices.
            face_colors: (f, 3) sRGB in [0, 1].

        Returns:
            distance: (n, n, n) in [-1, 1], signed distance over truncation, negative inside.
            color: (3, m, m, m) sRGB in [-1, 1] in the cells that interpolation at the surface needs; 0 elsewhere.

        Raises:
            UsageError: there is no triangle with an area, or a coordinate is not finite or outside of the grid.
        """
        xyz = vertices.detach().cpu().numpy().astype(np.float64)
        triangles = faces.detach().cpu().numpy().astype(np.int64)
        self._check(xyz, triangles)
        surface, kept = Surface.clean((xyz + 1) / self.voxel + (self.margin - 0.5), triangles, tolerance=_MERGE)
        if not len(kept):
            raise UsageError(f"the mesh has {len(triangles)} faces but none with an area; give one with a surface")
        solid = solidify(surface, self.resolution, reach=self.truncation)
        rgb = face_colors.detach().cpu().numpy().astype(np.float64)[kept]
        color = self._color(solid.distance, solid.face, rgb * 2 - 1)
        distance = np.clip(solid.distance / self.truncation, -1, 1)
        return torch.from_numpy(distance.astype(np.float32)), torch.from_numpy(color.astype(np.float32))

    def synthesise(self, distance: Tensor, color: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
        """A mesh of the boundary, for any finite grids: closed, wound outwards, of positive volume, never empty.

        Marching cubes (Lewiner et al., "Efficient implementation of marching cubes' cases with topological
        guarantees", 2003) at level 0, outside of the grid is outside of the solid. Cavities are filled and specks
        dropped. If no cell is negative, a thousandth of all cells, those of the lowest values, is taken for the inside.

        Args:
            distance: (n, n, n), as `analyse` returns it.
            color: (3, m, m, m), as `analyse` returns it.

        Returns:
            vertices: (v, 3) in units of the cube.
            faces: (f, 3) int64, counter-clockwise from outside.
            colors: (v, 3) sRGB in [0, 1].

        Raises:
            UsageError: a value is not finite.
        """
        field = distance.detach().cpu().numpy().astype(np.float64)
        shade = color.detach().cpu().numpy().astype(np.float64)
        if not (np.isfinite(field).all() and np.isfinite(shade).all()):
            raise UsageError("the grids hold values that are not finite; generate them again with another seed")
        vertices, faces = _without_specks(*self._march(field), self.speck)
        colors = self._colors_at(vertices, field, shade)
        vertices = (vertices + (0.5 - self.margin)) * self.voxel - 1
        return (
            torch.from_numpy(vertices.astype(np.float32)),
            torch.from_numpy(faces),
            torch.from_numpy(colors.astype(np.float32)),
        )

    def pack(self, distance: Tensor, color: Tensor, /) -> Tensor:
        """Space to depth: (..., n, n, n) and (..., 3, m, m, m) to (..., 88, n / 4, n / 4, n / 4)."""
        cells = rearrange(distance, "... (x i) (y j) (z k) -> ... (i j k) x y z", i=FOLD, j=FOLD, k=FOLD)
        half = FOLD // 2
        shades = rearrange(color, "... c (x i) (y j) (z k) -> ... (c i j k) x y z", i=half, j=half, k=half)
        return torch.cat([cells, shades], dim=-4)

    def unpack(self, packed: Tensor, /) -> tuple[Tensor, Tensor]:
        """The inverse of `pack`."""
        cells, shades = packed.split([FOLD**3, packed.shape[-4] - FOLD**3], dim=-4)
        half = FOLD // 2
        return (
            rearrange(cells, "... (i j k) x y z -> ... (x i) (y j) (z k)", i=FOLD, j=FOLD, k=FOLD),
            rearrange(shades, "... (c i j k) x y z -> ... c (x i) (y j) (z k)", i=half, j=half, k=half),
        )

    def _check(self, vertices: Floats, faces: Integers) -> None:
        if not len(faces) or not len(vertices):
            raise UsageError("the mesh has no faces; give one with triangles")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise UsageError(f"a face names vertex {faces.max()}, but the mesh has vertices 0 to {len(vertices) - 1}")
        if not np.isfinite(vertices).all():
            raise UsageError("the mesh has vertices that are NaN or infinite; repair it or give another one")
        reach, limit = abs(vertices).max(), 1 + (self.margin - 1) * self.voxel
        if reach > limit:
            raise UsageError(f"the mesh reaches {reach:.4g} from the origin, beyond {limit:.4g}; scale it to [-1, 1]")

    def _band(self, distance: Floats) -> Floats:
        """(m, m, m) least distance in voxels of the voxels in each cell of the colour grid."""
        return rearrange(abs(distance), "(x i) (y j) (z k) -> x y z (i j k)", i=2, j=2, k=2).min(axis=-1)

    def _color(self, distance: Floats, face: Integers, rgb: Floats) -> Floats:
        """(3, m, m, m), from distances in voxels, closest faces and their colours."""
        weight = np.where(face >= 0, 1 / (0.25 + distance**2), 0)
        cells = "(x i) (y j) (z k) ... -> x y z (i j k) ..."
        total = rearrange(weight, cells, i=2, j=2, k=2).sum(axis=3)
        mixed = rearrange(weight[..., None] * rgb[face], cells, i=2, j=2, k=2).sum(axis=3)
        valid = (self._band(distance) < _BAND) & (total > 0)
        return np.moveaxis(np.where(valid[..., None], mixed / np.maximum(total, 1e-9)[..., None], 0), -1, 0)

    def _colors_at(self, points: Floats, field: Floats, color: Floats) -> Floats:
        """(p, 3) sRGB in [0, 1] at `points` (p, 3) in voxels: trilinear between cells in which there is a colour."""
        weight = np.maximum(1 - self._band(field * self.truncation) / _BAND, 0) + 1e-6
        at = np.clip((points - 0.5) / 2, 0, self.color_resolution - 1)
        low = np.minimum(np.floor(at).astype(np.int64), self.color_resolution - 2)
        share = at - low
        total, mixed = np.zeros(len(points)), np.zeros((len(points), 3))
        for corner in itertools.product((0, 1), repeat=3):
            cell = tuple((low + corner).T)
            w = np.prod(np.where(corner, share, 1 - share), axis=1) * weight[cell]
            total += w
            mixed += w[:, None] * color[(slice(None), *cell)].T
        return np.clip((mixed / total[:, None] + 1) / 2, 0, 1)

    def _march(self, field: Floats) -> tuple[Floats, Integers]:
        """Vertices (v, 3) in voxels and faces (f, 3) of the boundary of the cells below 0."""
        from scipy import ndimage
        from skimage.measure import marching_cubes

        clearance = _CLEARANCE / self.truncation
        if not (field < 0).any():
            few = max(1, round(_FEWEST * field.size))
            field = field - np.partition(field, few - 1, axis=None)[few - 1] - clearance
        # A vertex on a cell's centre would be several vertices in one place.
        field = np.where(field < 0, np.minimum(field, -clearance), np.maximum(field, clearance))
        field = np.pad(field, 1, constant_values=1.0)
        while True:
            field = np.where(ndimage.binary_fill_holes(field < 0), -abs(field), field)
            vertices, faces, _, _ = marching_cubes(field.astype(np.float32), 0.0)
            faces = faces.astype(np.int64)
            crowded = _crowded_edges(faces)
            if not len(crowded):
                return vertices.astype(np.float64) - 1, faces
            # Rarely, in a knot of sheets thinner than a cell, four triangles share an edge. The cells around it go
            # inside; this ends, because cells only ever go inside and a full grid has no such edge.
            for ends in vertices[crowded]:
                cells = tuple(
                    map(slice, np.floor(ends.min(axis=0)).astype(int), np.ceil(ends.max(axis=0)).astype(int) + 1)
                )
                field[cells] = -abs(field[cells])


def _crowded_edges(faces: Integers) -> Integers:
    """(e, 2) edges that do not have exactly one face on either side."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    low, high = edges.min(axis=1), edges.max(axis=1)
    code, first, index = np.unique(low * (faces.max() + 1) + high, return_index=True, return_inverse=True)
    forward = np.bincount(index.reshape(-1), edges[:, 0] < edges[:, 1], minlength=len(code))
    both = np.bincount(index.reshape(-1), minlength=len(code))
    return edges[first[(forward != 1) | (both != 2)]]


def _without_specks(vertices: Floats, faces: Integers, share: float) -> tuple[Floats, Integers]:
    """Only connected pieces of at least `share` of the largest one's volume."""
    from scipy.sparse import coo_array, csgraph

    links = coo_array(
        (np.ones(len(faces) * 2), (np.tile(faces[:, 0], 2), np.append(faces[:, 1], faces[:, 2]))),
        shape=(len(vertices),) * 2,
    )
    _, piece = csgraph.connected_components(links, directed=False)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = np.bincount(piece[faces[:, 0]], np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)
    large = volume >= share * volume.max()
    used = large[piece]
    return vertices[used], (np.cumsum(used) - 1)[faces[large[piece[faces[:, 0]]]]]
