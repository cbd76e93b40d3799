"""Which point of a cloud goes with which row of noise: nearly optimal transport, in milliseconds.

The points of a cloud are in no order, so noise may be assigned to them such that they travel little. A denoiser then
knows early where every row will end, and paths are nearly straight ("Not-so-optimal transport flows for 3D point cloud
generation", arXiv 2502.12456).
"""

import torch
from torch import Tensor

LEAF = 8


def assign(points: Tensor, noise: Tensor, /) -> Tensor:
    """For every row of noise the index of its point, (b, n): permutations that keep the squared distances small.

    points, noise: (b, n, d). Both clouds are halved at their medians again and again, across one axis for both: where
    the product of their variances is the largest, which is where the match gains most. Cells of 8 rows or fewer, or of
    an odd number, are matched in the order along that axis. So the result is a mixture of Knothe-Rosenblatt
    rearrangements, found as by the binary space partitions of BSP-OT (Genest et al., ACM Transactions on Graphics 44,
    2025). It is a function of the arguments alone, and best where n is a power of two.

    Of the difference in cost between a random and an optimal assignment, 2,048 points of objects' surfaces and normal
    noise keep 2 %, in place of half a second or more for the exact solution.
    """
    b, n, _ = points.shape
    order = torch.arange(n, device=points.device).expand(b, n)
    by_point = by_noise = order
    size = n
    while True:
        points, noise = (cloud.reshape(-1, size, cloud.shape[-1]) for cloud in (points, noise))
        axis = (points.var(1, correction=0) * noise.var(1, correction=0)).argmax(-1)
        points, by_point = _sorted(points, by_point.reshape(-1, size), axis)
        noise, by_noise = _sorted(noise, by_noise.reshape(-1, size), axis)
        if size <= LEAF or size % 2:
            break
        size //= 2
    return torch.empty_like(order).scatter_(1, by_noise.reshape(b, n), by_point.reshape(b, n))


def rearranged(x: Tensor, index: Tensor, /) -> Tensor:
    """The rows of x (b, n, d) in the order of an index (b, n)."""
    return x.gather(1, index[:, :, None].expand_as(x))


def _sorted(cloud: Tensor, order: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Every cell of (c, m, d) along its own axis (c,), with the order (c, m) that came with it."""
    index = cloud.gather(2, axis[:, None, None].expand(-1, cloud.shape[1], 1))[:, :, 0].argsort(dim=1, stable=True)
    return rearranged(cloud, index), order.gather(1, index)


def nearest(points: Tensor, rows: Tensor, /) -> Tensor:
    """For every one of the points (k, d) a row of its own, near to it: indices (k,) into the rows (n, d), k <= n.

    Every point proposes to the nearest row that is free, every row takes the nearest of the points that propose to it,
    and the others try again. Raises ValueError where there are more points than rows.
    """
    if len(points) > len(rows):
        raise ValueError(f"{len(points)} points need rows of their own, and there are {len(rows)}")
    distance = torch.cdist(points, rows)
    index = torch.full((len(points),), -1, device=points.device)
    idle = torch.arange(len(points), device=points.device)
    while len(idle):
        closest, row = distance[idle].min(dim=1)
        order = closest.argsort(stable=True)
        place = torch.arange(len(idle), device=points.device)
        first = torch.full((len(rows),), len(idle), device=points.device).scatter_reduce(0, row[order], place, "amin")
        taken = (first < len(idle)).nonzero()[:, 0]
        index[idle[order[first[taken]]]] = taken
        distance[:, taken] = torch.inf
        idle = (index < 0).nonzero()[:, 0]
    return index
