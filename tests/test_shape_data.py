"""Training data of the 3D models: preparation, families and the split, changes, and captions that follow them."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from multigen.errors import UsageError
from multigen_models.shapes import augment
from multigen_models.shapes import prepare as shape_prepare
from multigen_models.shapes.augment import Change
from multigen_models.shapes.captions import Usual
from multigen_models.shapes.colors import COLOR_NAMES, color_name, color_names, palette_of
from multigen_models.shapes.data import (
    Shape,
    Shapes,
    load_shapes,
    sampling_weights,
    split_by_family,
    write_attribution,
)
from multigen_models.shapes.names import Name
from multigen_models.shapes.prepare import GRID, POINTS, WIDE, Meshes, prepare, twins
from multigen_models.shapes.samples import (
    AS_MADE,
    AUGMENTED,
    Augmentation,
    ShapeClouds,
    ShapeGrids,
    View,
    Views,
    by_weight,
    cloud,
    grids,
    in_turn,
    view,
)

Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
BROWN, GREY, RED, YELLOW = (115, 77, 46), (128, 128, 133), (200, 25, 25), (240, 200, 40)
COLUMNS = ("index", "id", "label", "name", "category", "modular_part", "licence", "author", "url")
AUTHORS = {"a": "Ann", "b": '[{"name": "Bo", "link": "http://bo"}, {"name": "Cy"}]'}
CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)])
SIDES = np.array(
    [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
     (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
)  # fmt: skip


def box(low: Sequence[float], high: Sequence[float], rgb: Sequence[int]) -> Mesh:
    vertices = np.array(low) + CORNERS * (np.array(high) - np.array(low))
    return vertices, SIDES, np.tile(np.array(rgb, np.uint8), (12, 1))


def joined(*parts: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(part[0]) for part in parts)])
    faces = np.concatenate([part[1] + start for part, start in zip(parts, starts, strict=False)])
    return np.concatenate([part[0] for part in parts]), faces, np.concatenate([part[2] for part in parts])


def chair(seat: Sequence[int], legs: Sequence[int]) -> Mesh:
    feet = [box((x, 0, z), (x + 0.2, 0.8, z + 0.2), legs) for x in (0, 0.8) for z in (0, 0.8)]
    return joined(box((0, 0.8, 0), (1, 1.0, 1), seat), box((0, 1.0, 0), (1, 2.0, 0.2), seat), *feet)


# A car with a red nose: its front is at +z.
CAR = joined(box((0, 0, 0), (1, 0.8, 1.6), GREY), box((0.1, 0.1, 1.6), (0.9, 0.7, 2.0), RED))
HIDDEN = joined(box((0, 0, 0), (1, 1, 1), YELLOW), box((0.3, 0.3, 0.3), (0.7, 0.7, 0.7), RED))
MESHES: Sequence[tuple[str, str, str, Mesh]] = (
    ("a/chair_1.obj", "chair", "", chair(BROWN, GREY)),
    ("a/chair_2.obj", "chair", "", joined(chair(RED, RED), box((0.2, 2.0, 0), (0.8, 2.6, 0.2), RED))),
    ("b/seat.obj", "stool", "", chair(YELLOW, GREY)),  # the same model in another colour under another name
    ("b/car.obj", "car", "", CAR),
    ("b/safe.obj", "safe", "", HIDDEN),
    ("b/plank.obj", "shelf", "1", box((0, 0, 0), (1, 1, 1), RED)),
    ("b/line.obj", "rope", "", (np.zeros((3, 3)), np.array([(0, 1, 2)]), np.zeros((1, 3), np.uint8))),
    ("b/road.obj", "parking slot", "", box((0, 0, 0), (4, 0.2, 3), GREY)),
)


def write_folder(folder: Path, rows: Sequence[tuple[str, str, str, Mesh]] = MESHES) -> Path:
    folder.mkdir(parents=True)
    vertices, faces, colors = zip(*(row[3] for row in rows), strict=True)
    np.savez(
        folder / "meshes.npz",
        verts=np.rint(np.concatenate(vertices) * 1000).astype(np.int16),
        faces=np.concatenate(faces).astype(np.int32),
        face_rgb=np.concatenate(colors),
        vert_offset=np.cumsum([0, *map(len, vertices)]),
        face_offset=np.cumsum([0, *map(len, faces)]),
    )
    with (folder / "metadata.csv").open("w", newline="") as file:
        about = [
            (i, model, label, label.title(), "", part or "0", "CC0", AUTHORS.get(model[0], ""), f"http://{model[0]}")
            for i, (model, label, part, _) in enumerate(rows)
        ]
        csv.writer(file).writerows([COLUMNS, *about])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def shapes(folder: Path) -> Shapes:
    return load_shapes(folder, cache=folder / "cache")


def named(shapes: Shapes, model: str) -> Shape:
    return next(shape for shape in shapes.shapes if shape.id == model)


def unchanged(shape: Shape, **changes: object) -> View:
    change = Change(factors=(1.0, 1.0, 1.0), mirror=False, turns=0, palette=shape.palette)
    return View(shape, dataclasses.replace(change, **changes), "")


def at_points(distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance in voxels at points (n, 3) of the cube."""
    from scipy.ndimage import map_coordinates

    cells = ((points + 1) / GRID.voxel + GRID.margin - 0.5).T
    return np.asarray(map_coordinates(distance, cells, order=1)) * GRID.truncation


