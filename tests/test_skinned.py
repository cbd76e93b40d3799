"""Animated models against straightforward evaluation, against closed forms, and against trimesh."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from glb_files import Glb
from scipy.spatial.transform import Rotation, Slerp

from multigen.errors import UsageError
from multigen_models.video.gltf import Gltf
from multigen_models.video.raster import TEXTURE
from multigen_models.video.skeleton import Channel
from multigen_models.video.skinned import read_skinned

RNG = np.random.default_rng(0)
TRIANGLE = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]


def quaternions(*shape: int) -> np.ndarray:
    return Rotation.random(int(np.prod(shape)), rng=np.random.default_rng(3)).as_quat().reshape(*shape, 4)


def channel(path: str, times: object, values: object, interpolation: str) -> Channel:
    return Channel(0, path, np.array(times, np.float32), np.array(values, np.float32), interpolation)


def test_linear_values_are_on_the_chord_and_stay_at_the_ends() -> None:
    moved = channel("translation", (1, 2, 4), [(0, 0, 0), (1, 2, 3), (5, 2, 3)], "LINEAR")
    wanted = [(0, 0, 0), (0, 0, 0), (0.25, 0.5, 0.75), (1, 2, 3), (3, 2, 3), (5, 2, 3), (5, 2, 3)]
    np.testing.assert_allclose(moved.at(np.float32([0, 1, 1.25, 2, 3, 4, 9])), wanted, atol=1e-6)


def test_rotations_go_the_shorter_way_at_constant_speed() -> None:
    keys = quaternions(4)
    times = np.array([0.0, 0.5, 1.5, 2.0])
    at = np.linspace(0, 2, 41)
    wanted = Slerp(times, Rotation.from_quat(keys))(at)
    for signs in ((1, 1, 1, 1), (1, -1, 1, -1)):
        made = channel("rotation", times, keys * np.array(signs)[:, None], "LINEAR").at(at.astype(np.float32))
        np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-6)
        assert (Rotation.from_quat(made) * wanted.inv()).magnitude().max() < 2e-3
    near = np.array([(0, 0, 0, 1), (1e-5, 0, 0, 1)])
    np.testing.assert_allclose(channel("rotation", (0, 1), near, "LINEAR").at(np.float32([0.5]))[0, 0], 5e-6, rtol=0.01)


def test_steps_hold_until_the_next_key() -> None:
    stepped = channel("scale", (0, 1, 2), [(1, 1, 1), (2, 2, 2), (3, 3, 3)], "STEP")
    assert stepped.at(np.float32([0, 0.999, 1, 1.999, 2, 3]))[:, 0].tolist() == [1, 1, 2, 2, 3, 3]


def test_splines_reproduce_the_cubic_that_they_are_cut_from() -> None:
    times = np.array([0.0, 0.4, 1.4])
    factors = RNG.normal(size=(4, 3))
    values, slopes = (np.polynomial.polynomial.polyval(times, f).T for f in (factors, factors[1:] * [[1], [2], [3]]))
    cubic = channel("translation", times, np.stack([slopes, values, slopes], 1), "CUBICSPLINE")
    at = np.linspace(0, 1.4, 29)
    np.testing.assert_allclose(
        cubic.at(at.astype(np.float32)), np.polynomial.polynomial.polyval(at, factors).T, atol=1e-5
    )


def test_one_key_is_a_pose() -> None:
    for interpolation, values in (
        ("LINEAR", [(1, 2, 3)]),
        ("STEP", [(1, 2, 3)]),
        ("CUBICSPLINE", [[(9,) * 3, (1, 2, 3), (9,) * 3]]),
    ):
        made = channel("translation", (0.5,), values, interpolation).at(np.float32([0, 0.5, 1]))
        assert made.tolist() == [[1, 2, 3]] * 3


@pytest.fixture
def arm(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """A skin of three joints under a moved and scaled node, a node with a matrix, and a rigid mesh on a joint."""
    file = Glb()
    count = 40
    positions, normals = RNG.normal(size=(2, count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    joints = RNG.integers(0, 3, (count, 4))
    weights = RNG.random((count, 4)) * (RNG.random((count, 4)) > 0.3)
    weights[:, 0] += 0.1
    weights /= weights.sum(1, keepdims=True)
    inverse = np.tile(np.eye(4), (3, 1, 1))
    inverse[:, :3, :3] = Rotation.from_quat(quaternions(3)).as_matrix() * 0.7
    inverse[:, :3, 3] = RNG.normal(size=(3, 3))
    mesh = file.mesh(
        positions,
        RNG.integers(0, count, (20, 3)),
        NORMAL=file.array(normals),
        JOINTS_0=file.array(joints, "uint8"),
        WEIGHTS_0=file.array(weights),
    )
    tool = file.mesh(TRIANGLE, [(0, 1, 2)])
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 30, degrees=True).as_matrix() * 2
    matrix[:3, 3] = (0.1, 0.2, 0.3)
    held = file.node(root=False, name="tool", mesh=tool, translation=[0, 0.5, 0])
    hand = file.node(root=False, name="hand", translation=[0, 1, 0], children=[held])
    elbow = file.node(root=False, name="elbow", matrix=matrix.T.ravel().tolist(), children=[hand])
    shoulder = file.node(root=False, name="shoulder", rotation=quaternions(1)[0].tolist(), children=[elbow])
    file.node(name="root", translation=[1, 2, 3], scale=[2, 2, 2], children=[shoulder])
    skin = file.add(
        "skins", {"joints": [shoulder, elbow, hand], "inverseBindMatrices": file.array(inverse.transpose(0, 2, 1))}
    )
    file.node(name="body", mesh=mesh, skin=skin, translation=[100, 100, 100])
    turns, shifts = quaternions(3), RNG.normal(size=(3, 3))
    file.animation(
        "Armature|Wave",
        (hand, "rotation", (0, 0.5, 1), turns, "LINEAR"),
        (hand, "translation", (0, 0.5, 1), shifts, "LINEAR"),
        (shoulder, "scale", (0, 1), [(1, 1, 1), (2, 3, 4)], "LINEAR"),
    )
    about = {"positions": positions, "normals": normals, "joints": joints, "weights": weights, "inverse": inverse}
    return file.write(tmp_path / "arm.glb"), about | {"matrix": matrix, "turns": turns, "shifts": shifts}


def by_hand(about: dict[str, np.ndarray], seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions and directions of the skin, and the tool, one vertex after another in double precision."""

    def placed(shift: object, turn: Rotation, scale: object) -> np.ndarray:
        matrix = np.eye(4)
        matrix[:3, :3] = turn.as_matrix() @ np.diag(np.broadcast_to(scale, 3))
        matrix[:3, 3] = shift
        return matrix

    turn = Slerp([0, 0.5, 1], Rotation.from_quat(about["turns"]))([seconds])[0]
    shift = [np.interp(seconds, [0, 0.5, 1], about["shifts"][:, axis]) for axis in range(3)]
    stretched = [np.interp(seconds, [0, 1], [1, last]) for last in (2, 3, 4)]
    root = placed((1, 2, 3), Rotation.identity(), 2)
    shoulder = root @ placed((0, 0, 0), Rotation.from_quat(quaternions(1)[0]), stretched)
    elbow = shoulder @ about["matrix"]
    hand = elbow @ placed(shift, turn, 1)
    bones = [joint @ inverse for joint, inverse in zip((shoulder, elbow, hand), about["inverse"], strict=True)]
    points, directions = [], []
    for position, normal, joints, weights in zip(
        *(about[n] for n in ("positions", "normals", "joints", "weights")), strict=True
    ):
        blend = sum(weight * bones[joint] for joint, weight in zip(joints, weights, strict=True))
        points.append((blend @ [*position, 1])[:3])
        directions.append(blend[:3, :3] @ normal / np.linalg.norm(blend[:3, :3] @ normal))
    tool = [(hand @ [x, y + 0.5, z, 1])[:3] for x, y, z in TRIANGLE]
    return np.array(points), np.array(directions), np.array(tool)


