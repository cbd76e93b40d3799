"""The model of point clouds with a tiny network: states, boxes, completion, its recipe, and the model contract."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multigen.edit import Plan, inpaint
from multigen.errors import UsageError
from multigen.job import Job, prepare
from multigen.listing import described
from multigen.model import Completes, Edits, Kind, Masked
from multigen.noise import Brownian, white
from multigen.objective import Couples
from multigen.request import Request
from multigen.samplers import ddim, dpmpp_2m, heun
from multigen.schedules import karras
from multigen.testing import check_model
from multigen.training import Real
from multigen_3d import ShapeOptions
from multigen_3d.files import read, write
from multigen_models.shapes import points_recipe
from multigen_models.shapes.data import load_shapes
from multigen_models.shapes.point_transformer import PointTransformer
from multigen_models.shapes.points_recipe import SCALE, PointsRecipe, SparsePointsRecipe
from multigen_models.shapes.points_small import REACH, PointsSmall, cube_points
from multigen_models.shapes.transport import assign

OPTIONS = ShapeOptions(points=256)
TINY = {"points": 12, "exchange": 8, "latents": 5, "width": 16, "blocks": 1, "layers": 1, "heads": 2}


@pytest.fixture
def model() -> PointsSmall:
    torch.manual_seed(0)
    network = PointTransformer(**TINY)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.25)
    return PointsSmall(network.eval(), SCALE, "0123456789abcdef", "cpu", torch.float32)


def cloud(n: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Points that fill a box of 3 x 2 x 1 around (5, 1, 0), with the colour of their place in it."""
    share = torch.rand(n, 3, generator=torch.Generator().manual_seed(seed))
    share[:2] = torch.tensor([[0.0] * 3, [1.0] * 3])
    return {"points": (share - 0.5) * torch.tensor([3.0, 2, 1]) + torch.tensor([5.0, 1, 0]), "colors": share}


def box() -> dict[str, Tensor]:
    """The surface of the box that `cloud` fills, with the colour of the place, and a vertex that no face uses."""
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    vertices = torch.cat([(corners - 0.5) * torch.tensor([3.0, 2, 1]) + torch.tensor([5.0, 1, 0]), torch.ones(1, 3)])
    return {"vertices": vertices * 1.0, "faces": faces, "colors": torch.cat([corners, torch.zeros(1, 3)])}


def share_of(points: Tensor) -> Tensor:
    """Where points of the cube are in the box of `cloud`: (n, 3) in [0, 1]."""
    return (points / torch.tensor([1.0, 2 / 3, 1 / 3]) + 1) / 2


@pytest.mark.parametrize("sample", [cloud(256), cloud(1000), box()], ids=["as many", "more", "mesh"])
def test_it_meets_the_contract(model: PointsSmall, sample: dict[str, Tensor]) -> None:
    if "faces" in sample:
        sample = model.decode(model.encode(sample, OPTIONS), OPTIONS)
    check_model(model, OPTIONS, sample, prompts=("a red chair", "a tall green tree"))
    assert isinstance(model, Masked)
    assert isinstance(model, Completes)
    assert isinstance(model, Edits)
    assert isinstance(model, Kind)
    assert model.kind == "points"


@pytest.mark.parametrize("sample", [cloud(256), cloud(999), box()], ids=["as many", "more", "mesh"])
def test_a_sample_of_any_kind_comes_back_in_the_cube_with_its_colors(
    model: PointsSmall, sample: dict[str, Tensor]
) -> None:
    x = model.encode(sample, OPTIONS)
    assert (x.shape, x.dtype) == ((256, 6), torch.float32)
    assert x.equal(model.encode(sample, OPTIONS))
    made = model.decode(x, OPTIONS)
    share = share_of(made["points"])
    # The colour says where a point was, so every row belongs together.
    torch.testing.assert_close(made["colors"], share.clamp(0, 1), rtol=0, atol=1e-5)
    assert share.unique(dim=0).shape == (256, 3)
    if "faces" in sample:
        on_surface = ((share < 1e-5) | (share > 1 - 1e-5)).any(1)
        assert on_surface.all()
        assert ((share - 0.5).abs().amax(0) > 0.49).all()


