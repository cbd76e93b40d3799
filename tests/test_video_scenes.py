"""Scenes to train on: everything that is told of them is measured in their pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from multigen.errors import UsageError
from multigen_models.shapes.colors import color_name
from multigen_models.video import captions
from multigen_models.video.backgrounds import DAY, NIGHT, SIZE, SUNSET, Canvas
from multigen_models.video.casting import Cast
from multigen_models.video.motion import pictures_of
from multigen_models.video.names import Figure
from multigen_models.video.paint import PAINTS, paint, words
from multigen_models.video.places import OUTDOORS, PLACES
from multigen_models.video.plans import draw_plan
from multigen_models.video.roles import Role, colour_held_out, combination_held_out, roles_of, weights
from multigen_models.video.scenes import Scene, VideoScenes
from multigen_models.video.sheet import sheet
from multigen_models.video.stage import Actor, Shot, film
from multigen_models.video.takes import Take, Takes
from multigen_models.video.weather import WEATHERS

MAGENTA, CYAN = (230, 0, 230), (0, 240, 240)
HIGH, WIDE = 48, 64
VIEWS = {"side": (92.0, 92.0), "front": (-8.0, -8.0), "back": (185.0, 185.0), "sweep": (0.0, 180.0)}
STILL = MappingProxyType({
    "a/car": Figure("car", (), "vehicle", "car"),
    "a/chair": Figure("chair", (), "thing", "chair"),
    "a/boat": Figure("boat", (), "vehicle", "boat"),
})  # fmt: skip
CLIPS = {
    "fox": ("Gallop", "Walk", "Eating", "Jump_ToIdle", "Attack", "Idle_2", "Death"),
    "cow": ("Gallop", "Walk", "Eating", "Attack_Kick", "Attack_Headbutt", "Idle"),
    "wolf": ("Gallop", "Walk", "Eating", "Idle_2_HeadLow"),
    "trex": ("TRex_Run", "TRex_Walk", "TRex_Attack", "TRex_Jump"),
    "knight": (
        "Walking_A",
        "Running_A",
        "Running_B",
        "Running_Strafe_Left",
        "Walking_Backwards",
        "Cheer",
        "Sit_Floor_Down",
    ),
    "clownfish": ("Swimming_Normal", "Swimming_Fast", "Attack", "Out_Of_Water"),
    "bee": ("Flying", "Bite_Front"),
    "tank": ("Tank_Forward", "Tank_Backwards"),
}


def pictures(n: int, view: str) -> NDArray[np.uint8]:
    """(n, 48, 64, 4): a body that bobs, with a head on the side where it looks to."""
    frames = np.zeros((n, HIGH, WIDE, 4), np.uint8)
    for t in range(n):
        top = 10 + t % 3
        frames[t, top : HIGH - 4, 14:50] = (*MAGENTA, 255)
        if view == "side":
            frames[t, top : top + 14, 50:62] = (*CYAN, 255)
    return frames


@cache
def made() -> Takes:
    takes, frames = [], []
    figures = [(figure, clip) for figure, clips in CLIPS.items() for clip in clips] + [(key, "") for key in STILL]
    for figure, clip in figures:
        for view, yaw in VIEWS.items():
            n = 48 if view == "sweep" else 14 if clip else 1
            loop = view != "sweep" and not clip.startswith(("Death", "Sit", "Lie"))
            takes.append(Take(figure, clip, yaw, 12.0, loop, (32.0, 44.0), 34.0, 1.4 if "Walk" in clip else 0.0))
            frames.append(pictures(n, view))
    shadows = [np.zeros(array.shape[:3], np.uint8) for array in frames]
    for shadow in shadows:
        shadow[:, 42:47, 4:60] = 180
    return Takes.of(takes, frames, shadows)


def scenes(count: int = 300, *, split: str = "train", seed: int = 0, frames: int = 16) -> VideoScenes:
    return VideoScenes(made(), split=split, length=count, seed=seed, frames=frames, still=STILL)


@cache
def drawn() -> tuple[Scene, ...]:
    return tuple(map(scenes(400, seed=3).described, range(400)))


def middle(cover: NDArray[np.uint8]) -> tuple[float, float]:
    """(x, y) of what is covered."""
    y, x = np.nonzero(cover > 127)
    return float(x.mean()), float(y.mean())


def near(frame: torch.Tensor, color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """(h, w) where a frame (3, h, w) has a colour."""
    away = frame.permute(1, 2, 0).numpy().astype(int) - np.array(color)
    return np.asarray(np.abs(away).max(-1) < 40)


def bright(scene: Scene) -> bool:
    """Whether figures look as they were made."""
    return scene.telling.light in ("day", "") and not scene.telling.weather


def single(scene: Scene) -> bool:
    return len(scene.covers) == 1


def test_a_clip_is_a_function_of_seed_and_index() -> None:
    first, again, other = scenes(), scenes(40), scenes(seed=1)
    for index in (31, 0, 7):
        frames, fps, caption = again[index]
        assert torch.equal(frames, first[index][0])
        assert (fps, caption) == first[index][1:]
    assert len({first[index][2] for index in range(20)} | {other[index][2] for index in range(20)}) > 30
    with pytest.raises(IndexError, match="clip 40 of 40"):
        again[40]


@pytest.mark.parametrize("frames", [1, 5, 16, 24])
def test_clips_have_the_frames_asked_for(frames: int) -> None:
    for index in range(6):
        clip, fps, caption = scenes(frames=frames)[index]
        assert clip.shape == (frames, 3, SIZE, SIZE)
        assert clip.dtype == torch.uint8
        assert fps in (4, 8, 16)
        assert caption


def test_single_frames_are_told_without_motion() -> None:
    for index in range(60):
        telling = scenes(frames=1).described(index).telling
        assert telling.camera == "still"
        assert {subject.direction for subject in telling.subjects} <= {"", "left", "right", "towards", "away"}
        assert not any(subject.pace or subject.turning for subject in telling.subjects)
        actions = [subject.action for subject in telling.subjects if subject.action]
        assert not [action.name for action in actions if action.heading or action.name in ("slide", "fall", "rise")]


def test_figures_go_where_the_caption_says() -> None:
    counted: Counter[str] = Counter()
    for scene in drawn():
        for subject in scene.telling.subjects if single(scene) else ():
            (x0, y0), (x1, y1) = middle(scene.covers[0, 0]), middle(scene.covers[0, -1])
            grown = float((scene.covers[0, -1] > 127).sum() / (scene.covers[0, 0] > 127).sum())
            moved = {
                "left": x0 - x1 > 8, "right": x1 - x0 > 8, "towards": grown > 1.4, "away": grown < 1 / 1.4,
                "up": y0 - y1 > 20, "down": y1 - y0 > 20,
            }  # fmt: skip
            counted[subject.direction] += 1
            if subject.direction:
                assert moved[subject.direction], (scene.caption, x0, x1, y0, y1, grown)
                assert subject.direction not in ("left", "right") or abs(y1 - y0) < 20, scene.caption
            elif scene.telling.camera == "still" and not subject.turning:
                assert abs(x1 - x0) < 3
                assert abs(y1 - y0) < 8
    assert all(counted[way] > 1 for way in ("left", "right", "towards", "away", "up", "down", "")), counted


def test_colored_pixels_move_with_the_covers() -> None:
    """The covers, by which the other tests measure, are where the pictures of the figure are."""
    counted = 0
    for scene in drawn():
        if single(scene) and bright(scene) and not scene.telling.subjects[0].painted:
            for t in (0, -1):
                body = near(scene.frames[t], MAGENTA) | near(scene.frames[t], CYAN)
                cover = scene.covers[0, t] > 200
                assert (body & cover).sum() > 0.9 * cover.sum(), scene.caption
                counted += 1
    assert counted > 60


def test_heads_are_on_the_side_where_figures_look_to() -> None:
    counted: Counter[str] = Counter()
    for scene in drawn():
        subject = scene.telling.subjects[0]
        way = subject.facing or subject.direction
        backwards = subject.action is not None and "backwards" in subject.action.name
        if single(scene) and bright(scene) and not subject.painted and way in ("left", "right"):
            head, body = (np.nonzero(near(scene.frames[0], color))[1] for color in (CYAN, MAGENTA))
            if len(head) > 20 and len(body) > 20:
                assert (head.mean() > body.mean()) == ((way == "right") != backwards), scene.caption
                counted[way] += 1
    assert min(counted["left"], counted["right"]) > 8


def test_slow_figures_go_less_far_than_fast_ones() -> None:
    gone: dict[str, list[float]] = {"slow": [], "": [], "fast": []}
    for scene in drawn():
        subject = scene.telling.subjects[0]
        if single(scene) and subject.direction in ("left", "right") and scene.fps == 8:
            gone[subject.pace].append(abs(middle(scene.covers[0, 0])[0] - middle(scene.covers[0, -1])[0]))
    slow, usual, fast = (float(np.mean(gone[pace])) for pace in ("slow", "", "fast"))
    assert slow < 0.8 * usual < 0.8 * fast


def test_painted_figures_have_the_color_that_the_caption_names() -> None:
    counted: Counter[str] = Counter()
    for scene in drawn():
        subject = scene.telling.subjects[0]
        if single(scene) and bright(scene) and subject.painted:
            frame, cover = scene.frames[0].permute(1, 2, 0).numpy(), scene.covers[0, 0]
            lit = np.minimum(np.median(frame[cover == 255], 0) / 255 / 0.9, 1)
            name = subject.color.split(" and ")[0]
            assert color_name(lit.tolist()) == name, scene.caption
            assert name in scene.caption
            counted[name] += 1
    assert len(counted) > 7


def test_a_camera_that_pans_moves_figure_and_place_alike() -> None:
    counted: Counter[str] = Counter()
    for scene in drawn():
        if scene.telling.camera in ("left", "right"):
            (x0, _), (x1, _) = middle(scene.covers[0, 0]), middle(scene.covers[0, -1])
            assert (x1 > x0 + 10) == (scene.telling.camera == "left"), scene.caption
            shift = round(x1 - x0)
            first, last = (frame.numpy().astype(float)[:, 40:] for frame in (scene.frames[0], scene.frames[-1]))
            free = (scene.covers[0].max(0) == 0)[40:]
            both = free & np.roll(free, shift, 1)
            ends = slice(max(shift, 0), SIZE + min(shift, 0))
            with_it = np.abs(last - np.roll(first, shift, 2)).mean(0)[:, ends][both[:, ends]].mean()
            against = np.abs(last - np.roll(first, -shift, 2)).mean(0)[:, ends][both[:, ends]].mean()
            if not scene.telling.weather and against:  # a clear sky is the same everywhere
                assert with_it < against, scene.caption
                counted[scene.telling.camera] += 1
    assert counted["left"]
    assert counted["right"]


def test_zooming_changes_the_size_and_following_moves_the_place() -> None:
    cameras = Counter(scene.telling.camera for scene in drawn())
    assert all(cameras[name] for name in ("in", "out", "orbit", "follow", "still"))
    for scene in drawn():
        grown = float((scene.covers[0, -1] > 127).sum() / max((scene.covers[0, 0] > 127).sum(), 1))
        if scene.telling.camera == "in":
            assert grown > 1.5
        if scene.telling.camera == "out":
            assert grown < 1 / 1.5
        if scene.telling.camera == "orbit":
            assert not scene.telling.subjects[0].turning
            assert abs(middle(scene.covers[0, 0])[0] - middle(scene.covers[0, -1])[0]) < 6


def test_figures_are_seen_and_of_good_size() -> None:
    sizes = []
    for scene in drawn():
        covers = scene.covers.max(0) > 127
        assert covers.sum((1, 2)).min() > 150, scene.caption
        sizes.append(covers.max(2).sum(1).max() / SIZE)
    assert 0.35 < float(np.median(sizes)) < 0.8


def test_places_suit_their_figures() -> None:
    for scene in drawn():
        noun, place = scene.telling.subjects[0].noun, scene.telling.place
        action = scene.telling.subjects[0].action
        if noun == "clownfish":
            stranded = action is not None and action.name == "flop about"
            assert place not in PLACES or (place == "underwater") != stranded, scene.caption
        if noun in ("fox", "cow", "knight", "tank"):
            assert place not in ("underwater", "sky", "sea")
        if place in PAINTS:
            assert place not in scene.telling.subjects[0].color.split(" and ")
            behind = scene.frames[0, :, :6][:, scene.covers.max(0)[0, :6] == 0].float().mean(1) / 255
            assert color_name(behind.tolist()) == place
    plain = np.mean([scene.telling.place in PAINTS for scene in drawn()])
    assert 0.12 < plain < 0.35


def test_every_place_has_words_and_a_painter() -> None:
    assert list(captions.PLACES) == list(PLACES)
    assert not set(PLACES) & set(PAINTS)


def test_two_figures_stand_in_the_order_that_the_caption_says() -> None:
    counted = 0
    for scene in (scene for scene in drawn() if len(scene.telling.subjects) == 2):
        assert len(scene.covers) == 2
        counted += scene.telling.beside
        ways = {subject.direction for subject in scene.telling.subjects} - {""}
        assert len(ways) < 2
        assert abs(middle(scene.covers[0, 0])[0] - middle(scene.covers[1, 0])[0]) > 15
    assert counted


def test_held_out_pairs_are_never_seen_in_training() -> None:
    held = {role.index for role in roles_of(made(), STILL) if role.held_out}
    for scene in drawn():
        for subject in scene.telling.subjects:
            if subject.action is not None:
                assert not combination_held_out(subject.noun, subject.action.name), scene.caption
            if subject.painted:
                assert not colour_held_out(subject.noun, subject.color.split(" and ")[0]), scene.caption
        assert not held & set(scene.takes)


def test_the_other_splits_show_what_training_does_not() -> None:
    roles = {role.index: role for role in roles_of(made(), STILL)}
    for index in range(40):
        scene = scenes(split="validation").described(index)
        assert all(roles[take].held_out for take in scene.takes)
    for index in range(40):
        (subject, *_) = scenes(split="combinations").described(index).telling.subjects
        action = subject.action.name if subject.action else ""
        new = combination_held_out(subject.noun, action)
        assert new or (subject.painted and colour_held_out(subject.noun, subject.color.split(" and ")[0]))


def test_about_a_seventeenth_of_the_pairs_is_held_out() -> None:
    nouns, actions = [f"noun {i}" for i in range(60)], [f"action {i}" for i in range(60)]
    assert np.mean([combination_held_out(noun, action) for noun in nouns for action in actions]) == pytest.approx(
        0.06, abs=0.012
    )
    assert np.mean([colour_held_out(noun, colour) for noun in nouns for colour in PAINTS]) == pytest.approx(
        0.06, abs=0.03
    )
    assert not combination_held_out("fox", "gallop")
    assert not colour_held_out("fox", "orange")
    assert not combination_held_out("fox", "")


def test_each_kind_has_a_share_and_travel_counts_more() -> None:
    roles = roles_of(made(), STILL)
    shares = weights(roles)
    assert shares.sum() == pytest.approx(1)
    kinds: Counter[str] = Counter()
    for role, share in zip(roles, shares.tolist(), strict=True):
        kinds[role.figure.kind] += share
    assert kinds["walker"] / kinds["thing"] == pytest.approx(0.6 / 0.08)
    assert kinds["vehicle"] / kinds["swimmer"] == pytest.approx(0.14 / 0.12)
    of = {(role.take.figure, role.take.clip, role.view): s for role, s in zip(roles, shares, strict=True)}
    assert of["fox", "Gallop", "side"] == pytest.approx(4 * of["fox", "Eating", "side"])
    assert of["fox", "Gallop", "side"] > of["fox", "Gallop", "towards"]


def test_no_other_words_say_a_combination_that_is_not_shown() -> None:
    roles = [role for role in roles_of(made(), {}) if role.figure.noun == "fox" and role.does in ("gallop", "leap")]
    roles = [replace(role, figure=replace(role.figure, others=("hound", "red dog"))) for role in roles]
    hidden = {("fox", "run"), ("hound", "gallop"), ("red dog", "orange")}

    def shown(*pair: str) -> bool:
        return pair not in hidden

    cast = Cast(made(), roles, actions=shown, colors=shown, painted=0.5)
    seen = set()
    for seed in range(80):
        subject = cast.draw(np.random.default_rng(seed), count=16, fps=8.0).subject
        assert subject.action is not None
        seen |= {(name, phrase) for name in (subject.noun, *subject.others) for phrase in subject.action.phrases}
        seen |= {(name, subject.color.split(" and ")[0]) for name in (subject.noun, *subject.others)}
    assert not seen & hidden
    assert {("fox", "gallop"), ("fox", "orange"), ("red dog", "gallop")} <= seen


def test_a_spaceship_flies_over_the_ground_and_stands_on_it() -> None:
    roles = roles_of(made(), {"a/boat": Figure("spaceship", (), "vehicle", "spaceship")})
    cast = Cast(made(), [r for r in roles if r.take.figure == "a/boat"], actions=_always, colors=_always)
    counted: Counter[bool] = Counter()
    for seed in range(120):
        plan = draw_plan(cast, np.random.default_rng(seed), count=4)
        action = plan.telling.subjects[0].action
        if plan.telling.place in ("desert", "mars"):
            flies = action is not None and action.name == "fly"
            assert plan.telling.above == flies
            assert not (flies and any(actor.shadow for actor in plan.shot.actors))
            counted[flies] += 1
    assert counted[True]
    assert counted[False]


def _always(*_: str) -> bool:
    return True


def test_pictures_keep_the_pace_or_say_so() -> None:
    role = next(role for role in roles_of(made(), STILL) if role.take.clip == "Gallop" and role.view == "side")
    rng = np.random.default_rng(0)
    for pace, step in (("slow", 1), ("", 2)):
        order, had, hurry = pictures_of(role, pace, rng, count=16, fps=8.0)
        assert (had, hurry) == (pace, step / 2)
        assert set(np.diff(order) % 14) == {step}
    order, had, hurry = pictures_of(role, "fast", rng, count=16, fps=8.0)
    assert (had, set(np.diff(order) % 14)) == ("fast", {4})
    order, had, hurry = pictures_of(role, "slow", rng, count=16, fps=16.0)
    assert (had, hurry, set(np.diff(order) % 14)) == ("", 1.0, {1})
    short = replace(role, size=(6, HIGH, WIDE))
    order, had, hurry = pictures_of(short, "fast", rng, count=16, fps=8.0)
    assert (had, hurry) == ("", 1.0)
    order, had, hurry = pictures_of(short, "", rng, count=16, fps=4.0)
    assert had == "slow"
    assert set(np.diff(order) % 6) == {2}


def test_what_happens_once_begins_at_its_beginning_and_stays_at_its_end() -> None:
    role = next(role for role in roles_of(made(), STILL) if role.take.clip == "Sit_Floor_Down" and role.view == "side")
    starts = set()
    for seed in range(20):
        order, _, _ = pictures_of(role, "", np.random.default_rng(seed), count=16, fps=8.0)
        assert order[0] == 0
        assert order[-1] == 13
        assert set(np.diff(order)) <= {0, 1, 2}
        starts.add(int(np.argmax(order > 0)))
    assert len(starts) > 3


def test_a_figure_is_drawn_where_it_is_put_between_pixels_and_mirrored() -> None:
    takes = made()
    index = next(i for i, take in enumerate(takes.takes) if (take.figure, take.clip) == ("fox", "Idle_2"))
    backdrop = np.full((SIZE, SIZE, 3), 128, np.uint8)
    view = np.tile((64.0, 64.0, 1.0), (3, 1))
    path = np.array(((60.0, 100.0), (60.25, 100.0), (80.5, 90.0)))
    for mirrored in (False, True):
        actor = Actor(index, np.zeros(3, int), mirrored, (WIDE / 2, 44.0), path, np.full(3, 0.9), shadow=False)
        frames, covers = film(Shot(backdrop, view, (actor,)), takes, np.random.default_rng(0), fps=8.0)
        alpha = covers[0] / 255
        x = (alpha * (np.arange(SIZE) + 0.5)).sum((1, 2)) / alpha.sum((1, 2))
        lowest = (alpha.max(2) > 0.5).nonzero()
        assert x[1] - x[0] == pytest.approx(0.25, abs=0.06)
        assert x[2] - x[0] == pytest.approx(20.5, abs=0.06)
        assert int(lowest[1][lowest[0] == 0].max()) == 99
        assert int(lowest[1][lowest[0] == 2].max()) == 89
        head = near(torch.from_numpy(frames[0]).permute(2, 0, 1), CYAN).nonzero()[1].mean()
        assert (head < x[0]) == mirrored
        assert (frames[alpha == 0] == 128).all()
        area = alpha[0].sum() / (pictures(1, "side")[0, ..., 3] > 0).sum()
        assert area == pytest.approx(0.9**2, rel=0.03)


def test_shadows_darken_the_place_only() -> None:
    takes = made()
    backdrop = np.full((SIZE, SIZE, 3), 200, np.uint8)
    actor = Actor(0, np.zeros(1, int), False, (32.0, 44.0), np.full((1, 2), 64.0), np.ones(1), shadow=True)
    shot = Shot(backdrop, np.array(((64.0, 64.0, 1.0),)), (actor,))
    with_it, covers = film(shot, takes, np.random.default_rng(0), fps=8.0)
    without, _ = film(replace(shot, actors=(replace(actor, shadow=False),)), takes, np.random.default_rng(0), fps=8.0)
    assert (with_it <= without).all()
    dark = np.any(with_it[0] < without[0], axis=-1, keepdims=True)[..., 0]
    assert dark[64:66, 40:90].all()
    assert not dark[:60].any()
    assert not dark[70:].any()
    assert (with_it[covers[0] == 255] == without[covers[0] == 255]).all()


@pytest.mark.parametrize("name", PLACES)
def test_places_are_drawn_alike_from_one_seed_and_differ_between_seeds(name: str) -> None:
    def picture(seed: int, width: int = 150) -> NDArray[np.float32]:
        canvas = Canvas(width)
        PLACES[name](canvas, DAY, np.random.default_rng(seed))
        assert canvas.pixels.shape == (SIZE, width, 3)
        assert np.isfinite(canvas.pixels).all()
        assert canvas.pixels.min() > -1
        assert canvas.pixels.max() < 256
        assert 40 < canvas.horizon <= SIZE
        return canvas.pixels

    one = picture(0)
    np.testing.assert_array_equal(one, picture(0))
    assert np.abs(one - picture(1)).mean() > 1
    picture(2, 420)


@pytest.mark.parametrize("name", OUTDOORS)
def test_light_changes_places(name: str) -> None:
    def mean(light: object) -> NDArray[np.float32]:
        canvas = Canvas(SIZE)
        PLACES[name](canvas, light, np.random.default_rng(3))  # type: ignore[arg-type]
        return np.asarray(canvas.pixels.mean((0, 1)))

    day, sunset, night = mean(DAY), mean(SUNSET), mean(NIGHT)
    assert night.mean() < 0.62 * day.mean()
    assert sunset[0] - sunset[2] > day[0] - day[2] + 10
    assert night[2] / day[2] > night[0] / day[0]


@pytest.mark.parametrize("name", WEATHERS)
def test_weather_moves_and_leaves_what_is_there_to_be_seen(name: str) -> None:
    still = np.zeros((6, SIZE, SIZE, 3), np.uint8)
    still[:, :, ::2] = (60, 90, 160)
    frames = WEATHERS[name](still, 8.0, np.random.default_rng(0))
    assert frames.shape == still.shape
    assert (still == still[:1]).all()
    changed = np.abs(frames.astype(int) - still).mean()
    assert 3 < changed < 90
    assert (np.abs(np.diff(frames.astype(int), axis=0)).mean() > 1) == (name != "fog")
    assert np.corrcoef(frames[0].ravel(), still[0].ravel())[0, 1] > 0.5


@pytest.mark.parametrize("name", PAINTS)
def test_paint_makes_a_figure_what_it_is_called_and_leaves_the_rest(name: str) -> None:
    rng = np.random.default_rng(4)
    shade = rng.uniform(0.6, 1.0, (1, 30, 30, 1))
    pixels = np.full((1, 30, 30, 4), 255, np.uint8)
    pixels[..., :3] = np.array((60, 120, 200)) * shade
    pixels[:, :5, :5, :3] = (250, 240, 60)
    before = pixels.copy()
    painted = paint(pixels, name, rng)
    if name == "blue":
        assert words(pixels)[0] == "blue"
    assert painted is not None
    after = painted(pixels)
    assert words(after)[0] == painted.names[0] == name
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(after[..., 3], 255)
    assert np.abs(after[:, :5, :5, :3].astype(int) - before[:, :5, :5, :3]).max() <= 4
    light = after[0, 6:, 6:, :3].astype(float).mean(-1)
    assert np.corrcoef(light.ravel(), shade[0, 6:, 6:, 0].ravel())[0, 1] > 0.9


def test_paint_made_from_one_picture_suits_the_others() -> None:
    shades = np.linspace(0.4, 1.0, 30)[:, None, None, None, None] * np.full((1, 1, 8, 8, 1), 1.0)
    pixels = np.full((30, 1, 8, 8, 4), 255, np.uint8)
    pixels[..., :3] = np.array((200, 110, 40)) * shades
    painted = paint(pixels[20], "blue", np.random.default_rng(0))
    assert painted is not None
    after = painted(pixels[:, 0])
    means = after[..., :3].reshape(30, -1, 3).mean(1)
    assert (np.diff(means.sum(1)) > 0).all()
    assert {color_name((mean / 255).tolist()) for mean in means[8:]} == {"blue"}


def test_what_has_no_clear_color_has_no_words() -> None:
    pixels = np.full((1, 40, 40, 4), 255, np.uint8)
    for k, color in enumerate(((200, 30, 30), (30, 160, 40), (40, 70, 200), (240, 220, 60))):
        pixels[:, 10 * k : 10 * k + 10, :, :3] = color
    assert words(pixels) == ()
    assert words(np.zeros((1, 4, 4, 4), np.uint8)) == ()
    pixels[:, :14, :, :3], pixels[:, 14:, :, :3] = (200, 30, 30), (240, 220, 60)
    assert words(pixels) == ("yellow", "red")
    pixels[:, 4:, :, :3] = (240, 220, 60)
    assert words(pixels) == ("yellow",)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(UsageError, match="no split 'test'; give one of train, validation, combinations"):
        scenes(split="test")
    with pytest.raises(UsageError, match="none of 0 takes is for the split 'train'"):
        VideoScenes(Takes.of([], [], []), split="train", length=1, seed=0)


def test_a_sheet_has_four_frames_of_each_clip(tmp_path: Path) -> None:
    clips = [scenes()[index] for index in range(3)] + [scenes(frames=1)[0]]
    sheet(clips, tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size[0] == 2 * (4 * (SIZE + 2) + 8)
        pixels = np.asarray(picture)
    frames = clips[1][0]
    left = 4 * (SIZE + 2) + 8
    np.testing.assert_array_equal(pixels[:SIZE, left : left + SIZE], frames[0].permute(1, 2, 0))
    np.testing.assert_array_equal(pixels[:SIZE, left + 3 * (SIZE + 2) :][:, :SIZE], frames[15].permute(1, 2, 0))


def test_roles_without_words_are_not_shown() -> None:
    assert not [role for role in roles_of(made(), {}) if not role.take.clip]
    strange = Take("teapot", "Walk", (90.0, 90.0), 10.0, True, (32.0, 44.0), 40.0, 0.0)
    pictured = pictures(4, "side")
    takes = Takes.of(
        [strange, replace(strange, figure="knight", clip="Jump_Land")], [pictured] * 2, [pictured[..., 3]] * 2
    )
    assert roles_of(takes, STILL) == ()


def test_roles_know_from_where_they_are_seen() -> None:
    def view(first: float, last: float) -> str:
        take = Take("fox", "Walk", (first, last), 10.0, True, (0.0, 0.0), 40.0, 0.0)
        return Role(0, take, (8, HIGH, WIDE), STILL["a/car"], None).view

    assert [view(yaw, yaw) for yaw in (90, 71, -108, 0, -22, 24, 180, 204, 157, 45, -45, 135, 225)] == [
        "side", "side", "side", "towards", "towards", "towards", "away", "away", "away",
        "quarter", "quarter", "quarter", "quarter",
    ]  # fmt: skip
    assert view(0, 180) == view(270, 90) == "turning"
