"""Reading of binary glTF 2.0 files: numbers, triangles and pictures (specification 2.0.1, Khronos Group, 2021)."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from multigen.errors import UsageError

_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_KINDS: Mapping[int, str] = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COMPONENTS: Mapping[str, int] = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_TRIANGLES = 4
_DRACO = "KHR_draco_mesh_compression"
_UNDERSTOOD = {_DRACO, "KHR_materials_unlit"}


@final
class Gltf:
    """A file that holds everything in itself (.glb), read as a whole.

    content: the JSON. name: of the file, for messages.

    Raises
    ------
    UsageError: the file is no binary glTF 2.0, or needs an extension other than Draco compression of meshes.
    """

    def __init__(self, path: Path, /) -> None:
        self.name = path.name
        try:
            data = path.read_bytes()
            magic, version, length = _HEADER.unpack_from(data)
            size, kind = _CHUNK.unpack_from(data, _HEADER.size)
            begin = _HEADER.size + _CHUNK.size
            if (magic, version, kind) != (b"glTF", 2, b"JSON") or length > len(data):
                raise ValueError("it is not a whole file of version 2")
            self.content: dict[str, Any] = json.loads(data[begin : begin + size])
        except (OSError, ValueError, struct.error) as error:
            raise UsageError(f"{path} cannot be read as binary glTF ({error}); give a .glb file") from error
        self._binary = memoryview(data)[begin + size + _CHUNK.size : length]
        unknown = set(self.content.get("extensionsRequired", ())) - _UNDERSTOOD
        if unknown:
            raise UsageError(f"{path} needs {', '.join(sorted(unknown))}; save it without")

    def array(self, index: int, /) -> NDArray[Any]:
        """The numbers of an accessor, (n,) or (n, components); normalised integers as float32 in [-1, 1]."""
        about = self.content["accessors"][index]
        if "sparse" in about:
            raise UsageError(f"{self.name} has sparse accessors; save it without")
        kind, wide = np.dtype(_KINDS[about["componentType"]]), _COMPONENTS[about["type"]]
        shape = (about["count"], wide) if wide > 1 else (about["count"],)
        if "bufferView" not in about:
            return np.zeros(shape, kind)
        view = self.content["bufferViews"][about["bufferView"]]
        step = view.get("byteStride", wide * kind.itemsize)
        array: NDArray[Any] = np.ndarray(
            shape,
            kind,
            self._binary,
            view.get("byteOffset", 0) + about.get("byteOffset", 0),
            (step, kind.itemsize) if wide > 1 else (step,),
        )
        if about.get("normalized"):
            return np.asarray(np.maximum(array / np.float32(np.iinfo(kind).max), -1), np.float32)
        return array

    def primitive(self, primitive: Mapping[str, Any], /) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """What every vertex of a mesh primitive has, by name ("POSITION" (v, 3), ...), and its triangles (f, 3)."""
        if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
            raise UsageError(f"{self.name} has lines, points or strips; save it with triangles")
        compressed = primitive.get("extensions", {}).get(_DRACO)
        if compressed:
            return self._decompressed(compressed)
        attributes = {name: self.array(index) for name, index in primitive["attributes"].items()}
        count = len(attributes["POSITION"])
        corners = self.array(primitive["indices"]) if "indices" in primitive else np.arange(count)
        return attributes, corners.astype(np.int64).reshape(-1, 3)

    def image(self, index: int, /) -> NDArray[np.uint8]:
        """(h, w, 3) sRGB."""
        from PIL import Image

        about = self.content["images"][index]
        if "bufferView" not in about:
            raise UsageError(f"{self.name} keeps its pictures in other files; save it with them in it")
        with Image.open(io.BytesIO(self._view(about["bufferView"]))) as picture:
            return np.asarray(picture.convert("RGB"))

    def _view(self, index: int) -> bytes:
        view = self.content["bufferViews"][index]
        begin = view.get("byteOffset", 0)
        return bytes(self._binary[begin : begin + view["byteLength"]])

    def _decompressed(self, compressed: Mapping[str, Any]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        try:
            import DracoPy
        except ImportError as error:
            raise UsageError(f"{self.name} is compressed by Draco: pip install DracoPy") from error
        mesh = DracoPy.decode(self._view(compressed["bufferView"]))
        attributes = {
            name: np.asarray(mesh.get_attribute_by_unique_id(number)["data"])
            for name, number in compressed["attributes"].items()
        }
        return attributes, np.asarray(mesh.faces, np.int64)
