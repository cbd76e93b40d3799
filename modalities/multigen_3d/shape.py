"""What the core needs to know about 3D shapes. Light to import: torch and the rest come with the first call."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.options import option

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor, Metric

POINTS = 2048
FEWEST_FACES = 4  # a tetrahedron
SMALLEST, LARGEST = 0.001, 1000.0
"""Metres."""


@dataclass(frozen=True)
class ShapeOptions:
    """The flags of ``multigen 3d`` beside the shared ones."""

    size: float = option(
        1.0, "longest side; of an edit that of --init unless it is typed", unit="m", low=SMALLEST, high=LARGEST
    )
    smooth: int = option(
        0,
        "rounds of smoothing: Taubin's of a mesh, which keep its volume; of a cloud, onto the surfaces that its points "
        "lie around",
        low=0,
        high=100,
    )
    faces: int = option(0, "most triangles of a mesh; 0 is as many as were made", low=0, high=2_000_000)
    points: int = option(POINTS, "points of a cloud", low=256, high=16_384)

    def __post_init__(self) -> None:
        if 0 < self.faces < FEWEST_FACES:
            raise UsageError(
                f"--faces {self.faces} cannot enclose anything: {FEWEST_FACES} or more are possible, or 0 for as made"
            )


@final
class Shape:
    """Samples are meshes or point clouds, y up, in metres where the modality finished them.

    A model makes them in the cube [-1, 1]^3 or little beyond it, and takes an input of any size and place as centred in
    it, as long as the cube is.

    mesh: {"vertices": (v, 3) float32, "faces": (f, 3) int64, "colors": (v, 3) float32 in [0, 1], sRGB}.
    points: {"points": (n, 3) float32, "colors": (n, 3) float32 in [0, 1], sRGB}.
    """

    name: ClassVar[str] = "3d"
    Options: ClassVar[type] = ShapeOptions
    extensions: ClassVar[Sequence[str]] = (".glb", ".obj", ".ply", ".stl", ".xyz", ".npz")
    default_model: ClassVar[str] = "voxels-small"
    complete_model: ClassVar[str] = "points-small"
    unedited: ClassVar[Collection[str]] = ("smooth",)
    complete_help: ClassVar[str] = (
        "a mesh or point cloud that is a part of the object; the rest is made. A part is in its place where it lies in "
        "the frame of a finished object (--size wide, high and deep, centred, standing on y = 0), else in [-1, 1]^3; "
        "otherwise it is as large as the whole"
    )
    mask_help: ClassVar[str] = (
        "a box of --init to make anew, as fractions of its width, height and depth: y=0:0.45 or x=0:0.5,y=0.2:1; the "
        "rest stays in its place, as exact as the model's codec is"
    )
    show_flag: ClassVar[str] = "preview"
    show_extensions: ClassVar[Sequence[str]] = (".png", ".mp4")

    def read(self, path: Path, /) -> Sample:
        from multigen_3d.files import read

        return read(path)

    def write(self, sample: Sample, path: Path, /, *, tags: Mapping[str, str]) -> None:
        from multigen_3d.files import write

        write(path, sample, tags=tags)

    def check(self, path: Path, options: ShapeOptions, kind: str, /) -> None:
        """kind: "mesh", "points", or empty where it is not known yet."""
        from multigen_3d.files import check_writable

        check_writable(path, kind=kind)
        if kind == "points" and options.faces:
            raise UsageError("--faces is for meshes: leave it out, or choose a --model of meshes")
        if kind == "mesh" and options.points != POINTS:
            raise UsageError("--points is for point clouds: leave it out, or choose a --model of points")

    def read_tags(self, path: Path, /) -> Mapping[str, str]:
        from multigen_3d.tags import read_tags

        return read_tags(path)

    def finish(self, sample: Sample, options: ShapeOptions, /) -> Sample:
        """Smooth, decimate, and set on the ground at its size."""
        from multigen_3d.mesh import finish

        finished: Sample = finish(sample, size=options.size, smooth=options.smooth, faces=options.faces)
        return finished

    def finish_in_place(self, made: Sample, given: Sample, options: ShapeOptions, /) -> Sample:
        """Smooth and decimate, and set where the input was: the part of it that was kept is in its place."""
        from multigen_3d.mesh import finish_in_place

        return finish_in_place(made, given, size=options.size, smooth=options.smooth, faces=options.faces)

    def fit(self, sample: Sample, typed: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The size of an input, where it is one that can be typed."""
        from multigen_3d.mesh import bounds

        low, high = bounds(sample)
        size = float((high - low).max())
        return {"size": size} if SMALLEST <= size <= LARGEST else {}

    def show(self, samples: Sequence[tuple[str, Sample]], path: Path, /) -> None:
        """A picture of them side by side, or a film in which they turn."""
        from multigen_3d.render import preview

        preview(samples, path)

    def region(self, mask: str, sample: Sample, /) -> Region:
        """A box in fractions of the sample's bounding box, from ``x=0:0.5,y=0.2:1``.

        Raises UsageError for what is no such text, another axis than x, y and z, an axis named twice, and a box that
        is empty or reaches outside 0 to 1.
        """
        box: dict[str, tuple[float, float]] = {}
        for part in mask.split(","):
            match = re.fullmatch(r"\s*(\w+)\s*=\s*(-?\d*\.?\d+)\s*:\s*(-?\d*\.?\d+)\s*", part, re.ASCII)
            if not match:
                raise UsageError(f"--mask {mask!r} is no box: type it as --mask y=0:0.45 or --mask x=0:0.5,y=0.2:1")
            axis, start, stop = match[1].lower(), float(match[2]), float(match[3])
            if axis not in ("x", "y", "z"):
                raise UsageError(f"--mask {mask!r} has no axis {axis!r} to name: x, y (up) and z are possible")
            if axis in box:
                raise UsageError(f"--mask {mask!r} names {axis} twice: give each axis once")
            if not 0 <= start < stop <= 1:
                raise UsageError(
                    f"--mask {mask!r} is empty or outside the object in {axis}: "
                    "START and END are fractions from 0 to 1, START below END"
                )
            box[axis] = (start, stop)
        return box

    def extractors(self) -> Sequence[Extractor]:
        from multigen_3d.measures import extractors

        return extractors()

    def metrics(self) -> Sequence[Metric]:
        from multigen_3d.measures import metrics

        return metrics()

    def faults(self, sample: Sample, /) -> Sequence[str]:
        """Why a sample cannot be measured; empty where it can be."""
        from multigen_3d.measures import faults

        return faults(sample)

    def embed(self, sample: Sample, title: str, /) -> str:
        """The sample on a page."""
        from multigen_3d.embed import embed

        return embed(sample, title)

    def embed_script(self) -> str:
        """What the samples of a page share, JavaScript."""
        from multigen_3d.embed import script

        return script()
