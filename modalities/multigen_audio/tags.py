"""Text tags inside audio files: one vocabulary over ID3, Vorbis comments and MP4 atoms.

mutagen writes them: it edits the tags of all six containers, in memory and without touching the encoded audio.
FFmpeg's muxers drop keys that they do not know in wav and m4a, and libsndfile has a fixed list of keys.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from multigen.errors import UsageError

_ID3_FRAMES = {"title": "TIT2", "comment": "COMM", "software": "TSSE"}
_MP4_ATOMS = {"title": "\xa9nam", "comment": "\xa9cmt", "software": "\xa9too"}
_MP4_FREEFORM = "----:com.apple.iTunes:"


def add_tags(data: bytes, tags: Mapping[str, str], /) -> bytes:
    """Return the audio file `data` with `tags` set; the encoded audio stays as it is, bit for bit.

    "title", "comment" and "software" go where players show them, any other key goes under its own name:
    an ID3v2.4 TXXX frame in wav and mp3, a Vorbis comment in flac, ogg and opus, a freeform atom in m4a.
    NUL characters and lone surrogates, which no container can hold, become U+FFFD.
    """
    import mutagen

    if not tags:
        return data
    file = io.BytesIO(data)
    audio = mutagen.File(file)
    if audio.tags is None:
        audio.add_tags()
    put = _writer(audio.tags)
    for key, value in tags.items():
        put(key, _encodable(value))
    file.seek(0)
    audio.save(file)
    return file.getvalue()


def read_tags(path: str | os.PathLike[str], /) -> dict[str, str]:
    """Read the tags of an audio file, with lower-case keys; empty where it has none.

    Several values under one key are joined by "; ". Of ID3 and MP4 tags it reads the ones that `add_tags` writes,
    not album art, track numbers and the like.

    Raises:
        UsageError: there is no such file, or it is not audio.
    """
    import mutagen

    try:
        with open(path, "rb") as file:
            audio = mutagen.File(file)
            if audio is None:
                raise UsageError(f"{os.fspath(path)} is not audio; give a wav, flac, ogg, mp3, m4a or opus file")
            return {} if audio.tags is None else dict(_items(audio.tags))
    except OSError as error:
        raise UsageError(f"{os.fspath(path)} cannot be read: {error.strerror}; give an audio file") from error
    except mutagen.MutagenError as error:
        raise UsageError(f"{os.fspath(path)} is damaged ({error}); give an intact audio file") from error


def _encodable(value: str) -> str:
    text = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _writer(tags: Any) -> Callable[[str, str], None]:
    """The function that sets one key in this kind of tags."""
    from mutagen import id3, mp4

    def put_id3(key: str, value: str) -> None:
        if key in _ID3_FRAMES:
            frame = getattr(id3, _ID3_FRAMES[key])
            tags.setall(_ID3_FRAMES[key], [frame(encoding=id3.Encoding.UTF8, text=value)])
        else:
            tags.setall(f"TXXX:{key}", [id3.TXXX(encoding=id3.Encoding.UTF8, desc=key, text=value)])

    def put_mp4(key: str, value: str) -> None:
        if key in _MP4_ATOMS:
            tags[_MP4_ATOMS[key]] = [value]
        else:
            tags[_MP4_FREEFORM + key] = [mp4.MP4FreeForm(value.encode(), dataformat=mp4.AtomDataType.UTF8)]

    def put_vorbis(key: str, value: str) -> None:
        tags[key] = [value]

    if isinstance(tags, id3.ID3):
        return put_id3
    if isinstance(tags, mp4.MP4Tags):
        return put_mp4
    return put_vorbis


def _items(tags: Any) -> Iterator[tuple[str, str]]:
    """The keys and texts in tags of any kind."""
    from mutagen import id3, mp4

    if isinstance(tags, id3.ID3):
        for key, name in _ID3_FRAMES.items():
            for frame in tags.getall(name):
                yield key, "; ".join(frame.text)
        for frame in tags.getall("TXXX"):
            yield frame.desc.lower(), "; ".join(frame.text)
    elif isinstance(tags, mp4.MP4Tags):
        for key, atom in _MP4_ATOMS.items():
            if atom in tags:
                yield key, "; ".join(tags[atom])
        for atom, values in tags.items():
            if atom.startswith(_MP4_FREEFORM):
                texts = [bytes(value).decode("utf-8", "replace") for value in values]
                yield atom.removeprefix(_MP4_FREEFORM).lower(), "; ".join(texts)
    else:
        for key in tags.keys():  # noqa: SIM118  (Vorbis comments iterate over pairs)
            yield key.lower(), "; ".join(tags[key])