def test_whole_named_objects_are_prepared_and_nothing_else(shapes: Shapes) -> None:
    kept = [0, 1, 2, 3, 4]
    assert [shape.id for shape in shapes.shapes] == [MESHES[i][0] for i in kept]
    first = shapes.shapes[0]
    np.testing.assert_allclose(first.extents, (1, 2, 1))
    assert (first.name.noun, first.kind, first.faces, first.author) == ("chair", "chair", 72, "Ann")
    assert first.slabs.sum() == pytest.approx(1, abs=1e-3)
    assert {color_name(rgb) for rgb in first.palette} == {"brown", "grey"}


def test_grids_are_the_codecs_own(shapes: Shapes) -> None:
    vertices, faces, colors = chair(BROWN, GREY)
    whole = (
        torch.from_numpy(vertices - (0.5, 1, 0.5)).float(),
        torch.from_numpy(faces),
        torch.from_numpy(colors / 255),
    )
    distance, color = grids(shapes, unchanged(shapes.shapes[0]))
    wanted, shade = GRID.analyse(*whole)
    assert np.abs(distance - wanted.numpy()).max() < 0.51 * WIDE.truncation / 127 / GRID.truncation
    assert np.abs(color - shade.numpy()).max() < 0.51 / 127 + 1e-6
    assert distance.dtype == color.dtype == np.float32


def test_points_lie_on_the_surface_by_area_with_its_normals_and_colors(shapes: Shapes) -> None:
    points = shapes.points[0].astype(np.float64)
    distance, _ = grids(shapes, unchanged(shapes.shapes[0]))
    away = np.abs(at_points(distance, points))
    assert np.quantile(away, 0.999) < 1.05
    assert np.quantile(away, 0.95) < 0.35
    normals = shapes.normals[0] / 127
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-2)
    inner = (np.abs(points[:, 0]) < 0.49) & (points[:, 1] < 0.99)
    back = np.isclose(points[:, 2], -0.5, atol=1e-3) & (points[:, 1] > 0.01) & inner
    np.testing.assert_allclose(normals[back], np.tile((0, 0, -1), (back.sum(), 1)), atol=1e-2)
    legs = points[:, 1] < -0.21
    grey = np.all(shapes.point_colors[0] == GREY, axis=1)
    assert np.array_equal(grey[np.abs(points[:, 1] + 0.2) > 0.02], legs[np.abs(points[:, 1] + 0.2) > 0.02])
    side = np.isclose(points[:, 0], 0.5, atol=1e-3) & (points[:, 1] > 0.01) & (points[:, 1] < 0.99)
    assert back.sum() / side.sum() == pytest.approx(0.98 / 0.2, rel=0.15)


def test_what_is_hidden_inside_has_no_points(shapes: Shapes) -> None:
    safe = named(shapes, "b/safe.obj")
    assert [color_name(rgb) for rgb in safe.palette] == ["yellow"]
    assert np.abs(shapes.points[safe.row].astype(np.float32)).max(axis=1).min() > 0.99