def test_an_object_that_reaches_out_of_the_cube_is_not_cut_flat_at_its_sides(model: PointsSmall) -> None:
    wide = 1.5 * model.encode(cloud(256), OPTIONS)
    points = model.decode(wide, OPTIONS)["points"]
    assert float(points.abs().amax()) > 1
    assert points.unique(dim=0).shape == (256, 3)
    torch.testing.assert_close(points, 1.5 * model.decode(model.encode(cloud(256), OPTIONS), OPTIONS)["points"])


def test_few_points_are_all_there_and_repeated(model: PointsSmall) -> None:
    few = cloud(100)
    made = model.decode(model.encode(few, OPTIONS), OPTIONS)["colors"]
    distance = torch.cdist(few["colors"].double(), made.double())
    assert distance.amin(1).max() < 1e-5
    counts = (distance < 1e-5).sum(1)
    assert (counts.amin(), counts.amax()) == (2, 3)


def test_moving_and_scaling_a_sample_changes_nothing(model: PointsSmall) -> None:
    given = cloud(300)
    moved = {"points": 40 * given["points"] - torch.tensor([3.0, 90, 1]), "colors": given["colors"]}
    torch.testing.assert_close(model.encode(moved, OPTIONS), model.encode(given, OPTIONS), rtol=0, atol=1e-4)


def test_the_state_is_neutral_to_turns(model: PointsSmall) -> None:
    assert SCALE.mean[:3].tolist() == [0, 0, 0]
    assert SCALE.std[:3].unique().numel() == 1


@pytest.mark.parametrize("sample", [cloud(999), box()], ids=["cloud", "mesh"])
@pytest.mark.parametrize(
    "region", [{}, {"x": (0.0, 0.25)}, {"y": (0.5, 1.0), "z": (0.25, 0.75)}, {"x": (0.9, 1.0), "y": (0.0, 1.0)}]
)
def test_a_mask_is_the_points_in_the_box(
    model: PointsSmall, sample: dict[str, Tensor], region: dict[str, tuple[float, float]]
) -> None:
    mask = model.mask(region, sample, OPTIONS)
    share = share_of(model.decode(model.encode(sample, OPTIONS), OPTIONS)["points"])
    wanted = torch.ones(256, dtype=torch.bool)
    for axis, (start, stop) in region.items():
        column = share[:, "xyz".index(axis)]
        wanted &= (column > start - 1e-4) & (column < stop + 1e-4)
    assert mask.equal(wanted[:, None].float().expand(256, 6))
    assert mask[:, 0].sum() > 0


def test_a_mask_of_nothing_and_of_no_axis_is_refused(model: PointsSmall) -> None:
    ends = {"points": torch.tensor([[0.0, 0, 0], [1, 1, 1]]), "colors": torch.zeros(2, 3)}
    with pytest.raises(UsageError, match="inside the box"):
        model.mask({"x": (0.2, 0.8)}, ends, OPTIONS)
    with pytest.raises(UsageError, match="no axis is called 'time'"):
        model.mask({"time": (0.2, 0.8)}, ends, OPTIONS)


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_a_part_of_what_was_written_is_held_in_its_place(model: PointsSmall, size: float) -> None:
    options = replace(OPTIONS, size=size)
    whole = cloud(500)["colors"] * 2 - 1
    finished = (whole + torch.tensor([0.0, 1, 0])) * (size / 2)
    part = {"points": finished[whole[:, 0] < -0.4], "colors": torch.rand(500, 3)[whole[:, 0] < -0.4]}
    state, mask = model.known(part, options)
    held = mask[:, 0] == 0
    assert held.sum() == min(128, len(part["points"]))
    assert mask.equal((~held)[:, None].float().expand(256, 6))
    kept = model.decode(state[held], options)
    distance, at = torch.cdist(kept["points"].double(), whole[whole[:, 0] < -0.4].double()).min(1)
    assert distance.max() < 1e-5
    torch.testing.assert_close(kept["colors"], part["colors"][at], rtol=0, atol=1e-5)
    assert len(at.unique()) == len(at)


