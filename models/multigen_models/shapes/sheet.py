"""A contact sheet of prepared shapes with their captions, drawn from the grids that a model is trained on."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multigen.atomic import replace_file
from multigen_models.shapes.augment import Grid
from multigen_models.shapes.prepare import GRID

_PIXELS = 160
_STEPS = 70
_LIGHT = (-0.35, 0.65, 0.67)


def picture(distance: Grid, color: Grid, /, *, yaw: float = 30.0, pitch: float = 22.0) -> NDArray[np.uint8]:
    """(160, 160, 3) sRGB of grids as `DistanceGrid.analyse` returns them, seen from the front, `yaw` degrees to its
    left and `pitch` degrees above, without perspective (sphere tracing; Hart, The Visual Computer 12(10), 1996)."""
    turn, tilt = math.radians(yaw), math.radians(pitch)
    right = np.array([math.cos(turn), 0, -math.sin(turn)])
    back = np.array([math.sin(turn) * math.cos(tilt), math.sin(tilt), math.cos(turn) * math.cos(tilt)])
    up = np.cross(back, right)
    across = np.linspace(-1.6, 1.6, _PIXELS)
    at = (across[None, :, None] * right - across[:, None, None] * up + 1.8 * back).reshape(-1, 3)
    gap = np.full(len(at), np.inf)
    for _ in range(_STEPS):
        moving = (np.abs(gap) > 0.05) & (np.linalg.norm(at, axis=1) < 2.5)
        gap[moving] = _sample(distance, at[moving]) * GRID.truncation
        at[moving] -= 0.9 * GRID.voxel * gap[moving, None] * back
    hit = gap < 0.3
    step = np.eye(3) * GRID.voxel
    normal = np.stack([_sample(distance, at[hit] + d) - _sample(distance, at[hit] - d) for d in step], 1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    known: Grid = np.asarray(color.any(0), np.float32)
    weight = np.maximum(_sample(known, at[hit]), 1e-6)
    rgb = np.stack([_sample(np.asarray((channel + 1) / 2 * known), at[hit]) / weight for channel in color], 1)
    image = np.full((len(at), 3), 0.93)
    image[hit] = rgb * (0.6 + 0.4 * np.maximum(normal @ np.array(_LIGHT), 0))[:, None]
    pixels: NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return pixels.reshape(_PIXELS, _PIXELS, 3)


def sheet(samples: Sequence[tuple[Grid, Grid, str]], path: Path, /, *, columns: int = 8) -> None:
    """Draw (distance, color, caption) in rows from the left as a PNG.

    Raises
    ------
    OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(len(samples) / columns)
    figure = Figure(figsize=(1.7 * columns, 2.1 * rows), dpi=100)
    FigureCanvasAgg(figure)
    for place, (distance, color, caption) in enumerate(samples):
        left, bottom = place % columns / columns, 1 - (place // columns + 1) / rows
        axes = figure.add_axes((left, bottom + 0.19 / rows, 1 / columns, 0.81 / rows))
        axes.imshow(picture(distance, color))
        axes.axis("off")
        figure.text(left + 0.5 / columns, bottom + 0.18 / rows, _wrapped(caption), size=7, ha="center", va="top")
    png = io.BytesIO()
    figure.savefig(png, format="png")
    replace_file(path, png.getvalue())


def _sample(grid: Grid, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Trilinear values of a grid over the cube at points (n, 3); beyond the grid those of its edge."""
    from scipy.ndimage import map_coordinates

    n = grid.shape[-1]
    cells = (points / GRID.voxel * (n / GRID.resolution)).T + (n - 1) / 2
    return np.asarray(map_coordinates(grid, cells, order=1, mode="nearest"), np.float32)


def _wrapped(caption: str, width: int = 30) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(caption, width)[:3])
