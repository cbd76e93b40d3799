"""A contact sheet of clips with their captions."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from multigen.atomic import replace_file

_SHOWN = 4
_LINE = 15
_CHARACTERS = 78


def sheet(clips: Sequence[tuple[Tensor, float, str]], path: Path, /, *, columns: int = 3) -> None:
    """Draw clips (frames (t, 3, h, w) uint8, frames a second, caption) as a PNG: four frames of each, evenly spaced,
    over its caption and rate.

    Raises
    ------
    OSError: the file cannot be written.
    """
    height, width = clips[0][0].shape[2:]
    cell = (_SHOWN * (width + 2) + 8, height + 2 * _LINE + 6)
    whole = Image.new("RGB", (columns * cell[0], -(-len(clips) // columns) * cell[1]), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
    for place, (frames, fps, caption) in enumerate(clips):
        left, top = place % columns * cell[0], place // columns * cell[1]
        for k, t in enumerate(np.linspace(0, len(frames) - 1, min(_SHOWN, len(frames))).round().astype(int)):
            whole.paste(Image.fromarray(frames[t].permute(1, 2, 0).numpy()), (left + k * (width + 2), top))
        said = textwrap.wrap(f"{caption} [{fps:g}]", _CHARACTERS)[:2]
        for line, words in enumerate(said):
            draw.text((left, top + height + 1 + line * _LINE), words, "black", font)
    png = io.BytesIO()
    whole.save(png, format="png")
    replace_file(path, png.getvalue())
