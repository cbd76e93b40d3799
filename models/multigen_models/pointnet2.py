"""Features of shapes by PointNet++, as published classifiers have them (arXiv 1706.02413, single-scale grouping).

Read are safetensors with the tensor names of torch-pointcloud, which has such models on the hub, or of
github.com/yanx27/Pointnet_Pointnet2_pytorch, to which those and Point-E's P-FID (arXiv 2212.08751) go back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_models.hub import files

WEIGHTS = "model.safetensors"
POINTS = 1024
"""Points that the network sees; `DRAWN` are drawn from the surface, and those are the farthest apart of them."""
DRAWN = 2048
LEVELS: Sequence[tuple[int, float, int]] = ((512, 0.2, 32), (128, 0.4, 64))
"""Of each level that gathers points around centres: centres, radius of a ball, the most points of a ball."""

Affine: TypeAlias = "tuple[Tensor, Tensor]"
"""Weights (out, in) and bias (out,)."""

_BATCH_NORM_EPS = 1e-5
_MOST = 10  # maps of one kind
# Names of the linear maps and of their normalisations; {} counts them, from 0 or 1.
_LAYOUTS: Sequence[Sequence[tuple[str, str]]] = (
    (
        ("encoder.sa_blocks.0.convs.0.local_nn.lins.{}", "encoder.sa_blocks.0.convs.0.local_nn.norms.{}.module"),
        ("encoder.sa_blocks.1.convs.0.local_nn.lins.{}", "encoder.sa_blocks.1.convs.0.local_nn.norms.{}.module"),
        ("aggr.lins.{}", "aggr.norms.{}.module"),
        ("head.lins.{}", "head.norms.{}.module"),
    ),
    (
        ("sa1.mlp_convs.{}", "sa1.mlp_bns.{}"),
        ("sa2.mlp_convs.{}", "sa2.mlp_bns.{}"),
        ("sa3.mlp_convs.{}", "sa3.mlp_bns.{}"),
        ("fc{}", "bn{}"),
    ),
)


@final
@dataclass(frozen=True)
class PointNet2:
    """The network up to the features before its classes, normalisations folded into the linear maps.

    local, regional: of the points of a ball. whole: of all balls. head: of the shape. The first map of `regional` and
    of `whole` takes features, and then positions.
    """

    local: Sequence[Affine]
    regional: Sequence[Affine]
    whole: Sequence[Affine]
    head: Sequence[Affine]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], /) -> PointNet2:
        """Raises ValueError for the tensors of something else."""
        for layout in _LAYOUTS:
            local, regional, whole, head = (_folded(tensors, *names) for names in layout)
            if local and regional and whole and head:
                break
        else:
            raise ValueError("it has not the tensors of a PointNet++ classifier with single-scale grouping")
        if layout is _LAYOUTS[1]:
            regional, whole = _positions_last(regional), _positions_last(whole)
        wide = [maps[0][0].shape[1] for maps in (local, regional, whole, head)]
        told = [3, *(maps[-1][0].shape[0] + 3 for maps in (local, regional)), whole[-1][0].shape[0]]
        if wide != told:
            raise ValueError("it sees more than the positions of points, such as their normals")
        return cls(local, regional, whole, head)

    @torch.no_grad()
    def __call__(self, points: Tensor, /) -> Tensor:
        """(d,) of points (n, 3), n at least that of the first level's centres, in the unit ball around their mean."""
        centres, features = points, points[:, :0]
        for (number, radius, most), maps in zip(LEVELS, (self.local, self.regional), strict=True):
            positions, centres = centres, centres[farthest(centres, number)]
            ball = within(centres, positions, radius, most)
            seen = torch.cat([features[ball], positions[ball] - centres[:, None]], dim=-1)
            features = _mapped(seen, maps).relu().amax(1)
        shape = _mapped(torch.cat([features, centres], dim=1), self.whole).relu().amax(0)
        return _mapped(shape, self.head)


@final
class PointNet2Features:
    """A `multigen.evaluation.contract.Extractor` of meshes and clouds, whatever their size and place."""

    modality: ClassVar[str] = "3d"

    def __init__(self, name: str, folder: Path, /) -> None:
        """Raises UsageError unless the folder has a PointNet++."""
        from safetensors.torch import load_file

        path = folder / WEIGHTS
        if not path.is_file():
            raise UsageError(
                f"{folder} has neither config.json nor {WEIGHTS}, so it does not say which network it is: give a "
                "folder that transformers saved, one with a PointNet++, or a hub id such as laion/clap-htsat-unfused"
            )
        files.header(path)
        try:
            self._network = PointNet2.of(load_file(path))
        except ValueError as error:
            raise UsageError(
                f"{name} has no config.json that says which network it is, and as a PointNet++ it cannot be read "
                f"({error}): give a hub id such as torch-pointcloud/pointnet2-ssg.modelnet40.xu-yan"
            ) from None
        self.name = name
        self.fingerprint = files.fingerprint(folder, files.Index("", (files.Component(".", "", "PointNet2"),)))

    def __call__(self, sample: Sample, /) -> Tensor:
        """(d,). Raises UsageError for a shape without extent."""
        from multigen_models.shapes.points_small import cube_points

        points = cube_points(sample, DRAWN)[:, :3]
        points = points[farthest(points, POINTS)]
        points = points - points.mean(0)
        return self._network(points / points.norm(dim=1).amax())


def farthest(points: Tensor, number: int, /) -> Tensor:
    """Indices (number,) of points (n, 3): the first, and then always the one that is farthest from all before."""
    chosen = torch.zeros(number, dtype=torch.long)
    away = torch.full((len(points),), torch.inf)
    for place in range(1, number):
        away = torch.minimum(away, (points - points[chosen[place - 1]]).square().sum(1))
        chosen[place] = away.argmax()
    return chosen


def within(centres: Tensor, points: Tensor, radius: float, most: int, /) -> Tensor:
    """Indices (c, most) of the first points of the ball around each centre, which is a point itself; the very first
    again where there are fewer."""
    squared = (centres[:, None] - points).square().sum(-1)
    index = torch.arange(len(points)).expand_as(squared).masked_fill(squared > radius**2, len(points))
    found = index.sort(dim=1).values[:, :most]
    return torch.where(found < len(points), found, found[:, :1])


def _folded(tensors: Mapping[str, Tensor], linear: str, norm: str) -> list[Affine]:
    """The maps that are followed by a normalisation, those of classes are not; none where there are none."""
    maps: list[Affine] = []
    for named, normed in ((linear.format(place), norm.format(place)) for place in range(_MOST)):
        if f"{normed}.running_var" not in tensors or f"{named}.weight" not in tensors:
            continue
        scale = tensors[f"{normed}.weight"] / (tensors[f"{normed}.running_var"] + _BATCH_NORM_EPS).sqrt()
        weight = tensors[f"{named}.weight"].flatten(1) * scale[:, None]
        bias = tensors.get(f"{named}.bias", torch.zeros(()))
        maps.append((weight, (bias - tensors[f"{normed}.running_mean"]) * scale + tensors[f"{normed}.bias"]))
    return maps


def _positions_last(maps: Sequence[Affine]) -> list[Affine]:
    (weight, bias), *others = maps
    return [(weight.roll(-3, 1), bias), *others]


def _mapped(x: Tensor, maps: Sequence[Affine]) -> Tensor:
    """The maps, with ReLU between them."""
    for place, (weight, bias) in enumerate(maps):
        x = F.linear(x.relu() if place else x, weight, bias)
    return x
