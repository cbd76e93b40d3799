"""Training samples of shapes with captions: a shape as it is, or changed with the caption following the change.

Sample i depends on (seed, i) alone. What changes is the same for both models: voxels see it as grids (`ShapeGrids`),
points as a cloud (`ShapeClouds`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from multigen_models.shapes import augment
from multigen_models.shapes.augment import Change
from multigen_models.shapes.captions import FRONTED, Traits, caption, noticed, part_color, proportions, styles
from multigen_models.shapes.colors import color_names
from multigen_models.shapes.data import Shape, Shapes, sampling_weights
from multigen_models.shapes.prepare import GRID, WIDE

SHEET_PROMPTS = (
    "a red wooden chair",
    "a blue car",
    "a tall green tree",
    "a small white house with a red roof",
    "a grey sword",
    "a yellow sofa",
    "a brown horse",
    "a purple table lamp",
)
"""What the models are asked for as they are trained."""

_PLANTS = ("tree", "bush", "grass", "plant", "flower", "mushroom", "cactus")
# Kinds with signs on them that are wrong in a mirror.
_WRITTEN = frozenset({"number", "block"})
# Kinds whose colours are their own: they are painted less often, people never.
_NATURAL = frozenset((*_PLANTS, "rock", "mountain", "hill", "animal", "dinosaur", "fish"))


@final
@dataclass(frozen=True)
class Augmentation:
    """How often samples are changed: probabilities.

    stretch: each axis by a factor of its own within [0.8, 1.25]. recolor: new colours, a third as often for what grows.
    turn: a quarter turn or two, of what has a front. mirror: left and right exchanged.
    """

    stretch: float = 0.5
    recolor: float = 0.4
    turn: float = 0.05
    mirror: float = 0.5


AUGMENTED = Augmentation()
AS_MADE = Augmentation(stretch=0.0, recolor=0.0, turn=0.0, mirror=0.0)


@final
@dataclass(frozen=True, eq=False)
class View:
    """A shape, how it is changed, and what is said of it."""

    shape: Shape
    change: Change
    caption: str


Order = Callable[[int, np.random.Generator], int]
"""Which of the shapes item i shows."""


def by_weight(shapes: Sequence[Shape], /) -> Order:
    """Drawn by `sampling_weights`."""
    cumulative = np.cumsum(sampling_weights(shapes))
    return lambda index, rng: min(int(np.searchsorted(cumulative, rng.random())), len(shapes) - 1)


def in_turn(shapes: Sequence[Shape], /) -> Order:
    """Each after the other, over and over."""
    return lambda index, rng: index % len(shapes)


@final
class Views:
    """Views of the shapes at `indices`: the one of number i is a function of (seed, i)."""

    def __init__(
        self,
        shapes: Shapes,
        indices: Sequence[int],
        /,
        *,
        length: int,
        seed: int,
        augmentation: Augmentation = AUGMENTED,
        order: Callable[[Sequence[Shape]], Order] = by_weight,
    ) -> None:
        self._shapes = [shapes.shapes[index] for index in indices]
        self._order = order(self._shapes)
        self._length, self._seed, self._augmentation = length, seed, augmentation

    def __len__(self) -> int:
        return self._length

    def draw(self, index: int, /) -> tuple[View, np.random.Generator]:
        """The view of that number, and the generator to go on with."""
        if not 0 <= index < self._length:
            raise IndexError(f"view {index} of {self._length}")
        rng = np.random.default_rng((self._seed, index))
        return view(self._shapes[self._order(index, rng)], rng, augmentation=self._augmentation), rng


@final
class ShapeGrids(Dataset[tuple[tuple[Tensor, Tensor], str]]):
    """Items ((distance, color), caption): (64, 64, 64) and (3, 32, 32, 32) float32 as `DistanceGrid.analyse` returns.

    Parameters are those of `Views`: AS_MADE and in_turn give the shapes as they are, each once in as many items.
    """

    def __init__(self, shapes: Shapes, views: Views, /) -> None:
        self._shapes, self._views = shapes, views

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, Tensor], str]:
        seen, _ = self._views.draw(index)
        distance, color = grids(self._shapes, seen)
        return (torch.from_numpy(distance), torch.from_numpy(color)), seen.caption


@final
class ShapeClouds(Dataset[tuple[tuple[Tensor, Tensor], str]]):
    """Items ((points, colors), caption): (count, 3) float32 in the cube, uniform on the surface, and sRGB in [0, 1]."""

    def __init__(self, shapes: Shapes, views: Views, /, *, count: int = 2048) -> None:
        self._shapes, self._views, self._count = shapes, views, count

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, Tensor], str]:
        seen, rng = self._views.draw(index)
        points, colors = cloud(self._shapes, seen, rng, count=self._count)
        return (torch.from_numpy(points), torch.from_numpy(colors)), seen.caption


def view(shape: Shape, rng: np.random.Generator, /, *, augmentation: Augmentation) -> View:
    """A view of that shape, drawn."""
    factors = (1.0, 1.0, 1.0)
    if rng.random() < augmentation.stretch:
        factors = augment.stretch_factors(shape.extents, np.exp(rng.uniform(np.log(0.8), np.log(1.25), 3)))
    painted = augmentation.recolor * (0.35 if shape.kind in _NATURAL else 0.0 if shape.kind == "person" else 1.0)
    recolored = bool(rng.random() < painted)
    palette = shape.palette
    if recolored:
        palette = augment.draw_palette(palette, noticed(shape.name, palette, shape.slabs).sum(0), rng)
    slabs = noticed(shape.name, palette, shape.slabs)
    turned = shape.kind in FRONTED and rng.random() < augmentation.turn
    change = Change(
        factors=factors,
        mirror=bool(rng.random() < augmentation.mirror) and shape.kind not in _WRITTEN,
        turns=int(rng.integers(1, 4)) if turned else 0,
        palette=palette,
    )
    traits = Traits(
        name=shape.name,
        colors=color_names(palette, slabs.sum(0).tolist()),
        part=part_color(shape.name, palette, slabs),
        proportions=proportions(shape.name, shape.extents * np.array(change.factors), shape.usual),
        turns=change.turns,
        recolored=recolored,
        styles=styles(shape.name, shape.category, shape.faces),
    )
    return View(shape, change, caption(traits, rng))


def grids(shapes: Shapes, seen: View, /) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """distance (64, 64, 64) in [-1, 1] and color (3, 32, 32, 32) in [-1, 1] of a view."""
    change = seen.change
    distance = shapes.distance[seen.shape.row].astype(np.float32) * np.float32(WIDE.truncation / 127)
    color = shapes.color[seen.shape.row].astype(np.float32) / np.float32(127)
    if change.factors != (1.0, 1.0, 1.0):
        distance = augment.stretch_distance(distance, change.factors, reach=GRID.truncation)
        color = augment.stretch_color(color, change.factors)
    if change.palette is not seen.shape.palette:
        shown = color.any(0)
        color[:, shown] = augment.recolor((color[:, shown].T + 1) / 2, seen.shape.palette, change.palette).T * 2 - 1
    distance, color = (augment.orient(grid, mirror=change.mirror, turns=change.turns) for grid in (distance, color))
    return np.clip(distance / np.float32(GRID.truncation), -1, 1), color


def cloud(
    shapes: Shapes, seen: View, rng: np.random.Generator, /, *, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """points (count, 3) in the cube and colors (count, 3) in [0, 1] of a view, drawn uniformly from its surface."""
    row, change = seen.shape.row, seen.change
    chosen = augment.choose(count, augment.growth(shapes.normals[row] / np.float32(127), change.factors), rng)
    points = augment.move_points(shapes.points[row][chosen].astype(np.float32), change)
    colors = shapes.point_colors[row][chosen].astype(np.float32) / np.float32(255)
    return points, augment.recolor(colors, seen.shape.palette, change.palette)
