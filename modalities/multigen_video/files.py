"""Video files and images: reading what FFmpeg and Pillow read, writing with provenance tags."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_video.clip import DecodeError, RefusedError
from multigen_video.numbered import FPS, check_free, is_numbered, numbered, read_numbered, write_numbered

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["EXTENSIONS", "check_writable", "read", "read_tags", "write"]

EXTENSIONS: Sequence[str] = (".mp4", ".webm", ".gif", ".png")
MOST_GIF_FPS = 50
"""Browsers take a delay of less than two hundredths of a second for a missing one."""


def read(path: str | os.PathLike[str], /) -> Sample:
    """Read a video, an image, a folder of PNGs, or a name such as ``clip/%04d.png`` that stands for some.

    The kind is told by the contents. Timestamps decide: a rate that varies becomes a constant one, at most 60 Hz. What
    is rotated is turned upright, pixels become square, and what is transparent lies on white.

    Returns:
        {"frames": (t, 3, h, w) uint8 in sRGB, t > 0, "fps": float}, and where the frames were made smaller, so that
        the clip fits into a gigabyte, {"original_size": (width, height)}. An image has 8 Hz.

    Raises:
        UsageError: missing, unreadable, empty, damaged, no video or image, without pictures, longer than 60 s, with
            frames of more than 100 million pixels, or HDR.
    """
    from multigen_video import film, image

    path = Path(path)
    with _explained(path):
        if _is_many(path):
            return read_numbered(numbered(path))
        with _contents(path) as file:
            with image.opened(file) as picture:
                if picture is not None:
                    return image.clip(picture).sample()
            file.seek(0)
            return film.film(file).sample()


def read_tags(path: str | os.PathLike[str], /) -> dict[str, str]:
    """The tags in a file, or in the first of numbered ones, with lower-case keys; empty where it has none.

    Raises:
        UsageError: the file cannot be read, or is damaged or no video.
    """
    from multigen_video import film, image
    from multigen_video.tags import of_image

    path = Path(path)
    with _explained(path):
        if _is_many(path):
            files = numbered(path)
            return read_tags(files[0]) if files else {}
        with _contents(path) as file:
            with image.opened(file) as picture:
                if picture is not None:
                    return of_image(picture)
            file.seek(0)
            return film.metadata(file)


def _is_many(path: Path) -> bool:
    return path.is_dir() or (is_numbered(path) and not path.exists())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """One sentence for whatever is wrong with a file."""
    try:
        yield
    except RefusedError as error:
        raise UsageError(f"{path} {error}") from error
    except DecodeError as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(f"{path} is damaged or no video ({reason}); give an intact video or image") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}; give a video or an image") from error


@contextmanager
def _contents(path: Path) -> Iterator[BinaryIO]:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("is no file; give a video or an image")
    if not status.st_size:
        raise RefusedError("is empty; give a video or an image")
    with path.open("rb") as file:
        yield file


def write(path: str | os.PathLike[str], sample: Sample, /, *, tags: Mapping[str, str]) -> None:
    """Write a video or an image in the format of its extension, or leave what was there untouched.

    .mp4 is H.264 and .webm VP9, both in 4:2:0 and BT.709; .gif has 256 colours. A .png holds one frame, and a name with
    a number, such as ``clip/%04d.png``, stands for a file for each frame, counted from 1; both are without loss.

    Args:
        sample: {"frames": (t, 3, h, w) uint8, "fps": float in Hz}.
        tags: see `multigen_video.tags`; they do not touch the pictures.

    Raises:
        UsageError: another extension, more than one frame for a .png, numbered frames that are there already, odd sides
            for .mp4, more than 50 frames a second for .gif, no frames, or ones that are not uint8.
        OSError: the file cannot be written.
    """
    from multigen_video import containers

    path, frames, fps = Path(path), sample["frames"], sample["fps"]
    _check_frames(frames, fps)
    t, _, h, w = frames.shape
    check_writable(path, count=t, size=(w, h), fps=fps)
    frames = frames.detach().cpu()
    suffix = path.suffix.lower()
    if suffix != ".png":
        encode: Any = {".mp4": containers.mp4, ".webm": containers.webm, ".gif": containers.gif}[suffix]
        replace_file(path, encode(frames, fps, tags=tags))
    elif is_numbered(path):
        write_numbered(path, (containers.png(frame, tags={FPS: repr(float(fps)), **tags}) for frame in frames))
    else:
        replace_file(path, containers.png(frames[0], tags=tags))


def check_writable(path: str | os.PathLike[str], /, *, count: int, size: tuple[int, int], fps: float) -> None:
    """Raise the `UsageError` that `write` would raise for this name and so many frames of a size, before any work."""
    path = Path(path)
    suffix = path.suffix.lower()
    width, height = size
    if suffix not in EXTENSIONS:
        given = f"{path.suffix} is not a video format that is supported" if path.suffix else "no file extension"
        raise UsageError(f"{path}: {given}; use {', '.join(EXTENSIONS)}")
    if suffix == ".png" and is_numbered(path):
        check_free(path)
    elif suffix == ".png" and count != 1:
        raise UsageError(
            f"{path} holds one frame, and there are {count}: use --frames 1 for an image, {path.stem}/%04d.png for a "
            f"folder of images, or {path.stem}.mp4"
        )
    if suffix == ".mp4" and (width % 2 or height % 2):
        raise UsageError(f"{path}: .mp4 needs even sides, not {width} x {height}; use another size, or .webm or .gif")
    if suffix == ".gif" and fps > MOST_GIF_FPS:
        raise UsageError(
            f"{path}: a .gif plays at most {MOST_GIF_FPS} frames a second, not {fps:g}; lower --fps, or use .mp4"
        )


def _check_frames(frames: Tensor, fps: float) -> None:
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.numel() or str(frames.dtype) != "torch.uint8":
        shape = " x ".join(map(str, frames.shape))
        raise UsageError(f"frames must be (t, 3, h, w) uint8 with at least one frame, not {shape} {frames.dtype}")
    if not (math.isfinite(fps) and fps > 0):
        raise UsageError(f"{fps:g} frames a second are not possible; give a rate above 0")