def test_a_part_in_the_cube_stays_where_it_is(model: PointsSmall) -> None:
    points = torch.tensor([[-1.0, -0.9, 0.2], [0.3, 0.1, 0.6], [0.0, -0.5, 0.0]])
    state, mask = model.known({"points": points, "colors": torch.rand(3, 3)}, OPTIONS)
    assert (mask == 0).sum() == 3 * 6
    kept = model.decode(state[:3], OPTIONS)["points"]
    torch.testing.assert_close(kept[kept[:, 0].argsort()], points[points[:, 0].argsort()], rtol=0, atol=1e-6)


def test_a_part_in_other_units_is_as_large_as_the_whole(model: PointsSmall) -> None:
    state, mask = model.known(box(), OPTIONS)
    assert (mask[:, 0] == 0).sum() == 128
    share = share_of(model.decode(state[mask[:, 0] == 0], OPTIONS)["points"])
    assert ((share > -1e-5) & (share < 1 + 1e-5)).all()
    assert (share.amax(0) - share.amin(0) > 0.98).all()


def plan(model: PointsSmall, sampler) -> Plan:
    return Plan(
        denoise=model.denoiser(model.condition(["a chair"] * 2), OPTIONS),
        sampler=sampler,
        sigmas=karras(0.02, 80.0)(6),
        origin=torch.zeros(2, 256, 6),
        unit=white([0, 1], (256, 6)),
        noise=Brownian([0, 1], (256, 6)),
    )


@torch.no_grad()
@pytest.mark.parametrize("sampler", [dpmpp_2m, heun, ddim])
def test_completion_keeps_the_part_and_makes_the_rest(model: PointsSmall, sampler) -> None:
    part = {"points": cloud(60)["colors"] * torch.tensor([1.0, 0.5, 1.0]) - 0.5, "colors": cloud(60)["colors"]}
    known, mask = model.known(part, OPTIONS)
    held = mask[:, 0] == 0
    free = plan(model, sampler)
    made = inpaint(known, mask)(free).result()
    torch.testing.assert_close(made[:, held], known[held].expand(2, -1, -1), rtol=0, atol=1e-4)
    assert (made[:, ~held] - free.result()[:, ~held]).abs().max() > 1e-3
    assert (made[0, ~held] - made[1, ~held]).abs().max() > 1e-2
    # The model's own way: the part is there, in rows that were not chosen beforehand.
    for cloud_made in model.inpaint(known, mask)(free).result():
        distance = torch.cdist(known[held].double(), cloud_made.double())
        assert distance.amin(1).max() < 1e-4
        assert distance.argmin(1).tolist() != list(range(60))


def job(model: PointsSmall, path: Path, **fields: object) -> Job:
    write(path, cloud(200), tags={})
    return prepare(Request("3d", "a chair", steps=4, options={"points": 256}, **fields), model=model)  # type: ignore[arg-type]


@torch.no_grad()
def test_a_job_completes_in_the_models_own_way(model: PointsSmall, tmp_path: Path) -> None:
    plan = job(model, tmp_path / "part.ply", complete=str(tmp_path / "part.ply")).plan(0)
    known, mask = model.known(read(tmp_path / "part.ply"), OPTIONS)
    held = known[mask[:, 0] == 0]
    # The rows that take the part are chosen where the denoiser wants them, not beforehand.
    d = plan.denoise(plan.origin + plan.sigmas[0] * plan.unit, plan.sigmas[0])[0]
    index = torch.cdist(held.double(), d.double()).argmin(1)
    torch.testing.assert_close(d[index], held)
    assert index.tolist() != list(range(len(held)))


@torch.no_grad()
def test_a_job_varies_and_masks_in_the_models_own_way(model: PointsSmall, tmp_path: Path) -> None:
    varied = job(model, tmp_path / "in.ply", init=str(tmp_path / "in.ply"), strength=0.5).plan(0)
    index = assign(varied.origin[:, :, :3], varied.unit[:, :, :3])
    assert index.equal(torch.arange(256)[None])  # its noise is in the order that suits the sample
    masked = job(model, tmp_path / "in.ply", init=str(tmp_path / "in.ply"), mask="y=0:0.5").plan(0)
    assert not masked.origin.any()  # no row begins at a kept point


def test_the_card_says_what_the_model_suggests() -> None:
    told = described("points-small")
    assert told is not None
    assert told.suggested == PointsSmall.suggested


