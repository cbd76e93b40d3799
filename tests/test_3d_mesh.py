"""The last steps of a mesh: it stays sound, keeps its colours and stands where it should; and the measures of it."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import trimesh
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from multigen.errors import UsageError
from multigen_3d.mesh import finish, finish_in_place, quality

Mesh = Mapping[str, torch.Tensor]


def mesh(solid: trimesh.Trimesh) -> Mesh:
    vertices = torch.tensor(solid.vertices, dtype=torch.float32)
    return {
        "vertices": vertices,
        "faces": torch.tensor(solid.faces, dtype=torch.int64),
        "colors": torch.where(vertices[:, 1:2] > 0, torch.tensor([0.9, 0.1, 0.2]), torch.tensor([0.1, 0.3, 0.8])),
    }


def solid(sample: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(sample["vertices"].numpy(), sample["faces"].numpy(), process=False)


def lumps(seed: int) -> Mesh:
    """Marching cubes of smooth noise: tunnels, hollows and pieces, as a voxel model makes them."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(30, 30, 30)), 2.2)
    vertices, faces, _, _ = marching_cubes(np.pad(noise, 2, constant_values=-1.0), noise.std())
    return mesh(trimesh.Trimesh(vertices / 15 - 1, faces[:, ::-1], process=False))


def is_sound(sample: Mesh) -> bool:
    shape = solid(sample)
    return bool(shape.is_watertight and shape.is_winding_consistent and shape.volume > 0)


def ball(subdivisions: int = 4) -> Mesh:
    return mesh(trimesh.creation.icosphere(subdivisions=subdivisions))


@pytest.mark.parametrize("seed", range(2))
def test_a_sound_mesh_stays_sound(seed: int) -> None:
    shape = lumps(seed)
    assert is_sound(shape)
    assert len(shape["faces"]) > 5000
    before = quality(shape)
    assert before["components"] > 1
    for smooth, faces in ((0, 3000), (0, 600), (30, 0), (10, 1000)):
        done = finish(shape, size=1.0, smooth=smooth, faces=faces)
        assert is_sound(done)
        assert len(done["faces"]) == (faces or len(shape["faces"]))
        assert len(done["colors"]) == len(done["vertices"])
        after = quality(done)
        assert (after["components"], after["genus"]) == (before["components"], before["genus"]), (
            "no hole is torn or shut"
        )


def test_fewer_faces_keep_the_form() -> None:
    done = finish(ball(), size=2.0, smooth=0, faces=500)
    assert len(done["faces"]) == 500
    radius = (done["vertices"] - torch.tensor([0.0, 1.0, 0.0])).norm(dim=-1)
    assert 0.98 < radius.min() <= radius.max() < 1.02
    assert solid(done).volume == pytest.approx(4 / 3 * np.pi, rel=0.03)
    box = trimesh.creation.box((1, 2, 3))
    for _ in range(4):
        box = box.subdivide()
    done = finish(mesh(box), size=3.0, smooth=0, faces=12)
    assert len(done["faces"]) == 12
    assert torch.allclose(
        done["vertices"].abs(), torch.tensor([0.5, 0.0, 1.5]) + done["vertices"] * torch.tensor([0, 1, 0]), atol=1e-3
    )
    assert solid(done).volume == pytest.approx(6, rel=1e-3), "a box needs no more than twelve"


def test_tunnels_and_pieces_need_some_faces() -> None:
    ring = trimesh.creation.torus(1.0, 0.4)
    two = mesh(trimesh.util.concatenate([ring, ring.copy().apply_translation([4, 0, 0])]))
    done = finish(two, size=1.0, smooth=0, faces=4)
    assert 4 < len(done["faces"]) <= 48
    assert is_sound(done)
    assert (quality(done)["components"], quality(done)["genus"]) == (2, 2)


def test_colours_come_from_the_closest_point() -> None:
    done = finish(ball(), size=2.0, smooth=2, faces=800)
    height = done["vertices"][:, 1] - 1
    red = done["colors"][:, 0] > 0.5
    assert set(map(tuple, done["colors"].tolist())) == set(map(tuple, ball()["colors"].tolist()))
    assert red[height > 0.05].all()
    assert not red[height < -0.05].any()


