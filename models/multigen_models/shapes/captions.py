"""Captions of shapes, composed of what is true of a sample: its name, measured colours and proportions, and turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from multigen_models.shapes.colors import Colors, color_name, color_names
from multigen_models.shapes.names import COLORED, Name, general_names, is_kind, is_plural, synonyms, with_article

T = TypeVar("T")

SLABS = 5
"""Layers of equal height, from the bottom to the top, in which the colours of a shape are counted."""

# Kinds with a front that everybody knows; of others nobody says which way they face.
_VEHICLES = ("car", "truck", "van", "bus", "tank", "tractor", "motorcycle", "bicycle", "forklift")
FRONTED = frozenset(("person", "animal", "dinosaur", "fish", "robot", "alien", "chair", "sofa", *_VEHICLES))
_FLAT_FRONTS = frozenset({"cabinet", "shelf", "door", "window", "banner", "bed"})
_FACING = (
    ("",),
    ("facing right", "turned to the right", "seen from its right side"),
    ("seen from behind", "facing backwards", "facing away"),
    ("facing left", "turned to the left", "seen from its left side"),
)
# noun or kind: (what the part is called, its lowest slab, the one above its highest).
_PARTS: Mapping[str, tuple[str, int, int]] = {
    "chair": ("legs", 0, 2),
    "stool": ("legs", 0, 3),
    "table": ("legs", 0, 4),
    "bench": ("legs", 0, 2),
    "tree": ("trunk", 0, 1),
    "house": ("roof", 3, 5),
    "church": ("roof", 3, 5),
    "tower": ("roof", 4, 5),
    "mill": ("roof", 4, 5),
    "well": ("roof", 3, 5),
    "market stall": ("roof", 3, 5),
    "mushroom": ("cap", 2, 5),
    "table lamp": ("shade", 3, 5),
    "floor lamp": ("shade", 3, 5),
    "sword": ("handle", 0, 1),
    "knife": ("handle", 0, 1),
    "axe": ("handle", 0, 2),
    "hammer": ("handle", 0, 2),
    "flag": ("pole", 0, 3),
    "jar": ("lid", 4, 5),
    "car": ("wheels", 0, 1),
    "truck": ("wheels", 0, 1),
    "potted plant": ("pot", 0, 1),
    "potted cactus": ("pot", 0, 1),
}
_CLOTHED = frozenset({"man", "woman", "boy", "girl", "zombie", "pirate"})
_NEUTRAL = frozenset({"black", "white", "grey"})
_SKIN = frozenset({"beige", "brown", "pink", "orange"})
_MEDIEVAL = frozenset({"house", "tower", "mill", "castle", "well", "church", "market stall", "archery range"})


@final
@dataclass(frozen=True)
class Usual:
    """What shapes of one kind are like: mean and deviation of the centred log extents, (3,) each."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]


@final
@dataclass(frozen=True)
class Traits:
    """All that may be said of a sample.

    colors: names with their shares, the largest first. part: (its noun, its colour, the colour of the rest), or
    nothing. proportions: at most two words. turns: quarter turns of its front. recolored: its colours are not those
    it was made with. styles: words for its style ("medieval", "low-poly").
    """

    name: Name
    colors: tuple[tuple[str, float], ...]
    part: tuple[str, str, str] | None = None
    proportions: tuple[str, ...] = ()
    turns: int = 0
    recolored: bool = False
    styles: tuple[str, ...] = ()


def usual_extents(extents: Sequence[NDArray[np.floating]], /) -> Usual:
    """Of the boxes (3,) of the shapes of one kind."""
    logs = np.stack([_centred(box) for box in extents])
    mean, spread = logs.mean(0).tolist(), logs.std(0).tolist()
    return Usual((mean[0], mean[1], mean[2]), (spread[0], spread[1], spread[2]))


def proportions(name: Name, extents: NDArray[np.floating], usual: Usual, /) -> tuple[str, ...]:
    """Words for a box (3,) whose sides differ from those usual for its kind by over a deviation and a sixth."""
    if name.kind == "person":  # whose pose decides
        return ()
    x, y, z = (float(side) for side in _centred(extents) - np.array(usual.mean))
    dx, dy, dz = (max(1.1 * spread, 0.16) for spread in usual.spread)
    width, height, depth = map(float, extents)
    across = max(width, depth)
    said = {
        "tall": y > dy and height > 0.5 * across,
        "flat": y < -dy and height < 0.3 * across,
        "low": y < -dy and height >= 0.3 * across,
    }
    if name.kind in FRONTED or name.kind in _FLAT_FRONTS:
        said |= {"wide": x > dx, "narrow": x < -dx, "long": z > dz and depth > width}
    else:
        stretched = max(x, z) > max(dx, dz) and across > 1.3 * min(width, depth)
        said |= {
            "long": stretched and across > 1.2 * height,
            "wide": stretched and across <= 1.2 * height,
            "narrow": x + z < -dx - dz and height > across,
        }
    words = [word for word, true in said.items() if true]
    return tuple(words[:2])


