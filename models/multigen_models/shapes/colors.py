"""Colours of shapes in words: palettes of coloured surfaces, and the basic colour terms by regions of OKLCH.

OKLab is Bjorn Ottosson's ("A perceptual color space for image processing", 2020), in which hues stay where they are
named, while CIELAB's blues turn purple. The regions were set by the colours of the xkcd survey (Randall Munroe, 2010)
whose names end in a basic term: 93 % of those 438 get that term.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.float32]

# The middle of the region of every name as (lightness, chroma, hue in degrees) of OKLCH, for colours to be drawn.
TYPICAL: Mapping[str, tuple[float, float, float]] = {
    "red": (0.54, 0.20, 27.0),
    "orange": (0.72, 0.165, 56.0),
    "yellow": (0.86, 0.165, 95.0),
    "green": (0.62, 0.16, 143.0),
    "blue": (0.55, 0.14, 252.0),
    "purple": (0.47, 0.16, 305.0),
    "pink": (0.76, 0.12, 357.0),
    "brown": (0.44, 0.075, 58.0),
    "beige": (0.88, 0.05, 85.0),
    "black": (0.20, 0.005, 0.0),
    "white": (0.95, 0.005, 0.0),
    "grey": (0.60, 0.008, 0.0),
}
COLOR_NAMES = tuple(TYPICAL)

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)
# Two colours of one palette entry differ by less than this in OKLab, where lightness counts half: shading and the
# grain of a texture stay together.
_SPREAD = 0.10
_LIGHTNESS = 0.5


def to_oklab(rgb: Colors, /) -> Colors:
    """sRGB in [0, 1], (..., 3), to OKLab: lightness in [0, 1], a (green to red) and b (blue to yellow)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T, np.float32)


def to_srgb(oklab: Colors, /) -> Colors:
    """OKLab (..., 3) to sRGB, cut off at [0, 1] where a display has no such colour."""
    linear = np.clip((oklab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T, 0, 1)
    return np.asarray(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055), np.float32)


def from_oklch(lightness: float, chroma: float, hue: float, /) -> Colors:
    """sRGB (3,) of a colour in OKLCH, its hue in degrees."""
    angle = np.radians(hue)
    return to_srgb(np.array([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], np.float32))


def color_name(rgb: Colors | Sequence[float], /) -> str:
    """The name, of `COLOR_NAMES`, of an sRGB colour (3,) in [0, 1]."""
    light, a, b = map(float, to_oklab(np.asarray(rgb, np.float32)))
    chroma, hue = float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)) % 360)
    # Stones and metals are bluish greys; a warm colour shows its hue earlier.
    greyness = 0.042 if 190 < hue < 300 else 0.026
    if light < 0.12 or (light < 0.25 and chroma < 0.2 * light):
        return "black"
    if chroma < greyness or (light > 0.96 and chroma < 0.05):
        return "white" if light > 0.87 else "black" if light < 0.3 else "grey"
    if hue >= 340 or hue < 38:
        return _reddish(light, chroma, hue)
    if hue < 110 or (hue < 115 and light > 0.85):
        return _yellowish(light, chroma, hue)
    if hue < 188:
        return "green"
    if hue < 285:
        return "blue"
    return "pink" if light > 0.62 and hue > 322 else "purple"


def color_names(palette: Colors, weights: Sequence[float], /) -> tuple[tuple[str, float], ...]:
    """The names of a palette (k, 3) with the share of each, the largest first; colours of one name count together."""
    shares: dict[str, float] = defaultdict(float)
    total = max(float(sum(weights)), 1e-12)
    for rgb, weight in zip(palette, weights, strict=True):
        shares[color_name(rgb)] += float(weight) / total
    return tuple(sorted(((name, share) for name, share in shares.items() if share > 0), key=lambda pair: -pair[1]))


def palette_of(
    colors: Colors, weights: NDArray[np.floating] | None = None, /, *, size: int = 8
) -> tuple[Colors, NDArray[np.intp]]:
    """The palette of a surface: at most `size` sRGB colours (k, 3), the heaviest first, and each colour's entry (n,).

    colors: (n, 3) in [0, 1]. weights: the area of each, or alike. Greedy: the heaviest colour takes all that are near
    it, then the heaviest of the rest does; what is left goes to the nearest entry.
    """
    cells, of = np.unique(np.rint(np.asarray(colors) * 31).astype(np.int32), axis=0, return_inverse=True)
    of = of.reshape(-1)
    mass = np.bincount(of, weights, len(cells))
    # The mean of a cell, not its middle: 1/31 is more than the difference of two greys.
    means = np.stack([np.bincount(of, channel, len(cells)) for channel in colors.T], 1) / np.bincount(of)[:, None]
    place = to_oklab(means.astype(np.float32))
    scaled = place * np.array([_LIGHTNESS, 1, 1], np.float32)
    entry, free = np.full(len(cells), -1), mass > 0
    centers: list[int] = []
    while len(centers) < size and free.any():
        center = int(np.argmax(np.where(free, mass, -1)))
        near = free & (np.linalg.norm(scaled - scaled[center], axis=1) < _SPREAD)
        entry[near] = len(centers)
        centers.append(center)
        free &= ~near
    left = entry < 0
    entry[left] = np.linalg.norm(scaled[left, None] - scaled[centers], axis=2).argmin(1)
    weight = np.bincount(entry, mass, len(centers))
    middle = np.stack([np.bincount(entry, mass * axis, len(centers)) for axis in place.T], 1) / weight[:, None]
    order = np.argsort(-weight, kind="stable")
    return to_srgb(middle[order].astype(np.float32)), np.argsort(order)[entry][of]


def _reddish(light: float, chroma: float, hue: float) -> str:
    """Hues from magenta to vermilion: the light ones are pink, the dull ones brown."""
    if 12 <= hue < 340:
        if 0.3 < light < 0.67 and chroma > 0.28 * light:
            return "red"
        if (light < 0.62 and chroma < 0.2 * light) or (light < 0.3 and hue > 27 and chroma < 0.35 * light):
            return "brown"
        return "red" if light < 0.58 else "pink"
    return "pink" if light > 0.45 else "purple" if hue >= 340 else "red"


def _yellowish(light: float, chroma: float, hue: float) -> str:
    """Hues from orange to yellow: what is dark or dull of them is brown, what is light and dull beige."""
    if (hue >= 80 and light > 0.68 and chroma > 0.105) or (hue >= 72 and light > 0.72 and chroma > 0.115):
        return "yellow"
    if hue < 80 and light > 0.58 and chroma > (0.107 if hue < 62 or light > 0.7 else 0.125):
        return "orange"
    if light > 0.8:
        return "beige"
    return "green" if hue > 103 else "brown"
