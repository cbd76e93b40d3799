"""What happens in a scene, drawn at random: figures, where they are, in what light, and how the camera moves.

A plan is words and numbers that agree: a `Telling`, of which every word is true, and a `Shot` that shows it. Lengths
are pixels of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from multigen_models.shapes.colors import to_oklab
from multigen_models.video.backgrounds import SIZE
from multigen_models.video.captions import Subject, Telling
from multigen_models.video.casting import Cast, Part, twin
from multigen_models.video.motion import Floats
from multigen_models.video.places import OUTDOORS, PLACES
from multigen_models.video.settings import UNGROUNDED, Backdrop, Setting, draw_backdrop, draw_setting
from multigen_models.video.stage import Actor, Shot

_RATES, _RATE_SHARES = (8.0, 4.0, 16.0), (0.8, 0.1, 0.1)
_PAIRS, _TWINS = 0.05, 0.02  # shares of scenes with two figures, and with two that are alike
_SLOTS = (0.29 * SIZE, 0.71 * SIZE)
_EDGE = 4.0
_CONTRAST = 0.09  # in OKLab, of a figure and what is behind it
_FAR = 0.75  # how large who is zoomed at is from afar
_TRIES = 4
_CAMERAS = (("still", 0.5), ("left", 0.62), ("right", 0.74), ("in", 0.88), ("out", 1.0))


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """A scene: what there is to say of it, and what is filmed, so many frames a second."""

    telling: Telling
    shot: Shot
    fps: float


def draw_plan(cast: Cast, rng: np.random.Generator, /, *, count: int) -> Plan:
    """A scene of `count` frames with figures of a cast."""
    fps = _RATES[int(rng.choice(len(_RATES), p=_RATE_SHARES))]
    draw = rng.random()
    lead = cast.draw(rng, count=count, fps=fps, beside=draw < _PAIRS + _TWINS)
    parts = [lead]
    if draw < _PAIRS + _TWINS and lead.role.view != "turning" and lead.way.direction in ("", "left", "right"):
        parts.append(twin(lead, rng, fps=fps) if draw < _TWINS else cast.partner(lead, rng, count=count, fps=fps))
    colors = " ".join(part.subject.color for part in parts)
    for _ in range(_TRIES):
        setting = draw_setting(lead.role.figure, colors, rng)
        plan = _staged(parts, setting, _camera(parts, setting, rng), fps, rng)
        if _contrast(plan.shot, parts) > _CONTRAST:
            break
    return plan


def _camera(parts: Sequence[Part], setting: Setting, rng: np.random.Generator) -> str:
    """How the camera moves: a name of `video_captions.CAMERAS`, or "still". It has to be seen in the place, and the
    figures must not seem to go elsewhere than they do."""
    way, role = parts[0].way, parts[0].role
    if setting.place not in PLACES or len(way.near) == 1 or len(parts) > 1:
        return "still"
    draw = rng.random()
    if way.direction in ("left", "right"):
        return "follow" if draw < 0.18 else "still"
    if np.ptp(way.across) or np.ptp(way.up) or way.direction:
        return "still"
    if role.view == "turning":
        return "orbit" if draw < 0.5 else "still"
    return next(name for name, share in _CAMERAS if draw < share)


def _staged(parts: Sequence[Part], setting: Setting, camera: str, fps: float, rng: np.random.Generator) -> Plan:
    """Everybody put in their places, and the camera in front of them."""
    count = len(parts[0].pictures)
    passed = np.linspace(0, 1, count) if count > 1 else np.zeros(1)
    if camera in ("in", "out"):
        parts = [replace(parts[0], scale=_FAR * parts[0].scale)]
    travel = _travel(parts[0], camera, rng)
    start = SIZE / 2 + max(-travel, 0.0)
    # Who is followed or orbited goes with the camera; past who stands it pans, and has them in its middle halfway.
    moving = start - SIZE / 2 + travel * (passed if camera in ("follow", "orbit") else 0.5)
    backdrop = draw_backdrop(setting, SIZE + int(np.ceil(abs(travel))), rng)
    floats = any(_flies(part) for part in parts) or setting.place in UNGROUNDED
    middles = [_middle(part, rng) for part in parts] if len(parts) == 1 else [at + rng.uniform(-4, 4) for at in _SLOTS]
    actors = []
    for part, middle in zip(parts, middles, strict=True):
        across = middle + moving + part.way.across - (part.way.across.min() + part.way.across.max()) / 2
        actors.append((_floating if floats else _standing)(part, across, backdrop, rng))
    view = np.stack([start + travel * passed, np.full(count, SIZE / 2), np.ones(count)], 1)
    if camera in ("in", "out"):
        view = _zoomed(parts[0], actors[0], passed if camera == "in" else 1 - passed, rng)
    order = np.argsort([actor.path[0, 1] for actor in actors], kind="stable")
    shot = Shot(backdrop.picture, view, tuple(actors[i] for i in order), setting.tint, setting.falls)
    outdoors = setting.place in OUTDOORS
    telling = Telling(
        _told(parts, camera),
        setting.place,
        above=floats and setting.place not in UNGROUNDED,
        light=setting.light if outdoors else "",
        weather=setting.weather,
        camera=camera,
        beside=len(parts) > 1 and not any(part.way.direction for part in parts),
    )
    return Plan(telling, shot, fps)


def _flies(part: Part) -> bool:
    action = part.subject.action
    return part.role.figure.kind in ("flyer", "swimmer") or (action is not None and action.name == "fly")


def _told(parts: Sequence[Part], camera: str) -> tuple[Subject, ...]:
    """What there is to say of the figures; two that are alike are one subject, and a camera that goes around them is
    no turn of theirs."""
    subjects = tuple(replace(part.subject, turning=part.subject.turning and camera != "orbit") for part in parts)
    return subjects[1:] if subjects[-1].count > 1 else subjects


def _travel(part: Part, camera: str, rng: np.random.Generator) -> float:
    """How far the camera goes to the right."""
    if camera in ("left", "right"):
        return float(rng.uniform(26, 50)) * (1 if camera == "right" else -1)
    if camera == "follow":
        return float(np.sign(part.way.across[-1]) * rng.uniform(50, 150))
    # Who looks to the right of where he looked is seen by a camera that went to the left and looks to the right.
    return 1.5 * float(part.yaw[-1] - part.yaw[0]) if camera == "orbit" else 0.0


def _middle(part: Part, rng: np.random.Generator) -> float:
    """Where in the frame the middle of a figure's way is, so that most of it is seen at either end."""
    free = SIZE / 2 - _EDGE - 0.3 * part.wide - np.ptp(part.way.across) / 2
    return SIZE / 2 + float(rng.uniform(-1, 1) * np.clip(free, 0, 0.08 * SIZE))


