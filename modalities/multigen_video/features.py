"""What measures see of a film: statistics of its colours, edges and changes, a fixed random network, optical flow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multigen_video.optical_flow import lucas_kanade

FRAMES = 16
SIDE = 64
"""A film is seen as so many frames of SIDE x SIDE."""
FLOW_SIDE = 64
BORDER = 6
"""Pixels of `FLOW_SIDE` around a film that are taken for the place."""
MOVING = 0.4
"""Pixels of `FLOW_SIDE` that something moves by from frame to frame, at least."""


def prepare(frames: Tensor, /, *, count: int = FRAMES, side: int = SIDE) -> Tensor:
    """(t, 3, h, w) uint8 to (count, 3, side, side) in [0, 1]: evenly spaced frames; the shape is not kept."""
    at = (torch.arange(count) + 0.5) * len(frames) / count
    chosen = frames[at.long()].float() / 255
    return F.interpolate(chosen, (side, side), mode="bilinear", antialias=True, align_corners=False)


def statistics(film: Tensor, /) -> Tensor:
    """(t, 3, side, side) in [0, 1] to (420,): hand-made features.

    Thumbnails of 8 x 8: of the mean and of the deviation over time in each colour; quantiles of brightness, of edges
    and of the change from one frame to the next, and from one to the fourth next; how the change is spread over time.
    """
    mean, deviation = film.mean(0), film.std(0)
    thumbnails = [F.adaptive_avg_pool2d(x, 8).flatten() for x in (mean, deviation)]
    grey = film.mean(1)
    edges = torch.cat([grey.diff(dim=d).abs().flatten() for d in (1, 2)])
    changes = [(grey[lag:] - grey[:-lag]).abs() for lag in (1, 4)]
    marks = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    spread = [_quantiles(x, marks) for x in (grey, edges, *changes)]
    course = changes[0].mean((1, 2))
    over_time = torch.stack([course.mean(), course.std(), course.max()])
    return torch.cat([*thumbnails, *spread, _of_orientation(grey), over_time])


def _quantiles(values: Tensor, marks: Tensor) -> Tensor:
    """What `torch.quantile` finds, to the bit; numpy sorts in a twentieth of the time."""
    ordered = torch.from_numpy(np.sort(values.flatten().numpy()))
    ranks = marks * (len(ordered) - 1)
    below = ranks.floor()
    return torch.lerp(ordered[below.long()], ordered[ranks.ceil().long()], ranks - below)


def _of_orientation(grey: Tensor) -> Tensor:
    """(9,): how strong edges are on average, and the shares of eight directions among them."""
    down, right = grey.diff(dim=1)[:, :, :-1], grey.diff(dim=2)[:, :-1]
    strength = (down.square() + right.square()).sqrt()
    turn = (torch.atan2(down, right) / torch.pi + 1) * 4
    shares = torch.zeros(8).index_add_(0, turn.long().clamp(max=7).flatten(), strength.flatten())
    return torch.cat([strength.mean()[None], shares / shares.sum().clamp(min=1e-6)])


class RandomNetwork(nn.Module):
    """A fixed convolutional network with random weights: (t, 3, side, side) to (192,).

    Four convolutions over space and time with ReLU, each halving height and width, two of them time as well; then mean
    and deviation over time of 32 channels in three parts of the height. Random networks rank generators much like
    trained ones where there is none for the data (arXiv 2002.09797).
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        widths = (3, 12, 16, 24, 32)
        self.weights = [
            torch.randn(out, fan, 3, 3, 3, generator=generator) * (2 / (27 * fan)) ** 0.5
            for fan, out in pairwise(widths)
        ]

    @torch.no_grad()
    def forward(self, film: Tensor, /) -> Tensor:
        x = film.transpose(0, 1)[None] * 2 - 1
        for level, weight in enumerate(self.weights):
            x = F.relu(F.conv3d(x, weight, stride=(1 + level % 2, 2, 2), padding=1))
            x = x / x.square().mean(1, keepdim=True).add(1e-3).sqrt()
        parts = F.adaptive_avg_pool3d(x, (x.shape[2], 3, 1))[0, :, :, :, 0]
        return torch.cat([parts.mean(1).flatten(), parts.std(1).flatten()])


def flow(frames: Tensor, /) -> Tensor:
    """(t, 3, h, w) uint8 to (t - 1, 2, 64, 64): how far what is seen moves right and down, in shares of the side."""
    if len(frames) < 2:
        return torch.zeros(0, 2, FLOW_SIDE, FLOW_SIDE)
    grey = prepare(frames, count=len(frames), side=FLOW_SIDE).mean(1)
    return lucas_kanade(grey[:-1], grey[1:]) / FLOW_SIDE


def heading(found: Tensor, /) -> tuple[float, float]:
    """How far what moves goes right and down on average, in shares of the side a frame; 0 where nothing moves.

    found: what `flow` finds of a film. Motion is told against the border of the picture: a camera that follows
    something moves the place the other way.
    """
    if not len(found):
        return 0.0, 0.0
    inner = torch.zeros(FLOW_SIDE, FLOW_SIDE, dtype=torch.bool)
    inner[BORDER:-BORDER, BORDER:-BORDER] = True
    relative = found - found[:, :, ~inner].median(dim=2).values[:, :, None, None]
    moving = torch.hypot(*relative.unbind(1)) > MOVING / FLOW_SIDE
    if not bool(moving.any()):
        return 0.0, 0.0
    right, down = (float(relative[:, i][moving].mean()) for i in (0, 1))
    return right, down
