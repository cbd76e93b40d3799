"""Contact sheets: rows of frames under titles, as PNG."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen_video.picture import resize

if TYPE_CHECKING:
    import numpy as np
    from PIL.ImageFont import FreeTypeFont
    from torch import Tensor

_LONGEST_SIDE = 192
_GAP = 4
_INK, _PAPER = 40, 255
_FONT_SIZE = 14


def sheet_png(rows: Sequence[tuple[str, Tensor]], path: str | os.PathLike[str], /, *, columns: int = 8) -> None:
    """Draw one or more (title, frames) as rows of at most `columns` frames, evenly spaced from the first to the last.

    frames: (t, 3, h, w) uint8, t > 0; where a side is longer than 192 pixels they are made smaller. The file is written
    whole or not at all.

    Raises:
        UsageError: there is nothing to draw.
        OSError: the file cannot be written.
    """
    from PIL import Image

    if not rows:
        raise UsageError("there is no sample to draw; give at least one")
    strips = [_strip(frames, columns=columns) for _, frames in rows]
    width = max(strip.shape[1] for strip in strips)
    titles = [_title(title, width) for title, _ in rows]
    height = sum(len(part) for part in (*titles, *strips)) + _GAP
    sheet = Image.new("RGB", (width, height), (_PAPER,) * 3)
    y = 0
    for title, strip in zip(titles, strips, strict=True):
        for part in (title, strip):
            sheet.paste(Image.fromarray(part), (0, y))
            y += len(part)
    file = io.BytesIO()
    sheet.save(file, format="png")
    replace_file(path, file.getvalue())


def chosen(t: int, /, *, columns: int) -> list[int]:
    """At most `columns` of t frames, evenly spaced, with the first and the last."""
    n = min(t, columns)
    return [round(k * (t - 1) / max(1, n - 1)) for k in range(n)]


def _strip(frames: Tensor, *, columns: int) -> np.ndarray:
    """(h, w, 3) of frames side by side, with gaps around them."""
    import torch

    *_, h, w = frames.shape
    longest = max(h, w)
    if longest > _LONGEST_SIDE:
        w, h = max(1, w * _LONGEST_SIDE // longest), max(1, h * _LONGEST_SIDE // longest)
    small = resize(frames[torch.tensor(chosen(len(frames), columns=columns))], (w, h))
    strip = torch.full((3, h, len(small) * (w + _GAP) + _GAP), _PAPER, dtype=torch.uint8)
    for k, frame in enumerate(small):
        x = _GAP + k * (w + _GAP)
        strip[:, :, x : x + w] = frame
    picture: np.ndarray = strip.permute(1, 2, 0).contiguous().numpy()
    return picture


def _title(text: str, width: int) -> np.ndarray:
    """(h, width, 3) of the text in one line; h is the same for every text."""
    import matplotlib
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    # The font with the most scripts that comes with a dependency.
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(str(file), _FONT_SIZE)
    strip = Image.new("RGB", (width, sum(font.getmetrics()) + 2 * _GAP), (_PAPER,) * 3)
    line = _shortened(" ".join(text.split()), font, width=width - 2 * _GAP)
    ImageDraw.Draw(strip).text((_GAP, 2 * _GAP), line, (_INK,) * 3, font)
    return np.asarray(strip)


def _shortened(text: str, font: FreeTypeFont, *, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    fits = bisect_right(range(1, len(text) + 1), width, key=lambda n: font.getlength(f"{text[:n]} ..."))
    return f"{text[:fits].rstrip()} ..."
