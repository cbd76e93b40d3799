"""The shapes that `shape_quality` compares: prepared real ones, and ones that a model makes, kept in a folder."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reports import counted, kept
from torch import Tensor

from multigen.errors import UsageError
from multigen.job import Job
from multigen.modality import Sample
from multigen.request import Request
from multigen_3d import ShapeOptions
from multigen_3d.mesh import bounds, quality
from multigen_3d.metrics import surface_points, unit_box
from multigen_models.shapes.colors import COLOR_NAMES
from multigen_models.shapes.data import Shape, Shapes, sampling_weights
from multigen_models.shapes.names import with_article
from multigen_models.shapes.samples import AS_MADE, view

POINTS = 2048
PAINTED = ("chair", "table", "sofa", "lamp", "cabinet", "bottle", "car", "house", "fish", "boat")
"""What the colours are asked of: things that come in any."""


@dataclass(frozen=True)
class Clouds:
    """Shapes as coloured points of their surfaces.

    points: (n, POINTS, 3), every cloud in the middle of the unit box. colors: (n, POINTS, 3) sRGB in [0, 1].
    label: (n,) which of the things that were asked for, -1 for others. family: (n,) clusters, those of generated
    shapes negative.
    """

    points: Tensor
    colors: Tensor
    label: Tensor
    family: Tensor

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, chosen: Tensor, /) -> "Clouds":
        """Those at indices, or where a mask is true."""
        return Clouds(self.points[chosen], self.colors[chosen], self.label[chosen], self.family[chosen])

    def __add__(self, other: "Clouds", /) -> "Clouds":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Clouds(*(torch.cat(pair) for pair in pairs))


# --- real shapes ------------------------------------------------------------------------------------------------------


def kinds(shapes: Sequence[Shape], /, *, count: int) -> list[str]:
    """The best covered kinds, the best first: those with the largest sums of `sampling_weights`."""
    total: dict[str, float] = defaultdict(float)
    for shape, weight in zip(shapes, sampling_weights(shapes), strict=True):
        total[shape.kind] += weight
    return sorted(total, key=lambda kind: -total[kind])[:count]


def spread(shapes: Shapes, indices: Sequence[int], /, *, count: int, seed: int = 0) -> list[int]:
    """At most `count` of the indices: one of every family at first, then a second of every family, and so on."""
    order = [indices[int(i)] for i in np.random.default_rng(seed).permutation(len(indices))]
    seen: dict[str, int] = defaultdict(int)
    turn = {}
    for index in order:
        turn[index] = seen[shapes.shapes[index].family]
        seen[shapes.shapes[index].family] += 1
    return sorted(order, key=lambda index: turn[index])[:count]


def real(shapes: Shapes, indices: Sequence[int], classes: Sequence[str], /, *, seed: int = 0) -> Clouds:
    """Points of prepared shapes, drawn anew for every seed; labels are kinds."""
    families = {name: i for i, name in enumerate(dict.fromkeys(shape.family for shape in shapes.shapes))}
    chosen = [shapes.shapes[index] for index in indices]
    points, colors = [], []
    for shape in chosen:
        rng = np.random.default_rng((seed, shape.row))
        drawn = rng.choice(shapes.points.shape[1], POINTS, replace=False)
        points.append(torch.from_numpy(shapes.points[shape.row][drawn].astype(np.float32)))
        colors.append(torch.from_numpy(shapes.point_colors[shape.row][drawn].astype(np.float32) / np.float32(255)))
    return Clouds(
        unit_box(torch.stack(points)),
        torch.stack(colors),
        torch.tensor([classes.index(shape.kind) if shape.kind in classes else -1 for shape in chosen]),
        torch.tensor([families[shape.family] for shape in chosen]),
    )


def noisy(clouds: Clouds, level: float, /) -> Clouds:
    """Every point moved at random, by `level` of the longest side in each direction."""
    noise = torch.randn(clouds.points.shape, generator=torch.Generator().manual_seed(0))
    return dataclasses.replace(clouds, points=unit_box(clouds.points + level * noise))


def cut(clouds: Clouds, kept: float, /) -> Clouds:
    """Of every shape only that share which lies lowest along a direction drawn for it; the points there repeat."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(len(clouds), 3, 1, generator=generator)
    order = (clouds.points @ directions)[..., 0].argsort(1)
    places = torch.arange(POINTS) % max(round(kept * POINTS), 1)
    index = order[:, places][:, :, None].expand(-1, -1, 3)
    return dataclasses.replace(
        clouds, points=unit_box(clouds.points.gather(1, index)), colors=clouds.colors.gather(1, index)
    )


