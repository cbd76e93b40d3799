"""3D files: what is written is read back by other parsers, and what cannot be read or written says so."""

import errno
import io
import itertools
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from multigen.errors import UsageError
from multigen.modality import Checks, Finishes, Masks, Parts, Sample, Shows
from multigen.options import make
from multigen_3d import Shape, ShapeOptions, files, gltf, readers
from multigen_3d.files import EXTENSIONS, READABLE, SURFACE_POINTS, check_writable, read, read_tags, write
from multigen_3d.srgb import to_linear, to_srgb

MESHES = (".glb", ".obj", ".ply", ".stl")
CLOUDS = (".glb", ".ply", ".xyz", ".npz")
COLOURED = (".glb", ".obj", ".ply")
TAGS = {
    "multigen": json.dumps({"prompt": "дом 家 = ; \n", "sigmas": [0.1] * 500}, ensure_ascii=False),
    "title": 'a "red" chair; 椅 end_header \\end_header mtllib x.mtl texturefile solid facet, #\t',
    "comment": "AI-generated\0by multigen\0",
    "empty": "",
    "a key: with = signs": "\udcff lone",
}


def sphere(subdivisions: int = 3) -> dict[str, torch.Tensor]:
    """A watertight mesh that is no symmetric one, its colours on the grid of 8 bits, dark ones among them."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    vertices = torch.from_numpy(np.array(ball.vertices)).float() * torch.tensor([1.0, 2.0, 0.5]) + 3
    shades = torch.randint(0, 256, (len(vertices), 3), generator=torch.Generator().manual_seed(0))
    shades[: len(shades) // 4] //= 16
    return {"vertices": vertices, "faces": torch.from_numpy(np.array(ball.faces)), "colors": shades / 255}


def cloud(n: int = 500) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    shades = torch.randint(0, 256, (n, 3), generator=random)
    return {"points": torch.randn(n, 3, generator=random), "colors": shades / 255}


def tetrahedron() -> dict[str, torch.Tensor]:
    corners = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    return {"vertices": corners, "faces": faces, "colors": torch.eye(4)[:, :3]}


def geometry_of(sample: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return sample["vertices" if "faces" in sample else "points"]


def trimesh_mesh(path: Path) -> trimesh.Trimesh:
    return trimesh.load_scene(path, process=False).to_mesh()


def glb_parts(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The JSON and the accessors' arrays, by the specification alone."""
    data = path.read_bytes()
    magic, version, length, json_length, json_kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, json_kind) == (b"glTF", 2, len(data), b"JSON")
    header = json.loads(data[20 : 20 + json_length])
    at = 20 + json_length
    binary_length, binary_kind = struct.unpack("<I4s", data[at : at + 8])
    binary = data[at + 8 :]
    assert (binary_length, binary_kind) == (len(binary), b"BIN\0")
    assert at % 4 == binary_length % 4 == 0
    assert len(binary) - header["buffers"][0]["byteLength"] in range(4)
    types_, widths = {5123: "<u2", 5125: "<u4", 5126: "<f4"}, {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
    arrays = []
    for accessor in header["accessors"]:
        view = header["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0
        block = binary[view["byteOffset"] :][: view["byteLength"]]
        arrays.append(np.frombuffer(block, types_[accessor["componentType"]]).reshape(-1, widths[accessor["type"]]))
        assert len(arrays[-1]) == accessor["count"]
    return header, arrays


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", COLOURED)
def test_a_mesh_is_read_back_by_trimesh_and_by_us(tmp_path: Path, extension: str) -> None:
    mesh, path = sphere(), tmp_path / f"ball{extension}"
    write(path, mesh, tags=TAGS)
    ours, other = read(path), trimesh_mesh(path)
    for vertices, faces in ((ours["vertices"], ours["faces"]), (other.vertices.astype(np.float32), other.faces)):
        assert np.array_equal(vertices, mesh["vertices"])
        assert np.array_equal(faces, mesh["faces"])
    assert other.is_watertight
    assert other.is_winding_consistent
    assert other.volume > 0
    assert (ours["colors"] - mesh["colors"]).abs().max() < 0.1 / 255
    if extension != ".glb":  # trimesh takes linear light as it is
        assert np.array_equal(other.visual.vertex_colors[:, :3], (mesh["colors"] * 255).round().byte())
    assert {key: value.dtype for key, value in ours.items()} == {key: value.dtype for key, value in mesh.items()}


def test_an_stl_keeps_the_triangles_and_their_vertices_are_joined_again(tmp_path: Path) -> None:
    mesh, path = sphere(), tmp_path / "ball.stl"
    write(path, mesh, tags=TAGS)
    data = path.read_bytes()
    layout = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    (count,) = struct.unpack("<I", data[80:84])
    assert len(data) == 84 + 50 * count  # what tells a binary STL from text
    assert not data.startswith(b"solid")
    triangles = np.frombuffer(data[84:], layout)
    expected = mesh["vertices"][mesh["faces"]]
    assert np.array_equal(triangles["corners"], expected)
    normals = torch.linalg.cross(expected[:, 1] - expected[:, 0], expected[:, 2] - expected[:, 0])
    assert np.allclose(triangles["normal"], normals / normals.norm(dim=1, keepdim=True), atol=1e-5)
    ours, other = read(path), trimesh.load_mesh(path)
    assert ours["vertices"].shape == mesh["vertices"].shape
    assert torch.equal(ours["vertices"][ours["faces"]], expected)
    assert other.is_watertight
    assert trimesh.Trimesh(ours["vertices"], ours["faces"], process=False).is_watertight
    assert bool((ours["colors"] == 0.5).all())


def test_a_glb_is_what_the_specification_asks_for(tmp_path: Path) -> None:
    mesh, path = sphere(), tmp_path / "ball.glb"
    write(path, mesh, tags=TAGS)
    header, arrays = glb_parts(path)
    (primitive,) = header["meshes"][0]["primitives"]
    at = primitive["attributes"]
    assert primitive["mode"] == 4
    assert header["asset"] == {"version": "2.0", "generator": "multigen", "extras": TAGS}
    assert np.array_equal(arrays[at["POSITION"]], mesh["vertices"])
    assert np.array_equal(arrays[primitive["indices"]].reshape(-1, 3), mesh["faces"])
    ends = header["accessors"][at["POSITION"]]
    assert np.array_equal(np.float32(ends["min"]), arrays[at["POSITION"]].min(0))
    assert np.array_equal(np.float32(ends["max"]), arrays[at["POSITION"]].max(0))
    normals = arrays[at["NORMAL"]]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    outward = (mesh["vertices"] - 3).numpy() / np.square([1, 2, 0.5])  # an ellipsoid's gradient
    assert ((normals * outward).sum(1) / np.linalg.norm(outward, axis=1)).min() > 0.95
    color = header["accessors"][at["COLOR_0"]]
    assert (color["normalized"], color["componentType"], color["type"]) == (True, 5123, "VEC4")
    light = arrays[at["COLOR_0"]] / 65535
    shades = mesh["colors"].double().numpy()
    expected = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)
    assert np.abs(light[:, :3] - expected).max() <= 0.5 / 65535 + 1e-9
    assert (light[:, 3] == 1).all()
    material = header["materials"][primitive["material"]]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    assert material["doubleSided"]


def test_linear_light_is_that_of_the_standard_and_its_inverse() -> None:
    srgb = np.array([0, 0.04045, 0.2, 0.5, 128 / 255, 1])
    linear = np.array([0, 0.0031308, 0.0331048, 0.2140411, 0.2158605, 1])
    assert np.allclose(to_linear(srgb), linear, atol=1e-7)
    steps = np.linspace(0, 1, 1001)
    assert np.allclose(to_srgb(to_linear(steps)), steps, atol=1e-6)
    assert to_srgb(np.array([-1.0, 2.0])).tolist() == [0, pytest.approx(1)]


def test_every_shade_of_eight_bits_survives_a_glb(tmp_path: Path) -> None:
    shades = torch.arange(256)[:, None].repeat(1, 3) / 255
    write(tmp_path / "steps.glb", {"points": torch.rand(256, 3), "colors": shades}, tags={})
    assert (read(tmp_path / "steps.glb")["colors"] - shades).abs().max() < 0.1 / 255


def test_normals_of_needles_and_of_unused_vertices_are_unit_vectors(tmp_path: Path) -> None:
    mesh = tetrahedron()
    mesh["vertices"] = torch.cat([mesh["vertices"], torch.ones(1, 3)])
    mesh["colors"] = torch.ones(5, 3)
    mesh["faces"] = torch.cat([mesh["faces"], torch.tensor([[0, 0, 1], [0, 1, 1]])])
    write(tmp_path / "needle.glb", mesh, tags={})
    header, arrays = glb_parts(tmp_path / "needle.glb")
    normals = arrays[header["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    write(tmp_path / "needle.stl", mesh, tags={})
    assert np.isfinite(np.frombuffer((tmp_path / "needle.stl").read_bytes()[84:], "<u2").view(np.float16)).any()
    assert read(tmp_path / "needle.stl")["faces"].shape == (6, 3)


@pytest.mark.parametrize("extension", CLOUDS)
def test_a_cloud_is_read_back_by_another_parser_and_by_us(tmp_path: Path, extension: str) -> None:
    points, path = cloud(), tmp_path / f"cloud{extension}"
    write(path, points, tags=TAGS)
    ours = read(path)
    assert set(ours) == {"points", "colors"}
    assert torch.equal(ours["points"], points["points"])
    assert (ours["colors"] - points["colors"]).abs().max() < 0.1 / 255
    if extension == ".npz":
        with np.load(path) as arrays:
            assert np.array_equal(arrays["points"], points["points"])
            assert np.array_equal(arrays["colors"], points["colors"])
    elif extension == ".xyz":
        rows = np.loadtxt(path, dtype=np.float32)
        assert np.array_equal(rows[:, :3], points["points"])
        assert np.array_equal(rows[:, 3:], (points["colors"] * 255).round())
    elif extension == ".glb":
        header, arrays = glb_parts(path)
        (primitive,) = header["meshes"][0]["primitives"]
        assert primitive["mode"] == 0
        assert "indices" not in primitive
        assert np.array_equal(arrays[primitive["attributes"]["POSITION"]], points["points"])
    else:
        (other,) = trimesh.load_scene(path).geometry.values()
        assert isinstance(other, trimesh.PointCloud)
        assert np.array_equal(other.vertices, points["points"])
        assert np.array_equal(other.colors[:, :3], (points["colors"] * 255).round().byte())


@pytest.mark.parametrize("extension", [".xyz", ".npz"])
def test_a_mesh_becomes_points_of_its_surface(tmp_path: Path, extension: str) -> None:
    mesh = tetrahedron()
    mesh["colors"] = 0.1 + 0.8 * mesh["vertices"]  # linear, so exact between the corners too
    paths = [tmp_path / f"{i}{extension}" for i in range(2)]
    for path in paths:
        write(path, mesh, tags={})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    made = read(paths[0])
    points = made["points"]
    assert points.shape == (SURFACE_POINTS, 3)
    assert (made["colors"] - (0.1 + 0.8 * points)).abs().max() < 0.51 / 255
    on = [points[:, 0].abs() < 1e-6, points[:, 1].abs() < 1e-6, points[:, 2].abs() < 1e-6]
    slope = (points.sum(1) - 1).abs() < 1e-6
    assert bool((on[0] | on[1] | on[2] | slope).all())
    share = 3**0.5 / (3 + 3**0.5)  # of the slope in the whole area
    assert abs(float(slope.float().mean()) - share) < 5 * (share * (1 - share) / SURFACE_POINTS) ** 0.5


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "sample"),
    [*((extension, sphere()) for extension in EXTENSIONS), *((extension, cloud()) for extension in CLOUDS)],
)
def test_tags_come_back_to_the_character_and_change_nothing(
    tmp_path: Path, extension: str, sample: dict[str, torch.Tensor]
) -> None:
    with_tags, without = tmp_path / f"with{extension}", tmp_path / f"WITHOUT{extension.upper()}"
    write(with_tags, sample, tags=TAGS)
    write(without, sample, tags={})
    assert read_tags(with_tags) == TAGS
    assert read_tags(without) == {}
    tagged, plain = read(with_tags), read(without)
    assert tagged.keys() == plain.keys()
    assert all(torch.equal(tagged[key], plain[key]) for key in plain)


@pytest.mark.parametrize("extension", [".obj", ".xyz", ".ply"])
def test_comment_lines_are_short_and_plain(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"ball{extension}"
    write(path, sphere(), tags={"multigen": "\U0001f984" * 1000, "title": "end_header"})
    sign = b"comment " if extension == ".ply" else b"# "
    lines = [line for line in path.read_bytes().split(b"\n") if line.startswith(sign)]
    assert len(lines) == 14
    assert max(map(len, lines)) < 1024
    assert all(line.isascii() and b"end_header" not in line for line in lines)


def test_comments_of_others_are_no_tags(tmp_path: Path) -> None:
    path = tmp_path / "other.ply"
    comments = ['comment "a": 5', "comment made by hand", 'comment "nested": [[', "comment " + '"x": ' + "[" * 3000]
    header = ["ply", "format ascii 1.0", *comments, 'comment "key": "text"', "element vertex 0", "end_header"]
    path.write_text("\n".join([*header, 'comment "late": "no"', ""]))
    assert read_tags(path) == {"key": "text"}
    (tmp_path / "other.obj").write_text('# one\nv 0 0 0\n# "late": "no"\n')
    assert read_tags(tmp_path / "other.obj") == {}


def test_the_words_of_an_stl_are_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "ball.stl"
    write(path, sphere(4), tags=TAGS)
    words = np.frombuffer(path.read_bytes()[84:], "<u2").reshape(-1, 25)[:, -1]
    assert not (words & 0x8000).any()
    assert not words[:1000].any()
    assert words.any()


def test_an_stl_of_few_triangles_says_what_fits(tmp_path: Path) -> None:
    path = tmp_path / "few.stl"
    write(path, tetrahedron(), tags={**TAGS, "comment": "AI-generated by multigen with voxels-small, seed 7"})
    assert path.read_bytes()[:80].strip() == b"multigen: AI-generated by multigen with voxels-small, seed 7"
    assert read_tags(path) == {}
    assert read(path)["faces"].shape == (4, 3)


@pytest.mark.parametrize("change", ["cleared", "scrambled", "cut"])
def test_an_stl_that_another_program_changed_has_no_tags(tmp_path: Path, change: str) -> None:
    path = tmp_path / "ball.stl"
    write(path, sphere(), tags=TAGS)
    data = bytearray(path.read_bytes())
    if change == "cut":
        data = data[:1000]
    else:
        words = np.frombuffer(data, "<u2", offset=84).reshape(-1, 25)
        words[:, -1] = 0 if change == "cleared" else 0x1234
    path.write_bytes(data)
    assert read_tags(path) == {}


# --- what is read -----------------------------------------------------------------------------------------------------


def box_scene() -> trimesh.Scene:
    """Two boxes: one turned, moved and larger, one mirrored."""
    scene = trimesh.Scene()
    turned = trimesh.transformations.rotation_matrix(np.pi / 2, [0, 0, 1])
    turned[:3, :3] *= 2
    turned[:3, 3] = [10, 0, 0]
    scene.add_geometry(trimesh.creation.box((1, 2, 3)), transform=turned)
    scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=np.diag([-1.0, 1, 1, 1]))
    return scene


@pytest.mark.parametrize("extension", [".glb", ".gltf", ".dae", ".3mf"])
def test_a_scene_becomes_one_mesh_where_its_transforms_put_it(tmp_path: Path, extension: str) -> None:
    if extension == ".dae":
        pytest.importorskip("collada")
    if extension == ".3mf":
        pytest.importorskip("lxml")
    path = tmp_path / f"scene{extension}"
    if extension == ".gltf":
        for name, data in trimesh.exchange.gltf.export_gltf(box_scene()).items():
            (tmp_path / name.replace("model.gltf", path.name)).write_bytes(data)
    elif extension == ".dae":
        path.write_bytes(trimesh.exchange.dae.export_collada(box_scene().dump()))
    else:
        box_scene().export(path)
    mesh = read(path)
    assert mesh["faces"].shape == (24, 3)
    low, high = mesh["vertices"].min(0).values, mesh["vertices"].max(0).values
    assert torch.allclose(low, torch.tensor([-0.5, -1, -3]))
    assert torch.allclose(high, torch.tensor([12.0, 1, 3]))
    whole = trimesh.Trimesh(mesh["vertices"], mesh["faces"])
    assert whole.volume == pytest.approx(1 + 8 * 6, rel=1e-5)


def test_a_file_without_faces_is_a_cloud_and_points_beside_a_mesh_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "points.obj").write_text("v 0 0 0\nv 1 2 3\n")
    assert read(tmp_path / "points.obj")["points"].tolist() == [[0, 0, 0], [1, 2, 3]]
    (tmp_path / "points.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        "element face 0\nproperty list uchar int vertex_indices\nend_header\n0 0 0 255 0 0\n1 2 3 0 0 51\n"
    )
    made = read(tmp_path / "points.ply")
    assert made["points"].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert torch.allclose(made["colors"], torch.tensor([[1.0, 0, 0], [0, 0, 0.2]]))
    scene = trimesh.Scene([trimesh.creation.box(), trimesh.PointCloud(np.full((5, 3), 9.0))])
    scene.add_geometry(trimesh.load_path(np.array([[0, 0, 0], [5, 5, 5.0]])))
    scene.export(tmp_path / "both.glb")
    assert float(read(tmp_path / "both.glb")["vertices"].abs().max()) == 0.5