def test_what_is_made_is_smoothed_but_what_is_edited_only_where_it_is_asked_for(
    model: PointsSmall, tmp_path: Path
) -> None:
    file = str(tmp_path / "in.ply")
    assert job(model, tmp_path / "in.ply").options.smooth == 1
    for edit in ({"complete": file}, {"init": file, "mask": "y=0:0.5"}, {"init": file, "strength": 0.5}):
        assert job(model, tmp_path / "in.ply", **edit).options.smooth == 0
    for smooth in (0, 3):
        request = Request("3d", "a chair", steps=4, complete=file, options={"points": 256, "smooth": smooth})
        assert prepare(request, model=model).options.smooth == smooth


@torch.no_grad()
def test_a_variation_of_strength_0_is_the_sample_and_of_1_is_not(model: PointsSmall) -> None:
    x0 = model.encode(cloud(256), OPTIONS)
    free = plan(model, dpmpp_2m)
    assert model.variation(x0, 0.0)(free).result().equal(x0.expand(2, -1, -1))
    assert (model.variation(x0, 1.0)(free).result() - x0).abs().max() > 0.1
    with pytest.raises(UsageError, match="strength"):
        model.variation(x0, 1.5)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"points": torch.zeros(0, 3), "colors": torch.zeros(0, 3)}, "is empty"),
        ({"points": torch.ones(5, 3), "colors": torch.zeros(5, 3)}, "a single point"),
        ({"points": torch.full((5, 3), torch.nan), "colors": torch.zeros(5, 3)}, "not finite"),
        (box() | {"faces": torch.zeros(0, 3, dtype=torch.int64)}, "is empty"),
        (box() | {"faces": torch.tensor([[0, 7, 0]])}, "without an area"),
    ],
)
def test_samples_without_extent_are_refused(model: PointsSmall, sample: dict[str, Tensor], message: str) -> None:
    for use in (model.encode, model.known):
        with pytest.raises(UsageError, match=message):
            use(sample, OPTIONS)


def test_points_of_a_mesh_are_uniform_by_area_and_take_their_places_colors() -> None:
    """Of a square whose corners' colours are their coordinates, and of a third of its size beside it."""
    square = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    mesh = {
        "vertices": torch.cat([square, square * torch.tensor([1.0, 1 / 3, 1]) + torch.tensor([0, 0, 1.0])]),
        "faces": torch.cat([faces, faces + 4]),
        "colors": torch.cat([square, square]),
    }
    told = cube_points(mesh, 20_000)
    places, colors = (told[:, :3] + 1) / 2, (told[:, 3:] + 1) / 2
    upper = places[:, 2] > 0.5
    assert float(upper.float().mean()) == pytest.approx(0.25, abs=0.01)
    lower = places[~upper][:, :2]
    assert lower.sub(colors[~upper][:, :2]).abs().max() < 1e-5
    counts = torch.histogramdd(lower, bins=[4, 4], range=[0.0, 1.0, 0.0, 1.0]).hist / len(lower)
    assert (counts - 1 / 16).abs().max() < 0.01


