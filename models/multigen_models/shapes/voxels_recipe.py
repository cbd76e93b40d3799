"""How the embedded model of meshes is trained: ``multigen train voxels-small --data FOLDER``."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond, Parameterization
from multigen.evaluation.collection import spread
from multigen.modality import Sample
from multigen.training import Items
from multigen_models.layers import hidden
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.shapes import voxels_small
from multigen_models.shapes.data import Shapes, load_shapes
from multigen_models.shapes.prepare import GRID
from multigen_models.shapes.samples import AS_MADE, SHEET_PROMPTS, ShapeGrids, Views, in_turn
from multigen_models.shapes.voxels_small import VoxelsSmall
from multigen_models.weights import start, write_folder

ENDLESS = 1 << 40
VALIDATION_SHAPES = 96
STATISTICS_SHAPES = 1000
UNCONDITIONAL = 0.1


@final
class VoxelsRecipe:
    """A `multigen.training.Recipe` for a folder of shapes that `load_shapes` takes."""

    modality: ClassVar[str] = "3d"
    # Neighbouring cells say nearly the same: along its first principal component the data deviates by 290, and noise
    # must reach beyond that to hide a shape. The median sigma is 12, one in ten is above 160.
    settings: ClassVar[Mapping[str, Any]] = {"t_mean": 2.5, "t_sd": 2.0}
    prompts: ClassVar[Sequence[str]] = SHEET_PROMPTS

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self.parameterization: Parameterization = voxels_small.parameterization()
        self.codec = GRID
        self._seed, self._warm_start = seed, warm_start
        self._shapes: Shapes = load_shapes(data, cache=cache)
        self.scale = self._statistics(cache / "grid-scale.json")

    def network(self) -> nn.Module:
        from multigen_models.shapes.voxel_unet import VoxelUNet

        network: nn.Module = start(VoxelUNet, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def items(self, split: str, /) -> Items:
        if split == "train":
            views = Views(self._shapes, self._shapes.training, length=ENDLESS, seed=self._seed)
            return _Grids(self, ShapeGrids(self._shapes, views), unconditional=UNCONDITIONAL)
        chosen = spread(self._shapes.validation, VALIDATION_SHAPES)
        return _Grids(self, self._as_made(chosen), unconditional=0.0)

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        """Meshes as the codec rebuilds them: what a perfect model would make."""
        chosen = spread(self._shapes.split(split), most)
        grids = self._as_made(chosen)
        for place, index in enumerate(chosen):
            (distance, color), caption = grids[place]
            vertices, faces, colors = self.codec.synthesise(distance, color)
            shape = self._shapes.shapes[index]
            yield shape.id, {"vertices": vertices, "faces": faces, "colors": colors}, caption, shape.family

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), stacked([cond for _, cond in items])

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(
            folder,
            network,
            {
                "loader": VoxelsSmall.loader,
                "codec": asdict(self.codec),
                **self.scale.write(),
                "training": about,
            },
        )

    def _as_made(self, chosen: Sequence[int]) -> ShapeGrids:
        views = Views(self._shapes, chosen, length=len(chosen), seed=0, augmentation=AS_MADE, order=in_turn)
        return ShapeGrids(self._shapes, views)

    def _statistics(self, kept: Path) -> Scale:
        """Mean and deviation of every channel over training shapes, rounded as they are published."""
        if not kept.exists():
            grids = self._as_made(spread(self._shapes.training, STATISTICS_SHAPES))
            packed = (self.codec.pack(*grids[i][0]).flatten(1).double() for i in range(len(grids)))
            moments = [torch.stack([x.mean(1), x.square().mean(1)]) for x in packed]
            mean, square = torch.stack(moments).mean(0)
            temporary = kept.with_suffix(".part")
            temporary.write_text(json.dumps(Scale(mean, (square - mean**2).clamp(min=1e-4).sqrt()).write()))
            os.replace(temporary, kept)
        return Scale.read(json.loads(kept.read_text()), axes=4)


@final
class _Grids:
    """Standardised packed grids with their captions' states; a share of them with the empty caption."""

    def __init__(self, recipe: VoxelsRecipe, grids: ShapeGrids, *, unconditional: float) -> None:
        self._codec, self._scale, self._seed = recipe.codec, recipe.scale, recipe._seed
        self._grids, self._unconditional = grids, unconditional

    def __len__(self) -> int:
        return len(self._grids)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        grids, caption = self._grids[index]
        # The third number tells this generator from the one of the view.
        dropped = np.random.default_rng((self._seed, index, 1)).random() < self._unconditional
        return self._scale.apply(self._codec.pack(*grids)), embed("" if dropped else caption)
