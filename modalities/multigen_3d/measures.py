"""What can be measured of a shape: features for the general metrics, distances between clouds, soundness of meshes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from multigen import set_metrics
from multigen.evaluation.contract import Metric, Need, PerSample, PerSet, Statistic
from multigen.evaluation.once import once
from multigen.metrics import jackknife
from multigen.modality import Sample
from multigen_3d.features import descriptors
from multigen_3d.mesh import Quality, quality
from multigen_3d.metrics import (
    asymmetry,
    chamfer_matrix,
    emd_matrix,
    sliced_wasserstein_matrix,
    surface_points,
    unit_box,
)

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor

POINTS = 2048
CD_POINTS, EMD_POINTS = 1024, 256
TABLES = 16
"""Tables of distances that are kept of each kind."""


@final
class Descriptors:
    """242 descriptors of 2,048 points of the surface, in the unit box (`multigen_3d.features.descriptors`)."""

    name = "3d-descriptors"
    fingerprint = "1"

    def __call__(self, sample: Sample, /) -> Tensor:
        return descriptors(_cloud(sample, POINTS)[None])[0]


@final
class SurfacePoints:
    """So many points of the surface, in the unit box, one after another."""

    fingerprint = "2"

    def __init__(self, count: int) -> None:
        self.name = f"3d-points-{count}"
        self._count = count

    def __call__(self, sample: Sample, /) -> Tensor:
        return _cloud(sample, self._count).flatten()


def extractors() -> Sequence[Extractor]:
    return (Descriptors(),)


def metrics() -> Sequence[Metric]:
    tables = (
        ("cd", _remembered(chamfer_matrix), CD_POINTS, "chamfer distances of 1,024 points, squared, both ways summed"),
        ("emd", _remembered(emd_matrix), EMD_POINTS, "exact earth mover's distances of 256 points, squared"),
        ("sw", _remembered(sliced_wasserstein_matrix), CD_POINTS, "sliced Wasserstein distances of 1,024 points"),
    )
    sets = [
        _of_distances(f"{name}-{short}", table, count, f"{about}, by {distance}", pick, better, best)
        for short, table, count, distance in tables
        for name, about, pick, better, best in (
            ("1-nna", "how often the nearest other shape is of one's own kind", set_metrics.one_nna, None, 0.5),
            ("cov", "share of real shapes that are the nearest to a made one", _coverage, True, None),
            ("mmd", "mean distance of a real shape to the nearest made one", _matching, False, None),
        )
    ]
    return [*sets, *_soundness()]


def faults(sample: Sample, /) -> Sequence[str]:
    points = sample["vertices"] if "faces" in sample else sample["points"]
    if not len(points) or ("faces" in sample and not len(sample["faces"])):
        return ("empty",)
    if not bool(points.isfinite().all()):
        return ("not finite",)
    sides = points.amax(0) - points.amin(0)
    return ("no extent",) if float(sides.max()) <= 0 else ()


def _soundness() -> Sequence[PerSample]:
    of = once(quality)

    def told(name: str, about: str, value: Callable[[Quality], float | None], *, share: bool = False) -> PerSample:
        """Of meshes; NaN for clouds, and where there is no answer."""

        def found(sample: Sample, prompt: str) -> float:
            answer = value(of(sample)) if "faces" in sample else None
            return math.nan if answer is None else float(answer)

        better = True if share else None
        return PerSample(
            name=name, about=about, source="multigen_3d.mesh.quality", higher_is_better=better, value=found, share=share
        )

    return [
        told(
            "watertight",
            "share of meshes every edge of which has two faces",
            lambda mesh: mesh["watertight"],
            share=True,
        ),
        told(
            "winding",
            "share of meshes whose faces agree on which side is out",
            lambda mesh: mesh["winding_consistent"],
            share=True,
        ),
        told("volume", "share of meshes that enclose a positive volume", lambda mesh: mesh["volume"] > 0, share=True),
        told("components", "pieces whose faces hang together by edges", lambda mesh: mesh["components"]),
        told("genus", "tunnels through a watertight mesh, by Euler's formula", lambda mesh: mesh["genus"]),
        PerSample(
            name="asymmetry",
            about="chamfer distance of 2,048 points to their mirror image, left for right",
            source="multigen_3d.metrics.asymmetry",
            higher_is_better=None,
            value=lambda sample, prompt: asymmetry(_cloud(sample, POINTS)),
        ),
    ]


def _of_distances(
    name: str,
    table: Callable[..., Tensor],
    count: int,
    about: str,
    pick: Callable[[Tensor, Tensor, Tensor], Callable[..., float]],
    better: bool | None,
    best: float | None,
) -> PerSet:
    def statistic(made: Tensor, real: Tensor, training: Tensor) -> Statistic:
        ours, theirs = (x.unflatten(1, (count, 3)) for x in (made, real))
        between = table(theirs) if torch.equal(theirs, ours) else table(theirs, ours)
        estimate = pick(table(theirs), table(ours), between)
        return lambda u, v: estimate(v, u)

    return PerSet(
        name=name,
        about=about,
        source="arXiv 1906.12320, with exact distances (multigen_3d.metrics)",
        higher_is_better=better,
        best=best,
        needs=frozenset({Need.REAL}),
        statistic=statistic,
        intervals=jackknife,
        limits=(0, math.inf) if name.startswith("mmd") else (0, 1),
        balanced=True,
        features=SurfacePoints(count),
        version=2,
    )


def _remembered(table: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The same tables, each made once: three metrics and their floors ask for them, and they take long."""
    made: dict[tuple[str, ...], Tensor] = {}

    def remembered(*stacks: Tensor) -> Tensor:
        key = tuple(hashlib.sha256(stack.numpy().tobytes()).hexdigest() for stack in stacks)
        if key not in made:
            while len(made) >= TABLES:
                del made[next(iter(made))]
            made[key] = table(*stacks)
        return made[key]

    return remembered


def _coverage(real: Tensor, made: Tensor, between: Tensor) -> Callable[..., float]:
    return set_metrics.matched(between)


def _matching(real: Tensor, made: Tensor, between: Tensor) -> Callable[..., float]:
    return set_metrics.matching_distance(between)


def _cloud(sample: Sample, count: int) -> Tensor:
    """(count, 3) of the surface, or of a cloud spread over its points, in the unit box; count <= `POINTS`."""
    return unit_box(_points(sample)[:count])


@once
def _points(sample: Sample) -> Tensor:
    """(POINTS, 3), in no order: any part of them is spread as the whole."""
    if "faces" in sample:
        return surface_points(sample["vertices"], sample["faces"], POINTS)[0]
    points = sample["points"]
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    return points[order.repeat(math.ceil(POINTS / len(points)))[:POINTS]]
