"""Rain, snow and fog over pictures that move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from multigen_models.video.backgrounds import SIZE, Picture, noise

Weather = Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.uint8]]
"""(frames (t, h, w, 3), frames a second, rng) -> frames with weather in them."""

_TILE = 256
_FOG = (206, 211, 216)


def rain(frames: NDArray[np.uint8], fps: float, rng: np.random.Generator, /) -> NDArray[np.uint8]:
    """Streaks that fall faster than they can be followed."""
    density = int(rng.integers(2))
    layers = [(_streaks()[density], 290.0, -60.0), (_streaks()[1 - density], 230.0, -48.0)][: 1 + density]
    return _fallen(frames, (212, 220, 230), [(0.55 * tile, down, across) for tile, down, across in layers], fps, rng)


def snow(frames: NDArray[np.uint8], fps: float, rng: np.random.Generator, /) -> NDArray[np.uint8]:
    """Flakes near and far, drifting."""
    wind = rng.uniform(-14, 14)
    layers = [(_flakes()[0], 46.0, wind), (_flakes()[1], 30.0, 0.6 * wind)]
    return _fallen(frames, (250, 252, 255), layers, fps, rng)


def fog(frames: NDArray[np.uint8], fps: float, rng: np.random.Generator, /) -> NDArray[np.uint8]:
    """A veil, denser at some heights."""
    rows = np.arange(SIZE)
    veil = 0.3 + 0.07 * noise(rows[:, None] / 2, np.arange(SIZE)[None] / 4, rng, grainy=False)
    return _blended(frames, _FOG, np.clip(veil, 0.1, 0.5)[None])


WEATHERS: Mapping[str, Weather] = {"rain": rain, "snow": snow, "fog": fog}


def far_fog(backdrop: NDArray[np.uint8], /) -> NDArray[np.uint8]:
    """What fog leaves of a still (h, w, 3) behind the figures."""
    share = np.linspace(0.72, 0.35, len(backdrop), dtype=np.float32)[None, :, None]
    return np.asarray(_blended(backdrop[None], _FOG, share)[0])


def _fallen(
    frames: NDArray[np.uint8],
    color: tuple[int, int, int],
    layers: list[tuple[Picture, float, float]],
    fps: float,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Frames behind tiles (256, 256) of alpha that move by so many pixels a second down and to the right."""
    origins = rng.integers(0, _TILE, (len(layers), 2))
    alpha = np.zeros((len(frames), SIZE, SIZE), np.float32)
    for (tile, down, across), (y, x) in zip(layers, origins, strict=True):
        for k in range(len(frames)):
            shift = (y - round(k * down / fps)) % _TILE, (x - round(k * across / fps)) % _TILE
            rows, columns = (np.arange(SIZE) + shift[0]) % _TILE, (np.arange(SIZE) + shift[1]) % _TILE
            np.maximum(alpha[k], tile[rows[:, None], columns[None]], out=alpha[k])
    return _blended(frames, color, alpha)


def _blended(frames: NDArray[np.uint8], color: tuple[int, int, int], alpha: Picture) -> NDArray[np.uint8]:
    share = alpha[..., None]
    return np.asarray(frames * (1 - share) + share * np.array(color, np.float32) + 0.5).astype(np.uint8)


@cache
def _streaks() -> tuple[Picture, Picture]:
    """Tiles of light and of heavy rain."""
    rng = np.random.default_rng(1)
    return _tile(_streak, rng, 260), _tile(_streak, rng, 620)


@cache
def _flakes() -> tuple[Picture, Picture]:
    """Tiles of large and of small flakes."""
    rng = np.random.default_rng(2)
    return _tile(lambda draw, x, y, r: _flake(draw, x, y, 2.1 + r), rng, 110), _tile(
        lambda draw, x, y, r: _flake(draw, x, y, 1.2 + 0.4 * r), rng, 300
    )


def _streak(draw: ImageDraw.ImageDraw, x: float, y: float, long: float) -> None:
    draw.line([x, y, x - 2 - 2 * long, y + 12 + 12 * long], fill=int(150 + 100 * long), width=1)


def _flake(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=235)


def _tile(
    paint: Callable[[ImageDraw.ImageDraw, float, float, float], None], rng: np.random.Generator, count: int
) -> Picture:
    """(256, 256) of alpha in [0, 1] that repeats at its borders, drawn at twice the size."""
    sheet = Image.new("L", (2 * _TILE, 2 * _TILE))
    draw = ImageDraw.Draw(sheet)
    for x, y, size in rng.random((count, 3)):
        for dx in (-1, 0):
            for dy in (-1, 0):
                paint(draw, 2 * _TILE * (x + dx + 0.5), 2 * _TILE * (y + dy + 0.5), size)
    return np.asarray(sheet.reduce(2), np.float32) / np.float32(255)
