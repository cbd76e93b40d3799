"""What is drawn of a sample: triangles in the unit sphere, with a normal and a colour at each corner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from multigen.errors import UsageError
from multigen_3d.srgb import to_linear

if TYPE_CHECKING:
    import numpy as np

    from multigen.modality import Sample

_CREASE = 40.0  # degrees; faces that bend more at their edge are not shaded as one surface
_MAX_BALLS = 200_000
_FINE_BALLS = 20_000
_LEAST_BALL = 0.02
_NEIGHBOURS = 6
_BALL_SHARE = 0.35  # of the distance to the sixth neighbour: balls of an even cloud nearly touch


@final
@dataclass(frozen=True, kw_only=True)
class Triangles:
    """Arrays of shape (f, 3 corners, 3), float32."""

    corners: np.ndarray
    """Coordinates. The bounding box is centred on 0 and the farthest corner is at distance 1."""
    normals: np.ndarray
    """Of length 1; 0 where a face has no area."""
    colors: np.ndarray
    """Linear RGB in [0, 1]."""


def triangles(sample: Sample, /) -> Triangles:
    """The faces of a mesh, smoothly shaded except at creases, or small balls for the points of a cloud.

    Of more than 200,000 points every k-th is drawn.

    Raises:
        UsageError: there are no faces or points, or a coordinate is not finite.
    """
    return _balls(sample) if "points" in sample else _faces(sample)


def _faces(sample: Sample) -> Triangles:
    vertices, faces, colors = (sample[key].detach().cpu().numpy() for key in ("vertices", "faces", "colors"))
    if not len(faces):
        raise UsageError("the mesh has no faces, so there is nothing to draw; give a mesh with faces")
    corners = _in_unit_sphere(vertices[faces])
    return Triangles(corners=corners, normals=_corner_normals(faces, corners), colors=_light(colors)[faces])


def _balls(sample: Sample) -> Triangles:
    import numpy as np
    import trimesh

    points, colors = (sample[key].detach().cpu().numpy() for key in ("points", "colors"))
    if not len(points):
        raise UsageError("the cloud has no points, so there is nothing to draw; give a cloud with points")
    step = math.ceil(len(points) / _MAX_BALLS)
    points, colors = _in_unit_sphere(points[::step]), _light(colors[::step])
    ball = trimesh.creation.icosphere(subdivisions=1 if len(points) <= _FINE_BALLS else 0)
    normals = ball.vertices[ball.faces].astype(np.float32)
    corners = points[:, None, None] + _ball_radius(points) * normals
    shape = (len(points), *normals.shape)
    return Triangles(
        corners=_in_unit_sphere(corners.reshape(-1, 3, 3)),
        normals=np.broadcast_to(normals, shape).reshape(-1, 3, 3),
        colors=np.broadcast_to(colors[:, None, None], shape).reshape(-1, 3, 3),
    )


def _ball_radius(points: np.ndarray) -> float:
    import numpy as np
    from scipy.spatial import cKDTree

    k = min(_NEIGHBOURS, len(points) - 1)
    spacing, _ = cKDTree(points).query(points, k=[k + 1])
    # Even where most points are at one place, or there is only one, a ball has a size.
    return float(_BALL_SHARE * np.median(spacing)) or _LEAST_BALL


def _in_unit_sphere(points: np.ndarray) -> np.ndarray:
    import numpy as np

    rows = points.reshape(-1, 3).astype(np.float64)
    if not np.isfinite(rows).all():
        raise UsageError("the shape has coordinates that are NaN or infinite; give finite ones")
    rows -= (rows.min(0) + rows.max(0)) / 2
    radius = np.linalg.norm(rows, axis=-1).max()
    return (rows / (radius or 1)).reshape(points.shape).astype(np.float32)


def _corner_normals(faces: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(f, 3, 3): the mean over the faces that are reached around the vertex without crossing a crease, by area."""
    import numpy as np

    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).astype(np.float64)
    one, two = shared_edges(faces)
    normals = unit(areas)
    smooth = dot(normals[one // 3], normals[two // 3]) > math.cos(math.radians(_CREASE))
    group = fans(faces, one[smooth], two[smooth])
    sums = np.stack([np.bincount(group, np.repeat(area, 3)) for area in areas.T], axis=-1)
    return unit(sums)[group].reshape(corners.shape).astype(np.float32)


def shared_edges(faces: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of half-edges between the same two vertices, (e,) and (e,); of k at one edge each with the next.

    Half-edge h starts at corner h of the faces, (f, 3) counted through, and ends at the next corner of its face.
    """
    import numpy as np

    start, end = faces.ravel().astype(np.int64), np.roll(faces, -1, axis=1).ravel()
    edges = np.maximum(start, end) * (start.max(initial=0) + 1) + np.minimum(start, end)
    order = np.argsort(edges, kind="stable")
    paired = edges[order[1:]] == edges[order[:-1]]
    return order[:-1][paired], order[1:][paired]


def fans(faces: np.ndarray, one: np.ndarray, two: np.ndarray, /) -> np.ndarray:
    """(3 f,) a number for each corner: the same for those that the pairs of half-edges join around a vertex.

    All pairs of `shared_edges` make one fan of each vertex, or several where pieces only touch in it.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    start = faces.ravel()
    following = np.roll(np.arange(faces.size).reshape(-1, 3), -1, axis=1).ravel()
    along = start[one] == start[two]
    left = np.concatenate([one, following[one]])
    right = np.concatenate([np.where(along, two, following[two]), np.where(along, following[two], two)])
    joined = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(faces.size, faces.size))
    _, group = connected_components(joined, directed=False)
    return np.asarray(group)


def unit(vectors: np.ndarray, /) -> np.ndarray:
    """(..., 3) brought to length 1; 0 stays 0."""
    import numpy as np

    length = np.sqrt(dot(vectors, vectors))[..., None]
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def dot(a: np.ndarray, b: np.ndarray, /) -> np.ndarray:
    """The scalar product over the last axis."""
    import numpy as np

    product: np.ndarray = np.einsum("...i,...i", a, b)
    return product


def _light(srgb: np.ndarray) -> np.ndarray:
    import numpy as np

    return to_linear(np.clip(srgb, 0, 1)).astype(np.float32)
