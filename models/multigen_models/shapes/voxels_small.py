"""The embedded model of meshes: a U-Net on latents of signed distances at 64^3 and colours at 32^3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from multigen.denoise import Cond, Denoiser, Parameterization, local
from multigen.edit import region_mask
from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.model import Defaults
from multigen_models.placed import place
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.shapes.distance_grid import DistanceGrid
from multigen_models.weights import ZOO, Published, fingerprint, read_about, read_network

DETAIL = 0.03
"""Variance of standardised latents around what the network predicts: the skip of `multigen.denoise.local`."""


def parameterization() -> Parameterization:
    """What the network predicts."""
    return local(DETAIL)


@final
@dataclass(frozen=True)
class VoxelsSmall:
    """A `multigen.model.Model`; the state is (16, 8, 8, 8), indexed [., x, y, z]."""

    network: Any
    codec: Any
    grid: DistanceGrid
    scale: Scale
    fingerprint: str
    device: str
    dtype: torch.dtype
    name: str = "voxels-small"
    modality: str = "3d"
    kind: str = "mesh"
    defaults: ClassVar[Defaults] = Defaults(steps=24, guidance="cfg:scale=3", sigma_max=100.0)
    axes: ClassVar[Mapping[str, int]] = {"x": -3, "y": -2, "z": -1}
    loader: ClassVar[str] = "voxels-small"

    @classmethod
    def load(cls, folder: Path, /, *, device: str, dtype: str) -> "VoxelsSmall":
        """From a folder that `VoxelsRecipe.export` wrote."""
        from multigen_models.shapes.grid_autoencoder import GridAutoencoder
        from multigen_models.shapes.voxel_unet import VoxelUNet

        about = read_about(folder)
        network = read_network(VoxelUNet, folder, dtype=dtype, device=device)
        codec = read_network(GridAutoencoder, folder / "codec", dtype=dtype, device=device)
        grid, scale = DistanceGrid(**about["grid"]), Scale.read(about, axes=4)
        marks = fingerprint(folder)[:8] + fingerprint(folder / "codec")[:8]
        return cls(network, codec, grid, scale, marks, device, network.dtype)

    def with_network(self, network: Any, /, *, fingerprint: str) -> "VoxelsSmall":
        return replace(self, network=network, fingerprint=fingerprint)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        return (self.network.config.features, *[self.network.config.cells] * 3)

    def condition(self, prompts: Sequence[str], /) -> Cond:
        return stacked([embed(prompt) for prompt in prompts], device=self.device)

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser:
        return place(self.network, parameterization(), cond, device=self.device, dtype=self.dtype)

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """Of a mesh of any size and place. Raises UsageError for a sample without faces or without a surface."""
        if "faces" not in sample:
            raise UsageError(
                "this is a point cloud, and voxels-small takes a mesh: give a file with faces, or a --model of points"
            )
        used, faces = sample["faces"].unique(return_inverse=True)
        centre, sides = _box(sample["vertices"][used])
        vertices = (sample["vertices"][used].double() - centre) / (sides.max() / 2)
        packed = self.grid.pack(*self.grid.analyse(vertices, faces, sample["colors"][sample["faces"]].mean(1)))
        z = self.codec.encode(packed[None].to(self.device, self.dtype))
        return self.scale.apply(z[0].float().cpu())

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        packed = self.codec.decode(self.scale.undo(x.float().cpu())[None].to(self.device, self.dtype))
        vertices, faces, colors = self.grid.synthesise(*self.grid.unpack(packed[0].float().cpu()))
        return {"vertices": vertices, "faces": faces, "colors": colors}

    def mask(self, region: Region, sample: Sample, options: Any, /) -> Tensor:
        """The cells that overlap a box given in fractions of the sample's bounding box.

        What reaches an end of the sample reaches that of the state, so that a new part may be larger than the old one.
        """
        _, sides = _box(sample["vertices"][sample["faces"].unique()])
        size = self.grid.resolution * self.grid.voxel
        box = {}
        for axis, (start, stop) in region.items():
            # In fractions of the grid; an unknown axis is region_mask's to refuse.
            share = 2 / size * float(sides["xyz".index(axis)] / sides.max()) if axis in self.axes else 1.0
            first, last = (edge if edge in (0, 1) else 0.5 + (edge - 0.5) * share for edge in (start, stop))
            box[axis] = first, last
        return region_mask(self.shape(options), self.axes, box)


def _box(vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (3,) and sides (3,) of the box around vertices (v, 3), float64. Raises UsageError where it has none."""
    if not len(vertices) or not bool(vertices.isfinite().all()):
        raise UsageError("the mesh has no faces, or coordinates that are not finite: give one with a surface")
    low, high = vertices.double().aminmax(dim=0)
    if not bool((high > low).any()):
        raise UsageError("the mesh is a single point: give one with a surface")
    return (low + high) / 2, high - low


published = Published(ZOO / "voxels-small", VoxelsSmall.load)
