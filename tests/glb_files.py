"""Small binary glTF files for tests, put together from arrays."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
COMPONENTS = {"float32": 5126, "uint32": 5125, "uint16": 5123, "uint8": 5121, "int16": 5122, "int8": 5120}


class Glb:
    """A file in the making. Methods that add something return its index."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}
        self.binary = bytearray()

    def add(self, kind: str, thing: dict[str, Any]) -> int:
        self.content.setdefault(kind, []).append(thing)
        return len(self.content[kind]) - 1

    def view(self, data: bytes, **more: Any) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        start = len(self.binary)
        self.binary += data
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(data), **more})

    def array(self, values: Any, dtype: str = "float32", **more: Any) -> int:
        array = np.ascontiguousarray(values, dtype)
        about = {"componentType": COMPONENTS[dtype], "count": len(array), "type": TYPES[array.shape[1:]]}
        return self.add("accessors", {"bufferView": self.view(array.tobytes()), **about, **more})

    def mesh(self, positions: Any, faces: Any, *, material: int | None = None, **attributes: int) -> int:
        named = {"POSITION": self.array(positions), **attributes}
        primitive = {"attributes": named, "indices": self.array(np.ravel(faces), "uint16")}
        return self.add("meshes", {"primitives": [primitive | ({} if material is None else {"material": material})]})

    def node(self, *, root: bool = True, **about: Any) -> int:
        index = self.add("nodes", about)
        if root:
            self.content["scenes"][0]["nodes"].append(index)
        return index

    def material(self, *color: float, **more: Any) -> int:
        return self.add("materials", {"pbrMetallicRoughness": {"baseColorFactor": [*color, 1.0], **more}})

    def animation(self, name: str, *channels: tuple[int, str, Any, Any, str]) -> int:
        """channels: node, path, times, values, interpolation."""
        about: dict[str, Any] = {"name": name, "channels": [], "samplers": []}
        for index, (node, path, times, values, interpolation) in enumerate(channels):
            values = np.asarray(values, np.float32)
            output = self.array(values.reshape(-1, values.shape[-1]))
            about["samplers"].append({"input": self.array(times), "output": output, "interpolation": interpolation})
            about["channels"].append({"sampler": index, "target": {"node": node, "path": path}})
        return self.add("animations", about)

    def write(self, path: Path) -> Path:
        self.content["buffers"] = [{"byteLength": len(self.binary)}]
        text = json.dumps(self.content).encode()
        text += b" " * (-len(text) % 4)
        data = bytes(self.binary) + b"\0" * (-len(self.binary) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path
