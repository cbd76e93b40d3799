"""Text tags inside video files.

| container | where                                                               |
| --------- | ------------------------------------------------------------------- |
| .mp4      | iTunes atoms: titles and comments, and freeform ones for other keys |
| .webm     | Matroska tags                                                       |
| .gif      | a comment, as JSON in ASCII                                         |
| .png      | text chunks                                                         |

"title" and "comment" are where players and viewers show them. Characters that a container
cannot hold (NUL, lone surrogates) become U+FFFD.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

_MP4_ATOMS = {"title": "\xa9nam", "comment": "\xa9cmt"}
_MP4_FREEFORM = "----:com.apple.iTunes:"
_PNG_KEYS = {"title": "Title", "comment": "Comment"}

_GIF_HEADER = 13
_GIF_EXTENSION, _GIF_APPLICATION, _GIF_COMMENT = b"!", b"\xff", b"\xfe"
_GIF_BLOCK = 255


def encodable(text: str, /) -> str:
    """The text without what no UTF-8 string that ends in a NUL can hold."""
    whole = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def mp4_tags(data: bytes, tags: Mapping[str, str], /) -> bytes:
    """The MP4 with the tags; FFmpeg's muxer drops keys that it does not know. The film stays as it is."""
    from mutagen import mp4

    if not tags:
        return data
    file = io.BytesIO(data)
    film: Any = mp4.MP4(file)
    if film.tags is None:
        film.add_tags()
    for key, text in tags.items():
        if key in _MP4_ATOMS:
            film.tags[_MP4_ATOMS[key]] = [encodable(text)]
        else:
            value = mp4.MP4FreeForm(encodable(text).encode(), dataformat=mp4.AtomDataType.UTF8)
            film.tags[_MP4_FREEFORM + key] = [value]
    file.seek(0)
    film.save(file)
    return file.getvalue()


def gif_tags(data: bytes, tags: Mapping[str, str], /) -> bytes:
    """The GIF with the tags as a comment before its first frame."""
    if not tags:
        return data
    text = json.dumps(dict(tags)).encode("ascii")
    pieces = [text[k : k + _GIF_BLOCK] for k in range(0, len(text), _GIF_BLOCK)]
    comment = b"".join([len(piece).to_bytes(1, "little") + piece for piece in pieces]) + b"\0"
    at = _after_palette(data)
    return data[:at] + _GIF_EXTENSION + _GIF_COMMENT + comment + data[at:]


def _after_palette(data: bytes) -> int:
    flags = data[10]
    return _GIF_HEADER + (3 << (flags & 7) + 1 if flags & 0x80 else 0)


def png_info(tags: Mapping[str, str], /) -> Any:
    """The tags as Pillow takes them."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in tags.items():
        info.add_text(_PNG_KEYS.get(key, key), encodable(text))
    return info


def of_image(image: Any, /) -> dict[str, str]:
    """The tags of a Pillow image, with lower-case keys."""
    found = _gif_found(image.info.get("comment", b"")) if image.format == "GIF" else getattr(image, "text", {})
    return {key.lower(): str(text) for key, text in found.items() if isinstance(text, str)}


def _gif_found(comment: bytes) -> Mapping[str, Any]:
    try:
        tags = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    return tags if isinstance(tags, dict) else {}
