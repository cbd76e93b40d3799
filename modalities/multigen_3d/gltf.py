"""glTF 2.0: meshes and clouds in one binary file.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import importlib
import io
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from multigen_3d.geometry import FormatError, Geometry, grey, vertex_normals
from multigen_3d.srgb import to_linear, to_srgb

_MAGIC, _JSON, _BIN = b"glTF", b"JSON", b"BIN\0"
_BYTE, _SHORT, _INT, _FLOAT = 5121, 5123, 5125, 5126
_VERTICES, _INDICES = 34962, 34963
_POINTS, _TRIANGLES = 0, 4
_DRACO = "KHR_draco_mesh_compression"
_COMPRESSED = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_MOST_ITEMS = 50_000_000


# --- writing ----------------------------------------------------------------------------------------------------------


def encode(geometry: Geometry, /, *, tags: Mapping[str, str]) -> bytes:
    """A GLB file with one node: triangles, or POINTS where there are no faces; the tags are ``asset.extras``.

    Colours are COLOR_0 in 16 bits, as 8 bits of linear light are too coarse for dark colours.
    """
    light = np.pad(to_linear(geometry.colors.astype(np.float64)), ((0, 0), (0, 1)), constant_values=1)
    attributes = {
        "POSITION": np.ascontiguousarray(geometry.vertices, "<f4"),
        "COLOR_0": np.rint(light * 65535).astype("<u2"),
    }
    if len(geometry.faces):
        attributes["NORMAL"] = vertex_normals(geometry.vertices, geometry.faces).astype("<f4")
    primitive: dict[str, Any] = {"attributes": {name: i for i, name in enumerate(attributes)}, "material": 0}
    arrays = list(attributes.values())
    if len(geometry.faces):
        primitive |= {"mode": _TRIANGLES, "indices": len(arrays)}
        arrays.append(geometry.faces.astype("<u4").ravel())
    else:
        primitive["mode"] = _POINTS
    asset: dict[str, Any] = {"version": "2.0", "generator": "multigen"}
    if tags:
        asset["extras"] = dict(tags)
    starts = np.cumsum([0, *(array.nbytes for array in arrays)]).tolist()
    header = {
        "asset": asset,
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        # An open mesh is seen from both sides; without these factors a material is polished metal.
        "materials": [{"doubleSided": True, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}],
        "accessors": [_accessor(array, view) for view, array in enumerate(arrays)],
        "bufferViews": [_view(array, start) for array, start in zip(arrays, starts, strict=False)],
        "buffers": [{"byteLength": starts[-1]}],
    }
    return _pack(header, _chunk(_BIN, b"".join(array.tobytes() for array in arrays)))


def _accessor(array: np.ndarray, view: int) -> dict[str, Any]:
    if array.ndim == 1:
        return {"bufferView": view, "componentType": _INT, "count": len(array), "type": "SCALAR"}
    if array.dtype == np.uint16:
        return {"bufferView": view, "componentType": _SHORT, "count": len(array), "type": "VEC4", "normalized": True}
    ends = {"min": array.min(0).tolist(), "max": array.max(0).tolist()}  # asked for of positions, allowed for normals
    return {"bufferView": view, "componentType": _FLOAT, "count": len(array), "type": "VEC3", **ends}


def _view(array: np.ndarray, start: int) -> dict[str, int]:
    target = _INDICES if array.ndim == 1 else _VERTICES
    return {"buffer": 0, "byteOffset": start, "byteLength": array.nbytes, "target": target}


def _pack(header: Mapping[str, Any], chunks: bytes) -> bytes:
    text = json.dumps(header).encode("ascii")
    body = _chunk(_JSON, text + b" " * (-len(text) % 4)) + chunks
    return _MAGIC + struct.pack("<II", 2, 12 + len(body)) + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + kind + data


# --- reading ----------------------------------------------------------------------------------------------------------


def read_header(file: BinaryIO, /) -> dict[str, Any]:
    """The JSON of a GLB file, which is left at the chunk that follows. Raises FormatError."""
    start = file.read(20)
    if len(start) < 20 or start[:4] != _MAGIC or start[16:20] != _JSON:
        raise FormatError("it does not begin as a GLB")
    version, _, length = struct.unpack("<III", start[4:16])
    if version != 2:
        raise FormatError(f"it is of version {version}, not 2")
    return _parsed(file.read(length))


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        raise FormatError("its JSON is broken") from None
    if not isinstance(header, dict):
        raise FormatError("its JSON is not glTF")
    return header


def decode(data: bytes, resolver: Any, /) -> tuple[Any, dict[str, np.ndarray]]:
    """The scene of a .glb or .gltf file, with no colours yet, and the colours of its geometries.

    resolver: gets the files that it names.

    Returns:
        scene: a `trimesh.Scene`.
        colors: name of a geometry to (v, 3) float32 in [0, 1], sRGB.

    Raises:
        FormatError: it is no glTF 2.0, or compressed in a way that cannot be read.
        ImportError: it is compressed with Draco, and DracoPy is not installed.
    """
    import trimesh
    from trimesh.exchange.gltf import load_glb, load_gltf

    file = io.BytesIO(data)
    binary = data.startswith(_MAGIC)
    header = read_header(file) if binary else _parsed(data)
    needed = header.get("extensionsRequired", ())
    if _DRACO in needed:
        importlib.import_module("DracoPy")  # without it trimesh goes on with zeros
    for name in set(needed).intersection(_COMPRESSED):
        raise FormatError(f"{name} is needed to unpack it: export it without compression")
    if any(accessor["count"] > _MOST_ITEMS for accessor in header.get("accessors", ())):
        raise FormatError("an array in it is too large")
    # trimesh rounds a material's factor to 8 bits, and says nothing of which material it was but its name.
    factors = [_factor(material) for material in header.get("materials", ())]
    for i, material in enumerate(header.get("materials", ())):
        material["name"] = str(i)
    if binary:
        scene = load_glb(io.BytesIO(_pack(header, file.read())), resolver=resolver)
    else:
        scene = load_gltf(io.BytesIO(json.dumps(header).encode("ascii")), resolver=resolver)
    drawn = {name: parts for name, parts in scene["geometry"].items() if "entities" not in parts}
    colors = {name: _colors(parts, factors) for name, parts in drawn.items()}
    shapes = {
        name: {"vertices": parts["vertices"], "faces": parts.get("faces"), "process": False}
        for name, parts in drawn.items()
    }
    return trimesh.load_scene({"geometry": shapes, "graph": scene["graph"], "base_frame": scene["base_frame"]}), colors


def _factor(material: Mapping[str, Any]) -> np.ndarray:
    """A material's colour as linear light: (3,)."""
    older = material.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness", {})
    factor = material.get("pbrMetallicRoughness", {}).get("baseColorFactor", older.get("diffuseFactor", (1, 1, 1)))
    return np.array(factor[:3], np.float64)


