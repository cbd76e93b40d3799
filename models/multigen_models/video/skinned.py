"""Animated models: the surface of a glTF file and what moves it (linear blend skinning; glTF 2.0.1, section 3.7.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from multigen.errors import UsageError
from multigen_models.video.gltf import Gltf
from multigen_models.video.raster import TEXTURE, Floats, Surface, linear_light
from multigen_models.video.skeleton import Clip, Skeleton, read_clips, read_skeleton


@final
@dataclass(frozen=True, eq=False)
class Skinned:
    """A surface with its skeleton and its clips.

    bones: node and matrix (4, 4), from the surface as it is bound to the node, of what moves vertices. influences,
    weights: (v, 4) bones of every vertex and their shares. positions, normals: (v, 3) as bound. part: (f,) the node
    that a face belongs to.
    """

    skeleton: Skeleton
    clips: tuple[Clip, ...]
    surface: Surface = field(repr=False)
    part: NDArray[np.int64] = field(repr=False)
    positions: Floats = field(repr=False)
    normals: Floats = field(repr=False)
    influences: NDArray[np.int64] = field(repr=False)
    weights: Floats = field(repr=False)
    bones: tuple[tuple[int, Floats], ...] = field(repr=False)

    def pose(self, clip: Clip | None, seconds: Sequence[float] | Floats, /) -> tuple[Floats, Floats]:
        """Positions and unit normals (n, v, 3) at times (n,) of a clip; None is the pose at rest.

        A blend of matrices is linear in them: the poses of all times are one product with a sparse matrix.
        """
        placed = self.skeleton.matrices(clip, np.asarray(seconds, np.float32))
        matrices = np.stack([placed[:, node] @ bound for node, bound in self.bones], 1)
        stacked = matrices[:, :, :3].transpose(1, 3, 0, 2).reshape(4 * len(self.bones), -1)
        points, normals = ((blend @ stacked).reshape(-1, len(placed), 3).swapaxes(0, 1) for blend in self._blends)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        return np.ascontiguousarray(points), np.ascontiguousarray(normals)

    @cached_property
    def _blends(self) -> tuple[Any, Any]:
        """Sparse (v, 4 * bones): weight * (x, y, z, 1) of positions, and weight * (x, y, z, 0) of normals."""
        from scipy.sparse import csr_array

        count, most = self.influences.shape
        rows = np.repeat(np.arange(count), 4 * most)
        columns = (4 * self.influences[:, :, None] + np.arange(4)).ravel()
        size = (count, 4 * len(self.bones))

        def blend(vectors: Floats, last: float) -> Any:
            padded = np.pad(vectors, ((0, 0), (0, 1)), constant_values=last)
            return csr_array(((self.weights[:, :, None] * padded[:, None]).ravel(), (rows, columns)), shape=size)

        return blend(self.positions, 1), blend(self.normals, 0)


def read_skinned(path: Path, /) -> Skinned:
    """An animated model from a .glb file, its surface coloured by materials, vertex colours and textures.

    Raises
    ------
    UsageError: the file cannot be read, has no triangles, or moves them by morph targets.
    """
    file = Gltf(path)
    skeleton = read_skeleton(file)
    bones: list[tuple[int, Floats]] = []
    pieces: list[dict[str, NDArray[Any]]] = []
    for node in skeleton.order:
        about = file.content["nodes"][node]
        if "mesh" not in about:
            continue
        first = len(bones)
        bones += _bones(file, node, about.get("skin"))
        for primitive in file.content["meshes"][about["mesh"]]["primitives"]:
            start = sum(len(piece["positions"]) for piece in pieces)
            pieces.append(_piece(file, primitive, node=node, first_bone=first, first_vertex=start))
    if not pieces:
        raise UsageError(f"{path} has no triangles in it; give a file with a mesh")
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    images = [_texture(file.image(index)) for index in range(len(file.content.get("images", ())))]
    textures = np.array(images, np.float32).reshape(-1, TEXTURE, TEXTURE, 3)
    painted = {name: whole.pop(name) for name in ("faces", "colors", "uv", "texture")}
    surface = Surface(**painted, textures=textures)
    return Skinned(skeleton, read_clips(file), surface, bones=tuple(bones), **whole)


def _bones(file: Gltf, node: int, skin: int | None) -> list[tuple[int, Floats]]:
    """What moves the mesh of a node: the joints of its skin, or the node itself."""
    if skin is None:
        return [(node, np.eye(4, dtype=np.float32))]
    about = file.content["skins"][skin]
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(about["joints"]), 1, 1))
    if "inverseBindMatrices" in about:
        inverse = file.array(about["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    return list(zip(about["joints"], inverse, strict=True))


def _piece(
    file: Gltf, primitive: Mapping[str, Any], *, node: int, first_bone: int, first_vertex: int
) -> dict[str, NDArray[Any]]:
    if "targets" in primitive:
        raise UsageError(f"{file.name} has morph targets; save it without")
    attributes, faces = file.primitive(primitive)
    positions = np.asarray(attributes["POSITION"], np.float32)
    count = len(positions)
    rigid = np.array([1, 0, 0, 0], np.float32)
    weights = np.nan_to_num(attributes.get("WEIGHTS_0", np.tile(rigid, (count, 1)))).astype(np.float32)
    weights = np.where(weights.sum(1, keepdims=True) > 0, weights, rigid)
    joints = np.asarray(attributes.get("JOINTS_0", np.zeros((count, 4))), np.int64)
    colors, uv, texture = _paint(file, primitive, attributes, count)
    return {
        "faces": faces + first_vertex,
        "colors": colors,
        "uv": uv,
        "texture": np.full(len(faces), texture),
        "part": np.full(len(faces), node),
        "positions": positions,
        "normals": np.asarray(attributes.get("NORMAL", _normals(positions, faces)), np.float32),
        "influences": np.where(weights > 0, joints, 0) + first_bone,
        "weights": weights / weights.sum(1, keepdims=True),
    }


def _paint(
    file: Gltf, primitive: Mapping[str, Any], attributes: Mapping[str, NDArray[Any]], count: int
) -> tuple[Floats, Floats, int]:
    """Colours (v, 3) in linear light, places in the texture (v, 2), and the picture that it is, or -1."""
    material = file.content["materials"][primitive["material"]] if "material" in primitive else {}
    painted = material.get("pbrMetallicRoughness", {})
    colors = np.tile(np.array(painted.get("baseColorFactor", (1, 1, 1, 1))[:3], np.float32), (count, 1))
    if "COLOR_0" in attributes:
        colors = colors * np.asarray(attributes["COLOR_0"][:, :3], np.float32)
    if "baseColorTexture" not in painted:
        return colors, np.zeros((count, 2), np.float32), -1
    texture = painted["baseColorTexture"]
    uv = np.asarray(attributes[f"TEXCOORD_{texture.get('texCoord', 0)}"], np.float32)
    return colors, uv, file.content["textures"][texture["index"]]["source"]


def _texture(picture: NDArray[np.uint8]) -> Floats:
    """A picture in linear light, TEXTURE pixels square: fewer by averaging, more by repeating."""
    from PIL import Image

    def resized(channel: Floats) -> Floats:
        smaller = channel.shape[0] >= TEXTURE
        how = Image.Resampling.BOX if smaller else Image.Resampling.NEAREST
        return np.asarray(Image.fromarray(channel).resize((TEXTURE, TEXTURE), how))

    return np.stack(
        [resized(linear_light(np.asarray(picture[..., channel] / 255, np.float32))) for channel in range(3)], -1
    )


def _normals(positions: Floats, faces: NDArray[np.int64]) -> Floats:
    """(v, 3) means of the normals of the faces around, by area."""
    across = np.cross(positions[faces[:, 1]] - positions[faces[:, 0]], positions[faces[:, 2]] - positions[faces[:, 0]])
    normals = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    return normals