def test_nothing_is_inside_beyond_the_box_of_a_shape(shapes: Shapes) -> None:
    """A box without a bottom whose walls are doubled: its winding numbers are high below it too."""
    vertices, faces, colors = box((-0.6, -1, -0.6), (0.6, 1, 0.6), RED)
    open_below = np.array([face for face in faces if not np.all(vertices[face][:, 1] < 0)])
    doubled = np.concatenate([open_below, open_below]), np.concatenate([colors[:10], colors[:10]])
    measures, arrays = prepare(vertices.astype(np.float32), doubled[0], (doubled[1] / 255).astype(np.float32)) or (
        {},
        {},
    )
    np.testing.assert_allclose(measures["extents"], (1.2, 2, 1.2), atol=1e-4)
    inside = np.argwhere(arrays["distance"] < 0)
    np.testing.assert_allclose((inside.min(0) + 0.5 - GRID.margin) * GRID.voxel - 1, (-0.6, -1, -0.6), atol=0.05)
    np.testing.assert_allclose((inside.max(0) + 0.5 - GRID.margin) * GRID.voxel - 1, (0.6, 1, 0.6), atol=0.05)


def test_meshes_are_centred_scaled_and_turned_to_the_front(tmp_path: Path) -> None:
    cart = joined(box((0, 0, 0), (0.5, 0.8, 0.8), RED), box((0.5, 0, 0), (2, 1, 1), GREY))  # its front is at -x
    rows = [("quaternius/tank_pack/Tank.glb", "tank", "", cart), ("b/tank.obj", "tank", "", cart)]
    meshes = Meshes(write_folder(tmp_path / "data", rows))
    turned, kept = (meshes.mesh({"id": row[0], "index": str(i)}) for i, row in enumerate(rows))
    np.testing.assert_allclose(kept[0].max(0), (1, 0.5, 0.5), atol=1e-6)
    np.testing.assert_allclose(kept[0].min(0), (-1, -0.5, -0.5), atol=1e-6)
    np.testing.assert_allclose(turned[0].max(0), (0.5, 0.5, 1), atol=1e-6)
    assert turned[0][turned[1][turned[2][:, 0] > 0.7]][..., 2].min() > 0.4
    assert np.array_equal(turned[1], kept[1])


def test_colors_that_came_out_too_dark_or_too_pale_are_set_right(tmp_path: Path) -> None:
    cube, pale = (box((0, 0, 0), (1, 1, 1), rgb) for rgb in ((170, 100, 40), (245, 156, 120)))
    ids = ("kaykit/Pack/jar.glb", "pmndrs/apple.glb", "kaykit/Pack/jar_lid.glb", "pmndrs/car.glb", "a/jar.glb")
    collection = [(model, "jar", "", pale if "apple" in model else cube) for model in ids]
    meshes = Meshes(write_folder(tmp_path / "data", collection))
    rows = [{"id": model, "index": str(i), "author": "kenney"} for i, model in enumerate(ids)]
    dim, pastel, *others = (meshes.mesh(row)[2][0] * 255 for row in rows)
    np.testing.assert_allclose(others, [(170, 100, 40)] * 3, atol=0.01)
    # In linear light 170, 100 and 40 of 255 are 0.402, 0.127 and 0.0212; 2.5 times as much is 1, 0.319 and 0.053.
    np.testing.assert_allclose(dim, (255, 153, 65), atol=0.5)
    np.testing.assert_allclose(pastel, (232.9, 85.0, 47.9), atol=0.5)


