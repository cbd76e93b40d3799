"""Colours of rendered figures: in words, and changed to others.

Pictures are read as counts of 32 x 32 x 32 cells of sRGB: a figure has a few hundred of them, however many pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.shapes.augment import draw_color
from multigen_models.shapes.colors import Colors, color_names, palette_of, to_oklab, to_srgb

Pictures = NDArray[np.uint8]

PAINTS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
"""Colours that figures are painted with."""

_CELLS = 32
_DARKEST = 0.22  # lightness of the darkest paint: black with shades that can be seen
_SHADE = 0.9  # how bright a lit surface is on average, seen from all sides
_BODY = 0.11  # how far in OKLab's a and b from its main colour the body of a figure reaches


@final
@dataclass(frozen=True, eq=False)
class Painted:
    """A figure in other colours: what has its main hue is moved to another place in OKLab, and the rest stays.

    names: as `words` gives them. mean: sRGB (3,) in [0, 255]. hue: (2,) its main a and b; reach: how far from that its
    body goes. middle: (3,) OKLab of its body, and target (3,) where it comes; contrast: what is left of its shading.
    """

    names: tuple[str, ...]
    mean: NDArray[np.float64]
    hue: Colors
    reach: float
    middle: Colors
    target: Colors
    contrast: float

    def __call__(self, pictures: Pictures, /) -> Pictures:
        """Pictures (..., 4) in the new colours; what differed within a cell still does."""
        index = _cell(pictures)
        cells = np.flatnonzero(np.bincount(index.ravel(), minlength=_CELLS**3))
        table = np.zeros((_CELLS**3, 3), np.int16)
        table[cells] = np.rint(self.change(_color(cells)))
        changed = table[index] + (pictures[..., :3] & 7) - 4
        return np.concatenate([np.clip(changed, 0, 255).astype(np.uint8), pictures[..., 3:]], -1)

    def change(self, colors: Colors, /) -> Colors:
        """What becomes of sRGB colours (m, 3), in [0, 255]."""
        lab = to_oklab(colors / np.float32(255))
        body = _near(lab, self.hue, self.reach)[:, None]
        light = np.clip(self.target[0] + self.contrast * (lab[:, :1] - self.middle[0]), 0.09, 0.98)
        hue = self.target[1:] * np.clip(light / self.target[0], 0.5, 1.15)
        after = np.concatenate([light, hue + np.float32(0.15) * (lab[:, 1:] - self.middle[1:])], 1)
        return np.asarray(255 * to_srgb((body * after + (1 - body) * lab).astype(np.float32)))


def words(pictures: Pictures, /) -> tuple[str, ...]:
    """The one or two colours that most of a figure has, in pictures (n, h, w, 4); () where there are more."""
    cells, counts = _counted(pictures)
    return _clear(_color(cells) / np.float32(255), counts)


def mean_color(pictures: Pictures, /) -> NDArray[np.float64]:
    """sRGB (3,) in [0, 255] of what is opaque in pictures (n, h, w, 4)."""
    cells, counts = _counted(pictures)
    return np.average(_color(cells), 0, counts) if len(cells) else np.zeros(3)


def paint(pictures: Pictures, name: str, rng: np.random.Generator, /) -> Painted | None:
    """What makes a figure in pictures (n, h, w, 4) one of that colour; None where it does not make it what one would
    call so."""
    cells, counts = _counted(pictures)
    if not len(cells):
        return None
    colors = _color(cells)
    lab = to_oklab(colors / np.float32(255))
    hue = to_oklab(palette_of(colors / np.float32(255), counts)[0])[0, 1:]
    reach = _BODY if np.average(_near(lab, hue, _BODY), weights=counts) > 0.5 else 1.0
    target = to_oklab(draw_color(name, rng) * np.float32(_SHADE))
    target[0] = max(target[0], _DARKEST)
    painted = Painted(
        names=(name,),
        mean=np.zeros(3),
        hue=hue,
        reach=reach,
        middle=np.average(lab, 0, _near(lab, hue, reach) * counts).astype(np.float32),
        target=target,
        contrast=0.65 if name in ("black", "white") else 0.85,
    )
    after = painted.change(colors)
    seen = _clear(after / np.float32(255), counts)
    return replace(painted, names=seen, mean=np.average(after, 0, counts)) if seen[:1] == (name,) else None


def _near(lab: Colors, hue: Colors, reach: float) -> Colors:
    """(m,) how much colours of OKLab (m, 3) belong to those within reach of a and b, from 1 to 0 over a soft edge."""
    return np.asarray(np.clip((reach - np.linalg.norm(lab[:, 1:] - hue, axis=1)) / np.float32(0.04), 0, 1), np.float32)


def _clear(colors: Colors, counts: NDArray[np.floating]) -> tuple[str, ...]:
    if not len(colors):
        return ()
    unshaded = np.minimum(colors / np.float32(_SHADE), 1)
    palette, of = palette_of(unshaded, counts)
    shares = color_names(palette, np.bincount(of, counts, len(palette)).tolist())
    first, second = (*shares, ("", 0.0))[:2]
    if first[1] > 0.6 and second[1] < 0.27:
        return (first[0],)
    return (first[0], second[0]) if first[1] > 0.3 and first[1] + second[1] > 0.72 else ()


def _counted(pictures: Pictures) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The cells that there are, and of how many opaque pixels."""
    weight = (pictures[..., 3] > 127).astype(np.float64)
    opaque = np.bincount(_cell(pictures).ravel(), weight.ravel(), _CELLS**3)
    cells = np.flatnonzero(opaque)
    return cells, np.asarray(opaque[cells], np.float64)


def _cell(pictures: Pictures) -> NDArray[np.intp]:
    r, g, b = (pictures[..., k].astype(np.intp) >> 3 for k in range(3))
    return (r << 10) | (g << 5) | b


def _color(cells: NDArray[np.intp]) -> Colors:
    """The middles of cells, (m, 3) in [0, 255]."""
    return np.stack([cells >> 10, (cells >> 5) & 31, cells & 31], 1).astype(np.float32) * 8 + 4