def test_smoothing_takes_the_roughness_and_leaves_the_volume() -> None:
    smooth = ball()
    noise = 0.02 * torch.randn(smooth["vertices"].shape, generator=torch.Generator().manual_seed(0))
    rough = {**smooth, "vertices": smooth["vertices"] + noise}
    sizes = {}
    for rounds in (0, 3, 10):
        done = solid(finish(rough, size=2.0, smooth=rounds, faces=0))
        radius = np.linalg.norm(done.vertices - done.centroid, axis=-1)
        sizes[rounds] = radius.std() / radius.mean()
        # The longest side is that of the rough ball, which is smaller where it was brought to 2 m from more.
        assert done.volume / np.prod(done.extents) == pytest.approx(np.pi / 6, rel=0.1)
    assert sizes[10] < 0.8 * sizes[3] < 0.6 * sizes[0]
    unchanged = finish(ball(), size=2.0, smooth=100, faces=0)
    assert solid(unchanged).volume == pytest.approx(solid(ball()).volume, rel=0.01)


def test_a_round_of_smoothing_is_a_step_inwards_and_one_outwards() -> None:
    shape = lumps(5)
    vertices, edges = shape["vertices"].double().numpy(), solid(shape).edges_unique
    step = np.zeros((len(vertices), len(vertices)))
    step[edges[:, 0], edges[:, 1]] = step[edges[:, 1], edges[:, 0]] = 1
    step /= step.sum(1, keepdims=True)
    for size in (0.5, -0.526, 0.5, -0.526):
        vertices = vertices + size * (step @ vertices - vertices)
    expected = finish({**shape, "vertices": torch.from_numpy(vertices).float()}, size=1.0, smooth=0, faces=0)
    assert torch.allclose(finish(shape, size=1.0, smooth=2, faces=0)["vertices"], expected["vertices"], atol=1e-5)


def test_pieces_that_touch_in_a_point_stay_whole() -> None:
    one = trimesh.creation.icosphere(subdivisions=3)
    top = int(one.vertices[:, 1].argmax())
    other = one.vertices * [1, -1, 1] + [0, 2 * one.vertices[top, 1], 0]
    faces = one.faces[:, ::-1] + len(one.vertices)
    faces[faces == top + len(one.vertices)] = top
    touching = mesh(
        trimesh.Trimesh(np.concatenate([one.vertices, other]), np.concatenate([one.faces, faces]), process=False)
    )
    assert is_sound(touching)
    assert (quality(touching)["components"], quality(touching)["genus"]) == (2, 0)
    done = finish(touching, size=1.0, smooth=0, faces=200)
    assert is_sound(done)
    assert (quality(done)["components"], quality(done)["genus"]) == (2, 0)


@pytest.mark.parametrize("size", [1.0, 0.01, 250.0])
def test_the_longest_side_is_the_size_and_it_stands_on_the_ground(size: float) -> None:
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 3.0, 2.0]) + 7
    colors = torch.rand(500, 3)
    box = mesh(trimesh.creation.box((1, 3, 2)).apply_translation((5, 6, 7)))
    for sample, name in (({"points": points, "colors": colors}, "points"), (box, "vertices")):
        done = finish(sample, size=size, smooth=0, faces=0)
        low, high = done[name].amin(0), done[name].amax(0)
        assert torch.allclose(high - low, size * torch.tensor([1 / 3, 1, 2 / 3]), rtol=0.02)
        assert (high - low)[1] == pytest.approx(size)
        assert low[1] == 0
        assert torch.allclose((low + high)[[0, 2]], torch.zeros(2), atol=1e-5 * size)
        assert {key: (value.dtype, value.shape) for key, value in done.items()} == {
            key: (value.dtype, value.shape) for key, value in sample.items()
        }


def test_nothing_is_written_to_and_all_is_repeatable() -> None:
    shape = lumps(9)
    copy = {key: value.clone() for key, value in shape.items()}
    one, two = (finish(shape, size=1.0, smooth=3, faces=900) for _ in range(2))
    quality(shape)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert all(torch.equal(shape[key], copy[key]) for key in copy)
    assert (
        finish({"points": torch.ones(3, 3), "colors": torch.ones(3, 3)}, size=1.0, smooth=0, faces=0)["points"].tolist()
        == [[0.0, 0.0, 0.0]] * 3
    )


def test_points_have_no_faces() -> None:
    with pytest.raises(UsageError, match=r"--faces needs a mesh.*--model"):
        finish({"points": torch.rand(5, 3), "colors": torch.rand(5, 3)}, size=1.0, smooth=0, faces=100)


def test_a_cloud_is_smoothed_before_it_is_placed() -> None:
    ground = torch.rand(1000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 0.1, 2.0])
    foggy = {"points": ground, "colors": torch.rand(1000, 3)}
    done = finish(foggy, size=4.0, smooth=2, faces=0)
    assert done["points"].dtype == torch.float32
    assert float(done["points"][:, 1].std()) < 0.4 * 2 * float(ground[:, 1].std())
    assert float(np.ptp(done["points"].numpy(), axis=0).max()) == pytest.approx(4.0)
    assert float(done["points"][:, 1].min()) == 0.0
    assert torch.equal(done["colors"], foggy["colors"])


