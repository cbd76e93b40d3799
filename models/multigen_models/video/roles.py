"""Which takes may be shown, what is said of each, and how often; and what is held out of training."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.video.names import Action, Figure, action_of, animated_figure, natural_colors
from multigen_models.video.takes import Take, Takes

_SHARES: Mapping[str, float] = {"walker": 0.6, "vehicle": 0.14, "swimmer": 0.12, "thing": 0.08, "flyer": 0.06}
_STRANDED = "flop about"  # what fish do on the ground
# Chosen so that what people type first ("a horse galloping") is trained on, and something of every figure is.
_SALT = "589"
_VIEWS: Mapping[str, float] = {"side": 4.0, "towards": 1.0, "away": 1.0, "quarter": 1.0, "turning": 0.6}


@final
@dataclass(frozen=True)
class Role:
    """A take with what is said of it. index: of the take. size: pictures, height and width."""

    index: int
    take: Take
    size: tuple[int, int, int]
    figure: Figure
    action: Action | None

    @property
    def view(self) -> str:
        """Where it is seen from: "side" (it faces right), "towards", "away", "quarter" or "turning"."""
        first, last = self.take.yaw
        if abs(last - first) > 20:
            return "turning"
        aside = abs((first + 180) % 360 - 180)
        return ("towards", "quarter", "side", "quarter", "away")[bisect((32, 62, 118, 148), aside)]

    @property
    def does(self) -> str:
        """What its action is counted as."""
        return self.action.name if self.action else ""

    @property
    def held_out(self) -> bool:
        """Whether the figure in this clip is kept for validation: a twentieth of them."""
        return _share("take", self.take.figure, self.take.clip) < 1 / 20


def roles_of(takes: Takes, figures: Mapping[str, Figure], /) -> tuple[Role, ...]:
    """The roles of all takes that have a name; figures: those of the still shapes, by their ids."""
    found = []
    for index, take in enumerate(takes.takes):
        figure = animated_figure(take.figure) if take.clip else figures.get(take.figure)
        action = figure and take.clip and action_of(figure, take.clip)
        if figure and action and action.name == _STRANDED:
            figure = replace(figure, kind="walker")
        if figure and (action or not take.clip):
            found.append(Role(index, take, takes.size(index), figure, action or None))
    return tuple(found)


def weights(roles: Sequence[Role], /) -> NDArray[np.float64]:
    """(n,) probabilities. Figures with few clips, nouns with few figures and actions that go somewhere count more than
    their number of takes; each kind of figure has a fixed share."""
    pairs = Counter((role.take.figure, role.does, role.view) for role in roles)
    mass = np.array([
        (1.0 if role.action is None or role.action.heading is None else 4.0)
        * _VIEWS[role.view]
        / pairs[role.take.figure, role.does, role.view]
        for role in roles
    ])  # fmt: skip
    mass *= _sums(mass, [role.take.figure for role in roles]) ** -0.6
    mass *= _sums(mass, [role.figure.noun for role in roles]) ** -0.5
    kinds = [role.figure.kind for role in roles]
    mass *= np.array([_SHARES[kind] for kind in kinds]) / _sums(mass, kinds)
    return np.asarray(mass / mass.sum())


def _sums(mass: NDArray[np.float64], groups: Sequence[str]) -> NDArray[np.float64]:
    """(n,) the mass of each one's group."""
    _, group = np.unique(groups, return_inverse=True)
    return np.asarray(np.bincount(group, mass)[group], np.float64)


def combination_held_out(noun: str, action: str, /) -> bool:
    """Whether a figure of that noun is never seen doing this in training; action: the name of an `Action`."""
    return bool(action) and _share("action", noun, action) < 0.06


def colour_held_out(noun: str, colour: str, /) -> bool:
    """Whether a figure of that noun is never seen in that colour in training. Colours that are its own are not."""
    return colour not in natural_colors(noun) and _share("colour", noun, colour) < 0.06


def _share(*words: str) -> float:
    """A number in [0, 1) that depends on the words alone."""
    return int.from_bytes(hashlib.sha256("\n".join((_SALT, *words)).encode()).digest()[:6], "big") / 2**48