def test_poses_are_blends_of_the_joints(arm: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, about = arm
    model = read_skinned(path)
    (clip,) = model.clips
    assert (clip.name, clip.seconds) == ("Wave", 1.0)
    times = [0.0, 0.2, 0.5, 0.9, 1.0]
    positions, normals = model.pose(clip, times)
    names = np.array([model.skeleton.names[node] for node in model.part])
    tool = np.unique(model.surface.faces[names == "tool"])
    skin = np.setdiff1d(np.arange(positions.shape[1]), tool)
    assert (len(skin), len(tool)) == (40, 3)
    for seconds, points, directions in zip(times, positions, normals, strict=True):
        wanted = by_hand(about, seconds)
        np.testing.assert_allclose(points[skin], wanted[0], atol=5e-4)
        np.testing.assert_allclose(directions[skin], wanted[1], atol=1e-4)
        np.testing.assert_allclose(points[tool], wanted[2], atol=5e-4)


def test_a_skin_at_rest_is_where_it_was_bound(tmp_path: Path) -> None:
    file = Glb()
    joint = file.node(name="joint", translation=[1, 2, 3], rotation=quaternions(1)[0].tolist())
    bound = np.eye(4)
    bound[:3, :3] = Rotation.from_quat(quaternions(1)[0]).as_matrix()
    bound[:3, 3] = (1, 2, 3)
    skin = file.add("skins", {"joints": [joint], "inverseBindMatrices": file.array(np.linalg.inv(bound).T[None])})
    weights = np.array([(1, 0, 0, 0), (0.5, 0, 0, 0), (np.nan,) * 4])  # of a sum other than 1, and lost ones
    attributes = {"JOINTS_0": file.array(np.zeros((3, 4)), "uint16"), "WEIGHTS_0": file.array(weights)}
    file.node(mesh=file.mesh(TRIANGLE, [(0, 1, 2)], **attributes), skin=skin)
    positions, normals = read_skinned(file.write(tmp_path / "one.glb")).pose(None, [0.0])
    np.testing.assert_allclose(positions[0], TRIANGLE, atol=1e-6)
    np.testing.assert_allclose(normals[0], [(0, 0, 1)] * 3, atol=1e-6)


def test_rigid_scenes_agree_with_trimesh(tmp_path: Path) -> None:
    import trimesh

    file = Glb()
    material = file.material(0.2, 0.4, 0.6)
    mesh = file.mesh(RNG.normal(size=(12, 3)), RNG.integers(0, 12, (8, 3)), material=material)
    tip = file.node(root=False, mesh=mesh, translation=[0, 1, 0], scale=[1, 2, 3])
    middle = file.node(root=False, mesh=mesh, rotation=quaternions(1)[0].tolist(), children=[tip])
    file.node(scale=[2, 2, 2], translation=[1, 0, 0], children=[middle])
    path = file.write(tmp_path / "scene.glb")
    model = read_skinned(path)
    made = model.pose(None, [0.0])[0][0][model.surface.faces].reshape(-1, 9)
    wanted = trimesh.load_scene(path, process=False).to_geometry().triangles.reshape(-1, 9)
    assert made.shape == wanted.shape
    np.testing.assert_allclose(made[np.lexsort(made.T)], wanted[np.lexsort(wanted.T)], atol=1e-5)


def test_colors_are_factor_times_vertex_color_times_texture(tmp_path: Path) -> None:
    from PIL import Image

    file = Glb()
    png = io.BytesIO()
    Image.fromarray(np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (188, 188, 188)]], np.uint8)).save(png, "PNG")
    source = file.add("images", {"bufferView": file.view(png.getvalue()), "mimeType": "image/png"})
    texture = file.add("textures", {"source": source})
    plain, painted = file.material(0.5, 1, 0.25), file.material(1, 1, 1, baseColorTexture={"index": texture})
    color = file.array([(255, 128, 0, 255)] * 3, "uint8", normalized=True)
    uv = file.array([(0.75, 0.75)] * 3)
    file.node(name="plain", mesh=file.mesh(TRIANGLE, [(0, 1, 2)], material=plain, COLOR_0=color))
    file.node(name="painted", mesh=file.mesh(TRIANGLE, [(0, 1, 2)], material=painted, TEXCOORD_0=uv))
    surface = read_skinned(file.write(tmp_path / "paint.glb")).surface
    np.testing.assert_allclose(surface.colors[:3], [(0.5, 128 / 255, 0)] * 3, atol=1e-6)
    assert surface.texture.tolist() == [-1, 0]
    corners = surface.textures[0][:: TEXTURE - 1, :: TEXTURE - 1]
    np.testing.assert_allclose(corners[0], [(1, 0, 0), (0, 1, 0)], atol=1e-6)
    np.testing.assert_allclose(corners[1, 1], 0.5028, atol=1e-3)  # 188 of 255 is half the light
    np.testing.assert_allclose(surface.uv[3:], 0.75)