def test_a_mesh_that_is_no_manifold_is_refused() -> None:
    shape = ball()
    fin = {**shape, "faces": torch.cat([shape["faces"], torch.tensor([[*shape["faces"][0, :2].tolist(), 99]])])}
    flipped = {**shape, "faces": torch.cat([shape["faces"][:9].flip(1), shape["faces"][9:]])}
    needle = {**shape, "faces": torch.cat([shape["faces"], torch.tensor([[5, 5, 6]])])}
    for bad in (fin, flipped, needle):
        with pytest.raises(UsageError, match="--faces needs a mesh with at most two faces"):
            finish(bad, size=1.0, smooth=0, faces=100)
    hole = {**shape, "faces": shape["faces"][40:]}
    assert len(finish(hole, size=1.0, smooth=0, faces=300)["faces"]) <= 300


def test_quality_of_known_shapes() -> None:
    cube = quality(mesh(trimesh.creation.box((1, 2, 3))))
    assert cube == {
        "watertight": True,
        "winding_consistent": True,
        "volume": pytest.approx(6),
        "components": 1,
        "genus": 0,
    }
    ring = quality(mesh(trimesh.creation.torus(1.0, 0.3)))
    assert (ring["components"], ring["genus"]) == (1, 1)
    inside_out = quality({**ball(), "faces": ball()["faces"].flip(1)})
    assert inside_out["volume"] == pytest.approx(-4 / 3 * np.pi, rel=0.01)
    assert inside_out["winding_consistent"]
    hole = quality({**ball(), "faces": ball()["faces"][1:]})
    assert (hole["watertight"], hole["genus"]) == (False, None)
    mixed = quality({**ball(), "faces": torch.cat([ball()["faces"][:9].flip(1), ball()["faces"][9:]])})
    assert (mixed["watertight"], mixed["winding_consistent"]) == (True, False)
    for empty in ({**ball(), "faces": torch.zeros(0, 3, dtype=torch.int64)}, {"points": torch.rand(5, 3)}):
        with pytest.raises(UsageError, match="no faces"):
            quality(empty)


def odd(kind: str, seed: int) -> Mesh:
    """Faces left out, turned, doubled, or drawn at random."""
    rng = np.random.default_rng(seed)
    faces = ball(1)["faces"].numpy().copy()
    some = rng.permutation(len(faces))[: 1 + seed % 4]
    if kind == "left out":
        faces = np.delete(faces, some, axis=0)
    elif kind == "turned":
        faces[some] = faces[some, ::-1]
    elif kind == "doubled":
        faces = np.concatenate([faces, faces[some]])
    elif kind == "random":
        faces = rng.permuted(np.tile(np.arange(5), (3 + seed, 1)), axis=1)[:, :3]
    return {**ball(1), "faces": torch.from_numpy(faces)}


@pytest.mark.parametrize("kind", ["whole", "left out", "turned", "doubled", "random"])
def test_soundness_is_what_trimesh_says(kind: str) -> None:
    told = []
    for seed in range(20):
        shape = odd(kind, seed)
        theirs = solid(shape)
        told.append((quality(shape)["watertight"], quality(shape)["winding_consistent"]))
        assert told[-1] == (theirs.is_watertight, theirs.is_winding_consistent), (kind, seed)
    assert len(set(told)) == (2 if kind == "random" else 1)


@pytest.mark.parametrize("key", ["vertices", "points"])
def test_an_edit_is_put_where_its_input_was(key: str) -> None:
    """What was made reaches out of the box of the input, and a vertex of that is used by no face."""
    box = mesh(trimesh.creation.box((1, 3, 2)).apply_translation((5, 6, 7)))
    given = {**box, "vertices": torch.cat([box["vertices"], torch.full((1, 3), 90.0)])}
    if key == "points":
        given = {"points": box["vertices"], "colors": box["colors"]}
    cube = (box["vertices"] - torch.tensor([5.0, 6, 7])) / 1.5
    cube[0, 1] -= 0.8
    made = {key: cube, "colors": box["colors"]} | ({"faces": box["faces"]} if key == "vertices" else {})
    placed = finish_in_place(made, given, size=3.0, smooth=0, faces=0)[key]
    assert torch.allclose(placed[1:], box["vertices"][1:], atol=1e-5)
    assert torch.allclose(placed[0], box["vertices"][0] - torch.tensor([0, 1.2, 0]), atol=1e-5)
    foot = torch.tensor([5.0, 4.5, 7.0])
    half = finish_in_place(made, given, size=1.5, smooth=0, faces=0)[key]
    assert torch.allclose(half, foot + (placed - foot) / 2, atol=1e-5)