def noticed(name: Name, palette: Colors, slabs: NDArray[np.floating], /) -> NDArray[np.float64]:
    """`slabs`, (SLABS, k) shares of the surface by height and palette entry, as people notice them.

    Of a vehicle the paint is: its black, grey and white, which are tyres, windows and metal, count a third.
    """
    neutral = np.array([color_name(rgb) in _NEUTRAL for rgb in palette])
    weighed = slabs * np.where(neutral & (name.kind in _VEHICLES), 1 / 3, 1.0)
    return np.asarray(weighed / max(float(weighed.sum()), 1e-9))


def part_color(name: Name, palette: Colors, slabs: NDArray[np.floating], /) -> tuple[str, str, str] | None:
    """(part, its colour, the colour of the rest) if both are clear and differ: ("legs", "grey", "brown").

    slabs: as `noticed` gives them.
    """
    found = _PARTS.get(name.noun) or _PARTS.get(name.kind)
    if found is None:
        return None
    noun, low, high = found
    inside = slabs[low:high].sum(0)
    outside = slabs.sum(0) - inside
    if min(inside.sum(), outside.sum()) < 0.01:
        return None
    (color, share), (rest, rest_share) = (color_names(palette, part)[0] for part in (inside, outside))
    return (noun, color, rest) if color != rest and share > 0.65 and rest_share > 0.6 else None


def styles(name: Name, category: str, faces: int, /) -> tuple[str, ...]:
    """Words for the style of a model: of its pack, and "low-poly" below 1,000 faces."""
    medieval = name.kind in _MEDIEVAL and any(word in category for word in ("medieval", "strategy"))
    return ("medieval",) * medieval + ("low-poly",) * (faces < 1000)


def caption(traits: Traits, rng: np.random.Generator, /) -> str:
    """One caption, drawn: from the bare noun to all that is true, in the words and orders that people use."""
    name = traits.name
    noun, keeps = _noun(name, rng)
    modifiers = [word for word in name.modifiers if keeps and rng.random() < 0.85]
    materials = [word for word in name.materials if keeps and rng.random() < 0.9]
    if traits.recolored:
        modifiers = [word for word in modifiers if word not in COLORED]
        materials = [word for word in materials if word not in COLORED]
    sizes = [word for word in traits.proportions if rng.random() < 0.6]
    tail = name.tail if keeps and rng.random() < 0.7 else ""
    said_of = replace(traits, part=None) if tail else traits
    colors, accent = _colors(said_of, rng) if traits.recolored or rng.random() < 0.6 else ("", "")
    if colors and "golden" in materials:
        colors = accent = ""
    style = [_one_of(traits.styles, rng)] if traits.styles and rng.random() < 0.12 else []
    before = [*sizes, *modifiers, colors] if rng.random() < 0.85 else [colors, *sizes, *modifiers]
    head = " ".join(filter(None, (*style, *before, *materials, noun)))
    said = " ".join(filter(None, (with_article(head, noun), tail, "" if tail else accent)))
    if traits.turns:
        return f"{said} {_one_of(_FACING[traits.turns], rng)}"
    if rng.random() < 0.08 and not is_plural(noun):
        return head
    return said if rng.random() < 0.95 else f"{_one_of(('a 3d model of', '3d model of', 'a model of'), rng)} {said}"


def _noun(name: Name, rng: np.random.Generator) -> tuple[str, bool]:
    """What to call it this time, and whether the words before and after the noun go with it."""
    several = name.plural or " of " in name.noun
    wider = [name.kind] if is_kind(name.kind) and name.kind != name.noun and not several else []
    others = synonyms(name.noun)
    draw = rng.random()
    if draw < 0.12 and wider:
        return wider[0], True
    if draw < 0.16 and general_names(name.kind) and not several:
        return _one_of(general_names(name.kind), rng), False
    if draw < 0.4 and others:
        return _one_of(others, rng), True
    return name.noun, True


def _colors(traits: Traits, rng: np.random.Generator) -> tuple[str, str]:
    """The adjective for the colours, and what follows the noun ("with grey legs"); nothing where no colour is clear."""
    (first, share), *others = traits.colors
    second, second_share = others[0] if others else ("", 0.0)
    if traits.name.noun in _CLOTHED:
        return "", f"in {first} clothes" if first not in _SKIN and share > 0.3 else ""
    if traits.part and rng.random() < 0.6:
        part, color, rest = traits.part
        return rest, f"with {with_article(f'{color} {part}', part)}"
    if len(others) > 1 and others[1][1] > 0.17 and share < 0.5:
        third = others[1][0]
        return _one_of((f"{first}, {second} and {third}", "colorful", "multicolored"), rng), ""
    if second_share > 0.27 or share < 0.5:
        return (f"{first} and {second}" if share + second_share > 0.55 else "colorful"), ""
    if second_share > 0.1 and rng.random() < 0.35:
        return first, f"with {second} {_one_of(('parts', 'details', 'accents'), rng)}"
    return first, ""


def _centred(extents: NDArray[np.floating]) -> NDArray[np.float64]:
    logs = np.log(np.maximum(np.asarray(extents, np.float64), 0.03))
    return np.asarray(logs - logs.mean())


def _one_of(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]