def test_large_textures_are_averaged_in_linear_light(tmp_path: Path) -> None:
    from PIL import Image

    file = Glb()
    png = io.BytesIO()
    Image.fromarray(np.tile(np.array([[0, 255], [255, 0]], np.uint8), (TEXTURE, TEXTURE))).save(png, "PNG")
    file.add("images", {"bufferView": file.view(png.getvalue())})
    texture = file.add("textures", {"source": 0})
    material = file.material(1, 1, 1, baseColorTexture={"index": texture})
    file.node(mesh=file.mesh(TRIANGLE, [(0, 1, 2)], material=material, TEXCOORD_0=file.array([(0, 0)] * 3)))
    textures = read_skinned(file.write(tmp_path / "fine.glb")).surface.textures
    np.testing.assert_allclose(textures, 0.5, atol=1e-6)


def test_interleaved_and_zero_accessors(tmp_path: Path) -> None:
    file = Glb()
    mixed = np.arange(24, dtype=np.float32).reshape(4, 6)
    view = file.view(mixed.tobytes(), byteStride=24)
    about = {"bufferView": view, "componentType": 5126, "count": 4, "type": "VEC3"}
    first, second = file.add("accessors", about), file.add("accessors", about | {"byteOffset": 12})
    zero = file.add("accessors", {"componentType": 5123, "count": 3, "type": "SCALAR"})
    small = file.array([(-128, 0, 127)], "int8", normalized=True)
    read = Gltf(file.write(tmp_path / "a.glb"))
    np.testing.assert_array_equal(read.array(first), mixed[:, :3])
    np.testing.assert_array_equal(read.array(second), mixed[:, 3:])
    assert read.array(zero).tolist() == [0, 0, 0]
    np.testing.assert_allclose(read.array(small), [(-1, 0, 1)])


