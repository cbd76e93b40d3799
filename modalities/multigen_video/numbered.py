"""A clip as a folder of PNGs with numbers in their names, such as ``clip/%04d.png``."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_video.clip import DecodeError, RefusedError, check_length, fitted
from multigen_video.rate import USUAL

FPS = "fps"
"""The text in a numbered PNG that tells how many of them there are a second."""

_NUMBER = re.compile(r"%(?:0?\d+)?d", re.ASCII)


def is_numbered(path: Path, /) -> bool:
    """Whether a name stands for numbered files: it has one number as C's printf writes it, such as ``%04d``."""
    return len(_NUMBER.findall(path.name)) == 1


def numbered(path: Path, /) -> list[Path]:
    """The files that a name with a number stands for, or the PNGs in a folder, in the order of their numbers."""
    folder, pattern = path, re.compile(r"[^.].*\.png", re.IGNORECASE)
    if not path.is_dir():
        before, after = _NUMBER.split(path.name)
        folder, pattern = path.parent, re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")

    def order(file: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file.name)]

    return sorted((file for file in folder.glob("*") if pattern.fullmatch(file.name)), key=order)


def check_free(path: Path, /) -> None:
    """Raise UsageError where there are such frames already: new ones would mix with them."""
    old = numbered(path)
    if old:
        raise UsageError(
            f"{path} would mix new frames with {len(old)} that are there, such as {old[0].name}: "
            f"remove them, or give another folder, such as -o {path.parent}-2/{path.name}"
        )


def read_numbered(files: Sequence[Path], /) -> Sample:
    """Images as the frames of a clip, with the rate that the first one tells, or 8 Hz.

    Raises:
        DecodeError: one of them is damaged or no image.
        RefusedError: there are none, they differ in size, or are too many or too large.
    """
    import numpy as np
    import torch

    from multigen_video import image

    if not files:
        raise RefusedError("holds no PNG frames: give a folder or a name such as clip/%04d.png that has some")
    fps, original, frames = USUAL, (0, 0), np.empty(0, np.uint8)
    for n, path in enumerate(files):
        with path.open("rb") as file, image.opened(file) as picture:
            if picture is None:
                raise DecodeError(f"{path.name} is no image")
            size = image.upright(picture.size, picture)
            if n == 0:
                fps, original = _told(picture.info.get(FPS)), size
                check_length(len(files) / fps)
                width, height = fitted(size, count=len(files))
                frames = np.empty((len(files), 3, height, width), np.uint8)
            if size != original:
                raise RefusedError(
                    f"has frames of different sizes, {original[0]} x {original[1]} and in {path.name} "
                    f"{size[0]} x {size[1]} pixels: give frames of one size"
                )
            frames[n] = image.pixels(picture, (width, height))
    smaller = {} if (width, height) == original else {"original_size": original}
    return {"frames": torch.from_numpy(frames), "fps": fps, **smaller}


def _told(text: object) -> float:
    try:
        fps = float(str(text))
    except ValueError:
        return USUAL
    return fps if 0 < fps <= 1000 else USUAL


def write_numbered(path: Path, images: Iterable[bytes], /) -> None:
    """Write PNGs under the numbers from 1 on, all of them or none, where `check_free` found nothing in the way.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    number = _NUMBER.findall(path.name)[0]
    hidden = path.parent / f".multigen-{secrets.token_hex(8)}"
    placed: list[Path] = []
    try:
        hidden.mkdir()
        names = []
        for n, data in enumerate(images, start=1):
            names.append(path.name.replace(number, number % n))
            (hidden / names[-1]).write_bytes(data)
        for name in names:
            placed.append(path.with_name(name))
            (hidden / name).replace(placed[-1])
    except BaseException:
        for file in placed:
            file.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
