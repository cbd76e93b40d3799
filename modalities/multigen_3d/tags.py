"""Text tags inside 3D files, exact to the character.

| container  | where                                                                                    |
| ---------- | ---------------------------------------------------------------------------------------- |
| .glb       | ``asset.extras``                                                                         |
| .obj, .xyz | comment lines at the start                                                               |
| .ply       | comment lines of the header                                                              |
| .npz       | the array "tags", the same lines                                                         |
| .stl       | the attribute words of the last triangles; nowhere where there are too few triangles     |

A comment line is one ``"key": "text"`` of JSON, in ASCII; the texts of lines with the same key belong together.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from multigen.errors import UsageError
from multigen_3d.geometry import FormatError

# Readers that are in use have line buffers of 1,024 bytes; a character takes 12 at most.
_CHARACTERS = 80
_LONGEST_LINE = 4096
_LONGEST_JSON = 1 << 24

_STL_HEADER, _STL_TRIANGLE = 84, 50
# Bit 15 of an attribute word says that the others are a colour (VisCAM, SolidView), so it stays 0.
_STL_BITS = 15
_STL_TEXT = "multigen: {:6d} bytes of zlib-packed JSON in the last triangles' attributes"


def to_lines(tags: Mapping[str, str], /) -> list[str]:
    """The tags as comment lines, without the comment sign."""
    lines = []
    for key, text in tags.items():
        for start in range(0, max(1, len(text)), _CHARACTERS):
            line = json.dumps({key: text[start : start + _CHARACTERS]})[1:-1]
            # Some readers of PLY look for this word anywhere in a line.
            lines.append(line.replace("end_header", r"end\u005fheader"))
    return lines


def from_lines(lines: Iterable[str], /) -> dict[str, str]:
    """The tags in comment lines; other comments are passed over."""
    tags: dict[str, str] = {}
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            for key, text in json.loads(f"{{{line}}}").items():
                if isinstance(text, str):
                    tags[key] = tags.get(key, "") + text
    return tags


def stl_header(tags: Mapping[str, str], faces: int, /) -> tuple[bytes, np.ndarray]:
    """The 80 bytes at the start of an STL, and its triangles' attribute words: (faces,) uint16.

    Where the triangles are too few for the tags, the start of the "comment" is all that is kept, for people to read.
    """
    words = np.zeros(faces, np.uint16)
    packed = zlib.compress(json.dumps(dict(tags)).encode("ascii"), 9) if tags else b""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    used = -(-len(bits) // _STL_BITS)
    if not tags:
        text = "multigen"
    elif used > faces:
        text = f"multigen: {tags.get('comment', '')}"
    else:
        text = _STL_TEXT.format(len(packed))
        rows = np.pad(bits, (0, used * _STL_BITS - len(bits))).reshape(used, _STL_BITS)
        # At the end, because MeshLab takes words in the first thousand triangles for colours.
        words[faces - used :] = rows @ (1 << np.arange(_STL_BITS))
    return text.encode("ascii", "replace")[:80].ljust(80), words


def read_tags(path: str | os.PathLike[str], /) -> dict[str, str]:
    """The tags in a 3D file; empty where it has none, or where its kind has none.

    Raises:
        UsageError: the file cannot be read, or is damaged where the tags should be.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    try:
        with path.open("rb") as file:
            return reader(file) if reader else {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; give a 3D file") from error
    except FormatError as error:
        raise UsageError(f"{path} is damaged or no 3D file ({error}); give an intact file") from error


def _read_glb(file: BinaryIO) -> dict[str, str]:
    from multigen_3d.gltf import read_header

    asset = read_header(file).get("asset")
    extras = asset.get("extras") if isinstance(asset, dict) else None
    return {k: v for k, v in extras.items() if isinstance(v, str)} if isinstance(extras, dict) else {}


def _read_hashes(file: BinaryIO) -> dict[str, str]:
    lines = itertools.takewhile(lambda line: line.startswith(b"#"), _lines(file))
    return from_lines(line.decode("ascii", "replace").removeprefix("#").strip() for line in lines)


def _read_ply(file: BinaryIO) -> dict[str, str]:
    lines = itertools.takewhile(lambda line: line.strip() != b"end_header", _lines(file))
    comments = (line.decode("ascii", "replace") for line in lines if line.startswith(b"comment "))
    return from_lines(line.removeprefix("comment ").strip() for line in comments)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LONGEST_LINE):
        yield line


def _read_stl(file: BinaryIO) -> dict[str, str]:
    header = file.read(_STL_HEADER)
    digits = header[10:16].decode("ascii", "replace").strip()
    if not digits.isdecimal() or header[:80] != _STL_TEXT.format(int(digits)).encode("ascii").ljust(80):
        return {}
    used = -(-int(digits) * 8 // _STL_BITS)
    faces = int.from_bytes(header[80:84], "little")
    file.seek(_STL_HEADER + max(0, faces - used) * _STL_TRIANGLE)
    triangles = np.frombuffer(file.read(used * _STL_TRIANGLE), np.uint8)
    words = triangles[: len(triangles) // _STL_TRIANGLE * _STL_TRIANGLE].reshape(-1, _STL_TRIANGLE)[:, -2:]
    bits = words.copy().view("<u2") >> np.arange(_STL_BITS) & 1
    packed = np.packbits(bits.astype(np.uint8).ravel())[: int(digits)].tobytes()
    try:
        tags = json.loads(zlib.decompressobj().decompress(packed, _LONGEST_JSON))
    except (zlib.error, ValueError):
        return {}  # a program that changed the triangles and left the header
    return {k: v for k, v in tags.items() if isinstance(v, str)}


def _read_npz(file: BinaryIO) -> dict[str, str]:
    from multigen_3d.readers import open_npz

    with open_npz(file) as arrays:
        try:
            return from_lines(map(str, arrays["tags"].ravel())) if "tags" in arrays else {}
        except (ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise FormatError(str(error)) from error


_READERS: Mapping[str, Callable[[BinaryIO], dict[str, str]]] = {
    ".glb": _read_glb,
    ".obj": _read_hashes,
    ".xyz": _read_hashes,
    ".ply": _read_ply,
    ".stl": _read_stl,
    ".npz": _read_npz,
}
