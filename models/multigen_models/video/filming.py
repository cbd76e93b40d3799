"""Figures filmed from directions of which captions can speak."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.video.figures import Motion
from multigen_models.video.raster import SOFT, Camera, Floats, draw, shadow
from multigen_models.video.takes import Take

LARGEST = 112
"""Pixels of the longer side of a figure in all its poses together."""
SWEEP = 32
"""Pictures in which a figure turns."""

_AWAY = 4.0  # distance of the camera in halves of the diagonal of what is filmed
_FLAT = 0.4  # depth by width below which a side shows too little
_MARGIN = 1  # pixels around a figure


@final
@dataclass(frozen=True)
class View:
    """Where a figure is filmed from: yaw in the first and in the last picture, and elevation, degrees as in `Take`."""

    yaw: tuple[float, float]
    elevation: float


def views(motion: Motion, /) -> Iterator[View]:
    """Directions to film a motion from, the same ones every time; those to the left are mirror images.

    Of an animated figure its right side, front, back, a view from between front and side, and half a turn; of a still
    one its right side, or if it is flat a view from between, its front, and a third of a turn.
    """
    rng = np.random.default_rng(zlib.crc32(f"{motion.figure}\n{motion.clip}".encode()))
    if motion.clip:
        middles, first, turn = [(90, 20), (0, 25), (180, 25), (45, 12)], float(rng.choice((-90, 0, 180))), 180
    else:
        wide, _, deep = np.ptp(motion.positions[0], 0)
        middles, first, turn = [(90, 20) if deep > _FLAT * wide else (45, 12), (0, 25)], -60.0, 120
    for middle, around in middles:
        yaw = round(float(rng.uniform(middle - around, middle + around)), 1)
        yield View((yaw, yaw), round(float(rng.uniform(4, 18)), 1))
    first = round(first + float(rng.uniform(-20, 20)), 1)
    yield View((first, first + turn), round(float(rng.uniform(4, 18)), 1))


def film(motion: Motion, view: View, /) -> tuple[Take, NDArray[np.uint8], NDArray[np.uint8]]:
    """A take, its frames (n, h, w, 4) and its shadows (n, h, w).

    The crop holds the figure and its shadow in all pictures. A view that turns takes `SWEEP` pictures, in which poses
    that go round are repeated, and others end in the last.
    """
    turning = view.yaw[0] != view.yaw[1]
    poses = np.arange(SWEEP if turning else len(motion.positions))
    yaws = np.linspace(*view.yaw, len(poses))
    count = len(motion.positions)
    poses = poses % count if motion.loop else np.minimum(poses, count - 1)
    camera, size = _frame(motion, poses, yaws, view.elevation)
    frames = np.empty((len(poses), *size, 4), np.uint8)
    shadows = np.empty((len(poses), *size), np.uint8)
    for place, (pose, yaw) in enumerate(zip(poses, yaws, strict=True)):
        positions, seen_from = motion.positions[pose], replace(camera, yaw=float(yaw))
        frames[place] = draw(motion.surface, positions, motion.normals[pose], camera=seen_from, size=size)
        shadows[place] = shadow(motion.surface, positions, ground=motion.ground, camera=seen_from, size=size)
    low, high = _extent(motion.positions[0])
    x, z = (low + high)[[0, 2]] / 2
    foot, head = (x, motion.ground, z), (x, motion.ground + motion.height, z)
    below, above = replace(camera, yaw=view.yaw[0]).project(np.array([foot, head], np.float32))
    take = Take(
        figure=motion.figure,
        clip=motion.clip,
        yaw=view.yaw,
        elevation=view.elevation,
        loop=motion.loop and not turning,
        ground=(float(below[0]), float(below[1])),
        height=float(below[1] - above[1]),
        speed=motion.speed,
    )
    return take, frames, shadows


def _frame(
    motion: Motion, poses: NDArray[np.int64], yaws: NDArray[np.float64], elevation: float
) -> tuple[Camera, tuple[int, int]]:
    """A camera that sees all poses as large as may be, and the height and width of the crop."""
    low, high = _extent(motion.positions)
    x, y, z = map(float, (low + high) / 2)
    camera = Camera((x, y, z), _AWAY * float(np.linalg.norm(high - low)) / 2, 0.0, elevation, 1.0, (0.0, 0.0))
    figure, fallen = [], []
    for pose, yaw in zip(poses, yaws, strict=True):
        seen_from = replace(camera, yaw=float(yaw))
        figure.append(_extent(seen_from.project(motion.positions[pose]))[:, :2])
        fallen.append(_extent(seen_from.project(seen_from.fallen(motion.positions[pose], motion.ground)))[:, :2])
    corners = np.array(figure)
    first, last = corners[:, 0].min(0), corners[:, 1].max(0)
    focal = (LARGEST - 2 * _MARGIN) / float((last - first).max())
    soft = 3 * SOFT / focal
    around = np.array(fallen)
    first = np.minimum(first - _MARGIN / focal, around[:, 0].min(0) - soft)
    last = np.maximum(last + _MARGIN / focal, around[:, 1].max(0) + soft)
    width, height = (math.ceil(side) for side in (last - first) * focal)
    center = (float(-first[0] * focal), float(-first[1] * focal))
    return replace(camera, focal=focal, center=center), (height, width)


def _extent(points: Floats) -> Floats:
    """(2, 3) least and greatest of points (..., 3); by columns, which is several times as quick as by rows."""
    return np.array([[least(points[..., axis]) for axis in range(3)] for least in (np.min, np.max)], np.float32)
