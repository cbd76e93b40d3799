"""Writers of OBJ, PLY, STL, XYZ and NPZ: geometry and tags to the bytes of a file.

They are our own because the ones of trimesh have no place for tags, and write colours where they choose to.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping

import numpy as np

from multigen_3d.geometry import Geometry
from multigen_3d.tags import stl_header, to_lines

_ROWS = 65_536


def obj(mesh: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """Wavefront OBJ with colours behind the coordinates, as MeshLab, Blender and ZBrush take them."""
    comments = "".join(f"# {line}\n" for line in to_lines(tags))
    vertices = np.hstack([mesh.vertices, mesh.colors])
    rows = [*_rows("v %.9g %.9g %.9g %.5g %.5g %.5g\n", vertices), *_rows("f %d %d %d\n", mesh.faces + 1)]
    return (comments + "".join(rows)).encode("ascii")


def xyz(cloud: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """A line for each point: x y z, and red green blue from 0 to 255."""
    comments = "".join(f"# {line}\n" for line in to_lines(tags))
    points = np.hstack([cloud.vertices, _bytes(cloud.colors)])
    return (comments + "".join(_rows("%.9g %.9g %.9g %d %d %d\n", points))).encode("ascii")


def _rows(template: str, values: np.ndarray) -> Iterator[str]:
    for start in range(0, len(values), _ROWS):
        block = values[start : start + _ROWS]
        yield template * len(block) % tuple(block.ravel().tolist())


def ply(geometry: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """Little-endian binary PLY of a mesh or a cloud."""
    names = ("x", "y", "z", "red", "green", "blue")
    vertices = np.empty(len(geometry.vertices), [(name, "<f4" if len(name) == 1 else "u1") for name in names])
    for name, column in zip(names, [*geometry.vertices.T, *_bytes(geometry.colors).T], strict=True):
        vertices[name] = column
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {line}" for line in to_lines(tags))]
    lines += [f"element vertex {len(vertices)}", *(f"property float {name}" for name in names[:3])]
    lines += [f"property uchar {name}" for name in names[3:]]
    body = vertices.tobytes()
    if len(geometry.faces):
        faces = np.empty(len(geometry.faces), [("count", "u1"), ("corners", "<i4", 3)])
        faces["count"], faces["corners"] = 3, geometry.faces
        lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        body += faces.tobytes()
    return "\n".join([*lines, "end_header", ""]).encode("ascii") + body


def stl(mesh: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """Binary STL: triangles alone, without colours."""
    header, words = stl_header(tags, len(mesh.faces))
    corners = np.ascontiguousarray(mesh.vertices, "<f4")[mesh.faces]
    across = np.cross(*(corners[:, i].astype(np.float64) - corners[:, 0] for i in (1, 2)))
    length = np.linalg.norm(across, axis=1, keepdims=True)
    layout = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]
    triangles = np.empty(len(mesh.faces), layout)
    triangles["normal"] = across / np.where(length > 0, length, 1)
    triangles["corners"] = corners
    triangles["attribute"] = words
    return header + len(triangles).to_bytes(4, "little") + triangles.tobytes()


def npz(cloud: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """A zip of NumPy arrays: points (n, 3), colors (n, 3) in [0, 1], and tags, lines of text."""
    file = io.BytesIO()
    arrays = {"points": cloud.vertices.astype(np.float32), "colors": cloud.colors.astype(np.float32)}
    np.savez_compressed(file, **arrays, tags=np.array(to_lines(tags), dtype=np.str_))  # type: ignore[arg-type]
    return file.getvalue()


def _bytes(colors: np.ndarray) -> np.ndarray:
    whole: np.ndarray = np.rint(colors * 255).astype(np.uint8)
    return whole
