"""A contact sheet of takes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multigen.atomic import replace_file
from multigen_models.video.takes import Takes

_SIDE = 128
_SHOWN = 6  # pictures of a take
_LINE = 14
_PAPER = 205
_DARK = 0.5  # share of the light that a shadow takes


def sheet(takes: Takes, which: Sequence[int], path: Path, /, *, columns: int = 2) -> None:
    """Draw takes in rows from the left as a PNG: a few of the pictures of each, on grey, a dot where the ground is, and
    what is known of it.

    Raises
    ------
    OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw

    width = _SHOWN * _SIDE + 8
    image = Image.new("RGB", (columns * width, math.ceil(len(which) / columns) * (_SIDE + _LINE)), "white")
    pen = ImageDraw.Draw(image)
    for place, index in enumerate(which):
        left, top = place % columns * width, place // columns * (_SIDE + _LINE)
        n, height, wide = takes.size(index)
        chosen = np.linspace(0, n - 1, min(n, _SHOWN)).round().astype(int).tolist()
        scale = min(1, _SIDE / height, _SIDE / wide)
        for column, (frame, shadow) in enumerate(zip(*takes.pictures(index, chosen), strict=True)):
            picture = Image.fromarray(_on_paper(frame, shadow))
            if scale < 1:
                picture = picture.resize((round(wide * scale), round(height * scale)))
            x, y = left + column * _SIDE, top + _SIDE - picture.height
            image.paste(picture, (x, y))
            ground = [
                position * scale + corner for position, corner in zip(takes.takes[index].ground, (x, y), strict=True)
            ]
            pen.point([(ground[0] + step, ground[1]) for step in (-1, 0, 1)], fill="red")
        pen.text((left, top + _SIDE), _title(takes, index), fill="black")
    png = io.BytesIO()
    image.save(png, "PNG")
    replace_file(path, png.getvalue())


def _on_paper(frame: NDArray[np.uint8], shadow: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) of (h, w, 4) and (h, w)."""
    alpha = frame[..., 3:].astype(np.float32) / 255
    paper = _PAPER * (1 - _DARK * shadow[..., None].astype(np.float32) / 255)
    return np.rint(paper * (1 - alpha) + frame[..., :3] * alpha).astype(np.uint8)


def _title(takes: Takes, index: int) -> str:
    take, (n, height, width) = takes.takes[index], takes.size(index)
    turn = " to ".join(f"{yaw:.0f}" for yaw in dict.fromkeys(take.yaw))
    loop = ", loop" if take.loop else ""
    about = f"{n} of {width} x {height}{loop}, yaw {turn}, height {take.height:.0f}, speed {take.speed:.2f}"
    return f"{index}: {take.figure.rsplit('/', 1)[-1]} {take.clip} ({about})"
