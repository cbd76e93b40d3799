"""The embedded encoder of shapes, meshes and clouds alike: coloured points to the text encoder's space."""

from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from multigen.modality import Sample
from multigen_models.contrast_encoder import PublishedEncoder, SampleEncoder
from multigen_models.shapes.points_small import cube_points
from multigen_models.weights import ZOO, fingerprint, read_network

POINTS, CELLS = 2048, 32


@final
class ShapeEncoder(SampleEncoder):
    """Of meshes and clouds, whatever their size and place. Raises UsageError for a shape without extent."""

    name: ClassVar[str] = "shape-encoder"
    modality: ClassVar[str] = "3d"

    @classmethod
    def load(cls, folder: Path, /) -> "ShapeEncoder":
        from multigen_models.shapes.encoder_network import SolidEncoder

        return cls(read_network(SolidEncoder, folder), fingerprint(folder))

    def seen(self, sample: Sample, /) -> Tensor:
        return seen(cube_points(sample, POINTS))


def seen(points: Tensor, /) -> Tensor:
    """What the network sees of points (n, 6) in the cube, with colours in [-1, 1]: (4, x, y, z), 1 in the cells that
    hold any, and the mean of their colours."""
    at = ((points[:, :3] + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)
    cell = (at[:, 0] * CELLS + at[:, 1]) * CELLS + at[:, 2]
    told = torch.cat([torch.ones(len(points), 1), points[:, 3:]], dim=1)
    total = torch.zeros(CELLS**3, 4).index_add_(0, cell, told)
    return (total / total[:, :1].clamp(min=1)).T.reshape(4, CELLS, CELLS, CELLS)


published = PublishedEncoder(ZOO / "shape-encoder", "3d", ShapeEncoder.load)
