"""The embedded model of point clouds: a set transformer on coloured points, any number of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from multigen.denoise import Cond, Denoiser, Parameterization, local
from multigen.edit import Edit, variation
from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.model import Defaults
from multigen_models.placed import place
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.shapes.set_edits import contain, pair
from multigen_models.weights import ZOO, Published, fingerprint, read_about, read_network

DETAIL = 0.1
"""Variance of standardised points around what the network predicts: the skip of `multigen.denoise.local`."""
REACH = 2.0
"""Points farther out are brought back to here. Guidance makes objects that reach out of the cube, to 1.6 at a scale of
4; brought back to its sides, they would lie flat there."""
SLACK = 0.01
"""By how much of its size a part may reach out of a frame that it is taken to be in."""


def parameterization() -> Parameterization:
    """What the network predicts."""
    return local(DETAIL)


@final
@dataclass(frozen=True)
class PointsSmall:
    """A `multigen.model.Model`; the state is (points, 6): x, y, z in the cube, then red, green, blue, standardised.

    The network was trained with noise that suits the points (`multigen_models.shapes.transport`). That leaves the ODE
    right, but not the SDE, so samplers that add noise are refused; and edits are those of
    `multigen_models.shapes.set_edits`.
    """

    network: Any
    scale: Scale
    fingerprint: str
    device: str
    dtype: torch.dtype
    name: str = "points-small"
    modality: str = "3d"
    kind: str = "points"
    paired: bool = True
    defaults: ClassVar[Defaults] = Defaults(steps=20, guidance="cfg:scale=2", sigma_max=250.0)
    axes: ClassVar[Mapping[str, int]] = {}
    suggested: ClassVar[Mapping[str, Any]] = {"smooth": 1}
    loader: ClassVar[str] = "points-small"

    @classmethod
    def load(cls, folder: Path, /, *, device: str, dtype: str) -> "PointsSmall":
        """From a folder that `PointsRecipe.export` wrote."""
        from multigen_models.shapes.point_transformer import PointTransformer

        network = read_network(PointTransformer, folder, dtype=dtype, device=device)
        return cls(network, Scale.read(read_about(folder), axes=1), fingerprint(folder), device, network.dtype)

    def with_network(self, network: Any, /, *, fingerprint: str) -> "PointsSmall":
        return replace(self, network=network, fingerprint=fingerprint)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        return (options.points, self.network.config.features)

    def condition(self, prompts: Sequence[str], /) -> Cond:
        return stacked([embed(prompt) for prompt in prompts], device=self.device)

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser:
        return place(self.network, parameterization(), cond, device=self.device, dtype=self.dtype)

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """Of a mesh or a cloud of any size and place: points of the surface, or of the cloud, chosen at random but
        always the same; where the cloud has fewer than the state, some of them more than once.

        Raises UsageError for a sample without extent.
        """
        return self.scale.apply(cube_points(sample, options.points))

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        points, colors = self.scale.undo(x.float().cpu()).split(3, dim=1)
        return {"points": points.clamp(-REACH, REACH), "colors": ((colors + 1) / 2).clamp(0, 1)}

    def mask(self, region: Region, sample: Sample, options: Any, /) -> Tensor:
        """The points inside a box given in fractions of the sample's bounding box.

        Raises UsageError for an unknown axis, and where no point is inside.
        """
        low, high = _bounds(sample)
        points = self.scale.undo(self.encode(sample, options))[:, :3]
        reach = ((high - low) / (high - low).max()).float()
        inside = torch.ones(len(points), dtype=torch.bool)
        for axis, (start, stop) in region.items():
            if axis not in ("x", "y", "z"):
                raise UsageError(f"no axis is called {axis!r}; there is x, y, z")
            i = "xyz".index(axis)
            edges = ((2 * edge - 1) * float(reach[i]) for edge in (start, stop))
            first, last = (edge + slack for edge, slack in zip(edges, (-1e-5, 1e-5), strict=True))
            inside &= (points[:, i] >= first) & (points[:, i] <= last)
        if not bool(inside.any()):
            raise UsageError("no point of the object is inside the box of --mask: give a larger one")
        return inside[:, None].float().expand(-1, self.network.config.features).clone()

    def known(self, part: Sample, options: Any, /) -> tuple[Tensor, Tensor]:
        """Holds up to half of the points on the part, and leaves the rest to be made.

        Where the part belongs in the whole is read from its coordinates. A part that lies where ``--size`` puts a
        finished object (its longest side that long, centred in x and z, standing on y = 0; it is taken to be as tall)
        is in its place, and so is one in the cube [-1, 1]. Any other one is as large as the whole.

        Raises UsageError for a part without extent.
        """
        frame = _frame(part, options.size)
        points, colors = _cloud(part, options.points // 2)
        held = to_state(_in_cube(points, *frame), colors, self.scale)
        state = torch.zeros(self.shape(options))
        mask = torch.ones(self.shape(options))
        state[: len(held)], mask[: len(held)] = held, 0
        return state, mask

    def inpaint(self, known: Tensor, mask: Tensor, /) -> Edit:
        """Make a cloud that contains the points of `known` of which the mask is 0, (n, 6) each."""
        return contain(known[mask[:, 0] == 0])

    def variation(self, x0: Tensor, strength: float, /) -> Edit:
        """Start from x0 (n, 6) with noise that suits it; strength: as of `multigen.edit.variation`."""
        vary = variation(x0, strength)
        return lambda plan: pair(vary(plan))


def cube_points(sample: Sample, count: int, /) -> Tensor:
    """Of a mesh or a cloud of any size and place, (count, 6): points in the cube [-1, 1] and their colours in [-1, 1].

    Always the same, and some of them more than once where a cloud has fewer. Raises UsageError for a sample without
    extent.
    """
    low, high = _bounds(sample)
    points, colors = _cloud(sample, count)
    if len(points) < count:
        again = torch.arange(count) % len(points)
        points, colors = points[again], colors[again]
    return torch.cat([_in_cube(points, low, high), 2 * colors - 1], dim=1).float()


def to_state(points: Tensor, colors: Tensor, scale: Scale, /) -> Tensor:
    """Points (n, 3) in the cube and their colours (n, 3) in [0, 1], standardised: (n, 6)."""
    return scale.apply(torch.cat([points, 2 * colors - 1], dim=1).float())


def _cloud(sample: Sample, count: int) -> tuple[Tensor, Tensor]:
    """At most `count` points of a sample (n, 3) and their colours (n, 3), always the same; as many for a mesh."""
    if "faces" in sample:
        corners = sample["vertices"][sample["faces"]].double()
        area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1).cumsum(0)
        if not float(area[-1]) > 0:
            raise UsageError(f"a mesh of {len(area)} faces is without an area: give one with a surface")
        generator = torch.Generator().manual_seed(0)
        drawn = area[-1] * torch.rand(count, dtype=torch.float64, generator=generator)
        face = torch.searchsorted(area, drawn).clamp(max=len(area) - 1)
        # Shares of exponential variables are uniform over a triangle's places.
        waits = torch.empty(count, 3, 1, dtype=torch.float64).exponential_(generator=generator)
        weights = waits / waits.sum(1, keepdim=True)
        of_corners = corners[face], sample["colors"][sample["faces"][face]]
        points, colors = ((weights * values).sum(1).float() for values in of_corners)
        return points, colors.clamp(0, 1)
    order = torch.randperm(len(sample["points"]), generator=torch.Generator().manual_seed(0))[:count]
    return sample["points"][order], sample["colors"][order]


def _bounds(sample: Sample) -> tuple[Tensor, Tensor]:
    """The corners (3,) of the box around a sample. Raises UsageError where it has no extent."""
    used = sample["vertices"][sample["faces"].flatten()] if "faces" in sample else sample["points"]
    if not len(used) or not bool(used.isfinite().all()):
        raise UsageError("the sample is empty, or has coordinates that are not finite: give one with points or faces")
    low, high = (corner.double() for corner in used.aminmax(dim=0))
    if not bool((high > low).any()):
        raise UsageError("the sample is a single point: give one with an extent")
    return low, high


def _in_cube(points: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Points moved and scaled such that the box from low to high is centred in the cube, its longest side 2."""
    return (points - (low + high) / 2) * (2 / (high - low).max())


def _frame(part: Sample, size: float) -> tuple[Tensor, Tensor]:
    """The corners (3,) of the cube that the whole is in, in the coordinates of a part: see `PointsSmall.known`."""
    low, high = _bounds(part)
    finished = size * torch.tensor([[-0.5, 0.0, -0.5], [0.5, 1.0, 0.5]], dtype=torch.float64)
    cube = torch.tensor([[-1.0] * 3, [1.0] * 3], dtype=torch.float64)
    for first, last in (finished, cube):
        slack = SLACK * (last - first)
        if bool((low >= first - slack).all() and (high <= last + slack).all()):
            return first, last
    return low, high


published = Published(ZOO / "points-small", PointsSmall.load)
