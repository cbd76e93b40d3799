"""Skeletons of glTF scenes, and animations that move them, at any time.

Source: glTF 2.0.1, sections 3.5 (node hierarchy) and 3.11 (animations), appendix C (interpolation).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from multigen_models.video.gltf import Gltf

Floats = NDArray[np.float32]

_REST: Mapping[str, tuple[float, ...]] = {
    "translation": (0.0, 0.0, 0.0),
    "rotation": (0.0, 0.0, 0.0, 1.0),
    "scale": (1.0, 1.0, 1.0),
}


@final
@dataclass(frozen=True, eq=False)
class Channel:
    """What a clip does to one property of one node.

    path: "translation", "rotation" (x, y, z, w) or "scale". times: (t,) rising seconds. values: (t, c); for
    "CUBICSPLINE" (t, 3, c), each between its tangents. interpolation: "LINEAR", "STEP" or "CUBICSPLINE".
    """

    node: int
    path: str
    times: Floats = field(repr=False)
    values: Floats = field(repr=False)
    interpolation: str = "LINEAR"

    def at(self, seconds: Floats, /) -> Floats:
        """(n, c) values at times (n,); before the first and after the last key they stay."""
        seconds = np.clip(seconds, self.times[0], self.times[-1])
        key = np.clip(np.searchsorted(self.times, seconds, "right") - 1, 0, max(len(self.times) - 2, 0))
        following = np.minimum(key + 1, len(self.times) - 1)
        long = np.maximum(self.times[following] - self.times[key], 1e-9)[:, None]
        share = (seconds - self.times[key])[:, None] / long
        before, after = self.values[key], self.values[following]
        if self.interpolation == "STEP":
            values = np.where(share < 1, before, after)
        elif self.interpolation == "CUBICSPLINE":
            values = _hermite(before[:, 1], before[:, 2] * long, after[:, 1], after[:, 0] * long, share)
        elif self.path == "rotation":
            values = slerp(before, after, share)
        else:
            values = before + (after - before) * share
        if self.path == "rotation":
            values = values / np.linalg.norm(values, axis=-1, keepdims=True)
        return np.asarray(values, np.float32)


@final
@dataclass(frozen=True, eq=False)
class Clip:
    """An animation. name: the artist's, without the armature that it belongs to. seconds: up to its last key."""

    name: str
    seconds: float
    channels: tuple[Channel, ...] = field(repr=False)


@final
@dataclass(frozen=True, eq=False)
class Skeleton:
    """The nodes of a scene.

    names, parents: of every node; roots have the parent -1. order: the nodes of the scene, parents first. rest: (nodes,
    3 or 4) by the path of `Channel`. fixed: (4, 4) of nodes that are placed by a matrix instead.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    order: tuple[int, ...]
    rest: Mapping[str, Floats] = field(repr=False)
    fixed: Mapping[int, Floats] = field(repr=False)

    def matrices(self, clip: Clip | None, seconds: Floats, /) -> Floats:
        """(n, nodes, 4, 4) from each node to the scene at times (n,) of a clip; None is the pose at rest."""
        moved = {path: np.repeat(values[None], len(seconds), 0) for path, values in self.rest.items()}
        for channel in clip.channels if clip else ():
            moved[channel.path][:, channel.node] = channel.at(seconds)
        matrices = _composed(**moved)
        for node, matrix in self.fixed.items():
            matrices[:, node] = matrix
        for node in self.order:
            if self.parents[node] >= 0:
                matrices[:, node] = matrices[:, self.parents[node]] @ matrices[:, node]
        return matrices


def read_skeleton(file: Gltf, /) -> Skeleton:
    """The nodes of a file's default scene."""
    nodes = file.content["nodes"]
    parents = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        for child in node.get("children", ()):
            parents[child] = index
    return Skeleton(
        names=tuple(node.get("name", "") for node in nodes),
        parents=tuple(parents),
        order=tuple(_walk(nodes, file.content["scenes"][file.content.get("scene", 0)]["nodes"])),
        rest={path: np.array([node.get(path, rest) for node in nodes], np.float32) for path, rest in _REST.items()},
        fixed={i: np.array(n["matrix"], np.float32).reshape(4, 4).T for i, n in enumerate(nodes) if "matrix" in n},
    )


def read_clips(file: Gltf, /) -> tuple[Clip, ...]:
    """The animations of a file, those of one name told apart by their place alone."""
    return tuple(_clip(file, animation) for animation in file.content.get("animations", ()))


def slerp(before: Floats, after: Floats, share: Floats, /) -> Floats:
    """Unit quaternions (n, 4) at shares (n, 1) of the shorter way on the sphere (Shoemake, SIGGRAPH 1985)."""
    cosine = np.sum(before * after, -1, keepdims=True)
    after, cosine = np.where(cosine < 0, -after, after), np.minimum(np.abs(cosine), 1)
    angle = np.arccos(cosine)
    sine = np.maximum(np.sin(angle), 1e-9)
    close = cosine > 0.9999
    first = np.where(close, 1 - share, np.sin((1 - share) * angle) / sine)
    second = np.where(close, share, np.sin(share * angle) / sine)
    return np.asarray(first * before + second * after, np.float32)


def _hermite(before: Floats, leaving: Floats, after: Floats, arriving: Floats, t: Floats) -> Any:
    """Cubic with the given values and tangents, both (n, c), at 0 and 1."""
    return (
        (2 * t**3 - 3 * t**2 + 1) * before
        + (t**3 - 2 * t**2 + t) * leaving
        + (3 * t**2 - 2 * t**3) * after
        + (t**3 - t**2) * arriving
    )


def _clip(file: Gltf, animation: Mapping[str, Any]) -> Clip:
    channels = []
    for channel in animation["channels"]:
        sampler, target = animation["samplers"][channel["sampler"]], channel["target"]
        if "node" not in target or target["path"] not in _REST:
            continue
        interpolation = sampler.get("interpolation", "LINEAR")
        times, values = (np.asarray(file.array(sampler[end]), np.float32) for end in ("input", "output"))
        values = values.reshape(len(times), 3, -1) if interpolation == "CUBICSPLINE" else values
        channels.append(Channel(target["node"], target["path"], times, values, interpolation))
    last = max((float(channel.times[-1]) for channel in channels), default=0.0)
    return Clip(animation.get("name", "").split("|")[-1], last, tuple(channels))


def _walk(nodes: Sequence[Mapping[str, Any]], roots: Sequence[int]) -> Iterator[int]:
    for root in roots:
        yield root
        yield from _walk(nodes, nodes[root].get("children", ()))


def _composed(translation: Floats, rotation: Floats, scale: Floats) -> Floats:
    """(..., 4, 4) of a scaling, then a rotation by a unit quaternion (x, y, z, w), then a translation."""
    x, y, z, w = np.moveaxis(rotation, -1, 0)
    matrices = np.zeros((*x.shape, 4, 4), np.float32)
    matrices[..., 0, :3] = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1)
    matrices[..., 1, :3] = np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1)
    matrices[..., 2, :3] = np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1)
    matrices[..., :3, :3] *= scale[..., None, :]
    matrices[..., :3, 3] = translation
    matrices[..., 3, 3] = 1
    return matrices
