"""What to call a shape: from the label of a model file to the words a person would type, and to its kind.

Labels come from file names: the noun may stand first ("bed bunk"), sizes, colours and levels of a game are in them
("house second age level 3"), and some say nothing ("story"). Rules tidy what rules can (`_NOISE`); `_PHRASES` has the
rest. A phrase is taken apart into the slots of a caption, "round stone table with candles": modifiers, material, noun,
tail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import final

from multigen_models.shapes.vocabulary import GENERAL, KINDS, PHRASES, SYNONYMS, WORDS


@final
@dataclass(frozen=True)
class Name:
    """What a shape is called, in the slots of "round wooden bedside table with candles".

    modifiers: words before a colour. materials: words after it. noun: with the words that make it one thing
    ("bedside table"). tail: what follows the noun, or nothing. kind: the class it is counted with.
    """

    modifiers: tuple[str, ...]
    materials: tuple[str, ...]
    noun: str
    tail: str
    kind: str

    @property
    def plural(self) -> bool:
        """Whether the noun takes no article because there are several of it."""
        return is_plural(self.noun)


def shape_name(label: str, name: str = "", category: str = "") -> Name | None:
    """The name of a shape from three columns of its metadata; None for what is no object (road markings, scenes).

    label: lower-case words without digits. name: the file's own name, for the few that differ by a digit. category:
    the pack or room it belongs to.
    """
    phrase = _phrase(label, name, category)
    return None if phrase == "-" else _take_apart(phrase)


def kind_of(noun: str, /) -> str:
    """The class that a noun is counted with: "willow tree" is a "tree", "coffee table" a "table"."""
    head = _head(noun)
    return next((_kinds()[words] for words in (noun, noun.split(" of ")[0], head) if words in _kinds()), head)


def is_kind(words: str, /) -> bool:
    """Whether a kind may be said of all that is counted with it, as "tree" is of willows."""
    return words in _kinds().values()


def synonyms(noun: str, /) -> tuple[str, ...]:
    """Other names of the same thing, all true of everything the noun is said of."""
    return _synonyms().get(noun, ())


def general_names(kind: str, /) -> tuple[str, ...]:
    """Wider words for a kind: "chair" is a "piece of furniture"."""
    return _general().get(kind, ())


def with_article(words: str, noun: str, /) -> str:
    """Words that end in `noun` with the article it takes, if any: "an orange chair", "red curtains", "green grass"."""
    if is_plural(noun) or _head(noun) in _words("mass"):
        return words
    vowel = re.match(r"[aeiou]|[hH]our|SUV\b", words) and not re.match(r"(?:uni|uten|urin|one|eu|u-)", words)
    return f"{'an' if vowel else 'a'} {words}"


def is_plural(noun: str, /) -> bool:
    """Whether a noun is a plural: "curtains", "slices of cheese"; not "glass", "cactus", "tennis"."""
    head = _head(noun)
    return head.endswith("s") and not head.endswith(("ss", "us", "is", "'s")) and head not in _words("singular")


# Modifiers and materials that are true of one colouring only.
COLORED = frozenset({"snowy", "mossy", "autumn", "golden", "grassy", "burning", "lit", "burnt", "raw", "cooked"})


def _phrase(label: str, name: str, category: str) -> str:
    """The entry of the table for the most special of the keys, or the label without its noise."""
    own = re.sub(r"[\W_]+", " ", name.split(";")[0].lower()).strip()
    tidy = " ".join(word for word in label.split() if word not in _words("noise")) or label
    for key in (own, label, tidy):
        for place in (f"{category}/{key}", key):
            if place in _phrases():
                return _phrases()[place]
    return tidy


def _head(noun: str) -> str:
    """The word that decides: "bunch" of "bunch of keys"."""
    return re.split(r" (?:with|of|on|in|and) ", noun)[0].rsplit(" ", 1)[-1]


def _take_apart(phrase: str) -> Name:
    head, *rest = re.split(r"(?= with | in a | on a )", phrase, maxsplit=1)
    words = head.split()
    modifiers, materials = [], []
    while len(words) > 1 and words[0] in _words("modifier"):
        modifiers.append(words.pop(0))
    while len(words) > 1 and words[0] in _words("material") and words[1] != "of":
        materials.append(words.pop(0))
    noun = " ".join(words)
    return Name(tuple(modifiers), tuple(materials), noun, "".join(rest).strip(), kind_of(noun))


def _read(table: str) -> dict[str, list[str]]:
    entries: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, table.splitlines())):
        words, _, others = line.partition(": ")
        entries.setdefault(words, []).extend(other.strip() for other in others.split("|"))
    return entries


@cache
def _phrases() -> Mapping[str, str]:
    return {label: phrase for phrase, labels in _read(PHRASES).items() for label in labels}


@cache
def _words(role: str) -> frozenset[str]:
    return frozenset(_read(WORDS)[role])


@cache
def _kinds() -> Mapping[str, str]:
    return {noun: kind for kind, nouns in _read(KINDS).items() for noun in nouns}


@cache
def _synonyms() -> Mapping[str, tuple[str, ...]]:
    return {noun: tuple(others) for noun, others in _read(SYNONYMS).items()}


@cache
def _general() -> Mapping[str, tuple[str, ...]]:
    wider: dict[str, tuple[str, ...]] = {}
    for words, kinds in _read(GENERAL).items():
        for kind in kinds:
            wider[kind] = (*wider.get(kind, ()), words)
    return wider
