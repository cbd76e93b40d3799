"""Readers: the bytes of a 3D file to geometries, through trimesh where it reads the format."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

import numpy as np

from multigen_3d import gltf
from multigen_3d.geometry import NO_FACES, FormatError, Geometry, by_face_colors, grey, placed, welded

MOST_UNPACKED = 1 << 30


class Beside:
    """The files beside a 3D file that it may name, textures and buffers; trimesh calls this a resolver.

    Nothing outside the file's folder is opened, and nothing is fetched.
    """

    def __init__(self, folder: Path, /) -> None:
        self._folder = folder.resolve()

    def get(self, name: str, /) -> bytes:
        """A file's bytes. Raises FileNotFoundError for what is not in the folder."""
        plain = unquote(name.strip()).replace("\\", "/")
        for candidate in (plain, plain.rpartition("/")[2]):
            path = (self._folder / candidate).resolve()
            if path.is_relative_to(self._folder) and path.is_file():
                return path.read_bytes()
        raise FileNotFoundError(name)

    __getitem__ = get


def scene(data: bytes, folder: Path, extension: str, /) -> Iterator[Geometry]:
    """The meshes and clouds that trimesh finds in a file, each where the scene puts it. Lines are left out.

    extension: with its dot, one that trimesh knows.
    """
    import trimesh

    resolver: Any = Beside(folder)
    painted: Mapping[str, np.ndarray] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Where numbers end early NumPy before 2.3 only warns, and trimesh would go on with what there was.
        warnings.filterwarnings("error", "string or file could not be read to its end", DeprecationWarning)
        if extension in (".glb", ".gltf"):
            found, painted = gltf.decode(data, resolver)
        else:
            found = trimesh.load_scene(io.BytesIO(data), extension[1:], resolver=resolver, process=False)
    for node in found.graph.nodes_geometry:
        transform, name = found.graph[node]
        shape = found.geometry.get(name)
        if isinstance(shape, trimesh.Trimesh | trimesh.PointCloud):
            yield placed(_geometry(shape, painted.get(name)), transform)


def _geometry(shape: Any, painted: np.ndarray | None) -> Geometry:
    """One mesh or cloud of trimesh, with the colours that are known already, or its own."""
    vertices = np.asarray(shape.vertices, np.float64)
    faces = np.asarray(getattr(shape, "faces", NO_FACES), np.int64).reshape(-1, 3)
    if faces.size and not 0 <= faces.min() <= faces.max() < len(vertices):
        raise FormatError(f"a face has vertex {faces.max()} of {len(vertices)}")
    if painted is not None:
        return Geometry(vertices, faces, painted)
    visual = shape.visual
    if visual.kind == "face":
        return by_face_colors(vertices, faces, np.asarray(visual.face_colors)[:, :3])
    colors = _material_colors(visual, len(vertices)) if visual.kind == "texture" else visual.vertex_colors
    if visual.kind is None or np.shape(colors)[:1] != (len(vertices),):
        return Geometry(vertices, faces, grey(len(vertices)))
    return Geometry(vertices, faces, (np.asarray(colors)[:, :3] / 255).astype(np.float32))


def _material_colors(visual: Any, count: int) -> np.ndarray:
    """The texture at the vertices, or the material's one colour: (count, 3) from 0 to 255."""
    material = visual.material
    image = getattr(material, "image", None) or getattr(material, "baseColorTexture", None)
    if image is not None and visual.uv is not None and len(visual.uv) == count:
        return gltf.texture_colors(image, visual.uv) * 255
    one = getattr(material, "diffuse", None) if hasattr(material, "diffuse") else material.baseColorFactor
    return np.tile(one, (count, 1)) if one is not None else grey(count) * 255


def stl(data: bytes, folder: Path, extension: str, /) -> Iterator[Geometry]:
    """An STL, whose triangles have each their own vertices: those at one place are made one."""
    if not data[:1024].lstrip().lower().startswith(b"solid"):
        whole = 84 + 50 * int.from_bytes(data[80:84], "little")
        if len(data) < whole:
            raise FormatError("it ends before its last triangle")
        data = data[:whole]  # trimesh takes no more
    for part in scene(data, folder, extension):
        vertices, faces = welded(part.vertices, part.faces)
        yield Geometry(vertices, faces, grey(len(vertices)))


def xyz(data: bytes, _folder: Path, _extension: str, /) -> Iterator[Geometry]:
    """Lines of x y z and, where there are three columns more, red green blue: to 1 where all are, else to 255.

    Three columns with negative numbers are normals, not colours.
    """
    text = data.decode("utf-8", "replace").translate(str.maketrans(",;", "  "))
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
        return
    rows = np.loadtxt(io.StringIO(text), comments="#", ndmin=2)
    if rows.shape[1] < 3:
        raise FormatError(f"its lines hold {rows.shape[1]} numbers and not x y z")
    points, colors = rows[:, :3], rows[:, 3:6]
    if colors.shape[1] < 3 or not colors.min() >= 0:
        yield Geometry(points, NO_FACES, grey(len(points)))
    else:
        whole = 1 if colors.max() <= 1 else 255
        yield Geometry(points, NO_FACES, (colors / whole).clip(0, 1).astype(np.float32))


def npz(data: bytes, _folder: Path, _extension: str, /) -> Iterator[Geometry]:
    """The arrays "points" (n, 3) and, if it is there, "colors" (n, 3) in [0, 1]."""
    with open_npz(io.BytesIO(data)) as arrays:
        if "points" not in arrays:
            raise FormatError('it holds no array called "points"')
        points = np.asarray(arrays["points"], np.float64)
        colors = np.asarray(arrays["colors"], np.float32) if "colors" in arrays else grey(len(points))
    if points.ndim != 2 or points.shape[1] != 3 or colors.shape != points.shape:
        raise FormatError(f"its points are {points.shape} and its colors {colors.shape}, not (n, 3) both")
    yield Geometry(points, NO_FACES, colors.clip(0, 1))


def open_npz(file: IO[bytes], /) -> Any:
    """NumPy's reader of the arrays; pickles stay closed. Raises FormatError."""
    _check_unpacked(file)
    file.seek(0)
    return np.load(file, allow_pickle=False)


def threemf(data: bytes, folder: Path, extension: str, /) -> Iterator[Geometry]:
    """A 3MF, which is a zip of XML."""
    _check_unpacked(io.BytesIO(data))
    yield from scene(data, folder, extension)


def _check_unpacked(file: IO[bytes]) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise FormatError(str(error)) from error
    if unpacked > MOST_UNPACKED:
        raise FormatError(f"it unpacks to {unpacked:,} bytes")