def test_compressed_meshes(tmp_path: Path) -> None:
    draco = pytest.importorskip("DracoPy")
    points = RNG.integers(0, 100, (30, 3)).astype(np.float32)
    faces = np.arange(30).reshape(-1, 3)
    file = Glb()
    packed = file.view(draco.encode(points, faces, quantization_bits=16, preserve_order=True))
    extension = {"KHR_draco_mesh_compression": {"bufferView": packed, "attributes": {"POSITION": 0}}}
    positions = file.add("accessors", {"componentType": 5126, "count": 30, "type": "VEC3"})
    file.content["extensionsRequired"] = list(extension)
    file.node(
        mesh=file.add("meshes", {"primitives": [{"attributes": {"POSITION": positions}, "extensions": extension}]})
    )
    model = read_skinned(file.write(tmp_path / "small.glb"))
    made = model.pose(None, [0.0])[0][0][model.surface.faces].reshape(-1, 9)
    np.testing.assert_allclose(np.sort(made, 0), np.sort(points[faces].reshape(-1, 9), 0), atol=0.01)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda glb: glb.content.update(extensionsRequired=["EXT_meshopt_compression"]), "EXT_meshopt_compression"),
        (lambda glb: glb.content["accessors"][0].update(sparse={}), "sparse"),
        (lambda glb: glb.content["meshes"][0]["primitives"][0].update(mode=1), "lines"),
        (lambda glb: glb.content["meshes"][0]["primitives"][0].update(targets=[{}]), "morph"),
        (lambda glb: glb.content["nodes"][0].pop("mesh"), "no triangles"),
    ],
)
def test_what_cannot_be_read_is_said(spoil: object, said: str, tmp_path: Path) -> None:
    file = Glb()
    file.node(mesh=file.mesh(TRIANGLE, [(0, 1, 2)]))
    spoil(file)  # type: ignore[operator]
    with pytest.raises(UsageError, match=said):
        read_skinned(file.write(tmp_path / "spoilt.glb"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.glb"
    file = Glb()
    file.node(mesh=file.mesh(TRIANGLE, [(0, 1, 2)]))
    whole = file.write(path).read_bytes()
    for data in (b"", b"glTF", b"solid cube", whole[:-8], whole.replace(b"glTF\2", b"glTF\1")):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"x\.glb cannot be read"):
            read_skinned(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_skinned(tmp_path / "missing.glb")
