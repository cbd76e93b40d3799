"""Putting what was made and what was given together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from multigen.modality import Region

_SEAM_FRAMES = 2
_SEAM_PART = 16  # of a side


def splice(made: Tensor, given: Tensor, region: Region, /) -> Tensor:
    """`given` outside the region, bit for bit, and `made` inside: (t, 3, h, w) uint8.

    The region is rounded outwards to whole frames and pixels. Within it, at those of its edges that are not edges of
    the frame or ends of the clip, `given` fades into `made` over 2 frames and a sixteenth of the side, or less where
    the region is small. What `given` does not have any more is made, too.

    Args:
        made: (t, 3, h, w) uint8.
        given: (n, 3, h, w) uint8, 0 < n <= t.
        region: of the axes "time", "width" and "height".
    """
    t, _, h, w = made.shape
    n = len(given)
    in_time = share(t, region.get("time", (0.0, 1.0)), seam=_SEAM_FRAMES)
    rows = share(h, region.get("height", (0.0, 1.0)), seam=max(1, h // _SEAM_PART))
    columns = share(w, region.get("width", (0.0, 1.0)), seam=max(1, w // _SEAM_PART))
    in_frame = rows[:, None] * columns
    spliced = torch.cat([given, made[n:]])
    for k in torch.nonzero(in_time[:n]).ravel().tolist():
        spliced[k] = given[k].float().lerp(made[k].float(), in_time[k] * in_frame).round().to(torch.uint8)
    return spliced


def share(length: int, edges: tuple[float, float], /, *, seam: int) -> Tensor:
    """How much of each of `length` cells is made anew: 0 outside the edges, rising to 1 within `seam` cells.

    edges: as fractions. At 0 and at 1 there is nothing to blend with, and no seam.
    """
    first = min(math.floor(edges[0] * length + 1e-6), length - 1)
    last = max(math.ceil(edges[1] * length - 1e-6), first + 1)
    size = last - first
    seams = (first > 0) + (last < length)
    seam = min(seam, (size - 1) // seams) if seams else 0
    ramp = torch.arange(1, seam + 1) / (seam + 1)
    cells = torch.zeros(length)
    cells[first:last] = 1
    if first > 0:
        cells[first : first + seam] = ramp
    if last < length:
        cells[last - seam : last] = ramp.flip(0)
    return cells