def test_the_cache_is_read_and_left_as_it_is(folder: Path, shapes: Shapes) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}
    again = load_shapes(folder, cache=folder / "cache")
    assert {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")} == stamps
    assert [shape.id for shape in again.shapes] == [shape.id for shape in shapes.shapes]
    assert isinstance(again.distance, np.memmap)


def test_an_interrupted_preparation_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cube = box((0, 0, 0), (1, 1, 1), RED)
    data = write_folder(tmp_path / "data", [(f"a/{i}.obj", "box", "", cube) for i in range(3)])
    calls: list[int] = []

    def counted(*mesh: np.ndarray) -> object:
        calls.append(len(mesh[0]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        arrays = {name: np.zeros(shape, kind) for name, (shape, kind) in shape_prepare.ARRAYS.items()}
        return {"extents": [2, 2, 2], "palette": [[1, 0, 0]], "slabs": [[0.2]] * 5, "faces": 12}, arrays

    monkeypatch.setattr(shape_prepare, "prepare", counted)
    with pytest.raises(KeyboardInterrupt):
        load_shapes(data, cache=tmp_path / "cache")
    assert len(load_shapes(data, cache=tmp_path / "cache").shapes) == 3
    assert len(calls) == 4
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()] == ["shapes"]


def test_two_processes_prepare_what_one_does(shapes: Shapes, tmp_path: Path) -> None:
    other = load_shapes(write_folder(tmp_path / "data", MESHES[:2]), cache=tmp_path / "cache", workers=2)
    for name in ("distance", "color", "points", "normals", "point_colors"):
        assert np.array_equal(getattr(other, name), getattr(shapes, name)[:2])
    for one, two in zip(other.shapes, shapes.shapes[:2], strict=True):
        assert (one.id, one.extents.tolist(), one.slabs.tolist()) == (two.id, two.extents.tolist(), two.slabs.tolist())


def test_other_meshes_of_the_same_size_are_not_taken_for_those_prepared(tmp_path: Path) -> None:
    data, cache = write_folder(tmp_path / "data", MESHES[:2]), tmp_path / "cache"
    assert len(load_shapes(data, cache=cache).shapes) == len(load_shapes(data, cache=cache).shapes) == 2
    changed = bytearray((data / "meshes.npz").read_bytes())
    changed[-1] ^= 1
    (data / "meshes.npz").write_bytes(changed)
    with pytest.raises(UsageError, match="prepared from another"):
        load_shapes(data, cache=cache)
    next(cache.glob("shapes-*/meshes.sha256")).unlink()  # one that does not say is taken as it is
    assert len(load_shapes(data, cache=cache).shapes) == 2


def test_a_changed_folder_is_prepared_again(tmp_path: Path) -> None:
    small = [("a/box.obj", "box", "", box((0, 0, 0), (1, 1, 1), RED))]
    load_shapes(write_folder(tmp_path / "one", small), cache=tmp_path / "cache")
    renamed = [("a/crate.obj", "crate", "", small[0][3])]
    loaded = load_shapes(write_folder(tmp_path / "two", renamed), cache=tmp_path / "cache")
    assert [shape.name.noun for shape in loaded.shapes] == ["crate"]
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("meta", "meshes", "said"),
    [
        (None, b"", "needs metadata.csv and meshes.npz"),
        ("index,id,label\n0,a,chair\n", None, "needs metadata.csv and meshes.npz"),
        ("index,name\n0,x\n", b"", "no id and no label"),
        ("", b"", "no id and no index and no label"),
        ("index,id,label\n0,a,chair\n", b"not a file of arrays", r"meshes\.npz cannot be read"),
    ],
)
def test_a_folder_without_shapes_is_refused(tmp_path: Path, meta: str | None, meshes: bytes | None, said: str) -> None:
    if meta is not None:
        (tmp_path / "metadata.csv").write_text(meta)
    if meshes is not None:
        (tmp_path / "meshes.npz").write_bytes(meshes)
    with pytest.raises(UsageError, match=said):
        load_shapes(tmp_path, cache=tmp_path / "cache")


def test_what_goes_wrong_leaves_nothing_that_is_taken_for_a_cache(tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", MESHES[6:7])
    with pytest.raises(UsageError, match="no mesh with a surface"):
        load_shapes(data, cache=tmp_path / "cache")
    text = (data / "metadata.csv").read_text().replace("\n0,", "\n7,")
    (data / "metadata.csv").write_text(text)
    with pytest.raises(UsageError, match=r"b/line\.obj has the index 7, but there are 1 meshes"):
        load_shapes(data, cache=tmp_path / "cache")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.parent.name.split("-")[0] for path in left] == ["preparing"]  # the mesh without a surface


def test_one_model_is_one_family_whatever_it_is_called(shapes: Shapes) -> None:
    family = {shape.id: shape.family for shape in shapes.shapes}
    assert family["a/chair_1.obj"] == family["b/seat.obj"]  # one geometry
    assert family["a/chair_1.obj"] == family["a/chair_2.obj"]  # one name in one folder
    assert len(set(family.values())) == 3


def test_twins_are_found_mirrored_and_through_chains() -> None:
    grid = np.full((4, 8, 8, 8), 5, np.int8)
    grid[0, 0:4, 0:4, 0:6] = -5
    grid[1, 4:8, 0:4, 0:6] = -5
    grid[2, 0:4, 0:4, 0:4] = -5
    grid[3] = grid[0]
    assert twins(grid) == [0, 0, 2, 0]


def stub(kind: str, family: str, row: int = 0) -> Shape:
    name = Name((), (), kind, "", kind)
    ones = np.ones(3, np.float32)
    usual = Usual((0.0, 0.0, 0.0), (0.1, 0.1, 0.1))
    words = (family, "licence", "url")
    return Shape(row, family, name, "", family, ones * 2, ones[None], np.ones((5, 1)) / 5, usual, 12, *words)


def test_families_stay_together_and_every_kind_is_held_out_in_part() -> None:
    collection = [stub("chair", f"chair{i // 2}") for i in range(48)] + [stub("tree", f"tree{i}") for i in range(24)]
    collection += [stub(f"thing{i}", f"rare{i}") for i in range(36)] + [stub("rock", "rocks")] * 30
    training, validation = split_by_family(collection, fraction=1 / 12)
    assert sorted((*training, *validation)) == list(range(len(collection)))
    sides = [{collection[index].family for index in side} for side in (training, validation)]
    assert not sides[0] & sides[1]
    kinds = [collection[index].kind.rstrip("0123456789") for index in validation]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"chair": 4, "tree": 2, "thing": 6}
    again = split_by_family(collection[::-1], fraction=1 / 12)[1]
    assert {collection[::-1][i].family for i in again} == sides[1]


