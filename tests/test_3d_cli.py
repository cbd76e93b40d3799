"""The command line of 3D with tiny models: files of every kind, replay, edits of inputs, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
import trimesh
from torch import nn

from multigen.cli import main
from multigen_3d.files import read, write
from multigen_models.scale import Scale
from multigen_models.shapes.grid_autoencoder import GridAutoencoder
from multigen_models.shapes.point_transformer import PointTransformer
from multigen_models.shapes.points_recipe import SCALE
from multigen_models.shapes.voxel_unet import VoxelUNet
from multigen_models.weights import write_folder

QUICK = ["--steps", "2", "--guidance", "1"]
SMALL = ["--points", "256"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    """A folder of a model of meshes at 32^3 with random weights."""
    folder = tmp_path_factory.mktemp("meshes")
    torch.manual_seed(0)
    channels = {"channels": (8, 12), "depth": (1, 1), "heads": (0, 2), "embedding": 16}
    write_folder(folder / "codec", GridAutoencoder(encoder_channels=(8, 12), decoder_channels=(8, 12)), {})
    scale = Scale(torch.zeros(16, 1, 1, 1), torch.ones(16, 1, 1, 1))
    about = {"loader": "voxels-small", "grid": {"resolution": 32, "color_resolution": 16}, **scale.write()}
    network = VoxelUNet(cells=4, features=16, **channels)
    write_folder(folder / "model", network, about, inside={"codec": folder / "codec"})
    return str(folder / "model")


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """A folder of a model of point clouds with random weights."""
    folder = tmp_path_factory.mktemp("clouds")
    torch.manual_seed(0)
    network = PointTransformer(points=12, exchange=8, latents=5, width=16, blocks=1, layers=1, heads=2)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.25)
    write_folder(folder / "model", network, {"loader": "points-small", **SCALE.write()})
    return str(folder / "model")


def run(capsys, *words):
    code = main(list(words))
    out = capsys.readouterr()
    return code, out.out, out.err


def box(path, size=(0.5, 0.9, 0.3), at=(0.0, 0.45, 0.0)):
    solid = trimesh.creation.box(size).apply_translation(at)
    vertices = torch.tensor(solid.vertices, dtype=torch.float32)
    colors = torch.full_like(vertices, 0.5)
    write(path, {"vertices": vertices, "faces": torch.tensor(solid.faces), "colors": colors}, tags={})
    return str(path)


def solid(path):
    sample = read(path)
    return trimesh.Trimesh(sample["vertices"].numpy(), sample["faces"].numpy(), process=False)


def refused(capsys, *words):
    code, out, err = run(capsys, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    return err


# --- what it makes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".glb", ".obj", ".ply", ".stl"])
def test_a_mesh_is_sound_in_every_file_and_can_be_replayed(capsys, meshes, extension):
    chosen = ["--model", meshes, "--size", "0.8", "-o", f"out/c{extension}", *QUICK]
    assert run(capsys, "3d", "a red chair", *chosen)[:2] == (0, f"out/c{extension}\n")
    if extension != ".stl":  # which has no shared vertices
        made = solid(f"out/c{extension}")
        assert made.is_watertight
        assert made.volume > 0
        assert made.extents.max() == pytest.approx(0.8, abs=1e-5)
    code, out, err = run(capsys, "replay", f"out/c{extension}", "-o", f"new/again{extension}")
    assert (code, out.strip()) == (0, "bit-exact"), err
    assert Path(f"new/again{extension}").stat().st_size == pytest.approx(
        Path(f"out/c{extension}").stat().st_size, rel=0.01
    )


@pytest.mark.parametrize("extension", [".ply", ".xyz", ".npz"])
def test_a_cloud_is_written_and_replayed(capsys, clouds, extension):
    assert run(capsys, "3d", "a chair", "--model", clouds, *SMALL, "-o", f"c{extension}", *QUICK)[0] == 0
    assert read(f"c{extension}")["points"].shape == (256, 3)
    assert run(capsys, "replay", f"c{extension}")[:2] == (0, "bit-exact\n")


def test_the_shipped_weights_make_a_watertight_mesh(capsys):
    assert run(capsys, "3d", "a red wooden chair", "-o", "c.glb", "--faces", "1500", *QUICK)[0] == 0
    made = solid("c.glb")
    assert made.is_watertight
    assert made.is_winding_consistent
    assert made.volume > 0
    assert 0 < len(made.faces) <= 1500
    assert made.extents.max() == pytest.approx(1, abs=1e-5)


def test_a_preview_goes_to_a_folder_that_is_made(capsys, meshes):
    pytest.importorskip("embreex")
    chosen = ["--model", meshes, "-o", "c.glb", "--preview", "new/folder/c.png", *QUICK]
    assert run(capsys, "3d", "a chair", *chosen)[:2] == (0, "c.glb\nnew/folder/c.png\n")
    assert Path("new/folder/c.png").read_bytes().startswith(b"\x89PNG")


# --- edits ------------------------------------------------------------------------------------------------------------


def test_an_edit_has_the_size_of_its_input_unless_one_is_typed(capsys, meshes):
    box("in.obj")
    edit = ["3d", "a chair", "--model", meshes, "--init", "in.obj", "--strength", "0.3", *QUICK]
    assert run(capsys, *edit, "-o", "out.obj")[0] == 0
    assert solid("out.obj").extents.max() == pytest.approx(0.9, abs=1e-5)
    assert run(capsys, *edit, "-o", "typed.obj", "--size", "2")[0] == 0
    assert solid("typed.obj").extents.max() == pytest.approx(2, abs=1e-5)
    box("huge.obj", size=(3000.0, 9000.0, 100.0))
    edit[edit.index("in.obj")] = "huge.obj"
    assert run(capsys, *edit, "-o", "huge-out.obj")[0] == 0
    assert solid("huge-out.obj").extents.max() == pytest.approx(1, abs=1e-5)


def test_replay_finds_the_input_or_is_told_and_says_that_it_changed(capsys, meshes, tmp_path, monkeypatch):
    box("in.obj")
    edit = ["--model", meshes, "--init", "in.obj", "--strength", "0.5", "-o", "out/made.glb", *QUICK]
    assert run(capsys, "3d", "a chair", *edit)[0] == 0
    assert run(capsys, "replay", "out/made.glb")[:2] == (0, "bit-exact\n")
    box("in.obj", size=(0.1, 0.1, 0.9))
    code, out, _ = run(capsys, "replay", "out/made.glb")
    assert (code, out) == (1, "not bit-exact: in.obj (--init) has changed since\n")
    box(Path("out/in.obj"))  # beside the file: the one that was edited
    assert run(capsys, "replay", "out/made.glb")[:2] == (0, "bit-exact\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    made = str(tmp_path / "here" / "out" / "made.glb")
    assert run(capsys, "replay", made)[:2] == (0, "bit-exact\n")
    Path(made).with_name("in.obj").rename("moved.obj")
    assert "give --init FILE" in refused(capsys, "replay", made)
    assert run(capsys, "replay", made, "--init", "moved.obj")[:2] == (0, "bit-exact\n")
    assert "without --complete: leave it out" in refused(
        capsys, "replay", made, "--init", "moved.obj", "--complete", "moved.obj"
    )


def test_what_is_completed_is_known_to_replay(capsys, clouds):
    box("part.obj")
    chosen = ["--model", clouds, *SMALL, "--complete", "part.obj", "-o", "made.ply", *QUICK]
    assert run(capsys, "3d", "a chair", *chosen)[0] == 0
    assert run(capsys, "replay", "made.ply")[:2] == (0, "bit-exact\n")
    box("part.obj", size=(0.1, 0.1, 0.9))
    assert run(capsys, "replay", "made.ply")[:2] == (1, "not bit-exact: part.obj (--complete) has changed since\n")


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = [
    (["--model", "clouds", "-o", "c.glb", "--faces", "300"], "--faces is for meshes"),
    (["--model", "clouds", "-o", "c.stl"], "this is a point cloud; use .glb, .ply"),
    (["-o", "c.fbx"], "c.fbx has no extension of 3d: choose from .glb"),
    (["-o", "c.glb", "--preview", "c.gif"], "choose from .png, .mp4"),
    (["--init", "cloud.ply", "--strength", "0.5"], "is a point cloud"),
    (["--init", "missing.obj", "--strength", "0.5"], "missing.obj"),
    (["--init", "text.obj", "--strength", "0.5"], "text.obj"),
    (
        ["--faces", "2000001"],
        "--faces 2000001 is not possible: most triangles of a mesh; 0 is as many as were made (0 to 2000000;",
    ),
    (["--init", "cloud.ply", "--strength", "0.5"], "error: cloud.ply: this is a point cloud"),
    (["--model", "nothing"], "choose from points-small, voxels-small, or"),
    (["--model", "clouds", "-o", "c.ply", "--sampler", "dpmpp_2m_sde"], "--sampler dpmpp_2m_sde adds noise"),
    (["--model", "clouds", "-o", "c.ply", "--sampler", "heun:churn=5"], "adds noise, and points-small is for samplers"),
    (["--init", "in.obj"], "add --strength 0.6 or --mask PART"),
    (["--init", "in.obj", "--mask", "y=0.5:1.2"], "START and END are fractions"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_gets_one_sentence_and_code_2(capsys, meshes, clouds, words, says):
    box("in.obj")
    Path("text.obj").write_text("no mesh at all")
    write("cloud.ply", {"points": torch.rand(300, 3), "colors": torch.rand(300, 3)}, tags={})
    before = sorted(Path().iterdir())
    words = [{"clouds": clouds}.get(word, word) for word in words]
    model = [] if "--model" in words else ["--model", meshes]
    assert says in refused(capsys, "3d", "a chair", *model, *words)
    assert sorted(Path().iterdir()) == before


def test_a_place_that_cannot_be_written_is_named_before_anything_is_made(capsys, meshes):
    code, _, err = run(capsys, "3d", "a chair", "--model", meshes, "-o", "/dev/full/x.glb")
    assert (code, err) == (1, "multigen: error: nothing can be written in /dev/full: choose another -o\n")
    code, _, err = run(capsys, "3d", "a chair", "--model", meshes, "-o", "x.glb", "--preview", "/dev/null/x.png")
    assert (code, err) == (1, "multigen: error: nothing can be written in /dev/null: choose another --preview\n")


def test_replay_checks_where_it_writes_before_it_makes_anything(capsys, meshes, monkeypatch):
    assert run(capsys, "3d", "a chair", "--model", meshes, "-o", "c.ply", "--json", *QUICK)[0] == 0
    monkeypatch.setattr("multigen.job.ready", None)  # nothing may be loaded
    assert "choose from .glb" in refused(capsys, "replay", "c.ply", "-o", "again.fbx")
    code, _, err = run(capsys, "replay", "c.ply", "-o", "/dev/null/again.glb")
    assert (code, err) == (1, "multigen: error: nothing can be written in /dev/null: choose another -o\n")


def test_how_many_seconds_a_shape_took_is_told_as_json(capsys, clouds):
    code, out, _ = run(capsys, "3d", "a chair", "--model", clouds, *SMALL, "-o", "c.ply", "--json", *QUICK)
    assert (code, [row["path"] for row in json.loads(out)]) == (0, ["c.ply"])


def test_help_names_what_3d_has(capsys):
    with pytest.raises(SystemExit):
        main(["3d", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "a file to start from, with --strength or --mask (" in out
    assert "--extend" not in out


def test_info_knows_the_metrics_of_a_modality_and_leaves_out_a_cards_front_matter(capsys):
    code, out, _ = run(capsys, "info", "1-nna-cd")
    assert code == 0
    assert "chamfer distances of 1,024 points" in out
    assert "license: apache-2.0" not in run(capsys, "info", "voxels-small")[1]
