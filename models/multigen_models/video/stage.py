"""Filming: figures, a place, a camera and the weather put together into frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from multigen_models.video.backgrounds import SIZE, Color
from multigen_models.video.paint import Painted
from multigen_models.video.takes import Takes
from multigen_models.video.weather import Weather

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]

_SHADOW = 0.45  # how much light a full shadow takes


@final
@dataclass(frozen=True, eq=False)
class Actor:
    """A take on the stage.

    pictures: (t,) of the take. mirrored: left and right exchanged. anchor: (x, y) in pixels of the crop, as it is
    mirrored, which is put at path (t, 2), enlarged by scale (t,). painted: its colours, if changed.
    """

    take: int
    pictures: NDArray[np.intp] = field(repr=False)
    mirrored: bool
    anchor: tuple[float, float]
    path: Floats = field(repr=False)
    scale: Floats = field(repr=False)
    shadow: bool
    painted: Painted | None = None


@final
@dataclass(frozen=True, eq=False)
class Shot:
    """What is filmed.

    backdrop: (SIZE, width, 3). view: (t, 3) x and y of the backdrop in the middle of the frame, and enlargement.
    actors: the farthest first. tint: of the light on them.
    """

    backdrop: Frames = field(repr=False)
    view: Floats = field(repr=False)
    actors: tuple[Actor, ...]
    tint: Color = (1.0, 1.0, 1.0)
    weather: Weather | None = None


def film(shot: Shot, takes: Takes, rng: np.random.Generator, /, *, fps: float) -> tuple[Frames, Frames]:
    """Frames (t, SIZE, SIZE, 3), and how opaque each actor is in them, (actors, t, SIZE, SIZE), before the weather."""
    frames = _filmed_backdrop(shot.backdrop, shot.view)
    covers = np.zeros((len(shot.actors), *frames.shape[:3]), np.uint8)
    for actor, cover in zip(shot.actors, covers, strict=True):
        figures, shadows, margin = _figures(actor, takes, shot.tint)
        for t, picture in enumerate(np.unique(actor.pictures, return_inverse=True)[1]):
            x, y, zoom = shot.view[t]
            scale = zoom * float(actor.scale[t])
            at = SIZE / 2 + zoom * (actor.path[t] - (x, y)) - scale * (np.array(actor.anchor) + margin)
            _place(frames[t], cover[t], figures[picture], shadows[picture] if shadows else None, at, scale)
    if shot.weather is not None:
        frames = shot.weather(frames, fps, rng)
    return frames, covers


def _filmed_backdrop(backdrop: Frames, view: Floats) -> Frames:
    """(t, SIZE, SIZE, 3) of a still under a moving camera."""
    whole = Image.fromarray(backdrop)
    frames = np.empty((len(view), SIZE, SIZE, 3), np.uint8)
    for t, (x, y, zoom) in enumerate(view):
        if t and (view[t] == view[t - 1]).all():
            frames[t] = frames[t - 1]
            continue
        half = SIZE / 2 / zoom
        seen = (max(x - half, 0), max(y - half, 0), min(x + half, whole.width), min(y + half, whole.height))
        frames[t] = np.asarray(whole.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=seen))
    return frames


def _figures(actor: Actor, takes: Takes, tint: Color) -> tuple[list[Image.Image], list[Image.Image], int]:
    """The pictures that an actor needs, in rising order, with premultiplied alpha, their shadows, or none, and how many
    transparent pixels there are around them."""
    pictures, shadows = takes.pictures(actor.take, np.unique(actor.pictures).tolist())
    if actor.painted is not None:
        pictures = actor.painted(pictures)
    if tint != (1.0, 1.0, 1.0):
        lit = (pictures[..., :3] * np.array(tint, np.float32)).astype(np.uint8)
        pictures = np.concatenate([lit, pictures[..., 3:]], -1)
    margin = 1 + int(1 / actor.scale.min())
    edge = ((0, 0), (margin, margin), (margin, margin))
    flip = slice(None, None, -1 if actor.mirrored else 1)
    figures = np.pad(pictures, (*edge, (0, 0)))[:, :, flip]
    fallen = np.pad(shadows, edge)[:, :, flip] if actor.shadow else ()
    return [Image.fromarray(f).convert("RGBa") for f in figures], [Image.fromarray(f) for f in fallen], margin


def _place(
    frame: Frames, cover: Frames, figure: Image.Image, shadow: Image.Image | None, at: Floats, scale: float
) -> None:
    """Draw a figure with the upper left corner of its picture at (x, y), which is between pixels as a rule.

    The outermost pixel of what is drawn is left out: it is transparent.
    """
    size = np.array(figure.size)
    (left, top), (right, bottom) = np.maximum(np.ceil(at), 0), np.minimum(np.floor(at + scale * size), SIZE)
    if right <= left or bottom <= top:
        return
    (x0, y0), (x1, y1) = (np.array(((left, top), (right, bottom))) - at) / scale
    part = (float(x0), float(y0), min(float(x1), figure.width), min(float(y1), figure.height))
    rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
    pixels = (int(right - left), int(bottom - top))
    drawn = np.asarray(figure.resize(pixels, Image.Resampling.BILINEAR, box=part))
    light = 255 - drawn[..., 3:].astype(np.uint16)
    if shadow is not None:
        dark = np.asarray(shadow.resize(pixels, Image.Resampling.BILINEAR, box=part))[..., None]
        light = _share(light, 255 - np.asarray(dark.astype(np.uint16) * int(256 * _SHADOW) >> 8, np.uint16))
    frame[rows, columns] = _share(frame[rows, columns].astype(np.uint16), light) + drawn[..., :3]
    cover[rows, columns] = drawn[..., 3]


def _share(values: NDArray[np.uint16], of: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """values * of / 255, rounded, of numbers up to 255 (Blinn, "Three wrongs make a right", 1995)."""
    product = values * of + 128
    return np.asarray((product + (product >> 8)) >> 8, np.uint16)