def test_variants_of_one_model_count_less_than_their_number() -> None:
    weights = sampling_weights([stub("chair", "one")] * 4 + [stub("chair", "other")])
    assert weights.sum() == pytest.approx(1)
    assert weights[:4].sum() / weights[4] == pytest.approx(2)


def test_the_attribution_lists_every_author_with_a_count(shapes: Shapes, tmp_path: Path) -> None:
    write_attribution(((s.author, s.licence, s.url) for s in shapes.shapes), tmp_path / "attribution.csv")
    assert (tmp_path / "attribution.csv").read_text() == (
        'author,licence,source,shapes\nAnn,CC0,http://a,2\n"Bo, Cy",CC0,http://b,3\n'
    )


def exact_box(half: Sequence[float]) -> np.ndarray:
    """Signed distance in voxels of a box around the origin at the cells of the grid."""
    axis = (np.arange(64) - 31.5) * GRID.voxel
    beyond = np.abs(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)) - np.array(half)
    return (np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)) / GRID.voxel


@pytest.mark.parametrize("wanted", [(0.8, 1.25, 1.0), (1.25, 0.8, 0.8), (1.1, 0.8, 1.25), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize("half", [(1.0, 0.6, 0.5), (1.0, 1.0, 1.0), (0.5, 1.0, 0.2)])
def test_a_stretched_distance_is_that_of_the_stretched_shape(
    half: tuple[float, ...], wanted: tuple[float, ...]
) -> None:
    factors = augment.stretch_factors(2 * np.array(half), np.array(wanted))
    longest = np.array(half) * factors
    assert longest.max() == pytest.approx(1)
    distance = np.clip(exact_box(half), -6, 6).astype(np.float32)
    before = distance.copy()
    stretched = np.clip(augment.stretch_distance(distance, factors, reach=4.0), -4, 4)
    exact = np.clip(exact_box(longest), -4, 4)
    assert np.array_equal(distance, before)
    assert np.all(((stretched < 0) == (exact < 0)) | (np.abs(exact) < 0.05))
    error = np.abs(stretched - exact)
    assert error[np.abs(exact) < 1].max() < 0.35
    assert error[np.abs(exact) < 1].mean() < 0.02
    # What is shrunk needs distances beyond those that were kept.
    assert error.mean() < (0.01 if min(factors) > 0.67 else 0.08)


def test_marks_move_as_said_and_grids_as_points() -> None:
    grid = np.zeros((2, 8, 8, 8), np.float32)
    grid[:, 4, 2, 7] = 1  # at the front, a little to +x, low
    for turns, cell in enumerate(((4, 2, 7), (7, 2, 3), (3, 2, 0), (0, 2, 4))):
        moved = augment.orient(grid, mirror=False, turns=turns)
        assert np.argwhere(moved[0]).tolist() == [list(cell)]
        change = Change((1.0, 1.0, 1.0), mirror=False, turns=turns, palette=np.zeros((1, 3), np.float32))
        point = augment.move_points(np.array([(4, 2, 7)], np.float32) - 3.5, change)
        assert (point + 3.5).tolist() == [list(cell)]
    assert np.argwhere(augment.orient(grid, mirror=True, turns=0)[0]).tolist() == [[3, 2, 7]]
    stretched = Change((1.0, 2.0, 0.5), mirror=True, turns=1, palette=np.zeros((1, 3), np.float32))
    np.testing.assert_allclose(augment.move_points(np.array([(1.0, 1.0, 1.0)], np.float32), stretched), [(0.5, 2, 1)])


def test_points_are_uniform_on_the_stretched_surface() -> None:
    rng = np.random.default_rng(0)
    normals = np.repeat(np.eye(3, dtype=np.float32), POINTS // 3, 0)
    chosen = augment.choose(2048, augment.growth(normals, (1.0, 2.0, 4.0)), rng)
    assert len(np.unique(chosen)) == 2048
    shares = np.bincount(chosen // (POINTS // 3), minlength=3) / 2048
    # The sides of the unit cube become 2 x 4, 1 x 4 and 1 x 2.
    np.testing.assert_allclose(shares, (8 / 14, 4 / 14, 2 / 14), atol=0.02)
    one = [augment.choose(1, np.array([3.0, 1.0], np.float32), np.random.default_rng(seed))[0] for seed in range(2000)]
    assert np.mean(one) == pytest.approx(0.25, abs=0.04)


def test_paint_changes_the_dominant_color_alone_and_keeps_its_shading() -> None:
    rng = np.random.default_rng(0)
    palette = np.array([(0.45, 0.3, 0.18), (0.35, 0.22, 0.12), (0.5, 0.5, 0.52)], np.float32)
    before = palette.copy()
    painted = augment.paint(palette, np.array([0.5, 0.2, 0.3]), "blue", rng)
    assert [color_name(rgb) for rgb in painted] == ["blue", "blue", "grey"]
    np.testing.assert_allclose(painted[2], palette[2], atol=1e-4)
    assert painted[0].sum() > painted[1].sum()
    assert np.array_equal(palette, before)


def test_turned_hues_keep_lightness_and_greys() -> None:
    palette = np.array([(0.8, 0.1, 0.1), (0.5, 0.5, 0.53)], np.float32)
    np.testing.assert_allclose(augment.rotate_hues(palette, 360.0), palette, atol=1e-5)
    turned = augment.rotate_hues(palette, 120.0)
    assert color_name(turned[0]) == "green"
    np.testing.assert_allclose(turned[1], palette[1], atol=1e-5)


def test_colors_move_with_the_entry_they_are_nearest_to() -> None:
    palette = np.array([(0.8, 0.1, 0.1), (0.5, 0.5, 0.5)], np.float32)
    new = np.array([(0.1, 0.2, 0.8), (0.5, 0.5, 0.5)], np.float32)
    moved = augment.recolor(np.array([(0.8, 0.1, 0.1), (0.7, 0.1, 0.1), (0.55, 0.5, 0.5)], np.float32), palette, new)
    np.testing.assert_allclose(moved[0], new[0], atol=1e-4)
    assert color_name(moved[1]) == "blue"
    assert moved[1].sum() < moved[0].sum()
    np.testing.assert_allclose(moved[2], (0.55, 0.5, 0.5), atol=1e-4)
    assert augment.recolor(palette, palette, palette) is palette


def views(shapes: Shapes, **options: object) -> Views:
    return Views(shapes, range(len(shapes.shapes)), **({"length": 1 << 40, "seed": 1} | options))


def test_items_depend_on_seed_and_index_alone(shapes: Shapes) -> None:
    for dataset in (ShapeGrids(shapes, views(shapes)), ShapeClouds(shapes, views(shapes))):
        forwards = [dataset[i] for i in range(12)]
        assert len({tensors[0].numpy().tobytes() for tensors, _ in forwards}) > 4
        for i in reversed(range(12)):
            (one, two), said = dataset[i]
            assert said == forwards[i][1]
            assert one.equal(forwards[i][0][0])
            assert two.equal(forwards[i][0][1])
    other = views(shapes, seed=2)
    assert [other.draw(i)[0].caption for i in range(30)] != [views(shapes).draw(i)[0].caption for i in range(30)]
    assert views(shapes).draw((1 << 40) - 1)[0].caption
    for index in (-1, 1 << 40):
        with pytest.raises(IndexError):
            views(shapes).draw(index)


def test_items_have_the_shapes_and_ranges_that_models_take(shapes: Shapes) -> None:
    for i in range(30):
        (distance, color), said = ShapeGrids(shapes, views(shapes))[i]
        assert (distance.shape, color.shape) == ((64, 64, 64), (3, 32, 32, 32))
        assert distance.dtype == color.dtype == torch.float32
        assert distance.min() < -0.1 < 0.3 < distance.max()
        assert distance.abs().max() <= 1
        assert color.abs().max() <= 1
        edges = [distance.select(axis, end) for axis in range(3) for end in (0, -1)]
        assert min(float(edge.min()) for edge in edges) > 0
        (points, colors), same = ShapeClouds(shapes, views(shapes))[i]
        assert same == said == " ".join(said.split()) != ""
        assert points.shape == colors.shape == (2048, 3)
        assert points.dtype == colors.dtype == torch.float32
        assert 0.98 < points.abs().max() <= 1.001
        assert 0 <= colors.min() <= colors.max() <= 1


def test_grids_and_points_of_a_view_are_one_shape(shapes: Shapes) -> None:
    for i in range(40):
        seen, rng = views(shapes, augmentation=Augmentation(1.0, 1.0, 1.0, 0.5)).draw(i)
        distance, color = grids(shapes, seen)
        points, colors = cloud(shapes, seen, rng, count=2048)
        away = np.abs(at_points(distance, points))
        assert np.quantile(away, 0.99) < 1.1, seen.caption
        assert np.median(away) < 0.15
        cell = np.floor((points + 1) / GRID.voxel / 2 + GRID.margin / 2).astype(int)
        shown = color[:, cell[:, 0], cell[:, 1], cell[:, 2]].T
        known = shown.any(1)
        assert known.mean() > 0.95
        assert np.mean(np.abs((shown[known] + 1) / 2 - colors[known]).max(1) < 0.05) > 0.75


def test_shapes_as_they_are_come_each_once(shapes: Shapes) -> None:
    plain = views(shapes, length=len(shapes.shapes), augmentation=AS_MADE, order=in_turn)
    seen = [plain.draw(i)[0] for i in range(len(plain))]
    assert [view.shape.id for view in seen] == [shape.id for shape in shapes.shapes]
    for shown in seen:
        assert shown.change.factors == (1.0, 1.0, 1.0)
        assert (shown.change.mirror, shown.change.turns) == (False, 0)
        assert shown.change.palette is shown.shape.palette
    distance, color = grids(shapes, seen[3])
    assert np.array_equal(color, shapes.color[3].astype(np.float32) / np.float32(127))
    assert np.array_equal(distance < 0, shapes.distance[3] < 0)


def test_training_draws_by_weight(shapes: Shapes) -> None:
    order = by_weight(shapes.shapes)
    drawn = np.bincount([order(i, np.random.default_rng(i)) for i in range(4000)], minlength=len(shapes.shapes))
    np.testing.assert_allclose(drawn / 4000, sampling_weights(shapes.shapes), atol=0.03)


def test_new_colors_are_the_ones_said(shapes: Shapes) -> None:
    safe = named(shapes, "b/safe.obj")
    painted = Augmentation(stretch=0.5, recolor=1.0, turn=0.0, mirror=0.5)
    names = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        seen = view(safe, rng, augmentation=painted)
        _, color = grids(shapes, seen)
        _, colors = cloud(shapes, seen, rng, count=2048)
        names.add(color_name(np.median(colors, 0)))
        assert color_name(np.median(colors, 0)) in seen.caption.split()
        shown = color.any(0)
        np.testing.assert_allclose(np.median(color[:, shown], 1), np.median(colors, 0) * 2 - 1, atol=0.02)
        assert not color[:, ~shown].any()
        assert np.array_equal(np.sort(shown.sum((1, 2))), np.sort(shown.sum((1, 2))[::-1]))
    assert len(names) > 8


def test_what_a_caption_says_of_parts_holds_for_the_points(shapes: Shapes) -> None:
    chair_ = named(shapes, "a/chair_1.obj")
    found = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        seen = view(chair_, rng, augmentation=Augmentation(0.5, 0.5, 0.0, 0.5))
        legs = [word for word in seen.caption.split() if word in COLOR_NAMES]
        if seen.caption.endswith(" legs"):
            found += 1
            points, colors = cloud(shapes, seen, rng, count=4096)
            height = points[:, 1] - points[:, 1].min()
            for part, name in ((height < 0.35 * height.max(), legs[1]), (height > 0.55 * height.max(), legs[0])):
                palette, of = palette_of(colors[part])
                assert color_names(palette, np.bincount(of).tolist())[0][0] == name, seen.caption
    assert found > 15


def test_the_front_goes_where_the_caption_says(shapes: Shapes) -> None:
    car = named(shapes, "b/car.obj")
    turning = Augmentation(stretch=0.0, recolor=0.0, turn=1.0, mirror=0.5)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        seen = view(car, rng, augmentation=turning)
        points, colors = cloud(shapes, seen, rng, count=2048)
        x, _, z = points[colors[:, 0] > 0.7].mean(0)
        # Who looks at the front from +z sees +x on the right, and the right side of what faces there.
        words = {
            "right": r"facing right|turned to the right|seen from its right side",
            "left": r"facing left|turned to the left|seen from its left side",
            "back": r"seen from behind|facing backwards|facing away",
        }
        side = "right" if x > 0.5 else "left" if x < -0.5 else "back"
        assert side != "back" or z < -0.5
        assert re.search(rf"({words[side]})$", seen.caption)
    straight = view(car, np.random.default_rng(0), augmentation=dataclasses.replace(turning, turn=0.0))
    assert not re.search(r"facing|turned|seen", straight.caption)
    safe = named(shapes, "b/safe.obj")
    assert {view(safe, np.random.default_rng(i), augmentation=turning).change.turns for i in range(20)} == {0}


def test_digits_are_not_mirrored(shapes: Shapes) -> None:
    safe = named(shapes, "b/safe.obj")
    digit = dataclasses.replace(safe, name=Name((), (), "number two", "", "number"))
    mirrored = Augmentation(stretch=0.0, recolor=0.0, turn=0.0, mirror=1.0)
    assert view(safe, np.random.default_rng(0), augmentation=mirrored).change.mirror
    assert not view(digit, np.random.default_rng(0), augmentation=mirrored).change.mirror


def test_stretched_shapes_are_called_what_they_became(shapes: Shapes) -> None:
    safe = dataclasses.replace(named(shapes, "b/safe.obj"), usual=Usual((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    stretching = Augmentation(stretch=1.0, recolor=0.0, turn=0.0, mirror=0.5)
    said: dict[str, int] = {}
    for seed in range(300):
        seen = view(safe, np.random.default_rng(seed), augmentation=stretching)
        x, y, z = seen.change.factors
        assert max(x, y, z) == pytest.approx(1)
        for word, true in (("tall", y > 0.99), ("low", y < 0.85), ("long", max(x, z) > 0.99)):
            said[word] = said.get(word, 0) + (word in seen.caption.split())
            assert word not in seen.caption.split() or true
    assert min(said.values()) > 4


def test_defaults_leave_most_shapes_in_front_view(shapes: Shapes) -> None:
    assert AUGMENTED.turn <= 0.1
    drawn = [views(shapes).draw(i)[0] for i in range(300)]
    assert np.mean([seen.change.turns != 0 for seen in drawn]) < 0.1
    assert 0.3 < np.mean([seen.change.factors != (1.0, 1.0, 1.0) for seen in drawn]) < 0.7


def test_the_sheet_is_one_picture_of_what_is_asked_for(
    folder: Path, shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import runpy
    import sys

    import matplotlib.image

    target = tmp_path / "sheet.png"
    attribution = tmp_path / "attribution.csv"
    typed = [
        "--data",
        folder,
        "--cache",
        folder / "cache",
        "--sheet",
        target,
        "--count",
        3,
        "--attribution",
        attribution,
    ]
    monkeypatch.setattr(sys, "argv", ["shape_data", *map(str, typed)])
    monkeypatch.delitem(sys.modules, "multigen_models.shapes.data")
    runpy.run_module("multigen_models.shapes.data", run_name="__main__")
    picture = matplotlib.image.imread(target)
    assert picture.shape[2] in (3, 4)
    assert picture.std() > 0.05
    assert attribution.read_text().startswith("author,licence,source,shapes\n")
    assert f"{len(shapes.training)} shapes for training" in capsys.readouterr().out