def test_vertices_at_one_place_with_two_colours_stay_two(tmp_path: Path) -> None:
    mesh = tetrahedron()
    split = {"vertices": mesh["vertices"][mesh["faces"]].flatten(0, 1), "faces": torch.arange(12).view(4, 3)}
    split["colors"] = torch.rand(4, 3, generator=torch.Generator().manual_seed(0)).repeat_interleave(3, 0)
    for extension in COLOURED:
        write(tmp_path / f"split{extension}", split, tags={})
        made = read(tmp_path / f"split{extension}")
        assert torch.equal(made["vertices"], split["vertices"])
        assert torch.equal(made["faces"], split["faces"])
        assert (made["colors"] - split["colors"]).abs().max() < 0.51 / 255


def test_face_colours_are_kept_and_vertices_doubled_only_at_their_borders(tmp_path: Path) -> None:
    box = trimesh.creation.box()
    reds = np.array([255, 0, 0, 255], np.uint8)
    sides = np.where((box.face_normals[:, 1] > 0.5)[:, None], reds, np.array([0, 0, 51, 255], np.uint8))
    box.visual = trimesh.visual.ColorVisuals(box, face_colors=sides)
    box.export(tmp_path / "box.ply")
    mesh = read(tmp_path / "box.ply")
    assert torch.allclose(mesh["colors"][mesh["faces"]], torch.from_numpy(sides[:, None, :3] / 255).float())
    assert torch.allclose(mesh["vertices"][mesh["faces"]], torch.tensor(np.array(box.triangles)).float())
    assert len(mesh["vertices"]) == 8 + 4


