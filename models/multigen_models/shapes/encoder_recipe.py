"""How the embedded encoder of shapes is trained: ``multigen train shape-encoder --data FOLDER``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.training import ENDLESS, Items
from multigen_models.contrast_encoder import ContrastRecipe, captioned
from multigen_models.shapes.data import Shapes, load_shapes
from multigen_models.shapes.encoder import POINTS, ShapeEncoder, seen
from multigen_models.shapes.samples import AS_MADE, ShapeClouds, Views, in_turn
from multigen_models.weights import start


@final
class ShapeEncoderRecipe(ContrastRecipe):
    """For a folder of shapes that `load_shapes` takes; held out are whole families, every shape once as it is."""

    modality: ClassVar[str] = "3d"
    # In bfloat16 the gradient of convolutions over the smallest maps overflows on CPUs (torch 2.13, 2 x 2 x 2 cells).
    settings: ClassVar[Mapping[str, Any]] = {**ContrastRecipe.settings, "precision": "no"}
    loader: ClassVar[str] = ShapeEncoder.name

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self._seed, self._warm_start = seed, warm_start
        self._shapes: Shapes = load_shapes(data, cache=cache)

    def network(self) -> nn.Module:
        from multigen_models.shapes.encoder_network import SolidEncoder

        network: nn.Module = start(SolidEncoder, self._warm_start)
        return network

    def items(self, split: str, /) -> Items:
        if split == "train":
            views = Views(self._shapes, self._shapes.training, length=ENDLESS, seed=self._seed)
        else:
            chosen = self._shapes.validation
            views = Views(self._shapes, chosen, length=len(chosen), seed=0, augmentation=AS_MADE, order=in_turn)
        return _Seen(ShapeClouds(self._shapes, views, count=POINTS))


@final
class _Seen:
    """Grids of clouds."""

    def __init__(self, clouds: ShapeClouds) -> None:
        self._clouds = clouds

    def __len__(self) -> int:
        return len(self._clouds)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        (points, colors), caption = self._clouds[index]
        return seen(torch.cat([points, 2 * colors - 1], dim=1)), captioned(caption)
