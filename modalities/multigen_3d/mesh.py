"""The last steps of a shape: smoothing, fewer faces, size and place; and how sound a mesh is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from multigen.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from multigen.modality import Sample

# Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995: lambda, and mu for a pass band of 0.1.
_SHRINK, _GROW = 0.5, 0.526


def finish(sample: Sample, /, *, size: float, smooth: int, faces: int) -> Sample:
    """Smooth a mesh or a point cloud and simplify a mesh, then scale it and stand it on the ground.

    A mesh that is watertight and consistently wound stays so: smoothing moves vertices only, and an edge is collapsed
    only where that keeps the surface a manifold. Colours are taken from the closest point of the mesh before.

    Args:
        sample: {"vertices", "faces", "colors"} or {"points", "colors"}.
        size: longest side of the bounding box in metres. The result is centred on x = z = 0 and starts at y = 0.
        smooth: rounds of smoothing; 0 for none. Those of a mesh are Taubin's and nearly keep its volume, those of a
            cloud bring its points onto its surfaces (`multigen_3d.cloud.smoothed`).
        faces: most triangles, 0 for all. Tunnels and separate pieces need some; then there are as few as possible.

    Raises:
        UsageError: `faces` for a point cloud, or for a mesh that is no oriented manifold.
    """
    shaped = _shaped(sample, smooth=smooth, faces=faces)
    key = "points" if "points" in shaped else "vertices"
    return {**shaped, key: _placed(shaped[key], size=size)}


def finish_in_place(made: Sample, given: Sample, /, *, size: float, smooth: int, faces: int) -> Sample:
    """`finish`, but the box around `given` decides where it goes and how large it is, not that around the result.

    Args:
        made: in the cube [-1, 1]^3, in which `given` was centred with its longest side as 2.
        size: longest side of `given` in the result; where it is another than it was, its foot stays where it is.
    """
    shaped = _shaped(made, smooth=smooth, faces=faces)
    key = "points" if "points" in shaped else "vertices"
    low, high = bounds(given)
    longest = (high - low).max()
    foot, middle = (low + high) / 2, (low + high) / 2
    foot[1] = low[1]
    placed = foot + (shaped[key].double() * longest / 2 + middle - foot) * (size / longest)
    return {**shaped, key: placed.to(shaped[key])}


def bounds(sample: Sample, /) -> tuple[Tensor, Tensor]:
    """The corners (3,) of the box around the faces of a mesh, or the points of a cloud, float64."""
    used = sample["vertices"][sample["faces"].flatten()] if "faces" in sample else sample["points"]
    low, high = (corner.double() for corner in used.aminmax(dim=0))
    return low, high


def _shaped(sample: Sample, *, smooth: int, faces: int) -> Sample:
    if "points" in sample:
        if faces:
            raise UsageError("--faces needs a mesh, and this is a point cloud: leave it out, or give a mesh --model")
        return _consolidated(sample, rounds=smooth) if smooth else sample
    if smooth:
        sample = _smoothed(sample, rounds=smooth)
    if 0 < faces < len(sample["faces"]):
        sample = _simplified(sample, faces=faces)
    return sample


class Quality(TypedDict):
    """How sound a mesh is."""

    watertight: bool
    """Every edge has exactly two faces."""
    winding_consistent: bool
    """The two faces of every edge run through it in opposite directions."""
    volume: float
    """Enclosed, in cubed units of the vertices; negative where the faces look inwards. Without a meaning unless
    watertight and winding_consistent."""
    components: int
    """Pieces whose faces hang together by edges."""
    genus: int | None
    """Tunnels through all pieces together, by Euler's formula; None unless watertight."""


def quality(sample: Sample, /) -> Quality:
    """How sound a mesh is.

    Raises:
        UsageError: the sample is a point cloud or has no faces.
    """
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from multigen_3d.triangles import fans, shared_edges

    if "points" in sample or not len(sample["faces"]):
        raise UsageError("the quality of a mesh was asked of what has no faces; give a mesh")
    vertices, faces = _arrays(sample)
    one, two = shared_edges(faces)
    paired = np.bincount(np.concatenate([one, two]), minlength=faces.size) == 1
    alone = paired[one] & paired[two]  # two faces at one edge, and no third
    watertight = bool(paired.all())
    start = faces.ravel()
    shared = coo_array((np.ones(len(one), dtype=bool), (one // 3, two // 3)), shape=(len(faces),) * 2)
    components = int(connected_components(shared, directed=False)[0])
    # Where pieces only touch, the vertex counts once for each.
    euler = len(np.unique(fans(faces, one, two))) - faces.size // 2 + len(faces)
    return {
        "watertight": watertight,
        "winding_consistent": bool((start[one] != start[two])[alone].all()),
        "volume": _volume(vertices[faces]),
        "components": components,
        "genus": components - euler // 2 if watertight else None,
    }


def _volume(corners: np.ndarray) -> float:
    """Enclosed by triangles (n, 3, 3), from tetrahedra to the origin; that of trimesh warns where it is 0."""
    import numpy as np

    first, second, third = corners.astype(np.float64).swapaxes(0, 1)
    return float((first * np.cross(second, third)).sum() / 6)


def _consolidated(sample: Sample, *, rounds: int) -> Sample:
    import torch

    from multigen_3d.cloud import smoothed

    points = smoothed(sample["points"].numpy(), rounds=rounds)
    return {**sample, "points": torch.from_numpy(points).to(sample["points"])}


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