def quad(folder: Path, *, material: str, obj: bool = False) -> Path:
    """A square with a texture of four colours, one at each corner, in .gltf or .obj with files beside it."""
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [100, 100, 100]]], np.uint8)).save(
        folder / "my colours.png"
    )
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], "<f4")
    if obj:
        (folder / "quad.mtl").write_text(f"newmtl m\n{material}\n")
        rows = [f"v {x:g} {y:g} {z:g}\nvt {x:g} {y:g}" for x, y, z in corners.tolist()]
        (folder / "quad.obj").write_text(
            "mtllib quad.mtl\n" + "\n".join(rows) + "\nusemtl m\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
        )
        return folder / "quad.obj"
    uv = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")  # glTF counts from the upper left corner
    indices = np.array([0, 1, 2, 0, 2, 3], "<u2")
    blocks = [array.tobytes() for array in (corners, uv, indices)]
    (folder / "quad.bin").write_bytes(b"".join(blocks))
    starts = [0, *itertools.accumulate(map(len, blocks))]
    header = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [json.loads(material)],
        "textures": [{"source": 0}],
        "images": [{"uri": "my%20colours.png"}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3", "min": [0] * 3, "max": [1, 1, 0]},
            {"bufferView": 1, "componentType": 5126, "count": 4, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 6, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": len(block)}
            for start, block in zip(starts, blocks, strict=False)
        ],
        "buffers": [{"uri": "quad.bin", "byteLength": starts[-1]}],
    }
    (folder / "quad.gltf").write_text(json.dumps(header))
    return folder / "quad.gltf"


