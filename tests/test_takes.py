"""Takes: what figures do and stand on, how they are filmed, and what is kept of it."""

from __future__ import annotations

import csv
import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from glb_files import Glb

from multigen.errors import UsageError
from multigen_models.shapes.prepare import Meshes
from multigen_models.video import takes_prepare
from multigen_models.video.figures import MOST, Motion, animated, choose, still
from multigen_models.video.filming import LARGEST, SWEEP, View, film, views
from multigen_models.video.takes import RATE, Take, Takes, load_takes

CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
SIDES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
     (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
)  # fmt: skip
UP = (0.0, 0.0, 0.0, 1.0)
FALLEN = (np.sin(np.pi / 4), 0.0, 0.0, np.cos(np.pi / 4))  # a quarter turn about x, forwards


def box(low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:
    return np.array(low) + CORNERS * (np.array(high) - np.array(low))


def write_walker(folder: Path, *, name: str = "walker", lift: float = 0.0) -> Path:
    """A green body, 2 high and 1 deep, with a red nose at +z, a foot that walks at 2 a second, and a pistol."""
    file = Glb()
    green, red, blue = (file.material(*rgb) for rgb in ((0, 0.5, 0), (0.8, 0, 0), (0, 0, 0.9)))
    nose = file.node(root=False, mesh=file.mesh(box((-0.2, 1.2, 0.5), (0.2, 1.6, 0.9)), SIDES, material=red))
    pistol = file.node(root=False, name="Pistol", mesh=file.mesh(box((0.6, 1, 0), (0.8, 1.2, 1)), SIDES, material=blue))
    foot = file.node(root=False, mesh=file.mesh(box((-0.1, 0, -0.1), (0.1, 0.1, 0.1)), SIDES, material=green))
    whole = file.mesh(box((-0.4, 0.3, -0.5), (0.4, 2, 0.5)), SIDES, material=green)
    body = file.node(name="body", mesh=whole, translation=[0, lift, 0], children=[nose, pistol, foot])
    step = (foot, "translation", (0, 0.5, 0.75, 1), [(0, 0, 0.5), (0, 0, -0.5), (0, 0.4, 0), (0, 0, 0.5)], "LINEAR")
    stand = (foot, "translation", (0, 1), [(0, 0, 0)] * 2, "LINEAR")
    file.animation("Rig|Walk", stand)
    file.animation("Rig|Walk", step)
    file.animation("Rig|Run_Gun", step)
    file.animation("Rig|Stand", stand)
    file.animation("Rig|Fall", (body, "rotation", (0, 0.5, 3), [UP, FALLEN, FALLEN], "LINEAR"))
    file.animation("Rig|Breathe", (nose, "translation", (0, 2.5, 5), [(0, 0, 0), (0, 0.3, 0), (0, 0, 0)], "LINEAR"))
    file.animation("Rig|Stride", (*step[:2], np.array(step[2]) * 1.03, *step[3:]))
    return file.write(folder / f"{name}.glb")


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Motion]:
    return {motion.clip: motion for motion in animated(write_walker(tmp_path_factory.mktemp("walks")))}


def write_shapes(folder: Path) -> None:
    """A long box with a red front, one that is flat, and others that are not to be filmed."""
    folder.mkdir()
    rows = [
        ("car_1.obj", "car", "0", box((0, 0, 0), (1, 1, 2))),
        ("sign.obj", "sign", "0", box((0, 0, 0), (1, 1, 0.1))),
        ("part.obj", "car", "1", box((0, 0, 0), (1, 1, 1))),
        ("window.obj", "window", "0", box((0, 0, 0), (1, 1, 1))),
    ]
    red_front = np.full((12, 3), 120, np.uint8)
    red_front[10:] = (220, 0, 0)  # the sides of +z
    sizes = np.arange(len(rows) + 1)
    np.savez(
        folder / "meshes.npz",
        verts=np.concatenate([row[3] for row in rows]),
        faces=np.tile(SIDES, (len(rows), 1)),
        face_rgb=np.tile(red_front, (len(rows), 1)),
        vert_offset=8 * sizes,
        face_offset=12 * sizes,
    )
    with (folder / "metadata.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("index", "id", "label", "modular_part", "author", "licence", "url"))
        table.writerows(
            (index, name, label, part, "Ann", "CC0", "http://a") for index, (name, label, part, _) in enumerate(rows)
        )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "animated").mkdir()
    write_walker(folder / "animated")
    write_shapes(folder / "shapes")
    return folder


def read_rows(data: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((data / "shapes" / "metadata.csv").read_text().splitlines()))


def red(frame: np.ndarray) -> np.ndarray:
    return (frame[..., 3] == 255) & (frame[..., 0] > 90) & (frame[..., 1] < 40)


