"""Where and in what light scenes are set: places that suit a figure, drawn as wide as the camera needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen_models.shapes.augment import draw_color
from multigen_models.video.backgrounds import DAY, NIGHT, OVERCAST, SIZE, SUNSET, Canvas, Color, Light
from multigen_models.video.names import Figure
from multigen_models.video.paint import PAINTS
from multigen_models.video.places import OUTDOORS, PLACES
from multigen_models.video.weather import WEATHERS, Weather, far_fog

LIGHTS: Mapping[str, Light] = {"day": DAY, "grey": OVERCAST, "sunset": SUNSET, "night": NIGHT}

_GROUND = {
    "grass": 12.0, "flowers": 4.0, "snow": 11.0, "desert": 8.0, "beach": 6.0, "forest": 8.0, "mountains": 6.0,
    "city": 7.0, "road": 4.0, "farm": 4.0, "room": 7.0, "dungeon": 3.0, "moon": 2.0, "mars": 2.0,
}  # fmt: skip
_AIR = {
    "sky": 22.0, "grass": 9.0, "flowers": 6.0, "snow": 5.0, "desert": 5.0, "beach": 5.0, "sea": 6.0, "forest": 5.0,
    "mountains": 5.0, "city": 6.0, "farm": 2.0,
}  # fmt: skip
_SETTINGS: Mapping[str, Mapping[str, float]] = {
    "walker": _GROUND,
    "flyer": _AIR,
    "swimmer": {"underwater": 1.0},
    "vehicle": _GROUND | {"road": 16.0, "city": 12.0, "room": 2.0},
    "thing": _GROUND | {"room": 18.0},
    "boat": {"sea": 1.0},
    "spaceship": {"space": 14.0, "sky": 6.0, "moon": 3.0, "mars": 3.0, "desert": 2.0, "mountains": 2.0, "city": 2.0},
    "spaceman": _GROUND | {"space": 7.0, "moon": 12.0, "mars": 9.0},
}
_FAMILIES: Mapping[str, str] = {
    "boat": "boat", "spaceship": "spaceship", "planet": "spaceship", "astronaut": "spaceman", "alien": "spaceman",
    "robot": "spaceman", "android": "spaceman", "walker-robot": "spaceman", "mech": "spaceman", "drone": "spaceship",
    "floater": "spaceship",
}  # fmt: skip
_PLAIN_SHARE = 0.22
_LIGHT_SHARES = (("day", 0.62), ("grey", 0.12), ("sunset", 0.13), ("night", 0.13))
UNGROUNDED = frozenset({"sky", "space", "underwater"})
"""Places in which nothing stands on a ground."""


@final
@dataclass(frozen=True)
class Setting:
    """A place: a name of `PLACES`, or a colour; light: a name of `LIGHTS`; weather: of `WEATHERS`, or ""."""

    place: str
    light: str = "day"
    weather: str = ""

    @property
    def tint(self) -> Color:
        return LIGHTS[self.light].tint

    @property
    def falls(self) -> Weather | None:
        return WEATHERS.get(self.weather)


@final
@dataclass(frozen=True, eq=False)
class Backdrop:
    """A still of a place, (SIZE, width, 3), and the row of its horizon."""

    picture: NDArray[np.uint8] = field(repr=False)
    horizon: float


def medium(figure: Figure, /) -> str:
    """What a figure moves in or on: figures of one medium may be in one scene."""
    key = _FAMILIES.get(figure.family, figure.kind)
    return "ground" if _SETTINGS[key].keys() >= _GROUND.keys() else key


def draw_setting(figure: Figure, color: str, rng: np.random.Generator, /) -> Setting:
    """A setting for a figure of that colour."""
    if rng.random() < _PLAIN_SHARE:
        return Setting(_drawn([(name, 1.0) for name in PAINTS if name not in color], rng))
    place = _drawn([*_SETTINGS[_FAMILIES.get(figure.family, figure.kind)].items()], rng)
    if place not in OUTDOORS:
        return Setting(place)
    light = _drawn(_LIGHT_SHARES, rng)
    draw, weather = rng.random(), ""
    if draw < 0.08 and place not in ("snow", "desert"):
        light, weather = ("night" if light == "night" else "grey"), "rain"
    elif draw < (0.3 if place == "snow" else 0.12) and place not in ("desert", "beach", "sea", "flowers"):
        weather = "snow"
    elif draw > 0.95 and light != "night":
        light, weather = "grey", "fog"
    return Setting(place, light, weather)


def draw_backdrop(setting: Setting, width: int, rng: np.random.Generator, /) -> Backdrop:
    """A setting, so wide."""
    canvas = Canvas(width)
    if setting.place in PLACES:
        PLACES[setting.place](canvas, LIGHTS[setting.light], rng)
    else:
        r, g, b = (255 * draw_color(setting.place, rng)).tolist()
        canvas.gradient(((r, g, b),))
    picture = np.clip(canvas.pixels, 0, 255).astype(np.uint8)
    return Backdrop(far_fog(picture) if setting.weather == "fog" else picture, min(canvas.horizon, 0.6 * SIZE))


def _drawn(shares: Sequence[tuple[str, float]], rng: np.random.Generator) -> str:
    weights = np.cumsum([share for _, share in shares])
    return shares[int(np.searchsorted(weights, rng.random() * weights[-1]))][0]