CORNERS = torch.tensor([[0, 0, 255], [100, 100, 100], [0, 255, 0], [255, 0, 0]]) / 255


def test_textures_and_materials_become_vertex_colours(tmp_path: Path) -> None:
    textured = read(quad(tmp_path, material='{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}'))
    assert torch.allclose(textured["colors"], CORNERS, atol=1e-3)
    half = '{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.5, 0.25, 0.002, 1]}}'
    factor = torch.tensor([0.735357, 0.537099, 0.02584])  # of light, as sRGB
    shaded = read(quad(tmp_path, material=half))
    assert torch.allclose(shaded["colors"][3], CORNERS[3] * factor[0], atol=1e-3)
    assert torch.allclose(shaded["colors"][2], CORNERS[2] * factor[1], atol=1e-3)
    plain = read(quad(tmp_path, material='{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 0.002, 1]}}'))
    assert torch.allclose(plain["colors"], factor.expand(4, 3), atol=1e-3)
    older = '{"extensions": {"KHR_materials_pbrSpecularGlossiness": {"diffuseFactor": [0.5, 0.25, 0.002, 1]}}}'
    assert torch.allclose(read(quad(tmp_path, material=older))["colors"], factor.expand(4, 3), atol=1e-3)
    assert torch.equal(read(quad(tmp_path, material="{}"))["colors"], torch.ones(4, 3))  # the specification's default
    textured = read(quad(tmp_path, material="Kd 1 1 1\nmap_Kd my colours.png", obj=True))
    assert torch.allclose(textured["colors"], CORNERS, atol=1e-3)
    plain = read(quad(tmp_path, material="Kd 0.2 0.4 0.6", obj=True))
    assert torch.allclose(plain["colors"], torch.tensor([[0.2, 0.4, 0.6]]).expand(4, 3), atol=0.51 / 255)


def test_a_texture_that_is_missing_or_broken_leaves_the_shape(tmp_path: Path) -> None:
    pbr = '{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "baseColorFactor": [0.5, 0.5, 0.5, 1]}}'
    for path in (quad(tmp_path, material=pbr), quad(tmp_path, material="map_Kd my colours.png", obj=True)):
        (tmp_path / "my colours.png").write_bytes(b"no image")
        assert read(path)["faces"].shape == (2, 3)
        (tmp_path / "my colours.png").unlink()
        assert read(path)["faces"].shape == (2, 3)
    (tmp_path / "quad.mtl").unlink()
    assert bool((read(tmp_path / "quad.obj")["colors"] - 0.4).abs().max() < 0.11)


@pytest.mark.parametrize("bits", [8, 32])
def test_vertex_colours_of_other_widths_are_linear_too(tmp_path: Path, bits: int) -> None:
    box = trimesh.creation.box()
    box.visual = trimesh.visual.ColorVisuals(box, vertex_colors=np.array([[188, 0, 255, 255]] * 8, np.uint8))
    data = trimesh.exchange.gltf.export_glb(box)
    if bits == 32:
        data = _widened(data)
    (tmp_path / "box.glb").write_bytes(data)
    light = 188 / 255
    expected = torch.tensor([1.055 * light ** (1 / 2.4) - 0.055, 0, 1])
    assert torch.allclose(read(tmp_path / "box.glb")["colors"], expected.expand(8, 3), atol=1e-6)