def x_of(mask: np.ndarray) -> float:
    return float(np.nonzero(mask)[1].mean())


def test_clips_that_move_are_filmed_once(walks: dict[str, Motion]) -> None:
    assert list(walks) == ["Walk", "Run_Gun", "Fall", "Breathe", "Stride"]
    assert all(motion.figure == "walker" for motion in walks.values())
    assert np.ptp(walks["Walk"].positions, axis=0).max() > 0.9


def test_clips_that_go_round_are_cut_into_equal_parts(walks: dict[str, Motion]) -> None:
    for name in ("Walk", "Stride"):  # 1 s and 1.03 s
        motion = walks[name]
        assert (motion.loop, len(motion.positions)) == (True, RATE)
        way = np.linalg.norm(np.diff(motion.positions[:9], axis=0), axis=-1).max(-1)
        np.testing.assert_allclose(way, 1 / 8, atol=1e-5)
        last = np.abs(motion.positions[0] - motion.positions[-1]).max()
        assert last == pytest.approx(np.abs(motion.positions[-1] - motion.positions[-2]).max(), rel=1e-3)


def test_what_does_not_go_round_ends_where_nothing_moves_any_more(walks: dict[str, Motion]) -> None:
    assert (walks["Fall"].loop, len(walks["Fall"].positions)) == (False, 9)
    assert (walks["Breathe"].loop, len(walks["Breathe"].positions)) == (False, MOST)


def test_the_speed_is_that_of_the_feet_on_the_ground(walks: dict[str, Motion], tmp_path: Path) -> None:
    assert walks["Walk"].height == pytest.approx(2)
    assert walks["Walk"].speed == pytest.approx(1, rel=0.01)  # 2 a second is one height a second
    assert walks["Stride"].speed == pytest.approx(1, rel=0.01)  # 1.03 s are shown in one
    assert walks["Fall"].speed == walks["Breathe"].speed == 0
    flying = {motion.clip: motion for motion in animated(write_walker(tmp_path, lift=1.5))}
    swimming = {motion.clip: motion for motion in animated(write_walker(tmp_path, lift=-1.0))}
    assert flying["Walk"].speed == swimming["Walk"].speed == 0
    assert flying["Walk"].ground == walks["Walk"].ground == 0
    assert swimming["Walk"].ground == pytest.approx(-1)


def test_things_are_held_only_where_they_are_used(walks: dict[str, Motion]) -> None:
    blue = {name: bool((motion.surface.colors[:, 2] > 0.8).any()) for name, motion in walks.items()}
    assert blue == {"Walk": False, "Run_Gun": True, "Fall": False, "Breathe": False, "Stride": False}
    surface = walks["Walk"].surface
    assert len(surface.colors) == walks["Walk"].positions.shape[1] == 24
    np.testing.assert_array_equal(np.unique(surface.faces), np.arange(24))


def test_fronts_are_turned_to_the_camera(tmp_path: Path) -> None:
    front = {}
    for name in ("walker", "tank", "wasp"):
        motion = next(animated(write_walker(tmp_path, name=name)))
        nose = motion.positions[0][motion.surface.colors[:, 0] > 0.5].mean(0)
        front[name] = nose[[0, 2]]
    np.testing.assert_allclose(
        [front[name] for name in ("walker", "tank", "wasp")], [(0, 0.7), (0.7, 0), (-0.7, 0)], atol=1e-6
    )


def test_views_are_those_that_captions_name(walks: dict[str, Motion]) -> None:
    seen = list(views(walks["Walk"]))
    assert seen == list(views(walks["Walk"]))
    assert seen != list(views(walks["Fall"]))
    for view, (low, high) in zip(seen, ((70, 110), (-25, 25), (155, 205), (33, 57)), strict=False):
        assert low <= view.yaw[0] <= high
        assert view.yaw[0] == view.yaw[1]
    assert seen[4].yaw[1] - seen[4].yaw[0] == pytest.approx(180)
    assert all(4 <= view.elevation <= 18 for view in seen)


@pytest.mark.parametrize(("yaw", "place"), [(90, "right"), (-90, "left"), (0, "middle"), (180, "hidden")])
def test_the_yaw_is_where_the_front_is(walks: dict[str, Motion], yaw: float, place: str) -> None:
    take, frames, _ = film(walks["Walk"], View((yaw, yaw), 10.0))
    nose = red(frames[0])
    away = x_of(nose) - x_of(frames[0][..., 3] == 255) if nose.any() else None
    assert (take.yaw, take.elevation, take.clip, take.loop) == ((yaw, yaw), 10.0, "Walk", True)
    if place == "hidden":
        assert away is None
    elif place == "middle":
        assert abs(away) < 1
    else:
        assert away * (1 if place == "right" else -1) > 15


