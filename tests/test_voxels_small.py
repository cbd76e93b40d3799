"""The embedded model of meshes: meshes to states and back, boxes to masks, and its training data."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from multigen.errors import UsageError
from multigen.job import prepare
from multigen.options import NoOptions
from multigen.request import Request
from multigen.testing import check_model
from multigen.training import Real, Settings, train
from multigen_3d.files import write
from multigen_models.scale import Scale
from multigen_models.shapes import voxels_recipe
from multigen_models.shapes.distance_grid import DistanceGrid
from multigen_models.shapes.grid_autoencoder import GridAutoencoder
from multigen_models.shapes.prepare import GRID
from multigen_models.shapes.samples import ShapeGrids, Views
from multigen_models.shapes.voxel_unet import VoxelUNet
from multigen_models.shapes.voxels_recipe import VoxelsRecipe
from multigen_models.shapes.voxels_small import VoxelsSmall
from multigen_models.weights import write_folder

OPTIONS = NoOptions()
TINY = {
    "cells": 4,
    "features": 704,
    "channels": (8, 12),
    "depth": (1, 1),
    "heads": (0, 2),
    "embedding": 16,
}
TINY_CODEC = {"encoder_channels": (8, 12), "decoder_channels": (8, 12)}


class Folded(nn.Module):
    """A codec that loses nothing: eight packed positions to one."""

    def encode(self, x: Tensor) -> Tensor:
        return rearrange(x, "b c (x i) (y j) (z k) -> b (c i j k) x y z", i=2, j=2, k=2)

    def decode(self, z: Tensor) -> Tensor:
        return rearrange(z, "b (c i j k) x y z -> b c (x i) (y j) (z k)", i=2, j=2, k=2)


def tiny_network() -> VoxelUNet:
    torch.manual_seed(0)
    network = VoxelUNet(**TINY)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> VoxelsSmall:
    g = torch.Generator().manual_seed(2)
    scale = Scale(torch.randn(704, 1, 1, 1, generator=g), 0.5 + torch.rand(704, 1, 1, 1, generator=g))
    grid = DistanceGrid(resolution=32, color_resolution=16)
    return VoxelsSmall(tiny_network(), Folded(), grid, scale, "0" * 16, "cpu", torch.float32)


def ellipsoid(*, axes=(1.0, 1.0, 1.0), centre=(0.0, 0.0, 0.0)) -> dict[str, Tensor]:
    """A closed mesh, blue where z < centre and red elsewhere."""
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=4)
    unit = torch.from_numpy(ball.vertices.copy()).float()
    red = (unit[:, 2:] >= 0).float()
    return {
        "vertices": unit * torch.tensor(axes) + torch.tensor(centre),
        "faces": torch.from_numpy(ball.faces.copy()).long(),
        "colors": torch.cat([red, torch.zeros_like(red), 1 - red], dim=1),
    }


def test_a_ball_comes_back_with_its_colours_wherever_it_was(model: VoxelsSmall) -> None:
    state = model.encode(ellipsoid(axes=(40.0, 40.0, 40.0), centre=(500.0, -3.0, 7.0)), OPTIONS)
    assert state.shape == (704, 4, 4, 4) == model.shape(OPTIONS)
    assert state.dtype == torch.float32
    # Only a cell between red and blue, as near to the one as to the other, may turn over by rounding.
    moved = (state - model.encode(ellipsoid(), OPTIONS)).abs()
    assert moved[: 64 * 8].max() < 1e-4
    assert moved.gt(1e-4).float().mean() < 0.005
    made = model.decode(state, OPTIONS)
    assert {key: value.dtype for key, value in made.items()} == {
        "vertices": torch.float32,
        "faces": torch.int64,
        "colors": torch.float32,
    }
    radius = made["vertices"].norm(dim=1)
    assert (radius - 1).abs().max() < 0.25 * model.grid.voxel
    away = made["vertices"][:, 2].abs() > 4 * model.grid.voxel
    red = made["vertices"][:, 2] > 0
    wanted = torch.stack([red, torch.zeros_like(red), ~red], dim=1).float()
    assert away.float().mean() > 0.5
    torch.testing.assert_close(made["colors"][away], wanted[away], rtol=0, atol=0.02)


def test_the_state_is_the_standardised_grids_indexed_x_y_z(model: VoxelsSmall) -> None:
    """An ellipsoid that is long in x, shorter in y, flat in z, and red towards +z."""
    state = model.encode(ellipsoid(axes=(5.0, 3.0, 1.0)), OPTIONS)
    packed = model.codec.decode((state * model.scale.std + model.scale.mean)[None])[0]
    distance, color = model.grid.unpack(packed)
    inside = (distance < 0).nonzero()
    sides = (inside.amax(0) - inside.amin(0) + 1) * model.grid.voxel
    torch.testing.assert_close(sides.float(), torch.tensor([2.0, 1.2, 0.4]), rtol=0, atol=1.1 * model.grid.voxel)
    towards = color[0].abs().gt(0.5).nonzero()[:, 2] >= 8
    assert color[0][color[0].abs() > 0.5].gt(0).eq(towards).float().mean() > 0.95


def test_what_has_no_surface_is_refused(model: VoxelsSmall) -> None:
    cloud = {"points": torch.rand(5, 3), "colors": torch.rand(5, 3)}
    with pytest.raises(UsageError, match="takes a mesh"):
        model.encode(cloud, OPTIONS)
    ball = ellipsoid()
    for vertices in (ball["vertices"] * 0, ball["vertices"] * torch.nan, ball["vertices"] * torch.tensor([1.0, 0, 0])):
        with pytest.raises(UsageError, match="with a surface"):
            model.encode(ball | {"vertices": vertices}, OPTIONS)
    with pytest.raises(UsageError, match="with a surface"):
        model.encode(ball | {"faces": ball["faces"][:0]}, OPTIONS)


def test_vertices_that_no_face_uses_do_not_count(model: VoxelsSmall) -> None:
    ball = ellipsoid()
    far = torch.tensor([[1e6, 0.0, 0.0]])
    strayed = {
        "vertices": torch.cat([ball["vertices"], far]),
        "faces": ball["faces"],
        "colors": torch.cat([ball["colors"], torch.ones(1, 3)]),
    }
    assert model.encode(strayed, OPTIONS).equal(model.encode(ball, OPTIONS))


def cells(*ranges: range) -> Tensor:
    mask = torch.zeros(4, 4, 4)
    mask[tuple(slice(r.start, r.stop) for r in ranges)] = 1
    return mask


def test_a_box_is_masked_where_the_sample_lies(model: VoxelsSmall) -> None:
    """32 voxels, 28 of them over the longest side, 8 to a cell: x = 10 to 30 is 2 to 30 voxels."""
    sample = ellipsoid(axes=(10.0, 5.0, 2.5), centre=(20.0, 0.0, 0.0))
    whole = range(4)
    # y is 5 of 10: 14 voxels from 9 to 23. A third to two thirds: 13.67 to 18.33, cells 1 and 2.
    mask = model.mask({"y": (1 / 3, 2 / 3)}, sample, OPTIONS)
    assert mask.shape == model.shape(OPTIONS)
    assert mask.eq(cells(whole, range(1, 3), whole)).all()
    # x from 2 + 0.5 * 28 = 16 to 2 + 0.75 * 28 = 23 voxels: cell 2.
    assert model.mask({"x": (0.5, 0.75)}, sample, OPTIONS).eq(cells(range(2, 3), whole, whole)).all()
    # z is 7 voxels from 12.5 to 19.5. A fifth to two fifths: 13.9 to 15.3, cell 1.
    assert model.mask({"z": (0.2, 0.4)}, sample, OPTIONS).eq(cells(whole, whole, range(1, 2))).all()
    # What reaches an end of the sample reaches the grid's.
    assert (
        model.mask({"y": (0.0, 0.5), "z": (0.75, 1.0)}, sample, OPTIONS).eq(cells(whole, range(2), range(2, 4))).all()
    )
    assert model.mask({}, sample, OPTIONS).eq(1).all()


def test_the_cells_of_a_mask_hold_the_surface_in_its_box(model: VoxelsSmall) -> None:
    """Moving the vertices inside of a box changes the state only in cells of the mask around it."""
    ball = ellipsoid(axes=(1.0, 0.6, 0.8))
    dented = ball["vertices"].clone()
    top = dented[:, 1] > 0.3
    dented[top, 1] = 0.3
    mask = model.mask({"y": (0.7, 1.0)}, ball, OPTIONS)
    grid = model.grid
    distances = [
        grid.analyse(vertices.double(), ball["faces"], ball["colors"][ball["faces"]].mean(1))[0]
        for vertices in (ball["vertices"], dented)
    ]
    changed = (distances[0].sign() != distances[1].sign()).nonzero() // 8
    assert len(changed) > 10
    assert mask[0][tuple(changed.T)].eq(1).all()


@pytest.mark.parametrize("region", [{"time": (0.0, 0.5)}, {"x": (0.5, 0.5)}, {"y": (-0.1, 0.5)}])
def test_other_boxes_are_refused(model: VoxelsSmall, region) -> None:
    with pytest.raises(UsageError):
        model.mask(region, ellipsoid(), OPTIONS)


def test_what_a_mask_keeps_stays_in_its_place_and_size(model: VoxelsSmall, tmp_path) -> None:
    given = ellipsoid(axes=(0.3, 0.7, 0.4), centre=(7.0, 2.0, -3.0))
    write(tmp_path / "in.ply", given, tags={})
    asked = Request("3d", "a red chair", init=str(tmp_path / "in.ply"), mask="y=0:0.5", steps=2)
    made = prepare(asked, model=model).run(0)["vertices"]
    # Above the boundary of the mask, a cell of 8 voxels and a neighbour that interpolation sees, all is as it was.
    voxel = 0.7 * model.grid.voxel
    kept = made[made[:, 1] > 2.0 + 2 * voxel]
    radius = ((kept - torch.tensor([7.0, 2.0, -3.0])) / torch.tensor([0.3, 0.7, 0.4])).norm(dim=1)
    assert len(kept) > 100
    assert (radius - 1).abs().max() < 0.02
    other = prepare(replace(asked, mask="", strength=0.0), model=model).run(0)["vertices"]
    assert float((other.amax(0) - other.amin(0)).max()) == pytest.approx(1.4)
    typed = prepare(replace(asked, mask="", strength=0.0, options={"size": 0.25}), model=model).run(0)["vertices"]
    assert float((typed.amax(0) - typed.amin(0)).max()) == pytest.approx(0.25)


def test_it_is_a_model(model: VoxelsSmall) -> None:
    check_model(model, OPTIONS, ellipsoid(), prompts=("a red chair", "a blue car"))


@torch.no_grad()
def test_a_written_model_is_read_again(tmp_path) -> None:
    torch.manual_seed(1)
    network = VoxelUNet(**TINY | {"features": 16})
    codec = GridAutoencoder(**TINY_CODEC)
    for part in (network, codec):
        part.load_state_dict({name: tensor.half().float() for name, tensor in part.state_dict().items()})
    scale = Scale(torch.zeros(16, 1, 1, 1), torch.full((16, 1, 1, 1), 2.0))
    write_folder(tmp_path / "codec", codec, {})
    about = {"grid": {"resolution": 32, "color_resolution": 16}, **scale.write()}
    write_folder(tmp_path / "model", network, about, inside={"codec": tmp_path / "codec"})
    again = VoxelsSmall.load(tmp_path / "model", device="cpu", dtype="float32")
    assert (again.name, again.modality, again.kind) == ("voxels-small", "3d", "mesh")
    assert again.grid == DistanceGrid(resolution=32, color_resolution=16)
    assert len(again.fingerprint) == 16
    x = torch.randn(1, 16, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    told = again.condition(["a red chair"])
    written = VoxelsSmall(network.eval(), codec.eval(), again.grid, scale, "0" * 16, "cpu", torch.float32)
    assert again.denoiser(told, OPTIONS)(x, 2.0).equal(written.denoiser(told, OPTIONS)(x, 2.0))
    state = again.encode(ellipsoid(), OPTIONS)
    assert state.shape == again.shape(OPTIONS)
    assert state.equal(written.encode(ellipsoid(), OPTIONS))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Iterator[VoxelsRecipe]:
    """On a folder of balls and boxes that are called by names of things."""
    import trimesh

    folder = tmp_path_factory.mktemp("shapes")
    meshes, labels = [], ("chair", "table", "car", "house", "tree", "lamp", "sword", "bed")
    for i in range(8):
        mesh = trimesh.creation.icosphere(subdivisions=1) if i % 2 else trimesh.creation.box()
        meshes.append((mesh.vertices * [1, 0.5 + 0.08 * i, 0.7], mesh.faces, np.full((len(mesh.faces), 3), 20 * i)))
    vertices, faces, colors = zip(*meshes, strict=True)
    offsets = [np.cumsum([0, *map(len, parts)]) for parts in (vertices, faces)]
    np.savez(
        folder / "meshes.npz",
        verts=np.concatenate(vertices).astype(np.float32),
        faces=np.concatenate(faces).astype(np.int32),
        face_rgb=np.concatenate(colors).astype(np.uint8),
        vert_offset=offsets[0],
        face_offset=offsets[1],
    )
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("index", "id", "label", "name", "category", "modular_part", "author", "licence", "url"))
        for i, label in enumerate(labels):
            writer.writerow((i, f"pack{i}/{label}.glb", label, label, "", 0, "somebody", "CC0", "https://example.org"))
    torch.manual_seed(0)
    write_folder(folder / "cache" / "voxels-codec", GridAutoencoder(**TINY_CODEC), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voxels_recipe, "VIEWS", 80)
        patch.setattr(voxels_recipe, "STATISTICS_VIEWS", 80)
        yield VoxelsRecipe(folder, folder / "cache", seed=3)


def test_items_are_standardised_latents_with_captions_and_a_tenth_without(recipe: VoxelsRecipe) -> None:
    items = recipe.items("train")
    x, cond = items[5]
    again, same = items[5]
    assert x.equal(again)
    assert all(cond[key].equal(same[key]) for key in cond)
    assert x.shape == (16, 8, 8, 8)
    assert {key: tuple(value.shape) for key, value in cond.items()} == {
        "text": (64, 384),
        "mask": (64,),
        "pooled": (384,),
    }
    assert items[5 + 80][0].equal(x)  # the views come again
    x0, batch = recipe.collate([items[i] for i in range(64)])
    assert (x0.mean().abs() < 0.3) & (x0.std() > 0.5) & (x0.std() < 1.5)
    empty = batch["mask"].sum(1).eq(2).float().mean()
    assert 0.01 < empty < 0.25
    held_out = recipe.items("validation")
    assert 0 < len(held_out) < 8
    assert all(held_out[i][1]["mask"].sum() > 2 for i in range(len(held_out)))


@torch.no_grad()
def test_latents_are_those_of_the_codec_and_are_kept(recipe: VoxelsRecipe, monkeypatch) -> None:
    views = Views(recipe._shapes, recipe._shapes.training, length=80, seed=3)
    grids = ShapeGrids(recipe._shapes, views)
    coded = [recipe.codec.encode(GRID.pack(*grids[i][0])[None])[0] for i in range(80)]
    kept = recipe._views()
    monkeypatch.setattr(recipe.codec, "encode", None)  # what is there is read
    for i in (0, 7, 79):
        latents, _, caption = kept[i]
        torch.testing.assert_close(latents, coded[i], rtol=0.02, atol=0.02)
        assert caption == grids[i][1]
    channels = torch.stack(coded).transpose(0, 1).flatten(1)
    torch.testing.assert_close(recipe.scale.mean.flatten(), channels.mean(1), rtol=0, atol=5e-3)
    torch.testing.assert_close(recipe.scale.std.flatten(), channels.std(1), rtol=2e-2, atol=5e-3)


def test_without_a_codec_of_ones_own_it_is_the_published_one(recipe: VoxelsRecipe, tmp_path, monkeypatch) -> None:
    own = recipe._codec_folder
    monkeypatch.setattr(voxels_recipe, "ZOO", tmp_path)
    monkeypatch.setattr(voxels_recipe, "STATISTICS_VIEWS", 4)
    with pytest.raises(UsageError, match="codec are missing"):
        VoxelsRecipe(own.parents[1], tmp_path / "cache")
    shutil.copytree(own, tmp_path / "voxels-small" / "codec")
    again = VoxelsRecipe(own.parents[1], tmp_path / "cache")
    x, _ = recipe.items("validation")[0]
    torch.testing.assert_close(again.scale.undo(again.items("validation")[0][0]), recipe.scale.undo(x))


def test_training_writes_a_model(recipe: VoxelsRecipe, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(VoxelsRecipe, "network", lambda self: VoxelUNet(**TINY | {"cells": 8, "features": 16}))
    settings = Settings(samples=8, batch=4, warmup=4, evaluate_every=8, precision="no")
    *_, last = train(recipe, settings, tmp_path / "run")
    assert last.exported is not None
    assert np.isfinite(last.held_out["mean"])
    about = json.loads((last.exported / "multigen.json").read_text())
    assert about["loader"] == "voxels-small"
    made = VoxelsSmall.load(last.exported, device="cpu", dtype="float32")
    assert made.shape(OPTIONS) == (16, 8, 8, 8)
    assert made.scale.mean.equal(recipe.scale.mean)
    assert any(recipe.hidden(name) for name, _ in made.network.named_parameters())


def test_the_real_shapes_are_shown_by_their_split(recipe: VoxelsRecipe) -> None:
    assert isinstance(recipe, Real)
    rows = {split: list(recipe.real(split, most=0)) for split in ("train", "validation")}
    names = [{name for name, *_ in rows[split]} for split in rows]
    assert names[0].isdisjoint(names[1])
    assert sum(map(len, names)) == 8
    sources = [{source for *_, source in rows[split]} for split in rows]
    assert sources[0].isdisjoint(sources[1])
    for _, sample, caption, _ in rows["validation"]:
        assert len(sample["faces"]) > 100
        assert caption
    assert len(list(recipe.real("train", most=2))) == 2
