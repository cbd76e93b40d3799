"""Places to put figures into: still pictures, drawn in a few milliseconds, wide enough for a camera that moves.

A painter is a function (canvas, light, rng) that draws on a canvas. Noise comes from a few tiles that are made once;
what is drawn with them is a matter of where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZE = 128
"""Pixels of a picture's sides."""

Picture = NDArray[np.float32]
Color = tuple[float, float, float]

_TILE = 256


@final
@dataclass(frozen=True)
class Light:
    """The sky from its top to the horizon, what it does to the colours below it, and its stars a thousand pixels."""

    sky: tuple[Color, ...]
    tint: Color = (1.0, 1.0, 1.0)
    stars: float = 0.0
    sun: Color | None = None


DAY = Light(((78, 140, 215), (190, 220, 245)))
OVERCAST = Light(((138, 148, 160), (192, 198, 204)), (0.86, 0.88, 0.91))
SUNSET = Light(((74, 66, 128), (214, 104, 96), (255, 186, 104)), (0.98, 0.8, 0.7), sun=(255, 236, 170))
NIGHT = Light(((7, 10, 34), (34, 44, 92)), (0.56, 0.61, 0.84), stars=2.5, sun=(236, 236, 220))


@final
class Canvas:
    """A picture (128, width, 3) of float32 in [0, 255] under way.

    FINE: objects are drawn so many times as large, and reduced. horizon: the row where the ground ends, below the
    picture where there is no ground.
    """

    FINE = 2

    def __init__(self, width: int, /) -> None:
        self.width = width
        self.pixels: Picture = np.zeros((SIZE, width, 3), np.float32)
        self.horizon = float(SIZE)

    def gradient(self, stops: Sequence[Color], /, *, top: float = 0, bottom: float = SIZE) -> None:
        """Fill the rows from top to bottom with colours that run from one to the next."""
        first, last = int(top), min(int(np.ceil(bottom)), SIZE)
        at = np.linspace(0, len(stops) - 1, max(last - first, 1))
        columns = [np.interp(at, range(len(stops)), channel) for channel in np.array(stops).T]
        self.pixels[first:last] = np.stack(columns, 1)[: last - first, None]

    def blend(self, color: Color | Picture, alpha: Picture, /, *, top: int = 0) -> None:
        """Lay a colour over the rows from `top` on, alpha (rows, width) of it."""
        rows = self.pixels[top : top + len(alpha)]
        rows += alpha[..., None] * (np.asarray(color, np.float32) - rows)

    def ridge(self, heights: Picture, color: Color, /) -> None:
        """A silhouette (width,) so many rows high above the horizon, down to it."""
        top = max(int(self.horizon - heights.max()) - 1, 0)
        rows = np.arange(top, min(int(np.ceil(self.horizon)), SIZE), dtype=np.float32)[:, None]
        self.blend(color, np.clip(rows - (self.horizon - heights) + 0.5, 0, 1), top=top)

    def ground(
        self, far: Color, near: Color, rng: np.random.Generator, /, *, grain: float, size: float, flat: float = 1.0
    ) -> None:
        """The plain below the horizon, in perspective: noise of strength `grain`, its spots `size` pixels in front and
        `flat` times as wide as deep."""
        first = int(self.horizon)
        below = np.arange(first, SIZE, dtype=np.float32) + 0.5 - self.horizon + 3
        depth = below[-1] / below
        across = (np.arange(self.width) - self.width / 2) * depth[:, None] * (6 / size / flat)
        spots = noise(depth[:, None] * (190 / size), across, rng)
        share = (below / below[-1])[:, None]
        shade = 1 + grain * spots * np.clip(2.5 * share, 0, 1)
        color = np.array(far, np.float32) + share[..., None] * (np.array(near) - np.array(far)).astype(np.float32)
        self.pixels[first:] = np.clip(color * shade[..., None], 0, 255)

    def draw(self, paint: Callable[[ImageDraw.ImageDraw], None], /, *, strength: float = 1.0) -> None:
        """Lay what `paint` draws over the picture, smooth at its edges; `paint` counts in `FINE` times the pixels."""
        sheet = Image.new("RGBA", (self.FINE * self.width, self.FINE * SIZE))
        paint(ImageDraw.Draw(sheet))
        drawn = np.asarray(sheet.convert("RGBa").reduce(self.FINE), np.float32)
        self.pixels *= 1 - strength / 255 * drawn[..., 3:]
        self.pixels += strength * drawn[..., :3]


Painter = Callable[[Canvas, Light, np.random.Generator], None]


def mixed(one: Color, other: Color, share: float, /) -> Color:
    """A colour with so much of another in it."""
    r, g, b = (a + share * (o - a) for a, o in zip(one, other, strict=True))
    return r, g, b


def lit(color: Color, light: Light, /) -> Color:
    """A colour in a light."""
    r, g, b = (a * t for a, t in zip(color, light.tint, strict=True))
    return r, g, b


def vary(color: Color, rng: np.random.Generator, spread: float, /) -> Color:
    """A colour a little lighter or darker and of a slightly different hue."""
    r, g, b = np.clip(np.array(color) + rng.normal(0, 0.6 * spread) + rng.normal(0, 0.4 * spread, 3), 0, 255).tolist()
    return r, g, b


def ink(color: Color, /) -> tuple[int, int, int, int]:
    """A colour as `ImageDraw` wants it."""
    r, g, b = (min(max(round(c), 0), 255) for c in color)
    return r, g, b, 255


@cache
def _tiles() -> Picture:
    """(8, 256, 256) noise that repeats at its borders, of mean 0 and deviation 1: four smooth, four grainy ones."""
    rng = np.random.default_rng(0)
    frequency = np.fft.fftfreq(_TILE)[:, None] ** 2 + np.fft.fftfreq(_TILE)[None] ** 2
    tiles = []
    for power in (1.1,) * 4 + (0.6,) * 4:
        spectrum = np.fft.fft2(rng.standard_normal((_TILE, _TILE))) / np.maximum(frequency, 1e-5) ** power
        spectrum[0, 0] = 0
        noise = np.fft.ifft2(spectrum).real
        tiles.append(noise / noise.std())
    return np.stack(tiles).astype(np.float32)


def noise(
    rows: NDArray[np.number], columns: NDArray[np.number], rng: np.random.Generator, /, *, grainy: bool = True
) -> Picture:
    """Noise at places that are broadcast together, from a tile and an origin that are drawn."""
    tile = _tiles()[4 * grainy + int(rng.integers(4))]
    y, x = rng.integers(0, _TILE, 2)
    return np.asarray(tile[(rows.astype(np.int32) + y) % _TILE, (columns.astype(np.int32) + x) % _TILE])