def _widened(glb: bytes) -> bytes:
    """The GLB with COLOR_0 as floats, in a buffer of its own."""
    (length,) = struct.unpack("<I", glb[12:16])
    header = json.loads(glb[20 : 20 + length])
    at = header["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    light = np.tile(np.array([188 / 255, 0, 1], "<f4"), (8, 1)).tobytes()
    rest = glb[20 + length + 8 :]
    header["accessors"][at] = {"bufferView": len(header["bufferViews"]), "componentType": 5126, "count": 8}
    header["accessors"][at]["type"] = "VEC3"
    header["bufferViews"].append({"buffer": 0, "byteOffset": len(rest), "byteLength": len(light)})
    header["buffers"] = [{"byteLength": len(rest + light)}]
    return gltf._pack(header, gltf._chunk(b"BIN\0", rest + light))


@pytest.mark.parametrize("extension", [".off", ".obj", ".ply", ".stl", ".glb"])
def test_what_has_no_colour_is_grey(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"box{extension}"
    trimesh.creation.box().export(path)
    mesh = read(path)
    assert mesh["faces"].shape == (12, 3)
    assert bool((mesh["colors"] == 0.5).all())


@pytest.mark.parametrize(
    ("text", "colors"),
    [
        ("0 0 0\n1 2 3\n", [[0.5] * 3] * 2),
        ("# x y z\n0,0,0,255,51,0\n\n1,2,3,0,0,0\n", [[1, 0.2, 0], [0, 0, 0]]),
        ("0 0 0 1 0.2 0\n1;2;3;0;0;0  # end\n", [[1, 0.2, 0], [0, 0, 0]]),
        ("0 0 0 -1 0 0\n1 2 3 0 1 0\n", [[0.5] * 3] * 2),
        ("0 0 0 7\n1 2 3 7\n", [[0.5] * 3] * 2),
        ("0 0 0 255 51 0 9\n1 2 3 0 0 0 9\n", [[1, 0.2, 0], [0, 0, 0]]),
    ],
)
def test_the_dialects_of_xyz(tmp_path: Path, text: str, colors: list[list[float]]) -> None:
    (tmp_path / "cloud.xyz").write_text(text)
    made = read(tmp_path / "cloud.xyz")
    assert made["points"].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert torch.allclose(made["colors"], torch.tensor(colors).float())


def test_open_and_non_manifold_meshes_are_read(tmp_path: Path) -> None:
    fan = {"vertices": torch.eye(5, 3), "faces": torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 0, 1]])}
    fan["colors"] = torch.ones(5, 3)
    fan["vertices"][4] = torch.tensor([2.0, 2, 2])
    for extension in COLOURED:
        write(tmp_path / f"fan{extension}", fan, tags={})
        assert torch.equal(read(tmp_path / f"fan{extension}")["faces"], fan["faces"])


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(path: Path, match: str, action: Callable[[Path], object] = read) -> None:
    with pytest.raises(UsageError, match=match) as caught:
        action(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 200 + 2 * len(str(path))


BAD = {
    "text": b"this is a shopping list\n" * 100,
    "zeros": bytes(5000),
    "noise": np.random.default_rng(0).bytes(100_000),
    "json": b'"this is no sample"',
    "brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("extension", READABLE)
def test_what_is_no_shape_gets_one_sentence(tmp_path: Path, extension: str, kind: str) -> None:
    path = tmp_path / f"shape{extension}"
    path.write_bytes(BAD[kind])
    refused(path, rf"shape{extension} (is damaged or no 3D file|holds no triangles|cannot be read without)")


@pytest.mark.parametrize("extension", READABLE)
def test_missing_empty_and_folders(tmp_path: Path, extension: str) -> None:
    refused(tmp_path / f"missing{extension}", "cannot be read: No such file or directory; give a 3D file")
    (tmp_path / f"folder{extension}").mkdir()
    refused(tmp_path / f"folder{extension}", "is no file; give a 3D file")
    (tmp_path / f"empty{extension}").touch()
    refused(tmp_path / f"empty{extension}", "is empty; give a 3D file")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_tags_of_what_is_not_there(tmp_path: Path, extension: str) -> None:
    refused(tmp_path / f"missing{extension}", "cannot be read: No such file", read_tags)
    (tmp_path / f"folder{extension}").mkdir()
    refused(tmp_path / f"folder{extension}", "cannot be read: Is a directory", read_tags)
    for kind, data in {**BAD, "empty": b""}.items():
        (tmp_path / f"{kind}{extension}").write_bytes(data)
        if extension in (".glb", ".npz"):
            refused(tmp_path / f"{kind}{extension}", "is damaged or no 3D file", read_tags)
        else:
            assert read_tags(tmp_path / f"{kind}{extension}") == {}
    (tmp_path / "box.off").write_text("OFF\n")
    assert read_tags(tmp_path / "box.off") == {}


@pytest.mark.parametrize("extension", [".glb", ".ply", ".stl", ".npz"])
def test_half_a_file_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"shape{extension}"
    write(path, sphere(), tags=TAGS)
    data = path.read_bytes()
    for share in (0.02, 0.5, 0.999):
        path.write_bytes(data[: round(len(data) * share)])
        refused(path, "is damaged or no 3D file")


@pytest.mark.parametrize("name", ["shape.fbx", "shape", "shape.glb.bak"])
def test_an_unknown_extension_names_the_allowed_ones(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, r"use \.glb, \.gltf, \.obj, \.ply, \.off, \.dae, \.3mf, \.stl, \.xyz, \.npz")
    for action in (lambda path: write(path, sphere(), tags={}), lambda path: check_writable(path, kind="")):
        refused(tmp_path / name, r"use \.glb, \.obj, \.ply, \.stl, \.xyz, \.npz", action)
    assert not list(tmp_path.iterdir())


def unchecked(path: Path, sample: Sample) -> None:
    """Write without looking at the numbers."""
    arrays = files.Geometry(
        geometry_of(sample).numpy(),
        sample["faces"].numpy() if "faces" in sample else np.zeros((0, 3), np.int64),
        sample["colors"].numpy(),
    )
    path.write_bytes(files._WRITERS[path.suffix](arrays, tags={}))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_coordinates_that_are_not_finite(tmp_path: Path, extension: str, value: float) -> None:
    sample: dict[str, torch.Tensor] = cloud(9) if extension in (".xyz", ".npz") else sphere()
    geometry_of(sample)[7, 1] = value
    path = tmp_path / f"shape{extension}"
    unchecked(path, sample)
    refused(path, r"NaN or infinite|is damaged or no 3D file" if extension == ".obj" else "NaN or infinite")
    path.write_bytes(b"old")
    refused(path, "NaN or infinite; they must be finite", lambda path: write(path, sample, tags={}))
    assert path.read_bytes() == b"old"


def test_numbers_too_large_for_single_precision(tmp_path: Path) -> None:
    (tmp_path / "far.xyz").write_text("0 0 0\n1e39 0 0\n")
    refused(tmp_path / "far.xyz", "NaN or infinite")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_shape_without_extent(tmp_path: Path, extension: str) -> None:
    sample: dict[str, torch.Tensor] = cloud(9) if extension in (".xyz", ".npz") else tetrahedron()
    geometry_of(sample)[:] = 3.5
    path = tmp_path / f"shape{extension}"
    unchecked(path, sample)
    refused(path, "has no extent")


def test_extent_is_that_of_the_triangles(tmp_path: Path) -> None:
    mesh = tetrahedron()
    mesh["vertices"][:3] = 1.0
    mesh["faces"] = torch.tensor([[0, 1, 2]])
    unchecked(tmp_path / "shape.ply", mesh)
    refused(tmp_path / "shape.ply", "has no extent")


@pytest.mark.parametrize(
    ("extension", "index"),  # OBJ counts from the end where a number is negative
    [*itertools.product([".glb", ".ply", ".off"], [4, 2**31 - 1, -1]), (".obj", 4), (".obj", 2**31 - 1)],
)
def test_faces_beyond_the_vertices(tmp_path: Path, extension: str, index: int) -> None:
    mesh, path = tetrahedron(), tmp_path / f"shape{extension}"
    mesh["faces"][2, 1] = index
    if extension == ".off":
        rows = [" ".join(map(str, row)) for row in mesh["vertices"].tolist()]
        rows += [" ".join(map(str, [3, *row])) for row in mesh["faces"].tolist()]
        path.write_text("\n".join(["OFF", "4 4 0", *rows, ""]))
    elif extension == ".glb":
        write(path, tetrahedron(), tags={})
        data = bytearray(path.read_bytes())
        data[-20:-16] = (index & 0xFFFFFFFF).to_bytes(4, "little")
        path.write_bytes(data)
    else:
        unchecked(path, mesh)
    refused(path, "is damaged or no 3D file")
    refused(tmp_path / "out.ply", "face beyond its 4 vertices", lambda path: write(path, mesh, tags={}))


def test_nothing_inside(tmp_path: Path) -> None:
    empty = {
        "a.obj": b"# nothing\n",
        "b.off": b"OFF\n0 0 0\n",
        "c.xyz": b"# nothing\n\n",
        "d.stl": b"multigen".ljust(84, b"\0"),
        "e.gltf": b'{"asset": {"version": "2.0"}, "scenes": [{"nodes": []}], "scene": 0}',
        "f.ply": b"ply\nformat ascii 1.0\nelement vertex 0\nproperty float x\nend_header\n",
    }
    for name, data in empty.items():
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, "holds no triangles and no points|is damaged or no 3D file")
    unchecked(tmp_path / "g.npz", {"points": torch.zeros(0, 3), "colors": torch.zeros(0, 3)})
    refused(tmp_path / "g.npz", "holds no triangles and no points")
    lines = trimesh.Scene([trimesh.load_path(np.array([[0, 0, 0], [5, 5, 5.0]]))])
    lines.export(tmp_path / "h.glb")
    refused(tmp_path / "h.glb", "holds no triangles and no points")


def test_numbers_that_end_early_are_no_shorter_shape(tmp_path: Path) -> None:
    rows = ["v 0 0 0", "v 1 0 0", "v 0 1 0", "v 0 0 1", "f 1 2 3"]
    (tmp_path / "a.obj").write_text("\n".join([*rows, "f 2 3 4"]))
    assert read(tmp_path / "a.obj")["faces"].shape == (2, 3)
    (tmp_path / "a.obj").write_text("\n".join([*rows, "f x y z"]))
    refused(tmp_path / "a.obj", "is damaged or no 3D file")


def test_too_many_of_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mesh.ply", sphere(), tags={})
    write(tmp_path / "cloud.npz", cloud(), tags={})
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    for i in range(100):
        scene.add_geometry(box, geom_name="box", transform=trimesh.transformations.translation_matrix([2 * i, 0, 0]))
    scene.export(tmp_path / "many.glb")
    assert read(tmp_path / "many.glb")["faces"].shape == (1200, 3)
    with monkeypatch.context() as patch:
        patch.setattr(files, "MOST_FACES", 1199)
        for name in ("mesh.ply", "many.glb"):
            refused(tmp_path / name, r"has 1,2\d0 triangles and 0 points or more: at most 1,199 .*; simplify it first")
        patch.setattr(files, "MOST_POINTS", 499)
        refused(tmp_path / "cloud.npz", "and 500 points or more: at most .* 499 are read; simplify it first")
    with monkeypatch.context() as patch:
        patch.setattr(files, "MOST_BYTES", 999)
        refused(tmp_path / "mesh.ply", "bytes: at most 999 are read; simplify it first")
    with monkeypatch.context() as patch:
        patch.setattr(readers, "MOST_UNPACKED", 999)
        with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
            archive.writestr("3D/3dmodel.model", bytes(1000))
        for name in ("cloud.npz", "a.3mf"):
            refused(tmp_path / name, "is damaged or no 3D file .it unpacks to")


def test_a_glb_that_promises_too_much_or_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "bomb.glb"
    accessor = {"componentType": 5126, "count": 10**12, "type": "VEC3"}
    path.write_bytes(gltf._pack({"asset": {"version": "2.0"}, "accessors": [accessor]}, b""))
    refused(path, "an array in it is too large")
    for name in ("EXT_meshopt_compression", "KHR_meshopt_compression"):
        path.write_bytes(gltf._pack({"asset": {"version": "2.0"}, "extensionsRequired": [name]}, b""))
        refused(path, f"{name} is needed to unpack it: export it without compression")
    path.write_bytes(b"glTF" + struct.pack("<III", 1, 20, 0) + b"JSON")
    refused(path, "version 1, not 2")


def test_a_pickle_in_an_npz_stays_closed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "trap.npz", points=trap, tags=trap)
    for action in (read, read_tags):
        refused(tmp_path / "trap.npz", "is damaged or no 3D file .*allow_pickle", action)
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path / "bare.npz", "is damaged or no 3D file")
    assert not (tmp_path / "sprung").exists()
    for name, arrays in {"none": {}, "flat": {"points": np.zeros(6)}, "odd": {"points": np.ones((4, 2))}}.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        refused(tmp_path / f"{name}.npz", "is damaged or no 3D file .*points")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("points.npy", b"no array")
    refused(tmp_path / "zip.npz", "is damaged or no 3D file")


