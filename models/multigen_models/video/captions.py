"""Captions of scenes: templates with other words for everything, in which parts are left out at random.

What a caption may say is a `Telling`; all of it has to be true, and little of it is said at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np

from multigen_models.shapes.names import with_article
from multigen_models.video.names import Action, gerund, plural_of, third_person

T = TypeVar("T")

MOST_WORDS = 22


@final
@dataclass(frozen=True)
class Subject:
    """A figure in a scene, or several that are alike.

    noun, others: what it is called. action: what it does, if anything. direction: "left", "right", "towards", "away",
    "up" or "down", where it goes; facing: of the first four, where it looks if it stays; turning: it turns about
    itself. pace: "slow", "" or "fast". color: its main colours in words, "" if none is clear; painted: not those that
    one expects, so they have to be said.
    """

    noun: str
    others: tuple[str, ...] = ()
    action: Action | None = None
    direction: str = ""
    facing: str = ""
    turning: bool = False
    pace: str = ""
    color: str = ""
    painted: bool = False
    plural: bool = False
    count: int = 1


@final
@dataclass(frozen=True)
class Telling:
    """What there is to say.

    place: a name of `PLACES`, or of a plain colour. above: the subjects are in the air over it. light: "day", "grey",
    "sunset", "night", or "" where it is all the same. weather: "", "rain", "snow" or "fog". camera: "still" or a name
    of `CAMERAS`. beside: of two subjects the first is on the left of the second.
    """

    subjects: tuple[Subject, ...]
    place: str
    above: bool = False
    light: str = "day"
    weather: str = ""
    camera: str = "still"
    beside: bool = False


@final
@dataclass(frozen=True)
class Where:
    """Words for a place: for what is in it, what goes through it, what is over it, and what goes across the picture."""

    at: tuple[str, ...]
    through: tuple[str, ...]
    over: tuple[str, ...] = ()
    along: tuple[str, ...] = ()


PLACES: Mapping[str, Where] = {
    "grass": Where(
        ("on grass", "in a meadow", "on a green meadow", "in a green field"),
        ("through the grass", "across a meadow", "over a green field", "through a meadow"),
        ("over a meadow", "above a green field"),
    ),
    "flowers": Where(
        ("in a field of flowers", "among flowers", "in a flower meadow"),
        ("through a field of flowers", "across a flower meadow"),
        ("over a field of flowers", "above a flower meadow"),
    ),
    "snow": Where(
        ("in the snow", "in the snow", "in a snowy landscape", "on snow"),
        ("through the snow", "through snow", "across the snow", "through a snowy landscape"),
        ("over the snow", "above a snowy landscape"),
    ),
    "desert": Where(
        ("in the desert", "on sand", "in a desert", "in a sandy desert"),
        ("through the desert", "across the sand", "through the sand", "across a desert"),
        ("over the desert", "above the sand"),
    ),
    "beach": Where(
        ("on a beach", "on the beach", "by the sea", "at the seaside"),
        ("across a beach", "across the beach"),
        ("over a beach", "above the beach"),
        ("along a beach", "along the beach"),
    ),
    "forest": Where(
        ("in a forest", "in the forest", "in the woods", "in front of trees"),
        ("through a forest", "through the woods", "through the forest"),
    ),
    "mountains": Where(("in the mountains", "in front of mountains"), ("through the mountains", "in the mountains")),
    "city": Where(
        ("in a city", "on a city street", "in the city", "on a street"),
        ("through a city", "through the city"),
        along=("along a city street", "down a street"),
    ),
    "road": Where(("on a road", "on the road"), ("on a road",), ("over a road",), ("along a road", "down a road")),
    "farm": Where(
        ("on a farm", "in front of a barn", "in front of a red barn"), ("across a farm",), along=("past a barn",)
    ),
    "sea": Where(
        ("on the sea", "on the water", "at sea"),
        ("across the sea", "over the water", "across the water"),
        ("over the sea", "above the water", "over the water"),
    ),
    "sky": Where(("in the sky", "in the air"), ("through the sky", "across the sky", "through the air")),
    "room": Where(("in a room", "indoors", "on a wooden floor", "in a house"), ("through a room", "across a room")),
    "dungeon": Where(
        ("in a dungeon", "in front of a stone wall", "in a castle"),
        ("through a dungeon",),
        along=("past a stone wall",),
    ),
    "space": Where(("in space", "in outer space", "among the stars"), ("through space", "through outer space")),
    "moon": Where(
        ("on the moon", "on the surface of the moon"), ("across the moon", "on the moon"), ("over the moon",)
    ),
    "mars": Where(("on Mars", "on a red planet"), ("across Mars", "over a red planet"), ("above Mars",)),
    "underwater": Where(
        ("underwater", "in the sea", "in the ocean", "under water"),
        ("through the water", "through the ocean", "underwater", "in the sea"),
    ),
}
"""Of every place with a name. What is not above it is in it."""

_PLAIN = ("on {}", "in front of {}", "against {}")

_DIRECTIONS: Mapping[str, Sequence[str]] = {
    "left": ("to the left", "to the left", "to the left", "from right to left", "towards the left", "left"),
    "right": ("to the right", "to the right", "to the right", "from left to right", "towards the right", "right"),
    "towards": ("towards the camera", "towards the camera", "towards the viewer", "closer"),
    "away": ("away from the camera", "away from the camera", "away from the viewer", "away", "into the distance"),
    "up": ("upwards", "up"),
    "down": ("downwards", "down"),
}
_FACING: Mapping[str, Sequence[str]] = {
    "left": ("facing left", "facing to the left", "looking to the left"),
    "right": ("facing right", "facing to the right", "looking to the right"),
    "towards": ("facing the camera", "seen from the front", "looking at the camera"),
    "away": ("seen from behind", "facing away from the camera"),
}
_PACES: Mapping[str, Sequence[str]] = {"slow": ("slowly", "slowly", "in slow motion"), "fast": ("fast", "quickly")}
_TURNING = ("turning around", "turning", "rotating")
_LIGHTS: Mapping[str, Sequence[str]] = {
    "day": ("on a sunny day", "by day", "in daylight"),
    "grey": ("on a grey day", "under a grey sky", "on a cloudy day"),
    "sunset": ("at sunset", "at sunset", "at dusk", "under an orange sky"),
    "night": ("at night", "at night", "at night", "under the stars"),
}
_CLEAR = ("on a sunny day", "under the stars")
_WEATHERS: Mapping[str, Sequence[str]] = {
    "rain": ("in the rain", "in the rain", "while it is raining", "in a shower of rain"),
    "snow": ("in falling snow", "while it is snowing", "in a snowfall"),
    "fog": ("in the fog", "in thick fog", "in fog", "in the mist"),
}
CAMERAS: Mapping[str, Sequence[str]] = {
    "left": ("the camera pans left", "the camera panning to the left", "camera pan to the left"),
    "right": ("the camera pans right", "the camera panning to the right", "camera pan to the right"),
    "in": ("the camera zooms in", "zooming in", "the camera moves closer"),
    "out": ("the camera zooms out", "zooming out", "the camera moves back"),
    "orbit": ("the camera orbits around {it}", "the camera circling around {it}", "camera orbit"),
    "follow": ("the camera follows {it}", "the camera moving along", "tracking shot"),
}
"""What a camera that moves does."""

_SHARES = {"color": 0.3, "direction": 0.85, "facing": 0.3, "pace": 0.9, "place": 0.65, "camera": 0.85, "weather": 0.92}
_LIGHT_SHARES = {"day": 0.06, "grey": 0.3, "sunset": 0.88, "night": 0.88}


def caption(telling: Telling, rng: np.random.Generator, /) -> str:
    """One caption, drawn: from "a fox galloping to the left" to all that there is to say."""
    finite = rng.random() < 0.2
    who = _subjects(telling, rng, finite=finite)
    where = _where(telling, rng) if _says("place", rng) else ""
    lights = [words for words in _LIGHTS.get(telling.light, ()) if not (telling.weather and words in _CLEAR)]
    after = [
        _one_of(lights, rng) if lights and rng.random() < _LIGHT_SHARES[telling.light] else "",
        _one_of(_WEATHERS[telling.weather], rng) if telling.weather and _says("weather", rng) else "",
    ]
    view = ""
    if telling.camera != "still" and _says("camera", rng):
        several = len(telling.subjects) > 1 or telling.subjects[0].count > 1 or telling.subjects[0].plural
        view = _one_of(CAMERAS[telling.camera], rng).format(it="them" if several else "it")
    if where and "through" not in where and rng.random() < 0.07:
        said = " ".join(filter(None, (f"{where},", who, *after)))
    else:
        said = " ".join(filter(None, (who, where, *after)))
    if len(said.split()) > MOST_WORDS:
        said = who
    if view and telling.camera in ("in", "out") and rng.random() < 0.2:
        return f"zooming {telling.camera} on {said}" if telling.camera == "in" else f"zooming out from {said}"
    return f"{said}, {view}" if view else said


def _subjects(telling: Telling, rng: np.random.Generator, /, *, finite: bool) -> str:
    parts = [_subject(subject, rng, finite=finite) for subject in telling.subjects]
    if len(parts) == 1:
        return parts[0]
    if telling.beside and rng.random() < 0.35:
        one, other = (_named(subject, rng) for subject in telling.subjects)
        return _one_of(
            (f"{one} next to {other}", f"{one} to the left of {other}", f"{other} to the right of {one}"), rng
        )
    return " and ".join(parts if rng.random() < 0.5 else parts[::-1])


def _subject(subject: Subject, rng: np.random.Generator, /, *, finite: bool) -> str:
    """ "a red fox galloping quickly to the left"."""
    named = _named(subject, rng)
    doing, tail = "", []
    if subject.action is not None:
        phrase = subject.action.phrases[0] if rng.random() < 0.7 else _one_of(subject.action.phrases, rng)
        plain = subject.plural or subject.count > 1
        doing = (phrase if plain else third_person(phrase)) if finite else gerund(phrase)
        doing = doing.replace(" its ", " their ") if plain else doing
        if subject.pace and _says("pace", rng) and "fast" not in doing.split():
            tail.append(_one_of(_PACES[subject.pace], rng))
    if subject.direction and _says("direction", rng):
        tail.append(_one_of(_DIRECTIONS[subject.direction], rng))
    elif subject.turning:
        if doing:
            tail.append("and turning around" if not finite else "while turning around")
        else:
            doing = _one_of(_TURNING, rng)
    elif subject.facing and _says("facing", rng):
        tail.append(_one_of(_FACING[subject.facing], rng))
    return " ".join(filter(None, (named, doing, *tail)))


def _named(subject: Subject, rng: np.random.Generator, /) -> str:
    """The noun with its article and, at times, its colour: "an orange fox", "two foxes"."""
    others = rng.random() < 0.4 and subject.others
    noun = _one_of(subject.others, rng) if others else subject.noun
    color = f"{subject.color} " if subject.color and (subject.painted or _says("color", rng)) else ""
    if subject.count > 1:
        return f"{('two', 'three')[subject.count - 2]} {color}{plural_of(noun)}"
    return with_article(f"{color}{noun}", noun)


def _where(telling: Telling, rng: np.random.Generator, /) -> str:
    if telling.place not in PLACES:
        plain = "plain " if rng.random() < 0.4 else ""
        return _one_of(_PLAIN, rng).format(with_article(f"{plain}{telling.place} background", "background"))
    words = PLACES[telling.place]
    if telling.above and words.over:
        return _one_of(words.over, rng)
    ways = {subject.direction for subject in telling.subjects}
    through = words.through + words.along if ways <= {"left", "right"} else words.through
    travels = ways <= {"left", "right", "towards", "away"}
    return _one_of(through if travels and rng.random() < 0.6 else words.at, rng)


def _says(part: str, rng: np.random.Generator) -> bool:
    return bool(rng.random() < _SHARES[part])


def _one_of(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]
