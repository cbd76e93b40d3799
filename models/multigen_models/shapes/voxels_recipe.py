"""How the embedded model of meshes is trained: ``multigen train voxels-small --data FOLDER``."""

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
from multigen_models.latents import Coded, Latents
from multigen_models.layers import hidden
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.shapes import voxels_small
from multigen_models.shapes.data import Shapes, load_shapes
from multigen_models.shapes.distance_grid import FOLD
from multigen_models.shapes.grid_autoencoder import FACTOR, GridAutoencoder
from multigen_models.shapes.prepare import GRID
from multigen_models.shapes.samples import AS_MADE, SHEET_PROMPTS, ShapeGrids, Views, in_turn
from multigen_models.shapes.voxels_small import VoxelsSmall
from multigen_models.weights import ZOO, fingerprint, read_network, start, write_folder

VIEWS = 40_000
"""Different views of the shapes; each is seen several times, with other noise: making one takes as long as a step."""
VALIDATION_SHAPES = 96
STATISTICS_VIEWS = 1000
UNCONDITIONAL = 0.1


@final
class VoxelsRecipe:
    """A `multigen.training.Recipe` for a folder of shapes that `load_shapes` takes.

    The codec is the one in the folder `voxels-codec` of the cache, or else the published one.
    """

    modality: ClassVar[str] = "3d"
    # Along its first principal component the data deviates by 23, and noise must reach beyond that to hide a shape. The
    # median sigma is 3.3, one in ten is above 20. Below 32 samples a batch, Muon takes a third of the time.
    settings: ClassVar[Mapping[str, Any]] = {"t_mean": 1.2, "t_sd": 1.4, "batch": 32}
    prompts: ClassVar[Sequence[str]] = SHEET_PROMPTS

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self.parameterization: Parameterization = voxels_small.parameterization()
        self._seed, self._warm_start = seed, warm_start
        self._shapes: Shapes = load_shapes(data, cache=cache)
        own = cache / "voxels-codec"
        self._codec_folder = own if own.is_dir() else ZOO / "voxels-small" / "codec"
        self.codec = read_network(GridAutoencoder, self._codec_folder)
        self._latents = cache / f"latents-{fingerprint(self._codec_folder)}"
        self.scale: Scale = self._views().scale(STATISTICS_VIEWS, self._latents / "scale.json")

    def network(self) -> nn.Module:
        from multigen_models.shapes.voxel_unet import VoxelUNet

        network: nn.Module = start(VoxelUNet, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def items(self, split: str, /) -> Items:
        if split == "train":
            return _Latents(self, self._views(), unconditional=UNCONDITIONAL)
        chosen = spread(self._shapes.validation, VALIDATION_SHAPES)
        return _Latents(self, self._coded(self._as_made(chosen), f"validation-{len(chosen)}"), unconditional=0.0)

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        """Meshes as the grids hold them, at the resolution of what the model makes."""
        chosen = spread(self._shapes.split(split), most)
        grids = self._as_made(chosen)
        for place, index in enumerate(chosen):
            (distance, color), caption = grids[place]
            vertices, faces, colors = GRID.synthesise(distance, color)
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
                "grid": asdict(GRID),
                **self.scale.write(),
                "training": about,
            },
            inside={"codec": self._codec_folder},
        )

    def _as_made(self, chosen: Sequence[int]) -> ShapeGrids:
        views = Views(self._shapes, chosen, length=len(chosen), seed=0, augmentation=AS_MADE, order=in_turn)
        return ShapeGrids(self._shapes, views)

    def _views(self) -> Latents:
        views = Views(self._shapes, self._shapes.training, length=VIEWS, seed=self._seed)
        return self._coded(ShapeGrids(self._shapes, views), f"train-{VIEWS}-{self._seed}")

    def _coded(self, grids: ShapeGrids, name: str) -> Latents:
        cells = GRID.resolution // FOLD // FACTOR
        shape = (self.codec.config.latent, cells, cells, cells)
        return Latents(_Coding(grids, self.codec), count=len(grids), shape=shape, folder=self._latents / name)


@final
class _Coding:
    """Packed grids through the codec."""

    def __init__(self, grids: ShapeGrids, codec: Any, /) -> None:
        self._grids, self._codec = grids, codec

    @torch.no_grad()
    def __call__(self, index: int, /) -> Coded:
        grids, caption = self._grids[index]
        with torch.autocast("cpu", torch.bfloat16):
            return self._codec.encode(GRID.pack(*grids)[None])[0].float(), 1.0, caption


@final
class _Latents:
    """Standardised latents with their captions' states; a share of them with the empty caption.

    Any index is valid: the views repeat.
    """

    def __init__(self, recipe: VoxelsRecipe, latents: Latents, *, unconditional: float) -> None:
        self._latents, self._scale, self._seed = latents, recipe.scale, recipe._seed
        self._unconditional = unconditional

    def __len__(self) -> int:
        return len(self._latents)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        view = index % len(self._latents)
        z, _, _ = self._latents[view]
        # The third number tells this generator from the one of the view.
        dropped = np.random.default_rng((self._seed, index, 1)).random() < self._unconditional
        return self._scale.apply(z), embed("") if dropped else self._latents.cond(view)
