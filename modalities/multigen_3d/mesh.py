"""The last steps of a shape: smoothing, fewer faces, size and place; and how sound a mesh is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multigen.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from multigen.modality import Sample

# Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995: lambda, and mu for a pass band of 0.1.
_SHRINK, _GROW = 0.5, 0.526
_SYMMETRY_POINTS = 4096
_SYMMETRY_TOLERANCE = 0.02


def finish(sample: Sample, /, *, size: float, smooth: int, faces: int) -> Sample:
    """Smooth and simplify a mesh, then scale a mesh or a point cloud and stand it on the ground.

    A mesh that is watertight and consistently wound stays so: smoothing moves vertices only, and an edge is collapsed
    only where that keeps the surface a manifold. Colours are taken from the closest point of the mesh before.

    Args:
        sample: {"vertices", "faces", "colors"} or {"points", "colors"}.
        size: longest side of the bounding box in metres. The result is centred on x = z = 0 and starts at y = 0.
        smooth: rounds of Taubin smoothing, which keep the volume nearly; 0 for none.
        faces: most triangles, 0 for all. Tunnels and separate pieces need some; then there are as few as possible.

    Raises:
        UsageError: `smooth` or `faces` for a point cloud, or `faces` for a mesh that is no oriented manifold.
    """
    if "points" in sample:
        if smooth or faces:
            raise UsageError(
                "--smooth and --faces need a mesh, and this is a point cloud: leave them out, or give a mesh --model"
            )
        return {**sample, "points": _placed(sample["points"], size=size)}
    if smooth:
        sample = _smoothed(sample, rounds=smooth)
    if 0 < faces < len(sample["faces"]):
        sample = _simplified(sample, faces=faces)
    return {**sample, "vertices": _placed(sample["vertices"], size=size)}


def quality(sample: Sample, /) -> dict[str, bool | int | float | None]:
    """How sound a mesh is.

    Returns:
        watertight: every edge has exactly two faces.
        winding_consistent: the two faces of every edge run through it in opposite directions.
        volume: enclosed, in cubed units of the vertices; negative where the faces look inwards. Without a meaning
            unless watertight and winding_consistent.
        components: pieces whose faces hang together by edges.
        genus: tunnels through all pieces together, by Euler's formula; None unless watertight.
        symmetry: share of the surface whose mirror image in the middle plane x = const of the bounding box lies
            within 2 % of the longest side of the surface, by 4,096 points; 1 is symmetric.

    Raises:
        UsageError: the sample is a point cloud or has no faces.
    """
    import numpy as np
    import trimesh
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from multigen_3d.triangles import fans, shared_edges

    if "points" in sample or not len(sample["faces"]):
        raise UsageError("the quality of a mesh was asked of what has no faces; give a mesh")
    vertices, faces = _arrays(sample)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    one, two = shared_edges(faces)
    shared = coo_array((np.ones(len(one), dtype=bool), (one // 3, two // 3)), shape=(len(faces),) * 2)
    components = int(connected_components(shared, directed=False)[0])
    # Where pieces only touch, the vertex counts once for each.
    euler = len(np.unique(fans(faces, one, two))) - faces.size // 2 + len(faces)
    return {
        "watertight": bool(mesh.is_watertight),
        "winding_consistent": bool(mesh.is_winding_consistent),
        "volume": float(mesh.volume),
        "components": components,
        "genus": components - euler // 2 if mesh.is_watertight else None,
        "symmetry": _symmetry(vertices, faces),
    }


def _symmetry(vertices: np.ndarray, faces: np.ndarray) -> float:
    import igl
    import numpy as np
    import trimesh

    low, high = vertices.min(0), vertices.max(0)
    points, _ = trimesh.sample.sample_surface(trimesh.Trimesh(vertices, faces, process=False), _SYMMETRY_POINTS, seed=0)
    mirrored = np.stack([low[0] + high[0] - points[:, 0], points[:, 1], points[:, 2]], axis=-1)
    square, *_ = igl.point_mesh_squared_distance(mirrored, vertices, faces)
    return float(np.mean(square <= (_SYMMETRY_TOLERANCE * (high - low).max()) ** 2))


def _smoothed(sample: Sample, *, rounds: int) -> Sample:
    import torch
    import trimesh

    smoothing: Any = trimesh.smoothing
    mesh = trimesh.Trimesh(*_arrays(sample), process=False)
    # A round is a step inwards and one outwards.
    smoothing.filter_taubin(mesh, lamb=_SHRINK, nu=_GROW, iterations=2 * rounds)
    return {**sample, "vertices": torch.from_numpy(mesh.vertices.copy()).to(sample["vertices"])}


def _simplified(sample: Sample, *, faces: int) -> Sample:
    """By quadric error (Garland and Heckbert, SIGGRAPH 1997), without collapses that break the manifold (libigl)."""
    import igl
    import numpy as np
    import torch
    from scipy.spatial import cKDTree

    vertices, triangles = _arrays(sample)
    apart, triangles = _manifold(vertices, triangles)
    simple, triangles, *_ = igl.qslim(np.asfortranarray(apart), np.asfortranarray(triangles, dtype=np.int32), faces)
    _, nearest = cKDTree(vertices).query(simple)
    return {
        **sample,
        "vertices": torch.from_numpy(np.ascontiguousarray(simple)).to(sample["vertices"]),
        "faces": torch.from_numpy(np.ascontiguousarray(triangles)).to(sample["faces"]),
        "colors": sample["colors"][torch.from_numpy(nearest).to(sample["colors"].device)],
    }


def _manifold(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh with a vertex of its own for each of the pieces that only touch in one.

    Raises:
        UsageError: an edge has more than two faces, or two that disagree about the outside. (On such a mesh libigl
            does not end.)
    """
    import numpy as np

    from multigen_3d.triangles import fans, shared_edges

    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    if len(np.unique(start * len(vertices) + end)) < faces.size or (start == end).any():
        raise UsageError(
            "--faces needs a mesh with at most two faces at each edge, both of them wound the same way: leave it out"
        )
    corners, faces = np.unique(fans(faces, *shared_edges(faces)), return_index=True, return_inverse=True)[1:]
    return vertices[start[corners]], faces.reshape(-1, 3)


def _placed(points: Tensor, *, size: float) -> Tensor:
    """The longest side of the bounding box as the size, its middle at x = z = 0, its bottom at y = 0."""
    low, high = points.amin(0), points.amax(0)
    longest = float((high - low).max())
    origin = (low + high) / 2
    origin[1] = low[1]
    return (points - origin) * (size / longest if longest else 1.0)


def _arrays(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Vertices, float64, and faces, int64."""
    return sample["vertices"].detach().cpu().double().numpy(), sample["faces"].cpu().long().numpy()