# --- prompts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompts:
    """What is asked for: texts with their labels, made with the seeds 0, 1, ..."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[int, ...]


def captions(shapes: Shapes, indices: Sequence[int], /) -> Prompts:
    """One caption of each of these shapes."""
    said = [view(shapes.shapes[i], np.random.default_rng((0, i)), augmentation=AS_MADE).caption for i in indices]
    return Prompts("captions", tuple(said), (-1,) * len(said))


def of_kinds(classes: Sequence[str], /, *, each: int) -> Prompts:
    """ "a chair", `each` times."""
    pairs = [(with_article(kind, kind), label) for label, kind in enumerate(classes) for _ in range(each)]
    return Prompts("kinds", *zip(*pairs, strict=True))


def of_colors(each: int, /) -> Prompts:
    """ "a red chair": every colour of `each` of the painted things."""
    pairs = [
        (with_article(f"{color} {kind}", kind), label)
        for label, color in enumerate(COLOR_NAMES)
        for kind in PAINTED[:each]
    ]
    return Prompts("colors", *zip(*pairs, strict=True))


# --- generated shapes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """Generated shapes, what their meshes are like, and what they cost.

    checks: `mesh_checks` of each shape that is a mesh. evaluations: of the network, for each shape (guidance evaluates
    it twice a step). seconds: the median for one shape. usual: the model's own number of steps.
    """

    clouds: Clouds
    checks: Sequence[Mapping[str, float]]
    evaluations: Sequence[int]
    seconds: float
    request: Request
    usual: int
    folder: Path


def generate(request: Request, prompts: Prompts, /, *, device: str | None, cache: Path) -> Made:
    """A shape for every prompt; those that an earlier run with the same weights and settings left in `cache` are read.

    request: how they are made; its prompt and options are filled in here.
    """
    found = kept(
        request,
        prompts.texts,
        _make,
        options=dataclasses.asdict(ShapeOptions()),
        title=prompts.name,
        prefix=f"{prompts.name}-",
        device=device,
        cache=cache,
    )
    records = found.records
    return Made(
        Clouds(
            unit_box(torch.stack([record["points"] for record in records])),
            torch.stack([record["colors"] for record in records]),
            torch.tensor(prompts.labels),
            -1 - torch.arange(len(records)),
        ),
        [record["checks"] for record in records if record["checks"]],
        [record["evaluations"] for record in records],
        found.seconds,
        found.job.request,
        found.job.pipeline.model.defaults.steps,
        found.folder,
    )


def _make(job: Job, seed: int) -> dict[str, Any]:
    """One shape as points, before it is scaled and set on the ground: what is small in the cube is nearly nothing."""
    with counted(job) as cost, torch.no_grad():
        state = job.plan(seed).result()[0]
        try:
            sample: Sample = job.pipeline.model.decode(state, job.options)
        except UsageError:
            sample = {"points": torch.zeros(1, 3), "colors": torch.zeros(1, 3)}
    points, colors = as_points(sample)
    checks = mesh_checks(sample) if "faces" in sample else {}
    return {"points": points, "colors": colors, "checks": checks, **dataclasses.asdict(cost)}


def as_points(sample: Sample, /) -> tuple[Tensor, Tensor]:
    """Points (POINTS, 3) and colours (POINTS, 3) of a mesh, by area, or of a cloud; of nothing, all at the origin."""
    if "faces" in sample:
        points, face, weights = surface_points(sample["vertices"], sample["faces"], POINTS)
        return points, (weights[:, :, None] * sample["colors"][sample["faces"][face]]).sum(1)
    some = torch.arange(POINTS) % len(sample["points"])
    return sample["points"][some], sample["colors"][some]


def mesh_checks(sample: Sample, /) -> dict[str, float]:
    """`multigen_3d.mesh.quality` of a mesh in the cube [-1, 1]^3, 1 for yes.

    side: the longest one of its box, of the cube's. pieces: connected parts.
    """
    found = quality(sample)
    low, high = bounds(sample)
    return {
        "watertight": float(found["watertight"]),
        "winding consistent": float(found["winding_consistent"]),
        "positive volume": float(found["volume"] > 0),
        "side": float((high - low).max() / 2),
        "pieces": float(found["components"]),
        "faces": float(len(sample["faces"])),
    }