def test_a_take_is_as_large_as_may_be_and_stands_on_its_ground(walks: dict[str, Motion]) -> None:
    for clip in ("Walk", "Fall"):
        take, frames, shadows = film(walks[clip], View((80.0, 80.0), 8.0))
        assert frames.shape == (len(walks[clip].positions), *shadows.shape[1:], 4)
        assert shadows.shape[0] == frames.shape[0]
        rows, columns = (np.nonzero(frames[..., 3].any((0, axis)))[0] for axis in (2, 1))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 in range(LARGEST - 4, LARGEST + 1)
        for plane in (frames[..., 3], shadows):
            assert not any(plane[:, edge].any() or plane[:, :, edge].any() for edge in (0, -1))
        first = np.nonzero(frames[0][..., 3].any(1))[0]
        assert take.ground[1] == pytest.approx(first[-1], abs=6)
        assert take.height == pytest.approx(np.ptp(first), rel=0.12)
        assert take.ground[0] == pytest.approx(x_of(frames[0][..., 3] > 0), abs=12)
        x, y = (round(side) for side in take.ground)
        assert shadows[0, y - 3 : y + 4, x - 3 : x + 4].max() > 100


def test_the_shadow_of_what_flies_is_on_the_ground(tmp_path: Path) -> None:
    motion = next(animated(write_walker(tmp_path, lift=2.0)))
    take, frames, shadows = film(motion, View((90.0, 90.0), 8.0))
    lowest = np.nonzero(frames[0][..., 3].any(1))[0][-1]
    assert take.ground[1] - lowest > 0.6 * take.height
    rows, columns = np.nonzero(shadows[0] > 128)
    assert rows.min() > lowest
    assert columns.mean() > take.ground[0]


def test_turning_takes_repeat_what_goes_round_and_hold_what_does_not(walks: dict[str, Motion]) -> None:
    take, frames, _ = film(walks["Walk"], View((-90.0, 90.0), 8.0))
    assert (take.loop, take.yaw, len(frames)) == (False, (-90.0, 90.0), SWEEP)
    noses = [x_of(red(frame)) - x_of(frame[..., 3] == 255) for frame in frames]
    assert noses[0] < -15
    assert noses[-1] > 15
    assert np.all(np.diff(noses) > -0.5)
    frames = film(walks["Walk"], View((0.0, 1e-9), 8.0))[1]
    assert not np.array_equal(frames[0], frames[5])
    np.testing.assert_array_equal(frames[:RATE], frames[RATE:])
    moved = dataclasses.replace(walks["Fall"], positions=walks["Fall"].positions[:2], normals=walks["Fall"].normals[:2])
    frames = film(moved, View((0.0, 1e-9), 8.0))[1]
    assert not np.array_equal(frames[0], frames[1])
    assert all(np.array_equal(frame, frames[1]) for frame in frames[2:])


def test_still_figures_have_one_pose_in_their_colors(data: Path) -> None:
    rows = read_rows(data)
    car, sign = (still(Meshes(data / "shapes"), row) for row in rows[:2])
    assert (car.figure, car.clip, car.loop, car.speed) == ("car_1.obj", "", True, 0)
    assert car.positions.shape == car.normals.shape == (1, 36, 3)
    assert (car.ground, car.height) == pytest.approx((-0.5, 1))
    faces = car.positions[0][car.surface.faces]
    outward = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    np.testing.assert_allclose(
        car.normals[0][car.surface.faces][:, 0], outward / np.linalg.norm(outward, axis=1, keepdims=True), atol=1e-6
    )
    assert [round(view.yaw[0] / 45) for view in list(views(car))[:2]] == [2, 0]
    assert [round(view.yaw[0] / 45) for view in list(views(sign))[:2]] == [1, 0]
    turn = list(views(car))[2].yaw
    assert turn[1] - turn[0] == pytest.approx(120)
    take, frames, _ = film(car, View((90.0, 90.0), 10.0))
    assert len(frames) == 1
    assert take.loop
    front = film(car, View((0.0, 0.0), 10.0))[1]
    assert red(front[0]).sum() > 0.5 * (front[0][..., 3] > 0).sum()


def test_whole_named_things_are_chosen_the_same_every_time(data: Path) -> None:
    rows = read_rows(data)
    assert [row["id"] for row in choose(rows)] == ["car_1.obj", "sign.obj"]
    assert choose(rows[::-1]) == choose(rows)
    many = [{"id": f"{label}{i}", "label": label} for label in ("car", "tree", "house") for i in range(30)]
    assert len(choose(many)) == len({row["id"] for row in choose(many)}) == 24
    assert len(choose(many, most=10)) == 10