def _floating(part: Part, across: Floats, backdrop: Backdrop, rng: np.random.Generator) -> Actor:
    """An actor in the air or in water, whose middle is so far to the right (t,) in the backdrop."""
    _, top, _, bottom = part.look.box
    up = part.way.up
    free = max(SIZE / 2 - 0.5 * (bottom - top) * part.scale - np.ptp(up) / 2 - _EDGE, 0.0)
    down = SIZE / 2 + 0.4 * free * rng.uniform(-1, 1) + (up.max() + up.min()) / 2 - up
    return _actor(part, part.middle, np.stack([across, down], 1), shadow=False)


def _standing(part: Part, across: Floats, backdrop: Backdrop, rng: np.random.Generator) -> Actor:
    """An actor on the ground, whose middle is so far to the right (t,) in the backdrop. It is the smaller the nearer to
    the horizon it is."""
    _, top, _, bottom = part.look.box
    x, y = part.role.take.ground
    lowest = SIZE - _EDGE - 0.9 * max(bottom - y, 0.0) * part.scale
    highest = min(max(backdrop.horizon + 12, (y - top) * part.scale + _EDGE), lowest)
    near, up = part.way.near, part.way.up - part.way.up.min()
    down = backdrop.horizon + (rng.uniform(0.4 * highest + 0.6 * lowest, lowest) - backdrop.horizon) * near - up
    anchor = (part.across(x), y)
    across = across + (anchor[0] - part.middle[0]) * part.scale * near
    return _actor(part, anchor, np.stack([across, down], 1), shadow=not np.ptp(up))


def _actor(part: Part, anchor: tuple[float, float], path: Floats, /, *, shadow: bool) -> Actor:
    scale = part.scale * part.way.near
    return Actor(part.role.index, part.pictures, part.mirrored, anchor, path, scale, shadow, part.painted)


def _zoomed(part: Part, actor: Actor, passed: Floats, rng: np.random.Generator) -> Floats:
    """(t, 3) a camera that comes nearer to an actor as `passed` goes from 0 to 1."""
    nearest = rng.uniform(1.4, 1.8)
    zoom = nearest**passed
    at = actor.path[0] + (np.array(part.middle) - np.array(actor.anchor)) * actor.scale[0]
    half, share = SIZE / 2 / zoom, (1 - 1 / zoom) / (1 - 1 / nearest)
    middle = [np.clip(SIZE / 2 + (x - SIZE / 2) * share, half, SIZE - half) for x in at]
    return np.stack([*middle, zoom], 1)


def _contrast(shot: Shot, parts: Sequence[Part]) -> float:
    """The least difference in OKLab between a figure and what is behind it at first, on the average."""
    found = []
    for actor in shot.actors:
        part = next(part for part in parts if part.role.index == actor.take)
        left, top, right, bottom = part.look.box
        corner = actor.path[0] - actor.scale[0] * np.array(actor.anchor)
        x = sorted(corner[0] + actor.scale[0] * part.across(side) for side in (left, right))
        y = corner[1] + actor.scale[0] * np.array((top, bottom))
        (x0, x1), (y0, y1) = np.clip(x, 0, shot.backdrop.shape[1] - 1), np.clip(y, 0, SIZE - 1)
        behind = shot.backdrop[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].mean((0, 1))
        seen = to_oklab(np.stack([part.color * np.array(shot.tint), behind]).astype(np.float32) / np.float32(255))
        found.append(float(np.linalg.norm(seen[0] - seen[1])))
    return min(found)
