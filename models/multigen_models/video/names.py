"""What to call a figure and what its clips show: look-ups in `video_vocabulary`, and English verbs and plurals."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import final

from multigen.errors import UsageError
from multigen_models.shapes.names import Name, general_names, is_kind, shape_name, synonyms
from multigen_models.video.vocabulary import ACTIONS, FIGURES, KINDS, RIDES, WEAPONS

HEADINGS: Mapping[str, float | None] = {
    "forward": 0.0, "backward": 180.0, "leftward": 90.0, "rightward": -90.0, "stay": None,
}  # fmt: skip


@final
@dataclass(frozen=True)
class Figure:
    """What a figure is called.

    noun: the word that captions use most, others: true of it too. kind: "walker", "flyer", "swimmer", "vehicle" or
    "thing". family: figures that move alike. colors: its own colours in words, the first alone will do; () unknown.
    weapons: with their articles, by the names that phrases have for them. plural: whether the noun is one.
    """

    noun: str
    others: tuple[str, ...]
    kind: str
    family: str
    colors: tuple[str, ...] = ()
    weapons: Mapping[str, str] = field(default_factory=dict)
    plural: bool = False


@final
@dataclass(frozen=True)
class Action:
    """What is done: verb phrases in the infinitive, the plainest first. heading: degrees from where the body faces to
    where it goes, counted towards its own left; None where it stays."""

    phrases: tuple[str, ...]
    heading: float | None = None

    @property
    def name(self) -> str:
        """What it is counted as."""
        return self.phrases[0]


def animated_figure(file: str, /) -> Figure | None:
    """The figure in an animated file of that stem; None where the tables have none."""
    return _figures().get(file)


def action_of(figure: Figure, clip: str, /) -> Action | None:
    """What a figure does in a clip of that name; None where it is left out."""
    plain = re.sub(r"\.\d+$", "", clip)
    for key in (plain, plain.partition("_")[2]):
        for place in (f"{figure.family}/{key}", key):
            if place in _actions():
                action = _actions()[place]
                return action and _armed(action, figure)
    return None


def still_figures(data: Path, /) -> Mapping[str, Figure]:
    """The figures of the still shapes in data/shapes by their ids; those that are no object have none.

    Raises
    ------
    UsageError: data/shapes/metadata.csv cannot be read.
    """
    path = data / "shapes" / "metadata.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(row["id"], row["label"], row["name"], row["category"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read ({error!r}); it needs the columns id, label, name, category"
        ) from error
    named = ((key, shape_name(*words)) for key, *words in rows)
    return {key: _still(name) for key, name in named if name is not None}


def ride_of(figure: Figure, /) -> Action | None:
    """How a still vehicle moves."""
    return _rides().get(figure.family)


def natural_colors(noun: str, /) -> frozenset[str]:
    """The colours of all animated figures of that noun."""
    return frozenset(color for figure in _figures().values() if figure.noun == noun for color in figure.colors)


def gerund(phrase: str, /) -> str:
    """ "run and shoot" to "running and shooting"."""
    return _inflected(phrase, _ing)


def third_person(phrase: str, /) -> str:
    """ "fly fast" to "flies fast"."""
    return _inflected(phrase, _s)


def plural_of(noun: str, /) -> str:
    """ "fox" to "foxes", "deer" to "deer", "wolf" to "wolves", "stack of crates" to "stacks of crates"."""
    head, joint, rest = _HEAD.fullmatch(noun).groups("")  # type: ignore[union-attr]  # it matches anything
    *before, last = head.split(" ")
    return " ".join((*before, _plural(last))) + joint + rest


_HEAD = re.compile(r"(.*?)(?:( of | with )(.*))?")
_IRREGULAR = {"mouse": "mice", "mech": "mechs", "ox": "oxen", "potato": "potatoes", "tomato": "tomatoes"}
_DOUBLED = re.compile(r"(run|swim|hop|stab|chop|nod|sit|get|snap|step|spin|flop|strut|drop|flip)$")


def _plural(word: str) -> str:
    if word.endswith(("fish", "deer", "koi")):
        return word
    if word.endswith("man"):
        return f"{word[:-3]}men"
    if word.endswith("lf"):
        return f"{word[:-1]}ves"
    return _IRREGULAR.get(word) or (f"{word}s" if word.endswith("o") else _s(word))


_VERBS = re.compile(" and (?!down)")  # "run and shoot" are two, "jump up and down" is one


def _inflected(phrase: str, change: Callable[[str], str]) -> str:
    return " and ".join(
        " ".join((change(head), *rest)) for head, *rest in (part.split(" ") for part in _VERBS.split(phrase))
    )


def _ing(verb: str) -> str:
    if verb in ("lie", "die"):
        return f"{verb[0]}ying"
    if _DOUBLED.search(verb):
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1] if verb.endswith('e') and not verb.endswith('ee') else verb}ing"


def _s(word: str) -> str:
    if re.search(r"(sh|ch|s|x|z|[^aeio]o)$", word):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"


def _still(name: Name) -> Figure:
    wider = (name.kind, *general_names(name.kind)) if is_kind(name.kind) and not name.plural else ()
    others = tuple(word for word in (*synonyms(name.noun), *wider) if word != name.noun)
    kind = "vehicle" if name.kind in _rides() else "thing"
    return Figure(name.noun, others, kind, name.kind, plural=name.plural)


def _armed(action: Action, figure: Figure) -> Action | None:
    """The action with the weapon named; None where it takes one that the figure has not."""
    try:
        return Action(tuple(phrase.format_map(figure.weapons) for phrase in action.phrases), action.heading)
    except KeyError:
        return None


def _lines(table: str) -> list[tuple[list[str], list[str]]]:
    """The fields before the colon and the entries after it, of every line."""
    rows = [line.rpartition(": ") for line in filter(None, map(str.strip, table.splitlines()))]
    return [(head.split("; "), [entry.strip() for entry in tail.split("|")]) for head, _, tail in rows]


@cache
def _figures() -> Mapping[str, Figure]:
    kinds = {family: kind for (kind,), families in _lines(KINDS) for family in families}
    weapons = {
        file: dict(pair.split("=") for pair in held.split(", ")) for (held,), files in _lines(WEAPONS) for file in files
    }
    found = {}
    for (names, colors, family), files in _lines(FIGURES):
        noun, *others = names.split(", ")
        words = () if colors == "-" else tuple(colors.split(" and "))
        for file in files:
            found[file] = Figure(noun, tuple(others), kinds[family], family, words, weapons.get(file, {}))
    return found


@cache
def _actions() -> Mapping[str, Action | None]:
    found: dict[str, Action | None] = {}
    for (motion, phrases), clips in _lines(ACTIONS):
        action = None if motion == "-" else Action(tuple(phrases.split(", ")), HEADINGS[motion])
        found.update(dict.fromkeys(clips, action))
    return found


@cache
def _rides() -> Mapping[str, Action]:
    return {kind: Action(tuple(verbs.split(", ")), 0.0) for (verbs,), kinds in _lines(RIDES) for kind in kinds}
