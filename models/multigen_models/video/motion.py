"""How figures move: which pictures of a take follow each other, and the way that a figure goes meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.video.names import Action, ride_of
from multigen_models.video.roles import Role
from multigen_models.video.takes import RATE

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

# Pictures of a take a second: its own time, and slower and faster.
PACES: Mapping[str, tuple[int, ...]] = {"slow": (RATE // 2,), "": (RATE,), "fast": (2 * RATE, 3 * RATE // 2)}
_SAMPLES = 2.6  # pictures that a cycle needs for it to look as if it went forward
_UNHURRIED = frozenset({"stand", "stand with its head lowered", "hover", "lie on the ground", "sit on the ground"})
_SPEEDS: Mapping[str, float] = {"walker": 1.0, "flyer": 1.2, "swimmer": 1.1, "vehicle": 1.3, "thing": 0.8}
_WHOLE = 44  # pictures of a take from which on it may be a part of a longer clip

SLIDE = Action(("slide", "glide", "move"), 0.0)
FALL = Action(("fall", "drop"))
RISE = Action(("rise", "float"))
BOUNCE = Action(("bounce", "jump up and down"))


@final
@dataclass(frozen=True, eq=False)
class Way:
    """Where a figure goes.

    across, up: (t,) pixels to the right and up from where it starts. near: (t,) how large it is, 1 where it is
    nearest. direction: as in `Subject`.
    """

    across: Floats = field(repr=False)
    up: Floats = field(repr=False)
    near: Floats = field(repr=False)
    direction: str = ""


def pictures_of(
    role: Role, pace: str, rng: np.random.Generator, /, *, count: int, fps: float
) -> tuple[Indices, str, float]:
    """(count,) pictures of a take, the pace that they have, which is the usual one where another is not possible, and
    how many times as fast as usual that is."""
    n, take = role.size[0], role.take
    pace = pace if role.does not in _UNHURRIED and n > 1 else ""
    goes = take.loop and n > 1
    for wanted in (pace, "", "slow"):
        for rate in PACES[wanted]:
            step = round(rate / fps)
            if step * fps == rate and (not goes or n >= _SAMPLES * step):
                return _pictures(role, step, rng, count), wanted, rate / RATE
    return _pictures(role, max(int(n / _SAMPLES), 1), rng, count), "", 1.0


def _pictures(role: Role, step: int, rng: np.random.Generator, count: int) -> Indices:
    """Every step-th picture: round and round, or once, at rest before and after."""
    n = role.size[0]
    order = step * np.arange(count)
    if count == 1:
        return np.array([rng.integers(n) if role.take.loop else rng.integers(n // 4, max(3 * n // 4, 1))])
    if role.take.loop:
        return (int(rng.integers(n)) + order) % n
    spare = n - 1 - int(order[-1])
    if spare >= 0:
        return order + int(rng.integers(spare + 1) if n > _WHOLE or role.view == "turning" else 0)
    wait = rng.integers(min(-spare // step, count // 3) + 1) if role.view != "turning" else 0
    return np.asarray(np.clip(order - step * wait, 0, n - 1))


def way_of(
    role: Role,
    action: Action | None,
    rng: np.random.Generator,
    /,
    *,
    heading: Floats,
    size: tuple[float, float],
    seconds: float,
    hurry: float,
    room: float,
) -> Way:
    """The way of a figure that goes in directions (t,), in degrees as those of `Take.yaw`, if it goes anywhere.

    size: its width and height in pixels. hurry: how many times as fast as usual it is. room: pixels across that it may
    go; it goes at least two fifths of that, and more or less as far as its feet say.
    """
    rest = np.zeros(len(heading))
    if action in (FALL, RISE) and len(rest) > 1:
        return _vertical(rng, rest, up=action is RISE, fast=2.0 if action is FALL else 1.0)
    if action is BOUNCE and len(rest) > 1:
        leap = np.linspace(0, rng.uniform(1.0, 1.6) * seconds * hurry, len(rest)) % 1
        return Way(rest, rng.uniform(28, 52) * 4 * leap * (1 - leap), rest + 1)
    if action is None or action.heading is None:
        return Way(rest, rest, rest + 1)
    direction = _named_heading(float(heading[0]))
    if len(rest) == 1:
        return Way(rest, rest, rest + 1, "" if role.view == "turning" else direction)
    speed = role.take.speed or _SPEEDS[role.figure.kind] * max(1.0, 0.6 * size[0] / size[1])
    reach = float(np.clip(abs(speed) * size[1] * seconds, 0.6 * room, 0.9 * room)) * hurry**0.5
    reach = float(np.clip(reach, 0.4 * room, room))
    right, closer = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    if role.view == "turning":
        across, near = (np.cumsum(part) / len(rest) for part in (0.8 * reach * right, 0.3 * closer))
        return Way(across - across[0], rest, (1 + near) / (1 + near.max()))
    if role.figure.kind in ("flyer", "swimmer") and role.view == "side" and rng.random() < 0.2:
        return _vertical(rng, rest, up=bool(rng.random() < 0.5), drift=0.3 * reach * float(right[0]))
    passed = np.linspace(0, 1, len(rest))
    if direction in ("left", "right"):
        near = _nearing(passed, 1 + 0.35 * abs(float(closer[0])), bool(closer[0] > 0))
        return Way(reach * np.sign(right[0]) * passed, rest, near, direction)
    near = _nearing(passed, 1 + float(np.clip(0.7 * hurry * rng.uniform(0.8, 1.2), 0.4, 1.0)), bool(closer[0] > 0))
    return Way(0.35 * reach * right[0] * passed, rest, near, direction)


def seen_at_once(action: Action, /) -> bool:
    """Whether a single picture shows it: who walks backwards looks as if he walked, what slides as if it stood."""
    return action not in (SLIDE, FALL, RISE, BOUNCE) and action.heading in (None, 0.0)


def _vertical(rng: np.random.Generator, rest: Floats, /, *, up: bool, fast: float = 1.0, drift: float = 0.0) -> Way:
    passed = np.linspace(0, 1, len(rest))
    high = rng.uniform(42, 70) * passed**fast
    return Way(drift * passed, high if up else -high, rest + 1, "up" if up else "down")


def _nearing(passed: Floats, ratio: float, closer: bool) -> Floats:
    """Sizes of what comes at a steady speed from where it is `ratio` times as small, or goes there."""
    depth = 1 + (ratio - 1) * (1 - passed if closer else passed)
    return 1 / depth


def _named_heading(degrees: float) -> str:
    turned = (degrees + 180) % 360 - 180
    if 38 <= abs(turned) <= 142:
        return "right" if turned > 0 else "left"
    return "towards" if abs(turned) < 38 else "away"


def moved(role: Role, rng: np.random.Generator, /) -> Action | None:
    """What a figure does: its clip, or what a still figure may be made to do."""
    if role.take.clip:
        return role.action
    if role.view in ("side", "quarter", "towards") and (ride := ride_of(role.figure)) is not None:
        return ride if rng.random() < 0.75 else None
    draw = rng.random()
    if role.view == "turning" or draw < 0.55:
        return BOUNCE if role.figure.family == "ball" and role.view != "turning" else None
    if role.view == "side" or draw < 0.65:
        return SLIDE if role.view == "side" and draw < 0.85 else FALL
    return FALL if draw < 0.9 else RISE