def _colors(parts: Mapping[str, Any], factors: list[np.ndarray]) -> np.ndarray:
    """The product of vertex colours, material and texture (specification, 3.9.2): (v, 3) sRGB."""
    count = len(parts["vertices"])
    visual = parts.get("visual")
    painted = parts.get("vertex_colors") if visual is None else visual.vertex_attributes.get("color")
    if visual is None and painted is None:
        return grey(count)
    light = np.ones((count, 3))
    if painted is not None and len(painted) == count:
        whole = np.iinfo(painted.dtype).max if painted.dtype.kind == "u" else 1
        light *= painted[:, :3].astype(np.float64) / whole
    if visual is not None:
        light *= factors[int(visual.material.name)]
        image = visual.material.baseColorTexture
        if image is not None and visual.uv is not None:
            light *= to_linear(texture_colors(image, visual.uv))
    return to_srgb(light).astype(np.float32)


def texture_colors(image: Any, uv: np.ndarray, /) -> np.ndarray:
    """The pixels of a PIL image at (n, 2) places, (0, 0) its lower left corner, repeated beyond 1: (n, 3) in [0, 1]."""
    pixels = np.asarray(image.convert("RGBA"))[:, :, :3]
    height, width, _ = pixels.shape
    inside = uv - np.floor(uv)
    inside[(inside == 0) & (uv > 0)] = 1  # the far edge is the last pixel, not the first one again
    column = np.floor(inside[:, 0] * width).astype(np.int64).clip(0, width - 1)
    row = np.floor((1 - inside[:, 1]) * height).astype(np.int64).clip(0, height - 1)
    colors: np.ndarray = pixels[row, column] / 255
    return colors
