"""Figures drawn for a scene: who it is, what it does, in which colours, how large and which way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from multigen_models.video.backgrounds import SIZE
from multigen_models.video.captions import Subject
from multigen_models.video.motion import Floats, Indices, Way, moved, pictures_of, seen_at_once, way_of
from multigen_models.video.names import Action
from multigen_models.video.paint import PAINTS, Painted, Pictures, mean_color, paint, words
from multigen_models.video.roles import Role, weights
from multigen_models.video.settings import medium
from multigen_models.video.takes import Takes

_PACES, _PACE_SHARES = ("", "slow", "fast"), (0.7, 0.14, 0.16)
_ALONE, _BESIDE = (76.0, 108.0), (52.0, 68.0)  # pixels of figures
_BROADEST, _BROADEST_MOVING, _HIGHEST = 112.0, 90.0, 116.0


@final
@dataclass(frozen=True, eq=False)
class Look:
    """How a take looks.

    pictures: a few of it. box: (left, top, right, bottom) in pixels of its crop around what is seen of it, without its
    shadow. words: its colours.
    """

    pictures: Pictures = field(repr=False)
    box: tuple[int, int, int, int]
    words: tuple[str, ...]


@final
@dataclass(frozen=True, eq=False)
class Part:
    """A figure in a scene before it has a place there.

    pictures: (t,) of the take. yaw: (t,) degrees, as it is seen. scale: pixels for each of the take's, where it is
    nearest. painted: its colours, if changed; color: mean sRGB in [0, 255].
    """

    role: Role
    look: Look
    subject: Subject
    pictures: Indices = field(repr=False)
    mirrored: bool
    yaw: Floats = field(repr=False)
    way: Way
    scale: float
    painted: Painted | None
    color: Floats = field(repr=False)

    @property
    def wide(self) -> float:
        """Pixels across."""
        return self.scale * (self.look.box[2] - self.look.box[0])

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) of its middle in pixels of the crop, as it is mirrored."""
        left, top, right, bottom = self.look.box
        return self.across((left + right) / 2), (top + bottom) / 2

    def across(self, x: float, /) -> float:
        """An x of the crop, as it is mirrored."""
        return self.role.size[2] - x if self.mirrored else x