def test_nothing_is_fetched_and_nothing_outside_the_folder_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "create_connection", no_network)
    folder = tmp_path / "folder"
    folder.mkdir()
    secret = tmp_path / "secret.mtl"
    secret.write_text("newmtl m\nKd 1 0 0\n")
    (folder / "link.mtl").symlink_to(secret)
    for name in ("../secret.mtl", str(secret), "link.mtl", "http://localhost/secret.mtl", f"file://{secret}"):
        (folder / "a.obj").write_text(f"mtllib {name}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
        assert bool((read(folder / "a.obj")["colors"] == 0.5).all()), name
    (folder / "inside.mtl").write_text(secret.read_text())
    (folder / "a.obj").write_text("mtllib inside.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    assert read(folder / "a.obj")["colors"][0].tolist() == [1, 0, 0]
    path = quad(folder, material="{}")
    (folder / "quad.bin").rename(tmp_path / "quad.bin")
    header = json.loads(path.read_text())
    for uri in ("../quad.bin", str(tmp_path / "quad.bin"), "http://localhost/quad.bin", "%2e%2e/quad.bin"):
        header["buffers"][0]["uri"] = uri
        path.write_text(json.dumps(header))
        refused(path, "is damaged or no 3D file")


def test_a_glb_compressed_with_draco_is_read(tmp_path: Path) -> None:
    pytest.importorskip("DracoPy")
    ball = trimesh.creation.icosphere(subdivisions=2)
    (tmp_path / "ball.glb").write_bytes(trimesh.exchange.gltf.export_glb(ball, extension_draco=True))
    header, _, _ = (tmp_path / "ball.glb").read_bytes()[20:].partition(b"BIN\0")
    assert b"KHR_draco_mesh_compression" in header
    made = trimesh.Trimesh(*(read(tmp_path / "ball.glb")[key].numpy() for key in ("vertices", "faces")))
    assert made.is_watertight
    assert made.volume == pytest.approx(ball.volume, rel=1e-3)


@pytest.mark.parametrize(
    ("extension", "package"), [(".3mf", "lxml networkx"), (".dae", "pycollada"), (".glb", "DracoPy")]
)
def test_a_package_that_is_missing_is_named(tmp_path: Path, extension: str, package: str) -> None:
    header = {"asset": {"version": "2.0"}, "extensionsRequired": ["KHR_draco_mesh_compression"]}
    if extension == ".3mf":
        with zipfile.ZipFile(tmp_path / "a.3mf", "w") as archive:
            archive.writestr("3D/3dmodel.model", "<model/>")
    else:
        (tmp_path / f"a{extension}").write_bytes(gltf._pack(header, b""))
    code = f"""
import sys
sys.modules.update(lxml=None, networkx=None, collada=None, DracoPy=None)
from multigen_3d.files import read
try:
    read({str(tmp_path / f"a{extension}")!r})
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("UsageError")
    assert done.stdout.strip().endswith(f"type pip install {package}")


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("a.stl", {"faces": torch.zeros(0, 3, dtype=torch.long)}, "nothing to write"),
        ("a.npz", {"faces": torch.zeros(0, 3, dtype=torch.long)}, "nothing to write"),
        ("a.glb", {"colors": torch.full((4, 3), 200.0)}, r"one for each point, in \[0, 1\]"),
        ("a.ply", {"colors": torch.full((4, 3), torch.nan)}, r"one for each point, in \[0, 1\]"),
        ("a.obj", {"colors": torch.zeros(3, 3)}, r"one for each point, in \[0, 1\]"),
        ("a.xyz", {"vertices": torch.zeros(4, 3)}, r"without an area .*write it as \.glb or \.ply"),
    ],
)
def test_what_no_file_should_hold_is_refused(
    tmp_path: Path, name: str, change: dict[str, torch.Tensor], reason: str
) -> None:
    (tmp_path / name).write_bytes(b"old")
    refused(tmp_path / name, reason, lambda path: write(path, {**tetrahedron(), **change}, tags=TAGS))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"old")]


@pytest.mark.parametrize("extension", [".obj", ".stl"])
def test_points_are_no_triangles(tmp_path: Path, extension: str) -> None:
    match = rf"{extension} holds triangles, and this is a point cloud; use \.glb, \.ply, \.xyz, \.npz$"
    refused(tmp_path / f"a{extension}", match, lambda path: write(path, cloud(), tags={}))
    refused(tmp_path / f"a{extension}", match, lambda path: check_writable(path, kind="points"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_may_be_checked_is_written(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a{extension}"
    check_writable(path, kind="")
    for kind, sample in (("mesh", tetrahedron()), ("points", cloud(5))):
        if kind == "mesh" or extension in CLOUDS:
            check_writable(path, kind=kind)
            write(path, sample, tags={})
            assert set(read(path)) == set(sample if extension not in (".xyz", ".npz") else cloud(5))


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for extension, error in itertools.product(EXTENSIONS, (OSError(errno.ENOSPC, "No space"), KeyboardInterrupt())):
        path = tmp_path / extension / f"a{extension}"
        path.parent.mkdir(exist_ok=True)
        write(path, tetrahedron(), tags={})
        old = path.read_bytes()

        def fail(*_: object, error: BaseException = error, folder: Path = path.parent) -> None:
            assert len(list(folder.iterdir())) == 2  # the new bytes are there, under a temporary name
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            with pytest.raises(type(error)):
                write(path, sphere(), tags=TAGS)
        assert [(found.name, found.read_bytes()) for found in path.parent.iterdir()] == [(path.name, old)]


def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import resource, signal, torch
from multigen_3d.files import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for extension in (".glb", ".ply", ".xyz", ".npz"):
    try:
        cloud = {{"points": torch.rand(5000, 3), "colors": torch.rand(5000, 3)}}
        write({str(tmp_path)!r} + "/a" + extension, cloud, tags={{}})
    except OSError as error:
        print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG)] * 4
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_or_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "a.glb", tetrahedron(), tags={})
    (tmp_path / "a.glb").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "a.glb", tetrahedron(), tags={})
    assert [path.name for path in tmp_path.iterdir()] == ["a.glb"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_writing_does_not_touch_the_sample_and_is_reproducible(tmp_path: Path, extension: str) -> None:
    mesh = sphere()
    before = {key: value.clone() for key, value in mesh.items()}
    for i in range(2):
        write(tmp_path / f"{i}{extension}", mesh, tags=TAGS)
    assert all(torch.equal(mesh[key], before[key]) for key in before)
    if extension != ".npz":  # a zip has dates
        assert (tmp_path / f"0{extension}").read_bytes() == (tmp_path / f"1{extension}").read_bytes()


# --- the modality -----------------------------------------------------------------------------------------------------


def test_importing_the_modality_is_light() -> None:
    code = "import sys, multigen_3d; print([m for m in ('torch', 'numpy', 'trimesh', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_modality_has_every_ability() -> None:
    shape = Shape()
    for ability in (Finishes, Checks, Shows, Masks, Parts):
        assert isinstance(shape, ability)
    assert tuple(shape.extensions) == tuple(EXTENSIONS)
    assert (shape.name, shape.default_model, shape.show_flag) == ("3d", "voxels-small", "preview")


def test_finish_and_show_pass_on_what_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    mesh = types.ModuleType("multigen_3d.mesh")
    mesh.finish = lambda sample, **how: asked.append((sample, how)) or {"done": True}  # type: ignore[attr-defined]
    render = types.ModuleType("multigen_3d.render")
    render.preview = lambda samples, path: asked.append((samples, path))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "multigen_3d.mesh", mesh)
    monkeypatch.setitem(sys.modules, "multigen_3d.render", render)
    options = make(ShapeOptions, {"size": 0.5, "smooth": 3, "faces": 100})
    assert Shape().finish({"a": 1}, options) == {"done": True}
    Shape().show([("title", {"a": 1})], tmp_path / "a.png")
    assert asked == [
        ({"a": 1}, {"size": 0.5, "smooth": 3, "faces": 100}),
        ([("title", {"a": 1})], tmp_path / "a.png"),
    ]


@pytest.mark.parametrize("faces", [1, 3])
def test_too_few_faces_are_refused(faces: int) -> None:
    with pytest.raises(UsageError, match=f"--faces {faces} .*: 4 or more are possible, or 0 for as made"):
        make(ShapeOptions, {"faces": faces})
    assert make(ShapeOptions, {"faces": 4}).faces == 4
    assert make(ShapeOptions, {"faces": 0}).faces == 0


@pytest.mark.parametrize(
    ("name", "options", "kind", "reason"),
    [
        ("a.fbx", {}, "", r"\.fbx is not a 3D format"),
        ("a.stl", {}, "points", "point cloud; use"),
        ("a.ply", {"faces": 100}, "points", "--faces is for meshes"),
        ("a.ply", {"points": 1024}, "mesh", "--points is for point clouds"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    name: str, options: dict[str, object], kind: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        Shape().check(Path(name), make(ShapeOptions, options), kind)
    Shape().check(Path("a.ply"), make(ShapeOptions, options), "")


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("y=0:0.45", {"y": (0.0, 0.45)}),
        ("x=0:0.5,y=0.2:1", {"x": (0.0, 0.5), "y": (0.2, 1.0)}),
        (" Z = .5 : 1 , x=0:1", {"z": (0.5, 1.0), "x": (0.0, 1.0)}),
    ],
)
def test_a_box_is_read(text: str, box: dict[str, tuple[float, float]]) -> None:
    assert Shape().region(text, sphere()) == box


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no box"),
        ("y", "is no box"),
        ("0:0.5", "is no box"),
        ("y=0-0.5", "is no box"),
        ("y=0:nan", "is no box"),
        ("y=0:1e-1", "is no box"),
        ("y=0:0.5,", "is no box"),
        ("time=0:1", "no axis 'time'.*x, y .up. and z"),
        ("y=0:0.5,Y=0.6:1", "names y twice"),
        ("y=-0.1:0.5", "empty or outside"),
        ("y=0:1.01", "empty or outside the object in y: START and END are fractions from 0 to 1"),
        ("y=0.5:0.5", "empty or outside"),
        ("x=0:1,y=0.6:0.5", "empty or outside the object in y"),
    ],
)
def test_a_bad_box_gets_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        Shape().region(text, sphere())
    assert "\n" not in str(caught.value)


def test_a_file_object_of_the_reader_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write(path, cloud(), tags=TAGS)
    data = io.BytesIO(path.read_bytes())
    with readers.open_npz(data) as arrays:
        assert set(arrays) == {"points", "colors", "tags"}
