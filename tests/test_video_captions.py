"""Words for moving figures: tables without contradictions, verbs and plurals, and captions that say what is told."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from multigen.errors import UsageError
from multigen_models.shapes.colors import COLOR_NAMES
from multigen_models.video import vocabulary as tables
from multigen_models.video.captions import CAMERAS, MOST_WORDS, PLACES, Subject, Telling, caption
from multigen_models.video.names import (
    HEADINGS,
    Action,
    action_of,
    animated_figure,
    gerund,
    natural_colors,
    plural_of,
    still_figures,
    third_person,
)

GALLOP = Action(("gallop", "run"), 0.0)
FOX = Subject("fox", ("animal",), GALLOP, "left", color="orange")


def lines(table: str) -> list[tuple[list[str], list[str]]]:
    rows = [line.rpartition(": ") for line in table.strip().splitlines() if line]
    return [(head.split("; "), tail.split(" | ")) for head, _, tail in rows]


def said(telling: Telling, count: int = 400) -> list[str]:
    return [caption(telling, np.random.default_rng(seed)) for seed in range(count)]


def test_every_file_and_clip_stands_once_in_the_tables() -> None:
    for table in (tables.FIGURES, tables.ACTIONS, tables.KINDS, tables.RIDES):
        entries = [entry for _, tail in lines(table) for entry in tail]
        assert sorted(entries) == sorted(set(entries))


def test_figures_have_a_kind_and_colors_that_exist() -> None:
    for (names, colors, family), files in lines(tables.FIGURES):
        for file in files:
            figure = animated_figure(file)
            assert figure is not None
            assert (figure.noun, figure.family) == (names.split(", ")[0], family)
            assert figure.kind in ("walker", "flyer", "swimmer", "vehicle", "thing")
            assert set(figure.colors) <= set(COLOR_NAMES)
            assert figure.colors or colors == "-"
            assert figure.noun not in figure.others
    assert animated_figure("teapot") is None


def test_every_phrase_starts_with_a_verb_in_the_infinitive() -> None:
    for (motion, phrases), _ in lines(tables.ACTIONS):
        assert (motion == "-") == (phrases == "-")
        if motion != "-":
            assert motion in HEADINGS
            for phrase in phrases.split(", "):
                assert re.fullmatch(r"[a-z{} ]+", phrase)
                assert not re.match(r"\w{3,}ing\b", phrase)


@pytest.mark.parametrize(
    ("file", "clip", "name", "heading"),
    [
        ("fox", "Gallop", "gallop", 0.0),
        ("knight", "1H_Melee_Attack_Chop", "chop with a sword", None),
        ("barbarian", "2H_Melee_Attack_Chop", "chop with an axe", None),
        ("rogue", "2H_Ranged_Shoot", "shoot a crossbow", None),
        ("trex", "TRex_Run", "run", 0.0),
        ("snake", "Snake_Walk", "slither", 0.0),
        ("frog", "Frog_Jump", "hop", 0.0),
        ("velociraptor", "Velociraptor_Jump", "jump", None),
        ("fish2", "Swim.001", "swim", 0.0),
        ("knight", "Walking_Backwards", "walk backwards", 180.0),
        ("knight", "Running_Strafe_Left", "run sideways", 90.0),
        ("tank", "Tank_Backwards", "drive backwards", 180.0),
    ],
)
def test_clips_have_readable_names(file: str, clip: str, name: str, heading: float | None) -> None:
    figure = animated_figure(file)
    assert figure is not None
    action = action_of(figure, clip)
    assert action is not None
    assert (action.name, action.heading) == (name, heading)


@pytest.mark.parametrize(
    ("file", "clip"),
    [("knight", "2H_Ranged_Aiming"), ("knight", "Jump_Land"), ("fox", "Dodge_Left"), ("fox", "nothing")],
)
def test_what_cannot_be_named_is_left_out(file: str, clip: str) -> None:
    figure = animated_figure(file)
    assert figure is not None
    assert action_of(figure, clip) is None


@pytest.mark.parametrize(
    ("phrase", "ing", "s"),
    [
        ("gallop", "galloping", "gallops"),
        ("run and shoot", "running and shooting", "runs and shoots"),
        ("chop with a sword", "chopping with a sword", "chops with a sword"),
        ("lie down", "lying down", "lies down"),
        ("fly fast", "flying fast", "flies fast"),
        ("dance", "dancing", "dances"),
        ("sidestep", "sidestepping", "sidesteps"),
        ("box", "boxing", "boxes"),
        ("do a forward roll", "doing a forward roll", "does a forward roll"),
        ("wave hello", "waving hello", "waves hello"),
        ("eat", "eating", "eats"),
        ("turn belly up", "turning belly up", "turns belly up"),
        ("drop", "dropping", "drops"),
        ("move and flip", "moving and flipping", "moves and flips"),
        ("jump up and down", "jumping up and down", "jumps up and down"),
    ],
)  # fmt: skip
def test_verbs(phrase: str, ing: str, s: str) -> None:
    assert gerund(phrase) == ing
    assert third_person(phrase) == s


@pytest.mark.parametrize(
    ("one", "two"),
    [("fox", "foxes"), ("deer", "deer"), ("wolf", "wolves"), ("clownfish", "clownfish"), ("husky", "huskies"),
     ("man", "men"), ("mech", "mechs"), ("T-rex", "T-rexes"), ("bee", "bees"), ("goblin shark", "goblin sharks"),
     ("robot mech", "robot mechs"), ("deer with antlers", "deer with antlers"), ("stack of crates", "stacks of crates"),
     ("ox", "oxen"), ("piano", "pianos"), ("potato", "potatoes"), ("bunch of tomatoes", "bunches of tomatoes")],
)  # fmt: skip
def test_plurals(one: str, two: str) -> None:
    assert plural_of(one) == two


def test_the_commonest_caption_is_the_plainest() -> None:
    seen = said(Telling((replace(FOX, color=""),), "grass"))
    assert max(set(seen), key=seen.count) == "a fox galloping to the left"
    assert len(set(seen)) > 80
    assert {"a fox gallops to the left", "an animal galloping to the left", "a fox running to the left"} <= set(seen)
    assert any("meadow" in text for text in seen)


@pytest.mark.parametrize("direction", ["left", "right"])
def test_captions_never_name_the_other_direction(direction: str) -> None:
    other, both = {"left": ("right", "from right to left"), "right": ("left", "from left to right")}[direction]
    seen = said(Telling((replace(FOX, direction=direction),), "snow", camera="follow"))
    assert not [text for text in seen if other in text.replace(both, "")]
    assert np.mean([direction in text for text in seen]) > 0.75
    assert any(both in text for text in seen)


@pytest.mark.parametrize("name", PLACES)
def test_captions_name_no_other_place(name: str) -> None:
    def words(place: str) -> set[str]:
        where = PLACES[place]
        return {*where.at, *where.through, *where.over, *where.along}

    elsewhere = set().union(*(words(place) for place in PLACES if place != name)) - words(name)
    for above in (False, True):
        seen = said(Telling((FOX,), name, above=above), 200)
        assert np.mean([any(text.endswith(f" {words}") or text.startswith(f"{words},") for words in words(name))
                        for text in seen]) > 0.5  # fmt: skip
        assert not [(text, words) for text in seen for words in elsewhere if text.endswith(f" {words}")]


def test_plain_colors_light_weather_and_camera_are_said_and_only_where_they_are() -> None:
    assert any(text.endswith("on a red background") for text in said(Telling((FOX,), "red")))
    plain = said(Telling((FOX,), "grass"))
    assert not [text for text in plain if re.search(r"night|sunset|rain|snow|fog|camera|zoom|background", text)]
    full = said(Telling((FOX,), "grass", light="night", weather="rain", camera="out"))
    assert np.mean(["night" in text or "stars" in text for text in full]) > 0.7
    assert np.mean(["rain" in text for text in full]) > 0.8
    assert np.mean([bool(re.search(r"zoom\w* out|moves back", text)) for text in full]) > 0.75
    assert max(len(text.split()) for text in full) <= MOST_WORDS + 6


def test_only_who_crosses_the_picture_goes_along_something() -> None:
    crossing, coming = (said(Telling((replace(FOX, direction=way),), "road")) for way in ("left", "towards"))
    assert any("along a road" in text or "down a road" in text for text in crossing)
    assert not [text for text in coming if re.search("along|down", text)]
    assert any("on a road" in text for text in coming)


@pytest.mark.parametrize("light", ["day", "night"])
def test_no_sun_or_stars_shine_through_the_weather(light: str) -> None:
    assert any(re.search("sunny|stars", text) for text in said(Telling((FOX,), "grass", light=light)))
    seen = said(Telling((FOX,), "grass", light=light, weather="snow"))
    assert not [text for text in seen if re.search("sunny|stars", text)]
    assert any(re.search("daylight|by day|at night", text) for text in seen)


@pytest.mark.parametrize("camera", CAMERAS)
def test_what_the_camera_does_is_said_and_nothing_else_of_it(camera: str) -> None:
    words = {
        "left": r"pan\w*( to the)? left", "right": r"pan\w*( to the)? right", "in": r"zoom\w* in|closer",
        "out": r"zoom\w* out|moves back", "orbit": r"around it|orbit", "follow": r"follows it|moving along|tracking",
    }  # fmt: skip
    seen = said(Telling((replace(FOX, direction=""),), "grass", camera=camera))
    assert np.mean([bool(re.search(words[camera], text)) for text in seen]) > 0.75
    others = "|".join(pattern for name, pattern in words.items() if name != camera)
    assert not [text for text in seen if re.search(others, text) or "{" in text]


def test_new_colors_are_always_said_and_own_ones_at_times() -> None:
    painted = said(Telling((replace(FOX, color="blue", painted=True),), "grass"))
    assert all("a blue fox" in text or "a blue animal" in text for text in painted)
    own = said(Telling((FOX,), "grass"))
    assert 0.2 < np.mean(["an orange" in text for text in own]) < 0.4
    assert not [text for text in own if "a orange" in text]


def test_paces_turns_and_views() -> None:
    slow = said(Telling((replace(FOX, pace="slow"),), "grass"))
    assert np.mean([bool(re.search("slow", text)) for text in slow]) > 0.8
    assert not [text for text in slow if re.search("fast|quick", text)]
    swims = replace(FOX, action=Action(("swim fast",), 0.0), pace="fast")
    assert not [text for text in said(Telling((swims,), "underwater")) if text.count("fast") > 1 or "quick" in text]
    still = Subject("chair", turning=True)
    assert all("turning" in text or "rotating" in text for text in said(Telling((still,), "white")))
    stays = Subject("fox", (), Action(("eat",)), facing="away")
    seen = said(Telling((stays,), "grass"))
    assert {"a fox eating", "a fox eating seen from behind", "a fox eats"} <= set(seen)
    assert not [text for text in seen if "left" in text or "right" in text]


def test_two_figures_and_twins() -> None:
    cow = Subject("cow", (), Action(("kick with its hind legs",)))
    seen = said(Telling((FOX, cow), "grass"))
    assert all("fox" in text or "animal" in text for text in seen)
    assert all("cow" in text for text in seen)
    assert not [text for text in seen if "next to" in text]
    beside = said(Telling((replace(FOX, direction="", action=None), replace(cow, action=None)), "grass", beside=True))
    assert any(re.search(r"fox to the left of a cow", text) for text in beside)
    assert any(re.search(r"cow to the right of an? (orange )?fox", text) for text in beside)
    assert not [text for text in beside if re.search(r"fox to the right|cow to the left", text)]
    twins = said(Telling((replace(cow, count=2),), "grass", camera="orbit"))
    assert all(text.startswith(("two cows", "on ", "in ")) for text in twins)
    assert any("kick with their hind legs" in text for text in twins)
    assert any("around them" in text for text in twins)
    assert not [text for text in twins if "kicks" in text or " its " in text]


def test_still_figures_are_named_by_their_metadata(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    folder.mkdir()
    rows = ["id,label,name,category", "a/car.glb,car,Car,cars", "a/boat.glb,sail boat,Boat,boats"]
    rows += ["a/chair.glb,chair,Chair,rooms", 'a/road.glb,parking slot 45°,"Parking slot 45°",exterior']
    (folder / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    named = still_figures(tmp_path)
    assert {key: (figure.noun, figure.kind) for key, figure in named.items()} == {
        "a/car.glb": ("car", "vehicle"),
        "a/boat.glb": (named["a/boat.glb"].noun, "vehicle"),
        "a/chair.glb": ("chair", "thing"),
    }
    with pytest.raises(UsageError, match=r"metadata\.csv cannot be read"):
        still_figures(tmp_path / "nowhere")


def test_colors_of_a_noun_are_those_of_all_its_figures() -> None:
    assert natural_colors("horse") == {"brown", "white"}
    assert natural_colors("teapot") == frozenset()
