"""How the embedded model of point clouds is trained.

First on clouds of few points, and then on whole ones:

    multigen train points-sparse --data FOLDER
    multigen train points-small --data FOLDER --warm-start runs/points-sparse/model
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond, Parameterization
from multigen.evaluation.collection import spread
from multigen.modality import Sample
from multigen.training import ENDLESS, Items
from multigen_models.layers import hidden
from multigen_models.prompts import embedded
from multigen_models.scale import Scale
from multigen_models.shapes import points_small
from multigen_models.shapes.data import Shapes, load_shapes
from multigen_models.shapes.points_small import PointsSmall, to_state
from multigen_models.shapes.samples import AS_MADE, SHEET_PROMPTS, ShapeClouds, Views, in_turn
from multigen_models.shapes.transport import assign, rearranged
from multigen_models.weights import start, write_folder

POINTS = 2048
VALIDATION_SHAPES = 96
UNCONDITIONAL = 0.1
SCALE = Scale(torch.tensor([0.0, 0.0, 0.0, -0.07, -0.07, -0.07]), torch.tensor([0.45, 0.45, 0.45, 0.5, 0.5, 0.5]))
"""Mean and deviation of objects in the cube: one for the three axes, so that a turned object is a turned state."""


class PointsRecipe:
    """A `multigen.training.Recipe` for a folder of shapes that `load_shapes` takes."""

    points: ClassVar[int] = POINTS
    """How many of a shape's points are trained on; the held-out error is always that of `POINTS`."""
    modality: ClassVar[str] = "3d"
    # Along the first principal component, how bright a shape is, the data deviate by 63: noise must reach beyond that.
    settings: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "t_mean": 1.5, "t_sd": 1.6}
    prompts: ClassVar[Sequence[str]] = SHEET_PROMPTS

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self.parameterization: Parameterization = points_small.parameterization()
        self.scale = SCALE
        self._seed, self._warm_start = seed, warm_start
        self._shapes: Shapes = load_shapes(data, cache=cache)

    def network(self) -> nn.Module:
        from multigen_models.shapes.point_transformer import PointTransformer

        network: nn.Module = start(PointTransformer, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def items(self, split: str, /) -> Items:
        if split == "train":
            views = Views(self._shapes, self._shapes.training, length=ENDLESS, seed=self._seed)
            return self._states(views, points=self.points, unconditional=UNCONDITIONAL)
        as_made = self._as_made(spread(self._shapes.validation, VALIDATION_SHAPES))
        return self._states(as_made, points=POINTS, unconditional=0.0)

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        chosen = spread(self._shapes.split(split), most)
        clouds = ShapeClouds(self._shapes, self._as_made(chosen), count=POINTS)
        for place, index in enumerate(chosen):
            (points, colors), caption = clouds[place]
            shape = self._shapes.shapes[index]
            yield shape.id, {"points": points, "colors": colors}, caption, shape.family

    def collate(self, items: Sequence[tuple[Tensor, str]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), embedded([caption for _, caption in items])

    def couple(self, x0: Tensor, unit: Tensor, /) -> Tensor:
        """The points of every cloud, each with the row of noise that is transported to it."""
        return rearranged(x0, assign(x0[:, :, :3], unit[:, :, :3]))

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(folder, network, {"loader": PointsSmall.loader, **self.scale.write(), "training": about})

    def _as_made(self, chosen: Sequence[int]) -> Views:
        return Views(self._shapes, chosen, length=len(chosen), seed=0, augmentation=AS_MADE, order=in_turn)

    def _states(self, views: Views, *, points: int, unconditional: float) -> Items:
        return _States(ShapeClouds(self._shapes, views, count=points), self.scale, self._seed, unconditional)


@final
class SparsePointsRecipe(PointsRecipe):
    """The same network on a quarter of the points: two to four times as many samples in the same time.

    Its latents read any number of points, but learn little from so few after some 64,000 samples.
    """

    points: ClassVar[int] = POINTS // 4


@final
class _States:
    """Standardised clouds with their captions, a share of them with the empty one."""

    def __init__(self, clouds: ShapeClouds, scale: Scale, seed: int, unconditional: float) -> None:
        self._clouds, self._scale, self._seed, self._unconditional = clouds, scale, seed, unconditional

    def __len__(self) -> int:
        return len(self._clouds)

    def __getitem__(self, index: int, /) -> tuple[Tensor, str]:
        (points, colors), caption = self._clouds[index]
        # The third number tells this generator from the one of the view.
        dropped = np.random.default_rng((self._seed, index, 1)).random() < self._unconditional
        return to_state(points, colors, self._scale), "" if dropped else caption
