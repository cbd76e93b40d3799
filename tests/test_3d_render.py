"""Pictures of shapes: what is where in space is where it should be in the picture, in its colour, at one scale."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from multigen.errors import GenerationError, UsageError
from multigen_3d.render import preview, render
from multigen_3d.triangles import triangles

RED, GREEN, BLUE, GREY, WHITE = (0.9, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.2, 0.9), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)
BACKGROUND = 231
Mesh = Mapping[str, torch.Tensor]


def mesh(solid: trimesh.Trimesh, color: tuple[float, float, float] = GREY, at: tuple[float, ...] = (0, 0, 0)) -> Mesh:
    vertices = torch.tensor(solid.vertices, dtype=torch.float32) + torch.tensor(at, dtype=torch.float32)
    return {
        "vertices": vertices,
        "faces": torch.tensor(solid.faces, dtype=torch.int64),
        "colors": torch.tensor(color).expand(len(vertices), 3),
    }


def box(color: tuple[float, float, float], at: tuple[float, ...], extents: tuple[float, ...] = (0.5, 0.5, 0.5)) -> Mesh:
    return mesh(trimesh.creation.box(extents), color, at)


def ball(color: tuple[float, float, float] = GREY, at: tuple[float, ...] = (0, 0, 0), radius: float = 1.0) -> Mesh:
    return mesh(trimesh.creation.icosphere(subdivisions=3, radius=radius), color, at)


def together(*parts: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(part["vertices"]) for part in parts)])
    return {
        "vertices": torch.cat([part["vertices"] for part in parts]),
        "faces": torch.cat([part["faces"] + int(start) for part, start in zip(parts, starts, strict=False)]),
        "colors": torch.cat([part["colors"] for part in parts]),
    }


def cloud(shape: Mesh, n: int = 600) -> Mesh:
    """Points of the faces, at seeded places."""
    solid = trimesh.Trimesh(shape["vertices"].numpy(), shape["faces"].numpy(), process=False)
    points, face = trimesh.sample.sample_surface(solid, n, seed=0)
    colors = shape["colors"][shape["faces"][torch.from_numpy(face), 0]]
    return {"points": torch.tensor(points, dtype=torch.float32), "colors": colors}


SCENE = together(
    box(RED, (0.8, 0, 0)), box(GREEN, (-0.8, 0, 0)), box(BLUE, (0, 0.8, 0)), box(WHITE, (0, 0, 0), (0.3, 0.6, 1.6))
)


def small(sample: Mesh, **view: Any) -> np.ndarray:
    return render(sample, **{"size": 64, "samples": 1} | view)


def where(picture: np.ndarray, channel: int) -> tuple[float, float]:
    """Column and row of the middle of what is much brighter in the channel than in both of the others."""
    values = picture.astype(int)
    others = np.delete(values, channel, axis=-1).max(-1)
    rows, columns = np.nonzero(values[..., channel] > others + 50)
    assert len(rows) >= 20
    return float(columns.mean()), float(rows.mean())


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def shows(picture: np.ndarray, channel: int) -> int:
    values = picture.astype(int)
    return int((values[..., channel] > np.delete(values, channel, axis=-1).max(-1) + 50).sum())


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("sample", [SCENE, cloud(SCENE)], ids=["mesh", "points"])
def test_the_front_view_is_not_mirrored(sample: Mesh) -> None:
    picture = small(sample, azimuth=0, elevation=10)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    (red, red_row), (green, green_row), (blue, blue_row) = (where(picture, channel) for channel in range(3))
    assert green < 26 < 38 < red, "+x is on the right"
    assert 27 < blue < 37
    assert blue_row < min(red_row, green_row) - 10, "+y is up"
    assert abs(red_row - green_row) < 2


@pytest.mark.parametrize("sample", [SCENE, cloud(SCENE)], ids=["mesh", "points"])
def test_the_camera_goes_round_to_the_side_at_x(sample: Mesh) -> None:
    picture = small(sample, azimuth=90, elevation=0)
    assert shows(picture, 0) > 5 * shows(picture, 1), "the red box at +x hides the green one at -x"
    assert small(sample, azimuth=180, elevation=10)[:, :32].astype(int)[..., 0].max() > 150
    assert where(small(sample, azimuth=180, elevation=10), 0)[0] < 26
    ahead = together(box(RED, (0, 0, 1)), box(BLUE, (0, 0, -1)))
    assert where(small(ahead, azimuth=90, elevation=0), 0)[0] < 26, "from +x the front is on the left"


@pytest.mark.parametrize("draw", [lambda shape: shape, cloud], ids=["mesh", "points"])
def test_what_is_in_front_hides_what_is_behind(draw: Any) -> None:
    pair = draw(together(ball(RED, (0, 0, 1.2), 0.7), ball(BLUE, (0, 0, -1.2), 0.5)))
    front, back = small(pair, azimuth=0, elevation=0), small(pair, azimuth=180, elevation=0)
    assert shows(front, 0) > 200
    assert shows(front, 2) <= (0 if "faces" in pair else shows(front, 0) / 10), "but for gaps between the balls"
    assert shows(back, 2) > 150
    assert shows(back, 0) > 20, "the larger red ball is seen around the blue one"


def test_from_above_and_from_below() -> None:
    flag = together(box(RED, (0, 0.5, 0), (1, 0.1, 1)), box(BLUE, (0, -0.5, 0), (1, 0.1, 1)))
    above, below = small(flag, elevation=90), small(flag, elevation=-90)
    assert shows(above, 0) > 300 > 50 > shows(above, 2)
    assert shows(below, 2) > 300 > 50 > shows(below, 0)
    front = small(together(box(RED, (0, 0, 1)), box(BLUE, (0, 0, -1))), azimuth=0, elevation=90)
    assert where(front, 0)[1] > 40, "from above the front is at the bottom"


@pytest.mark.parametrize("sample", [SCENE, cloud(SCENE)], ids=["mesh", "points"])
def test_turning_the_object_is_turning_the_camera(sample: Mesh) -> None:
    name = "vertices" if "faces" in sample else "points"
    x, y, z = sample[name].T
    turned = {**sample, name: torch.stack([z, y, -x], -1)}  # +z goes to +x
    same = difference(small(turned, azimuth=120), small(sample, azimuth=30))
    # The balls of a cloud are polyhedra, which do not turn with it.
    assert same < (0.01 if "faces" in sample else 1.6)
    assert difference(small(turned, azimuth=30), small(sample, azimuth=30)) > 5


def test_size_and_place_do_not_matter() -> None:
    for sample, name in ((SCENE, "vertices"), (cloud(SCENE), "points")):
        moved = {**sample, name: 250 * sample[name] + torch.tensor([1000.0, -500.0, 300.0])}
        assert difference(small(moved), small(sample)) < 0.05


def test_the_same_picture_every_time_and_nothing_is_written_to() -> None:
    sample = {key: value.clone() for key, value in SCENE.items()}
    first = small(sample)
    torch.manual_seed(1)
    np.random.seed(1)
    assert np.array_equal(first, small(sample))
    assert all(torch.equal(sample[key], SCENE[key]) for key in SCENE)


@pytest.mark.parametrize("view", [(0.0, 0.0), (50.0, 30.0), (200.0, -40.0)])
def test_the_bounding_sphere_fills_the_picture(view: tuple[float, float]) -> None:
    azimuth, elevation = view
    picture = small(ball(RED, at=(3, 4, 5)), size=128, azimuth=azimuth, elevation=elevation)
    seen = picture[..., 0].astype(int) > picture[..., 1].astype(int) + 40
    for side in (np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))):
        assert 122 <= side[-1] - side[0] + 1 <= 127
        assert abs(side[0] + side[-1] - 127) <= 2


def test_the_bounding_box_is_in_the_middle() -> None:
    corners = triangles(together(ball(at=(9, 0, 0)), box(RED, (0, 0, 0), (8, 1, 3)))).corners.reshape(-1, 3)
    assert corners.min(0) == pytest.approx(-corners.max(0), abs=1e-6)
    assert np.linalg.norm(corners, axis=-1).max() == pytest.approx(1)


def test_a_lit_surface_has_its_own_colour() -> None:
    for color in (RED, GREEN, BLUE, GREY, (0.8, 0.6, 0.2)):
        top = small(box(color, (0, 0, 0), (1, 0.2, 1)), elevation=60, samples=4)[28:36, 28:36].reshape(-1, 3)
        assert top.max(0).astype(int) - top.min(0) == pytest.approx(0, abs=2), "a plane has one colour"
        assert top.mean(0) == pytest.approx(255 * np.array(color), abs=26)
    white = small(box(WHITE, (0, 0, 0), (1, 0.2, 1)), elevation=60)[28:36, 28:36]
    assert 240 < white.min() <= white.max() <= 255


def test_light_comes_from_the_upper_left_and_the_ground_has_the_shadow() -> None:
    picture = render(ball(), size=128, azimuth=0, elevation=20, samples=2).astype(int)
    middle = picture.mean(-1)
    assert middle[30:50, 40:60].mean() > middle[80:100, 84:104].mean() + 30
    assert np.abs(picture - picture.mean(-1, keepdims=True)).max() <= 1, "grey stays grey"
    assert picture[:10, :10].min() == picture[:10, :10].max() == BACKGROUND
    on_ground = middle[112:125]
    assert on_ground[:, 90:118].mean() < on_ground[:, 2:30].mean() - 10, "the shadow falls to the right"
    touching = small(box(RED, (0, 0, 0), (1, 1, 1)), size=128, azimuth=45, elevation=30, samples=4).astype(int)
    for column in (40, 90):
        bottom = int(np.flatnonzero(touching[:, column, 0] > touching[:, column, 1] + 40)[-1])
        assert touching[bottom + 2, column].mean() < touching[120, 8].mean() - 12, "dark where the object stands"


def test_there_is_no_ground_from_below() -> None:
    picture = small(ball(RED), elevation=-30)
    outside = picture[picture[..., 0].astype(int) - picture[..., 1] < 4]
    assert outside.min() == outside.max() == BACKGROUND


def test_round_is_shaded_round_and_edges_stay_edges() -> None:
    coarse, fine = (mesh(trimesh.creation.icosphere(subdivisions=s)) for s in (2, 4))
    assert difference(small(coarse, samples=4), small(fine, samples=4)) < 3
    sphere = triangles(fine)
    assert np.abs(sphere.normals - sphere.corners).max() < 0.02
    cube = triangles(box(GREY, (0, 0, 0)))
    flat = np.cross(cube.corners[:, 1] - cube.corners[:, 0], cube.corners[:, 2] - cube.corners[:, 0])
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    assert np.abs(cube.normals - flat[:, None]).max() < 1e-6
    # A prism of 24 sides: round about its axis, with an edge where the lid begins.
    prism = triangles(mesh(trimesh.creation.cylinder(radius=1, height=1, sections=24)))
    lid = np.abs(prism.normals[..., 2]) > 0.99
    wall = np.abs(prism.normals[..., 2]) < 1e-6
    assert (lid | wall).all()
    outward = prism.corners[wall] * [1, 1, 0]
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    assert np.abs(prism.normals[wall] - outward).max() < 0.09


def test_a_face_is_seen_from_both_sides_alike() -> None:
    inside_out = {**SCENE, "faces": SCENE["faces"].flip(1)}
    assert difference(small(inside_out), small(SCENE)) < 0.1


def test_balls_are_as_large_as_the_points_are_far_apart() -> None:
    grid = torch.stack(torch.meshgrid(*[torch.arange(12.0)] * 2, indexing="ij"), -1).reshape(-1, 2)
    points = torch.cat([grid, torch.zeros(144, 1)], 1)
    picture = small({"points": points, "colors": torch.tensor(RED).expand(144, 3)}, size=96, azimuth=0, elevation=0)
    red = picture[..., 0].astype(int) > picture[..., 1].astype(int) + 60
    rows = red[red.any(1)]
    assert 0.35 < rows[:, rows.any(0)].mean() < 0.9, "neither a cloud of dust nor one lump"
    for n in (1, 2):
        assert shows(small({"points": torch.zeros(n, 3), "colors": torch.tensor(RED).expand(n, 3)}), 0) > 1500


def test_many_points_are_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multigen_3d.triangles._MAX_BALLS", 200)
    points = torch.rand(451, 3, generator=torch.Generator().manual_seed(0))
    assert len(triangles({"points": points, "colors": points}).corners) == 151 * 80


@pytest.mark.parametrize("samples", [1, 4])
def test_a_mesh_without_area_is_drawn_as_nothing(samples: int) -> None:
    flat = {"vertices": torch.zeros(3, 3), "faces": torch.tensor([[0, 1, 2]]), "colors": torch.zeros(3, 3)}
    assert (small(flat, samples=samples, elevation=-5) == BACKGROUND).all()
    assert small(flat, samples=samples).min() == BACKGROUND


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({**SCENE, "faces": torch.zeros(0, 3, dtype=torch.int64)}, "no faces"),
        ({"points": torch.zeros(0, 3), "colors": torch.zeros(0, 3)}, "no points"),
        ({**SCENE, "vertices": SCENE["vertices"] * float("nan")}, "NaN or infinite"),
        ({"points": torch.full((5, 3), float("inf")), "colors": torch.zeros(5, 3)}, "NaN or infinite"),
    ],
)
def test_what_cannot_be_drawn_says_so(sample: Mesh, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        render(sample)
    (tmp_path / "old.png").write_bytes(b"old")
    with pytest.raises(UsageError, match=message):
        preview([("fine", SCENE), ("not", sample)], tmp_path / "old.png")
    assert (tmp_path / "old.png").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_one_sample_fills_the_picture(tmp_path: Path) -> None:
    preview([("a title that nobody needs", SCENE)], tmp_path / "one.png", size=64)
    assert np.array_equal(opened(tmp_path / "one.png"), render(SCENE, size=64))


def test_a_sheet_has_a_titled_cell_for_each(tmp_path: Path) -> None:
    shapes = {"a red box": box(RED, (0, 0, 0)), "a ball": ball(), "a cloud": cloud(SCENE), "long " * 40: SCENE}
    preview([*shapes.items(), ("", SCENE)], tmp_path / "sheet.png", size=64, columns=3)
    sheet = opened(tmp_path / "sheet.png")
    assert sheet.shape[1] == 3 * 64
    head = sheet.shape[0] // 2 - 64
    assert 20 < head < 64
    for index, sample in enumerate([*shapes.values(), SCENE]):
        cell = sheet[index // 3 * (head + 64) :, index % 3 * 64 :][: head + 64, :64]
        assert np.array_equal(cell[head:], render(sample, size=64))
        assert (cell[:head].min() < 90) == (index < 4), "a title is read on its cell, and an empty one is empty"
        assert cell[:head, :1].min() == cell[:head, -1:].min() == BACKGROUND, "the title ran out of its cell"
    assert (sheet[head + 64 :, 128:] == BACKGROUND).all()


@pytest.mark.parametrize("title", ["x", "$x_{ $ \\frac", "雨の音 🌧 \n\t line", "x" * 500, "word " * 100, "  "])
def test_any_prompt_can_be_a_title(tmp_path: Path, title: str) -> None:
    preview([(title, box(RED, (0, 0, 0))), ("b", ball())], tmp_path / "sheet.png", size=32)
    sheet = opened(tmp_path / "sheet.png")
    assert sheet.shape[1:] == (64, 3)
    assert (sheet[: len(sheet) - 32, :32].min() < 90) == bool(title.strip())


def test_a_turntable_is_one_turn_that_loops(tmp_path: Path) -> None:
    import av

    preview([("", SCENE)], tmp_path / "turn.mp4", size=48)
    data = (tmp_path / "turn.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat"), "players on the web want the index first"
    with av.open(str(tmp_path / "turn.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, stream.average_rate) == (60, 24)
        assert float(stream.duration * stream.time_base) == pytest.approx(2.5)
        assert stream.codec_context.colorspace == 1
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
    assert len(frames) == 60
    for index in (0, 10, 15, 45, 59):
        errors = [
            difference(frames[index], render(SCENE, size=48, azimuth=35 + 6 * turn, samples=2))
            for turn in (index - 2, index, index + 2)
        ]
        assert min(errors) == errors[1] < 6, "the object turns at an even speed, the way the camera goes round"
        assert errors[1] < 0.6 * min(errors[0], errors[2])
    steps = [difference(one, two) for one, two in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert steps[-1] < 1.5 * np.median(steps), "no seam between the last frame and the first"


def test_several_turn_side_by_side(tmp_path: Path) -> None:
    import av

    preview([("red", box(RED, (0, 0, 0))), ("blue", box(BLUE, (0, 0, 0)))], tmp_path / "two.MP4", size=34)
    with av.open(str(tmp_path / "two.MP4")) as film:
        frame = next(film.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape[1] == 68
    assert where(frame, 0)[0] < 34 < where(frame, 2)[0]
    assert frame[: len(frame) - 34].min() < 110


@pytest.mark.parametrize("name", ["turn.gif", "picture", "picture.jpg"])
def test_another_extension_is_refused_before_any_work(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.png .*\.mp4"):
        preview([("", {})], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.png").mkdir()
    with pytest.raises(IsADirectoryError):
        preview([("", ball())], tmp_path / "old.png", size=16)
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    with pytest.raises(UsageError, match="no sample"):
        preview([], tmp_path / "none.png")


def test_without_a_ray_engine_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    with pytest.raises(GenerationError, match="pip install embreex"):
        render(SCENE)


def test_importing_is_light() -> None:
    code = "import sys, multigen_3d.render, multigen_3d.mesh; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "trimesh", "embreex", "igl", "av", "PIL", "scipy"} & set(loaded)
