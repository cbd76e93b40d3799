"""Words for shapes: names from labels, colours by measurement, proportions, and captions in which all of it is true."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from multigen_models.shapes import vocabulary as tables
from multigen_models.shapes.augment import draw_color
from multigen_models.shapes.captions import (
    SLABS,
    Traits,
    Usual,
    caption,
    noticed,
    part_color,
    proportions,
    styles,
    usual_extents,
)
from multigen_models.shapes.colors import (
    COLOR_NAMES,
    TYPICAL,
    color_name,
    color_names,
    from_oklch,
    palette_of,
    to_oklab,
    to_srgb,
)
from multigen_models.shapes.names import (
    Name,
    general_names,
    is_plural,
    kind_of,
    shape_name,
    synonyms,
    with_article,
)

BROWN, GREY, RED, WHITE, GREEN = (
    (0.45, 0.3, 0.18),
    (0.5, 0.5, 0.52),
    (0.8, 0.1, 0.1),
    (0.97, 0.97, 0.97),
    (0.2, 0.55, 0.2),
)
CHAIR = Name((), ("wooden",), "chair", "", "chair")
PLAIN = Traits(Name((), (), "chair", "", "chair"), colors=(("red", 1.0),))


def entries(table: str) -> list[tuple[str, list[str]]]:
    lines = [line.partition(": ") for line in table.strip().splitlines() if line]
    return [(words, others.split(" | ")) for words, _, others in lines]


def said(traits: Traits, count: int = 300) -> list[str]:
    return [caption(traits, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize(
    ("label", "name", "category", "wanted"),
    [
        ("houses second age level", "Houses_SecondAge_1_Level3", "real time strategy", "medieval||house||house"),
        ("chair", "Chair; Blend Swap, Seat", "living room", "||chair||chair"),
        ("potion empty", "Potion2_Empty", "rpg items", "||potion bottle||bottle"),
        ("apple", "Apple_1", "crops", "||seedling||plant"),
        ("apple", "Apple_3", "crops", "||apple tree||tree"),
        ("apple", "Apple", "food", "||apple||apple"),
        ("birch tree dead snow", "BirchTree_Dead_Snow_2", "nature", "snowy dead||birch tree||tree"),
        ("bed bunk", "Bed_Bunk", "house interior", "||bunk bed||bed"),
        ("table round small", "Table_RoundSmall2", "house interior", "round||table||table"),
        ("banner shield blue", "banner_shield_blue", "dungeon remastered", "||banner|with a shield|banner"),
        ("tv 16:9", "TV 16:9; Electronics", "living room", "||TV||TV"),
        ("glass wine", "Glass Wine", "food", "||wine glass||glass"),
        ("soda glass", "Soda Glass", "food", "||glass of soda||glass"),
        ("wooden desk", "Wooden desk; Table", "office", "|wooden|desk||table"),
        ("axe double golden", "Axe_Double_Golden", "rpg items", "two-bladed|golden|axe||axe"),
        ("large blue gizmo", "Gizmo 7", "unknown", "||gizmo||gizmo"),
        ("orange", "", "", "||orange||orange"),
    ],
)
def test_labels_become_what_a_person_would_type(label: str, name: str, category: str, wanted: str) -> None:
    got = shape_name(label, name, category)
    assert got is not None
    assert "|".join((" ".join(got.modifiers), " ".join(got.materials), got.noun, got.tail, got.kind)) == wanted


def test_nouns_are_counted_with_their_kinds() -> None:
    kinds = {
        "tree": ["willow tree", "trees", "apple tree"],
        "car": ["taxi", "SUV", "race car"],
        "plate": ["stack of plates"],
    }
    kinds |= {
        "table": ["nightstand", "desk", "coffee table"],
        "person": ["astronaut", "woman"],
        "gizmo": ["blue gizmo"],
    }
    assert {noun: kind_of(noun) for nouns in kinds.values() for noun in nouns} == {
        noun: kind for kind, nouns in kinds.items() for noun in nouns
    }


def test_what_is_no_object_has_no_name() -> None:
    assert shape_name("parking slot 45°", "Parking slot 45°; SCPTS, Outdoor, Road", "exterior") is None
    assert shape_name("skirt", "", "bedroom") is None


def test_no_entry_of_the_tables_contradicts_another() -> None:
    for table in (tables.PHRASES, tables.KINDS):
        counted = Counter(other for _, others in entries(table) for other in others)
        assert [other for other, count in counted.items() if count > 1] == []
    phrases = {words for words, _ in entries(tables.PHRASES)} - {"-"}
    for phrase in phrases:
        name = shape_name(next(others[0] for words, others in entries(tables.PHRASES) if words == phrase))
        assert name is not None
        assert re.fullmatch(r"[A-Za-z][A-Za-z'\- ]*", phrase), phrase
        parts = (*name.modifiers, *name.materials, name.noun, name.tail)
        assert " ".join(filter(None, parts)) == phrase


def test_kinds_synonyms_and_wider_words_are_reachable() -> None:
    for noun, others in entries(tables.SYNONYMS):
        assert synonyms(noun) == tuple(others)
        assert noun not in others
    for kind, nouns in entries(tables.KINDS):
        assert {kind_of(noun) for noun in nouns} == {kind}
    for words, kinds in entries(tables.GENERAL):
        for kind in kinds:
            assert words in general_names(kind)
            assert kind_of(kind) == kind


@pytest.mark.parametrize(
    ("words", "noun", "wanted"),
    [
        ("red chair", "chair", "a red chair"),
        ("orange armchair", "armchair", "an orange armchair"),
        ("umbrella", "umbrella", "an umbrella"),
        ("utensil", "utensil", "a utensil"),
        ("one-story house", "house", "a one-story house"),
        ("SUV", "SUV", "an SUV"),
        ("red, white and blue sneakers", "sneakers", "red, white and blue sneakers"),
        ("slices of cheese", "slices of cheese", "slices of cheese"),
        ("bunch of keys", "bunch of keys", "a bunch of keys"),
        ("green grass", "grass", "green grass"),
        ("flat wine glass", "wine glass", "a flat wine glass"),
        ("bus", "bus", "a bus"),
    ],
)
def test_articles(words: str, noun: str, wanted: str) -> None:
    assert with_article(words, noun) == wanted
    assert is_plural(noun) == (wanted == words and noun != "grass")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("#e50000", "red"), ("#8b0000", "red"), ("#dc143c", "red"), ("#f97306", "orange"), ("#ffa500", "orange"),
        ("#ffff14", "yellow"), ("#ffd700", "yellow"), ("#15b01a", "green"), ("#013220", "green"), ("#b0dd16", "green"),
        ("#556b2f", "green"), ("#0343df", "blue"), ("#000080", "blue"), ("#75bbfd", "blue"), ("#4682b4", "blue"),
        ("#5f9ea0", "blue"), ("#2e8b57", "green"),
        ("#7e1e9c", "purple"), ("#4b0082", "purple"), ("#9370db", "purple"), ("#ff81c0", "pink"), ("#ffb6c1", "pink"),
        ("#ff69b4", "pink"), ("#653700", "brown"), ("#8b4513", "brown"), ("#a0522d", "brown"), ("#cd853f", "brown"),
        ("#e6daa6", "beige"), ("#f5deb3", "beige"), ("#000000", "black"), ("#1c1c1c", "black"), ("#ffffff", "white"),
        ("#f0f0ee", "white"), ("#929591", "grey"), ("#708090", "grey"), ("#404040", "grey"), ("#c0c0c0", "grey"),
    ],
)  # fmt: skip
def test_colors_have_the_names_that_people_give_them(code: str, name: str) -> None:
    assert color_name([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]) == name


def test_oklab_is_ottossons_and_goes_both_ways() -> None:
    white, red, blue = np.eye(3, dtype=np.float32)[[0, 0, 2]]
    white = white * 0 + 1
    np.testing.assert_allclose(to_oklab(white), (1, 0, 0), atol=1e-4)
    np.testing.assert_allclose(to_oklab(red), (0.62796, 0.22486, 0.12585), atol=1e-4)
    np.testing.assert_allclose(to_oklab(blue), (0.45201, -0.03246, -0.31153), atol=1e-4)
    rgb = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    np.testing.assert_allclose(to_srgb(to_oklab(rgb)), rgb, atol=1e-5)
    assert to_srgb(np.array([1.2, 0.5, 0.5], np.float32)).max() <= 1


def test_every_name_has_colors_that_can_be_drawn() -> None:
    for name in COLOR_NAMES:
        assert color_name(from_oklch(*TYPICAL[name])) == name
        drawn = np.stack([draw_color(name, np.random.default_rng(seed)) for seed in range(100)])
        assert {color_name(rgb) for rgb in drawn} == {name}
        assert len(np.unique(drawn, axis=0)) > 60


def test_a_palette_merges_shades_and_keeps_shares() -> None:
    rng = np.random.default_rng(0)
    shades = np.clip(np.array(BROWN) * rng.uniform(0.85, 1.15, (600, 1)), 0, 1)
    colors = np.concatenate([shades, np.tile(WHITE, (300, 1)), np.tile(RED, (100, 1))]).astype(np.float32)
    palette, of = palette_of(colors)
    assert len(palette) == 3
    assert [len(np.unique(of[part])) for part in (slice(600), slice(600, 900), slice(900, None))] == [1, 1, 1]
    np.testing.assert_allclose(palette[of[950]], RED, atol=1e-3)
    shares = np.bincount(of) / 1000
    assert color_names(palette, shares.tolist()) == (
        ("brown", pytest.approx(0.6)), ("white", pytest.approx(0.3)), ("red", pytest.approx(0.1))
    )  # fmt: skip
    weighted, of = palette_of(colors, np.repeat((0.0, 1.0, 6.0), (600, 300, 100)))
    assert [color_name(rgb) for rgb in weighted] == ["red", "white"]
    assert len(palette_of(rng.random((4000, 3)).astype(np.float32), size=5)[0]) == 5


def test_names_of_one_color_count_together() -> None:
    palette = np.array([from_oklch(0.5, 0.13, 250), from_oklch(0.3, 0.1, 262), GREY], np.float32)
    assert [name for name, _ in color_names(palette, (3, 2, 4))] == ["blue", "grey"]
    assert color_names(palette, (3, 2, 4))[0][1] == pytest.approx(5 / 9)


def slabs(*layers: tuple[float, float]) -> np.ndarray:
    """(SLABS, 2) shares, each layer with as much surface."""
    return np.array(layers) / SLABS


def test_parts_are_named_where_they_differ_clearly() -> None:
    palette = np.array([BROWN, GREY], np.float32)
    legs = slabs((0, 1), (0.1, 0.9), (1, 0), (1, 0), (0.9, 0.1))
    assert part_color(CHAIR, palette, legs) == ("legs", "grey", "brown")
    assert part_color(CHAIR, palette, slabs(*((0.5, 0.5),) * 5)) is None
    assert part_color(CHAIR, palette, slabs((0.45, 0.55), (0.45, 0.55), (1, 0), (1, 0), (1, 0))) is None
    assert part_color(CHAIR, palette, slabs(*((0.9, 0.1),) * 5)) is None
    assert part_color(Name((), (), "rock", "", "rock"), palette, legs) is None
    assert part_color(CHAIR, palette, np.concatenate([np.zeros((2, 2)), legs[2:]])) is None
    house = Name((), (), "house", "", "house")
    assert part_color(house, palette, slabs((1, 0), (1, 0), (1, 0), (0, 1), (0, 1))) == ("roof", "grey", "brown")


def test_of_vehicles_the_paint_is_noticed() -> None:
    palette = np.array([GREY, RED, WHITE], np.float32)
    shares = slabs(*((0.5, 0.35),) * 5)
    shares = np.concatenate([shares, np.full((SLABS, 1), 0.15 / SLABS)], 1)
    car = Name((), (), "taxi", "", "car")
    seen = noticed(car, palette, shares)
    np.testing.assert_allclose(seen.sum(0), np.array((0.5 / 3, 0.35, 0.05)) / (0.65 / 3 + 0.35))
    np.testing.assert_allclose(noticed(CHAIR, palette, shares), shares)


def test_proportions_are_said_where_they_are_pronounced_for_the_kind() -> None:
    usual = usual_extents([np.array((1, 2, 1)), np.array((1.1, 2, 1)), np.array((1, 2, 1.1))])
    assert proportions(CHAIR, np.array((1, 2, 1)), usual) == ()
    assert proportions(CHAIR, np.array((0.6, 2, 0.6)), usual)[0] == "tall"
    assert "wide" in proportions(CHAIR, np.array((2, 2, 1)), usual)
    assert "narrow" in proportions(CHAIR, np.array((0.55, 2, 1)), usual)
    assert "low" in proportions(CHAIR, np.array((2, 1.6, 2)), usual)
    table = Name((), (), "table", "", "table")
    box = Usual((0.0, 0.0, 0.0), (0.05, 0.05, 0.05))
    assert proportions(table, np.array((2, 1, 1)), box)[-1] == "long"
    assert proportions(table, np.array((2, 0.3, 2)), box) == ("flat",)
    assert "tall" not in proportions(table, np.array((2, 0.9, 0.2)), box)
    assert proportions(Name((), (), "man", "", "person"), np.array((2, 2, 0.5)), box) == ()
    varied = Usual((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
    assert proportions(table, np.array((1.4, 2, 1.4)), varied) == ()


def test_styles_come_from_the_pack_and_the_count_of_faces() -> None:
    house = Name((), (), "house", "", "house")
    assert styles(house, "medieval village", 5000) == ("medieval",)
    assert styles(house, "architecture", 300) == ("low-poly",)
    assert styles(CHAIR, "medieval village", 5000) == ()


def test_captions_of_one_color_say_no_other() -> None:
    seen = said(PLAIN)
    colors = {word for text in seen for word in text.replace(",", "").split() if word in COLOR_NAMES}
    assert colors == {"red"}
    assert {"a red chair", "a chair", "red chair", "a red seat", "a red piece of furniture"} <= set(seen)
    assert 0.5 < np.mean(["red" in text for text in seen]) < 0.7
    assert {text for text in seen if not re.match(r"(an? |3d model of an? |red |chair|seat|piece)", text)} == set()


def test_new_colors_are_always_said_and_words_for_the_old_ones_never() -> None:
    tree = Name(("snowy", "dead"), (), "pine tree", "", "tree")
    seen = said(Traits(tree, colors=(("purple", 0.9), ("grey", 0.1)), recolored=True))
    assert all("purple" in text for text in seen)
    assert not any("snowy" in text for text in seen)
    assert any("dead" in text for text in seen)
    assert any("snowy" in text for text in said(Traits(tree, colors=(("white", 0.9), ("grey", 0.1)))))


def test_two_colors_are_joined_and_many_are_colorful() -> None:
    two = said(Traits(PLAIN.name, colors=(("red", 0.6), ("white", 0.4))))
    assert {"a red and white chair"} <= set(two)
    assert not [text for text in two if re.search(r"\ba red (chair|seat)", text)]
    many = said(Traits(PLAIN.name, colors=(("red", 0.3), ("white", 0.25), ("blue", 0.2), ("green", 0.25))))
    assert {"a red, white and blue chair", "a colorful chair"} <= set(many)
    accents = said(Traits(PLAIN.name, colors=(("red", 0.8), ("white", 0.2))))
    assert [text for text in accents if re.fullmatch(r"a red chair with white (parts|details|accents)", text)]


def test_a_part_of_another_color_is_said_with_the_color_of_the_rest() -> None:
    seen = said(Traits(CHAIR, colors=(("brown", 0.6), ("grey", 0.4)), part=("legs", "grey", "brown")))
    assert "a brown wooden chair with grey legs" in seen
    tree = Name((), (), "tree", "", "tree")
    assert "a green tree with a brown trunk" in said(Traits(tree, (("green", 0.8),), part=("trunk", "brown", "green")))


@pytest.mark.parametrize(("turns", "word"), [(1, "right"), (2, "behind"), (3, "left")])
def test_a_turned_front_is_always_said(turns: int, word: str) -> None:
    seen = said(Traits(PLAIN.name, PLAIN.colors, turns=turns))
    assert all(re.search(r"(facing|turned|seen) ", text) for text in seen)
    assert any(word in text for text in seen)
    assert not any(re.search(r"(facing|turned|seen) ", text) for text in said(PLAIN))


def test_people_wear_their_colors() -> None:
    man = Name((), (), "man", "", "person")
    seen = said(Traits(man, colors=(("blue", 0.6), ("beige", 0.4))))
    assert "a man in blue clothes" in seen
    assert not [text for text in seen if "blue man" in text]


def test_wider_words_never_carry_what_belongs_to_the_noun() -> None:
    chest = Name(("open",), (), "treasure chest", "with coins", "chest")
    seen = said(Traits(chest, colors=(("brown", 1.0),)))
    assert {"an open treasure chest with coins", "a chest", "an open brown chest with coins"} <= set(seen)
    soup = said(Traits(Name((), (), "bowl of soup", "", "bowl"), colors=(("red", 1.0),)))
    assert all("bowl of soup" in text for text in soup)


def test_plurals_take_no_article() -> None:
    seen = said(Traits(Name((), (), "curtains", "", "curtains"), colors=(("blue", 1.0),)))
    assert "blue curtains" in seen
    assert not [text for text in seen if re.search(r"\ban? (blue|curtains|drapes)", text)]


def test_captions_are_functions_of_the_generator() -> None:
    assert said(PLAIN, 50) == said(PLAIN, 50)
    assert len(set(said(PLAIN))) > 8