def some_takes() -> tuple[list[Take], list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    shapes = [(3, 5, 7), (1, 4, 2), (2, 6, 6)]
    takes = [Take(f"f{i}", "", (0.0, 0.0), 5.0, True, (1.0, 2.0), 3.0, 0.0) for i in range(3)]
    return (
        takes,
        [rng.integers(0, 256, (*s, 4), np.uint8) for s in shapes],
        [rng.integers(0, 256, s, np.uint8) for s in shapes],
    )


def test_takes_in_memory_come_back_as_they_are() -> None:
    about, frames, shadows = some_takes()
    takes = Takes.of(about, frames, shadows)
    assert takes.takes == tuple(about)
    for index in (2, 0, 1):
        assert takes.size(index) == shadows[index].shape
        np.testing.assert_array_equal(takes.frames(index), frames[index])
        np.testing.assert_array_equal(takes.shadows(index), shadows[index])
    chosen = takes.pictures(0, [2, 0, 2])
    np.testing.assert_array_equal(chosen[0], frames[0][[2, 0, 2]])
    np.testing.assert_array_equal(chosen[1], shadows[0][[2, 0, 2]])
    with pytest.raises(IndexError):
        takes.pictures(1, [1])
    assert Takes.of([], [], []).takes == ()


def test_what_was_filmed_is_read_and_what_was_interrupted_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filmed: list[str] = []

    def counted(motion: Motion, view: View) -> object:
        filmed.append(motion.figure)
        if len(filmed) == 27:
            raise KeyboardInterrupt
        return film(motion, view)

    monkeypatch.setattr(takes_prepare, "film", counted)
    with pytest.raises(KeyboardInterrupt):
        load_takes(data, cache=tmp_path)
    assert [path.name[:7] for path in tmp_path.iterdir()] == ["filming"]
    filmed[:] = [""] * 30
    takes = load_takes(data, cache=tmp_path)
    assert set(filmed) == {"", "car_1.obj", "sign.obj"}  # the walker was done
    assert [path.name[:6] for path in tmp_path.iterdir()] == ["takes-"]
    figures = [take.figure for take in takes.takes]
    assert figures == ["walker"] * 25 + ["car_1.obj"] * 3 + ["sign.obj"] * 3
    filmed.clear()
    again = load_takes(data, cache=tmp_path)
    assert not filmed
    assert again.takes == takes.takes
    assert isinstance(again.content, np.memmap)
    motion = next(animated(data / "animated" / "walker.glb"))
    for index, view in enumerate(views(motion)):
        take, frames, shadows = film(motion, view)
        assert again.takes[index] == take
        np.testing.assert_array_equal(again.frames(index), frames)
        np.testing.assert_array_equal(again.shadows(index), shadows)


def test_parts_can_be_sent_to_other_processes(data: Path) -> None:
    parts, key = takes_prepare.figures(data)
    assert len(parts) == 2
    assert takes_prepare.figures(data)[1] == key
    clips = [[motion.clip for motion in pickle.loads(pickle.dumps(part))()] for part in parts]
    assert clips == [["Walk", "Run_Gun", "Fall", "Breathe", "Stride"], ["", ""]]


def test_missing_folders_are_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"animated has no \.glb"):
        load_takes(tmp_path, cache=tmp_path / "cache")
    (tmp_path / "animated").mkdir()
    write_walker(tmp_path / "animated")
    with pytest.raises(UsageError, match=r"metadata\.csv cannot be read"):
        load_takes(tmp_path, cache=tmp_path / "cache")


def test_the_sheet_shows_what_is_asked_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import runpy
    import sys

    from PIL import Image

    sheet = tmp_path / "sheet.png"
    typed = ["--data", data, "--cache", tmp_path / "cache", "--sheet", sheet, "--count", 4, "--figure", "walker"]
    typed += ["--attribution", tmp_path / "attribution.csv"]
    monkeypatch.setattr(sys, "argv", ["takes", *map(str, typed)])
    monkeypatch.delitem(sys.modules, "multigen_models.video.takes")
    runpy.run_module("multigen_models.video.takes", run_name="__main__")
    assert "31 takes of 3 figures and 5 clips" in capsys.readouterr().out
    assert (tmp_path / "attribution.csv").read_text() == "author,licence,source,shapes\nAnn,CC0,http://a,2\n"
    with Image.open(sheet) as picture:
        drawn = np.asarray(picture)
    assert drawn.shape == (2 * 142, 2 * 776, 3)
    quarters = [drawn[row : row + 128, column : column + 776] for row in (0, 142) for column in (0, 776)]
    for quarter in quarters:
        assert ((quarter[..., 1] > 60) & (quarter[..., 0] < 40)).sum() > 1000  # the green body
        assert ((quarter == 205).all(-1)).sum() > 1000
