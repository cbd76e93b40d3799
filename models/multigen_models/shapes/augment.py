"""Changes to a shape that leave it a shape and can be said in words: mirror, turn, stretch, and new colours.

Every function is pure and works on the arrays of one shape: grids indexed [x, y, z] over a cube around the origin
(y up, the front towards +z), points (n, 3), colours in sRGB. What varies is drawn from a `numpy.random.Generator`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.shapes.colors import COLOR_NAMES, TYPICAL, Colors, color_name, from_oklch, to_oklab, to_srgb

Grid = NDArray[np.float32]
Points = NDArray[np.float32]

_GREY = 0.03  # chroma in OKLab below which a hue cannot be seen


@final
@dataclass(frozen=True, eq=False)
class Change:
    """How a sample differs from the shape as it was made, in this order.

    factors: of x, y and z. mirror: left and right exchanged. turns: quarter turns about y, the front towards +x, -z,
    -x. palette: (k, 3) sRGB, the colours in place of the shape's own.
    """

    factors: tuple[float, float, float]
    mirror: bool
    turns: int
    palette: Colors


def stretch_factors(extents: NDArray[np.floating], wanted: NDArray[np.floating], /) -> tuple[float, float, float]:
    """`wanted` factors (3,), scaled so that the longest side of the box `extents` (3,) is 2 again afterwards."""
    x, y, z = wanted * (2.0 / float(np.max(extents * wanted)))
    return float(x), float(y), float(z)


def stretch_distance(distance: Grid, factors: tuple[float, float, float], /, *, reach: float) -> Grid:
    """The signed distance (n, n, n), in cells, of a shape of which x, y and z are multiplied by `factors` about the
    middle, right up to `reach` cells from the surface: cut it off there.

    Trilinear. Stretching space makes a distance d along the normal n one of d / |n / factors|, with n from the gradient
    of the result: exact for planes, close to the surface of anything. Outside of the old grid the way to it is added.
    """
    beyond = np.zeros((), np.float32)
    for axis, factor in enumerate(factors):
        n = distance.shape[axis]
        distance = np.moveaxis(np.tensordot(_interpolation(n, factor), distance, (1, axis)), 0, axis)
        outside = np.maximum(np.abs(np.arange(n) - (n - 1) / 2) - factor * (n - 1) / 2, 0).astype(np.float32)
        if outside.any():
            beyond = beyond + np.square(outside).reshape(np.roll((n, 1, 1), axis))
    distance = np.ascontiguousarray(distance)
    near = np.flatnonzero(np.abs(distance) < reach / min(*factors, 1.0))
    padded = np.pad(distance, 1, "edge")
    at = np.ravel_multi_index([part + 1 for part in np.unravel_index(near, distance.shape)], padded.shape)
    flat, scaled = np.full(len(near), 1e-9, np.float32), np.full(len(near), 1e-9, np.float32)
    for stride, factor in zip((padded.shape[1] * padded.shape[2], padded.shape[2], 1), factors, strict=True):
        slope = np.square(padded.ravel()[at + stride] - padded.ravel()[at - stride])
        flat += slope
        scaled += np.float32(factor**2) * slope
    stretched = distance + np.sqrt(beyond)
    stretched.ravel()[near] += distance.ravel()[near] * (np.sqrt(scaled / flat) - 1)
    return stretched


def stretch_color(color: Grid, factors: tuple[float, float, float], /) -> Grid:
    """Colours (3, n, n, n) of the stretched shape: those of the nearest old cell, so that none mixes with the void."""
    for axis, factor in enumerate(factors, start=1):
        n = color.shape[axis]
        nearest = np.rint((np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2)
        color = np.take(color, np.clip(nearest, 0, n - 1).astype(np.intp), axis)
    return color


def orient(grid: Grid, /, *, mirror: bool, turns: int) -> Grid:
    """(..., x, y, z) mirrored in x, then turned by quarters about y: the front at +z goes to +x, then to -z and -x."""
    turned = np.rot90(grid[..., ::-1, :, :] if mirror else grid, turns, axes=(-1, -3))
    return np.ascontiguousarray(turned)


def move_points(points: Points, change: Change, /) -> Points:
    """(n, 3) stretched, mirrored and turned as the grids are."""
    moved = points * np.array(change.factors, np.float32)
    if change.mirror:
        moved = moved * np.array([-1, 1, 1], np.float32)
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[change.turns % 4]
    return moved @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]], np.float32)


def growth(normals: Points, factors: tuple[float, float, float], /) -> NDArray[np.float32]:
    """By what an area element grows under a stretch, up to a constant: |normal / factors| (Nanson), (n,)."""
    return np.asarray(np.linalg.norm(normals / np.array(factors, np.float32), axis=1), np.float32)


def choose(count: int, weights: NDArray[np.float32], rng: np.random.Generator, /) -> NDArray[np.intp]:
    """`count` indices, each as likely as its weight says, and different where none weighs more than a `count`-th of all
    (systematic sampling of a shuffled list; Madow, Annals of Mathematical Statistics 20(3), 1949)."""
    shuffled = rng.permutation(len(weights))
    total = np.cumsum(weights[shuffled], dtype=np.float64)
    at = (np.arange(count) + rng.random()) * (total[-1] / count)
    return np.asarray(shuffled[np.minimum(np.searchsorted(total, at, side="right"), len(weights) - 1)])


def recolor(colors: Colors, palette: Colors, new: Colors, /) -> Colors:
    """(n, 3) sRGB with every colour moved, in OKLab, as its nearest entry of `palette` is moved to that of `new`."""
    moved = to_oklab(new) - to_oklab(palette)
    if not np.any(np.abs(moved) > 1e-6):
        return colors
    place = to_oklab(colors)
    old = to_oklab(palette)
    # Squares of distances, less a term that is common to all entries.
    nearest = (np.square(old).sum(1) - 2 * place @ old.T).argmin(1)
    return to_srgb(place + moved[nearest])


def rotate_hues(palette: Colors, degrees: float, /) -> Colors:
    """The palette with every hue turned by so many degrees of OKLCH; greys stay grey."""
    light, a, b = np.moveaxis(to_oklab(palette), -1, 0)
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    seen = np.hypot(a, b) > _GREY
    turned = np.stack([light, np.where(seen, cos * a - sin * b, a), np.where(seen, sin * a + cos * b, b)], -1)
    return to_srgb(turned.astype(np.float32))


def paint(palette: Colors, shares: NDArray[np.floating], name: str, rng: np.random.Generator, /) -> Colors:
    """The palette with its dominant colour, all entries of the same name, moved into the region of `name`.

    shares: (k,), how much of the surface each entry is. Entries keep half of their differences in lightness.
    """
    names = [color_name(rgb) for rgb in palette]
    dominant = max(set(names), key=lambda said: sum(s for n, s in zip(names, shares, strict=True) if n == said))
    chosen = np.array([said == dominant for said in names])
    place = to_oklab(palette)
    target = to_oklab(draw_color(name, rng))
    middle = np.average(place[chosen, 0], weights=np.asarray(shares)[chosen] + 1e-9)
    painted = np.repeat(target[None], int(chosen.sum()), 0)
    painted[:, 0] += 0.5 * (place[chosen, 0] - middle)
    place[chosen] = painted
    return to_srgb(place)


def draw_color(name: str, rng: np.random.Generator, /) -> Colors:
    """An sRGB colour (3,) of that name: around the typical one, still called by the name a little away from it."""
    light, chroma, hue = TYPICAL[name]
    for _ in range(16):
        drawn = (
            light + rng.normal(0, 0.07),
            max(chroma * rng.uniform(0.75, 1.2), 0.0),
            hue + rng.normal(0, 7),
        )
        rgb = from_oklch(*drawn)
        if all(color_name(from_oklch(drawn[0] + d, drawn[1], drawn[2])) == name for d in (-0.04, 0.0, 0.04)):
            return rgb
    return from_oklch(light, chroma, hue)


def draw_palette(palette: Colors, shares: NDArray[np.floating], rng: np.random.Generator, /) -> Colors:
    """New colours: mostly the dominant one becomes another basic colour, sometimes all hues turn together."""
    if rng.random() < 0.2:
        return rotate_hues(palette, rng.uniform(40, 320))
    likely = np.array([0.4 if name in ("beige", "grey") else 1.0 for name in COLOR_NAMES])
    return paint(palette, shares, COLOR_NAMES[rng.choice(len(COLOR_NAMES), p=likely / likely.sum())], rng)


def _interpolation(n: int, factor: float) -> NDArray[np.float32]:
    """(n, n) weights of linear interpolation at (i - middle) / factor + middle, held at the ends."""
    at = np.clip((np.arange(n) - (n - 1) / 2) / factor + (n - 1) / 2, 0, n - 1)
    low = np.minimum(np.floor(at).astype(int), n - 2)
    weights = np.zeros((n, n), np.float32)
    weights[np.arange(n), low] = 1 - (at - low)
    weights[np.arange(n), low + 1] = at - low
    return weights
