"""What measures see of a shape: descriptors of its surface, without colour."""

import math

import torch
from torch import Tensor

SLABS = 8


def descriptors(points: Tensor, /) -> Tensor:
    """(n, 242) of clouds (n, m, 3) in the unit box: its sides, where points lie along each axis and around the upright
    one, how wide the shape is and where its middle is in every slab, and distances between points (D2; Osada et al.,
    ACM Transactions on Graphics 21:807, 2002). Histograms as roots of shares."""
    sides = points.amax(1) - points.amin(1)
    parts = [sides, (sides + 0.02).log()]
    for axis in range(3):
        slab = _bins(points[..., axis], SLABS, -0.5, 0.5)
        parts.append(_histogram(points[..., axis], 16, -0.5, 0.5))
        for other in range(3):
            mean, std = _by_slab(points[..., other], slab)
            parts += [std] if other == axis else [std, mean]
    height = points[..., 1] - points[..., 1].amin(1, keepdim=True)
    rise = height / sides[:, 1:2].clamp(min=1e-3)
    radius = points[..., [0, 2]].norm(dim=2)
    parts += [*_by_slab(radius, _bins(rise, SLABS, 0, 1)), _histogram(rise, SLABS, 0, 1)]
    parts.append(_histogram(radius, 12, 0, math.sqrt(0.5)))
    one, two = torch.randint(points.shape[1], (2, 8192), generator=torch.Generator().manual_seed(0))
    parts.append(_histogram((points[:, one] - points[:, two]).norm(dim=2), 32, 0, math.sqrt(3)))
    return torch.cat(parts, 1)


def _bins(values: Tensor, count: int, low: float, high: float) -> Tensor:
    return ((values - low) / (high - low) * count).long().clamp(0, count - 1)


def _histogram(values: Tensor, count: int, low: float, high: float) -> Tensor:
    """(n, m) to (n, count): roots of the shares."""
    shares = torch.zeros(len(values), count)
    shares.scatter_add_(1, _bins(values, count, low, high), torch.ones_like(values))
    return (shares / values.shape[1]).sqrt()


def _by_slab(values: Tensor, slab: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n, SLABS) of values (n, m); 0 in slabs without points."""

    def total(summed: Tensor) -> Tensor:
        return torch.zeros(len(values), SLABS).scatter_add_(1, slab, summed)

    count = total(torch.ones_like(values)).clamp(min=1)
    mean = total(values) / count
    return mean, (total(values.square()) / count - mean.square()).clamp(min=0).sqrt()