@final
class Cast:
    """Figures to draw from.

    colors: whether a figure of that noun may be shown in that colour. actions: the same for what it does. painted: how
    often figures are painted in other colours.
    """

    def __init__(
        self,
        takes: Takes,
        roles: Sequence[Role],
        /,
        *,
        actions: Callable[[str, str], bool],
        colors: Callable[[str, str], bool],
        painted: float = 0.22,
    ) -> None:
        self.takes, self.roles = takes, tuple(roles)
        self._actions, self._colors, self._painted = actions, colors, painted
        self._cumulative = np.cumsum(weights(self.roles))
        self._looks: dict[int, Look] = {}

    def draw(self, rng: np.random.Generator, /, *, count: int, fps: float, beside: bool = False) -> Part:
        """A figure in so many frames; beside: smaller, with room for another."""
        role, names, painted = self._dressed_role(rng)
        look = self.look(role)
        action = moved(role, rng)
        if action and not (self._actions(role.figure.noun, action.name) and (count > 1 or seen_at_once(action))):
            action = None
        pictures, pace, hurry = pictures_of(
            role, _PACES[int(rng.choice(len(_PACES), p=_PACE_SHARES))], rng, count=count, fps=fps
        )
        mirrored = bool(rng.random() < 0.5)
        yaw = np.interp(pictures, (0, max(role.size[0] - 1, 1)), role.take.yaw) * (-1 if mirrored else 1)
        scale = _scale(role, look, action, rng, beside=beside)
        wide = scale * (look.box[2] - look.box[0])
        way = way_of(
            role,
            action,
            rng,
            heading=yaw + ((action.heading or 0.0) * (-1 if mirrored else 1) if action else 0.0),
            size=(wide, scale * role.take.height),
            seconds=(count - 1) / fps,
            hurry=hurry,
            room=max((SIZE - 0.7 * wide) / (2 if beside else 1), 26.0),
        )
        others, spoken = self._spoken(role, action, names)
        subject = Subject(
            role.figure.noun,
            others,
            spoken,
            way.direction,
            facing=_facing(role, action, float(yaw[0])),
            turning=role.view == "turning" and count > 1,
            pace=pace if action and count > 1 else "",
            color=" and ".join(names),
            painted=painted is not None,
            plural=role.figure.plural,
        )
        color = painted.mean if painted else mean_color(look.pictures)
        return Part(role, look, subject, pictures, mirrored, yaw, way, scale, painted, color)

    def partner(self, lead: Part, rng: np.random.Generator, /, *, count: int, fps: float) -> Part:
        """Another figure that may stand beside the first and does not go against it; its twin where none is found."""
        for _ in range(40):
            part = self.draw(rng, count=count, fps=fps, beside=True)
            other = part.role.figure.noun != lead.role.figure.noun
            fits = medium(part.role.figure) == medium(lead.role.figure) and part.role.view != "turning"
            ways = {part.way.direction, lead.way.direction} - {""}
            if other and fits and len(ways) < 2 and ways <= {"left", "right"}:
                return part
        return twin(lead, rng, fps=fps)

    def look(self, role: Role, /) -> Look:
        """How a role looks, kept for the next time."""
        if role.index not in self._looks:
            pictures, _ = self.takes.pictures(role.index, sorted({k * role.size[0] // 4 for k in range(4)}))
            seen = pictures[..., 3].max(0) > 127
            rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
            box = (0, 0, *role.size[:0:-1])
            if len(rows):
                box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
            self._looks[role.index] = Look(pictures, box, role.figure.colors if role.take.clip else words(pictures))
        return self._looks[role.index]

    def _spoken(
        self, role: Role, action: Action | None, colors: Sequence[str]
    ) -> tuple[tuple[str, ...], Action | None]:
        """The other names of a figure, and its action, in words that together say no combination that is not shown."""
        others = tuple(name for name in role.figure.others if not colors or self._colors(name, colors[0]))
        if action is None:
            return others, None
        noun = role.figure.noun
        phrases = tuple(phrase for phrase in action.phrases if phrase == action.name or self._actions(noun, phrase))
        others = tuple(name for name in others if all(self._actions(name, phrase) for phrase in phrases))
        return others, replace(action, phrases=phrases)

    def _dressed_role(self, rng: np.random.Generator) -> tuple[Role, tuple[str, ...], Painted | None]:
        """A role, drawn anew until its colours may be shown, these in words, and what paints it, if it is painted."""
        for _ in range(1000):
            role = self.roles[min(int(np.searchsorted(self._cumulative, rng.random())), len(self.roles) - 1)]
            look, noun = self.look(role), role.figure.noun
            allowed = self._painted < 1 and (not look.words or self._colors(noun, look.words[0]))
            if allowed and rng.random() >= self._painted:
                return role, look.words, None
            names = [name for name in PAINTS if name not in look.words and self._colors(noun, name)]
            for name in rng.permutation(names)[:3].tolist():
                painted = paint(look.pictures, name, rng)
                if painted is not None:
                    return role, painted.names, painted
            if allowed:
                return role, look.words, None
        raise RuntimeError("no figure of the cast has a colour that may be shown")


def twin(lead: Part, rng: np.random.Generator, /, *, fps: float) -> Part:
    """The same figure once more, at another time of its clip."""
    pictures, _, _ = pictures_of(lead.role, lead.subject.pace, rng, count=len(lead.pictures), fps=fps)
    return replace(lead, pictures=pictures, subject=replace(lead.subject, count=2))


def _scale(role: Role, look: Look, action: Action | None, rng: np.random.Generator, /, *, beside: bool) -> float:
    left, top, right, bottom = look.box
    wide, high = right - left, bottom - top
    goes = action is not None and action.heading is not None and role.view in ("side", "quarter")
    broadest = (_BROADEST_MOVING if goes else _BROADEST) * (0.62 if beside else 1.0)
    wanted = rng.uniform(*(_BESIDE if beside else _ALONE)) / max(high, 0.72 * wide)
    return float(min(wanted, broadest / wide, _HIGHEST / high))


def _facing(role: Role, action: Action | None, yaw: float) -> str:
    """Where an animated figure that stays looks to."""
    if not role.take.clip or action is None or action.heading is not None:
        return ""
    side = "right" if np.sin(np.radians(yaw)) > 0 else "left"
    return {"side": side, "towards": "towards", "away": "away"}.get(role.view, "")
