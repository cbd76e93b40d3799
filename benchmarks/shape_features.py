"""Training shapes varied, and the colour that a shape has by area."""

import numpy as np
import torch
from torch import Tensor

from multigen_3d.metrics import unit_box
from multigen_models.shapes.colors import COLOR_NAMES, color_names, palette_of


def varied(points: Tensor, /, *, seed: int) -> Tensor:
    """Clouds (n, m, 3) stretched by up to a sixth, half of them mirrored, and turned by some 6 degrees about y."""
    generator = torch.Generator().manual_seed(seed)
    n = len(points)
    stretch = torch.empty(n, 1, 3).uniform_(-0.16, 0.16, generator=generator).exp()
    stretch[..., 0] *= 2 * torch.randint(2, (n, 1), generator=generator) - 1
    angle = 0.1 * torch.randn(n, generator=generator)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(n), torch.ones(n)
    turn = torch.stack([cos, zero, -sin, zero, one, zero, sin, zero, cos], 1).view(n, 3, 3)
    return unit_box((points * stretch) @ turn)


def main_color(colors: Tensor, /) -> tuple[int, float]:
    """Which of COLOR_NAMES most of a surface (m, 3) has, sRGB, and the share that does."""
    palette, entries = palette_of(colors.numpy())
    name, share = color_names(palette, np.bincount(entries, minlength=len(palette)).tolist())[0]
    return COLOR_NAMES.index(name), share