def test_what_is_far_out_is_brought_back(model: PointsSmall) -> None:
    made = model.decode(torch.full((256, 6), 50.0), OPTIONS)
    assert (made["points"].max(), made["colors"].max()) == (REACH, 1)
    made = model.decode(torch.full((256, 6), -50.0), OPTIONS)
    assert (made["points"].min(), made["colors"].min()) == (-REACH, 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four boxes of different sides and colours, in the layout that `load_shapes` takes."""
    folder = tmp_path_factory.mktemp("boxes")
    mesh, sides = box(), [(1.0, 1.0, 1.0), (1.0, 0.4, 0.6), (0.3, 1.0, 0.3), (0.6, 0.5, 1.0)]
    cube = (mesh["colors"][:8].numpy() * 2 - 1).astype(np.float32)
    faces = mesh["faces"].numpy().astype(np.int32)
    colors = np.repeat(np.uint8([[200, 30, 30], [30, 60, 200], [40, 160, 60], [220, 200, 40]]), 12, axis=0)
    np.savez(
        folder / "meshes.npz",
        verts=np.concatenate([cube * np.float32(side) for side in sides]),
        faces=np.concatenate([faces] * 4),
        face_rgb=colors,
        vert_offset=np.arange(5) * 8,
        face_offset=np.arange(5) * 12,
    )
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("index", "id", "label", "name"))
        writer.writerows((i, f"set{i}/{name}", name, name) for i, name in enumerate(("crate", "bench", "lamp", "sofa")))
    return folder


@pytest.fixture(scope="module")
def recipe(data: Path, tmp_path_factory: pytest.TempPathFactory) -> PointsRecipe:
    return PointsRecipe(data, tmp_path_factory.mktemp("cache"))


def test_items_are_functions_of_their_index(recipe: PointsRecipe) -> None:
    items = recipe.items("train")
    x, _ = items[12345]
    assert (x.shape, x.dtype) == ((2048, 6), torch.float32)
    assert x.equal(items[12345][0])
    assert not x.equal(items[12346][0])
    made = SCALE.undo(x)
    assert made.abs().max() <= 1 + 1e-3
    assert made[:, :3].abs().amax(0).max() > 0.99
    x0, cond = recipe.collate([items[0], items[1]])
    assert x0.shape == (2, 2048, 6)
    assert {key: tuple(value.shape) for key, value in cond.items()} == {
        "text": (2, 64, 384),
        "mask": (2, 64),
        "pooled": (2, 384),
    }


def test_sparse_clouds_are_of_the_same_views_and_measured_on_whole_ones(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = replace(load_shapes(data, cache=tmp_path), training=(0, 1, 2), validation=(3,))
    monkeypatch.setattr(points_recipe, "load_shapes", lambda data, cache: split)
    sparse, whole = SparsePointsRecipe(data, tmp_path), PointsRecipe(data, tmp_path)
    (few, few_told), (many, told) = sparse.items("train")[7], whole.items("train")[7]
    assert few.shape == (512, 6)
    assert few_told == told
    # The same surface: from each of the few to the many it is not much farther than among the many.
    gap = torch.cdist(many[:, :3], many[:, :3]).fill_diagonal_(torch.inf).amin(1).max()
    assert torch.cdist(few[:, :3], many[:, :3]).amin(1).max() < 3 * gap
    assert sparse.items("validation")[0][0].equal(whole.items("validation")[0][0])


def test_a_tenth_of_the_items_has_no_caption(recipe: PointsRecipe) -> None:
    items = recipe.items("train")
    share = sum(items[i][1] == "" for i in range(100)) / 100
    assert 0.04 < share < 0.2
    held_out = recipe.items("validation")
    assert all(held_out[i][1] for i in range(len(held_out)))


def test_it_pairs_every_cloud_with_its_noise(recipe: PointsRecipe) -> None:
    assert isinstance(recipe, Couples)
    x0 = torch.stack([recipe.items("train")[i][0] for i in range(3)])
    unit = white([0, 1, 2], (2048, 6))
    paired = recipe.couple(x0, unit)
    for i in range(3):
        rows = [sorted(map(tuple, cloud[i].tolist())) for cloud in (x0, paired)]
        assert rows[0] == rows[1]
    far, near = ((cloud - unit)[:, :, :3].square().sum(2).mean() for cloud in (x0, paired))
    assert near < 0.35 * far


def test_what_is_exported_is_read_again(recipe: PointsRecipe, model: PointsSmall, tmp_path: Path) -> None:
    recipe.export(model.network, tmp_path / "model", about={"samples": 5})
    again = PointsSmall.load(tmp_path / "model", device="cpu", dtype="float32")
    assert (again.scale.mean.tolist(), again.scale.std.tolist()) == (SCALE.mean.tolist(), SCALE.std.tolist())
    x, cond = 3 * white([0], (256, 6)), again.condition(["a chair"])
    one, two = (m.denoiser(cond, OPTIONS)(x, 3.0) for m in (again, model))
    torch.testing.assert_close(one, two, rtol=1e-2, atol=1e-2)
    assert len(again.fingerprint) == 16


def test_the_real_clouds_are_shown_by_their_split(recipe: PointsRecipe) -> None:
    assert isinstance(recipe, Real)
    for _, sample, caption, source in recipe.real("train", most=3):
        assert sample["points"].shape == sample["colors"].shape == (2048, 3)
        assert caption
        assert source
    assert len(list(recipe.real("train", most=3))) == 3
