"""How the autoencoder of the embedded voxel model is trained: ``multigen train voxels-codec --data FOLDER``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.evaluation.collection import spread
from multigen.modality import Sample
from multigen.noise import white
from multigen.training import ENDLESS, Items
from multigen_models.latest import Latest
from multigen_models.shapes.data import Shapes, load_shapes
from multigen_models.shapes.distance_grid import FOLD
from multigen_models.shapes.grid_autoencoder import FACTOR, LATENT, GridAutoencoder
from multigen_models.shapes.prepare import GRID
from multigen_models.shapes.samples import AS_MADE, ShapeGrids, Views, in_turn
from multigen_models.weights import read_network, start, write_folder

CROP = 8  # packed positions along each axis of what it is trained on
CROPS = 4  # from one view after another: changing a shape takes as long as a step on one of them
VALIDATION_SHAPES = 48
ILLUSTRATIONS = 4
NOISE = 0.1  # deviation of what is added to the latents, so that slight errors in them do no harm
PRIOR = 1e-3  # weight of the latents' squares: with NOISE, the KL divergence from N(0, 1)
NEAR, NEARNESS = 0.5, 8.0  # cells within half of the truncation of the surface weigh so much more
INSIDE = 2.0  # and so much more where the solid is: without it, thin parts are lost first
SLOPES = 1.0  # weight of the error of differences between neighbouring distances
COLORS = 8.0  # weight of the error of colours


@final
class VoxelsCodecRecipe:
    """A `multigen.training.Recipe` and `Objective`, for a folder of shapes that `load_shapes` takes."""

    modality: ClassVar[str] = "3d"
    settings: ClassVar[Mapping[str, Any]] = {"samples": 100_000}
    prompts: ClassVar[Sequence[str]] = ()

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self._shapes: Shapes = load_shapes(data, cache=cache)
        self._seed, self._warm_start = seed, warm_start

    def network(self) -> nn.Module:
        network: nn.Module = start(GridAutoencoder, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return "conv" in name

    def items(self, split: str, /) -> Items:
        if split == "train":
            views = Views(self._shapes, self._shapes.training, length=ENDLESS, seed=self._seed)
            return _Crops(ShapeGrids(self._shapes, views), self._seed)
        return _Whole(self._as_made(VALIDATION_SHAPES))

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), {}

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        """Absolute errors of distances, of their differences, and of colours, and the prior of the latents."""
        z, made = network(x0, NOISE * self._noise(x0, seeds))
        distance, color = GRID.unpack(x0)
        rebuilt, painted = GRID.unpack(made.float())
        weight = (1 + (NEARNESS - 1) * (distance.abs() < NEAR)) * (1 + (INSIDE - 1) * (distance < 0))
        error = (rebuilt - distance) * weight
        slopes = sum(error.diff(dim=dim).abs().flatten(1).mean(1) for dim in (-1, -2, -3))
        shape = error.abs().flatten(1).mean(1) + SLOPES * slopes
        return shape + COLORS * _color_error(painted, color) + PRIOR * z.float().square().flatten(1).mean(1)

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Absolute error of distances near the surface in truncations ("mean"), of colours in [-1, 1] ("color"), and
        the share of what is inside of either shape that is inside of both ("iou")."""
        _, made = network(x0, torch.zeros_like(self._noise(x0, seeds)))
        distance, color = GRID.unpack(x0)
        rebuilt, painted = GRID.unpack(made.float().clamp(-1, 1))
        near = (distance.abs() < NEAR).float()
        error = ((rebuilt - distance).abs() * near).flatten(1).sum(1) / near.flatten(1).sum(1).clamp(min=1)
        true, found = (distance < 0).flatten(1), (rebuilt < 0).flatten(1)
        iou = (true & found).sum(1) / (true | found).sum(1).clamp(min=1)
        return {"mean": error, "color": _color_error(painted, color), "iou": iou}

    @torch.no_grad()
    def illustrate(self, model: Path, /) -> list[tuple[str, Sample]]:
        """Held-out shapes, and beside each of them what is left of it."""
        codec = read_network(GridAutoencoder, model)
        shapes = self._as_made(ILLUSTRATIONS)
        shown: list[tuple[str, Sample]] = []
        for (distance, color), caption in (shapes[i] for i in range(len(shapes))):
            coded = codec.decode(codec.encode(GRID.pack(distance, color)[None]))[0]
            for name, grids in ((caption, (distance, color)), ("coded and decoded", GRID.unpack(coded))):
                vertices, faces, colors = GRID.synthesise(*grids)
                shown.append((name, {"vertices": vertices, "faces": faces, "colors": colors}))
        return shown

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(folder, network, {"training": about})

    def _as_made(self, count: int) -> ShapeGrids:
        chosen = spread(self._shapes.validation, count)
        views = Views(self._shapes, chosen, length=len(chosen), seed=0, augmentation=AS_MADE, order=in_turn)
        return ShapeGrids(self._shapes, views)

    def _noise(self, x0: Tensor, seeds: Sequence[int]) -> Tensor:
        return white(seeds, (LATENT, *(n // FACTOR for n in x0.shape[2:]))).to(x0.device)


def _color_error(made: Tensor, color: Tensor) -> Tensor:
    """Mean absolute error where there is a colour, (b,); elsewhere the codec may paint what it likes."""
    there = (color != 0).any(dim=1, keepdim=True).float()
    return ((made - color).abs() * there).flatten(1).sum(1) / (3 * there.flatten(1).sum(1)).clamp(min=1)


@final
class _Crops:
    """Crops (88, CROP, CROP, CROP) of packed grids around a place on the surface, CROPS from each view."""

    def __init__(self, grids: ShapeGrids, seed: int) -> None:
        self._grids, self._seed = grids, seed
        self._packed = Latest(self._pack)

    def __len__(self) -> int:
        return CROPS * len(self._grids)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        packed = self._packed(index // CROPS)
        # The third number tells this generator from the one of the view.
        rng = np.random.default_rng((self._seed, index, 1))
        distance, _ = GRID.unpack(packed)
        surface = (distance.abs() < NEAR).nonzero() // FOLD
        place = surface[int(rng.integers(len(surface)))] if len(surface) else torch.full((3,), CROP)
        first = [
            min(max(int(at) - int(rng.integers(CROP)), 0), n - CROP)
            for at, n in zip(place, packed.shape[1:], strict=True)
        ]
        x, y, z = (slice(start, start + CROP) for start in first)
        return packed[:, x, y, z], {}

    def _pack(self, view: int) -> Tensor:
        return GRID.pack(*self._grids[view][0])


@final
class _Whole:
    """Packed grids."""

    def __init__(self, grids: ShapeGrids) -> None:
        self._grids = grids

    def __len__(self) -> int:
        return len(self._grids)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        return GRID.pack(*self._grids[index][0]), {}
