"""What the core's tests share: oracles of every rank, uneven levels, a small nonlinear network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from multigen.testing import Gaussian, GaussianMixture

SHAPES = [(4,), (2, 3), (2, 1, 3), (2, 1, 2, 2)]  # one sample; a batch of them has rank 2 to 5


def gaussian(shape: Sequence[int]) -> Gaussian:
    generator = torch.Generator().manual_seed(len(shape))
    mean, variance = (torch.rand(*shape, dtype=torch.float64, generator=generator) for _ in range(2))
    return Gaussian(2 * mean - 1, 0.2 + variance)


def mixture(shape: Sequence[int]) -> GaussianMixture:
    """Two components, close enough that posteriors stay between them for most of the way down."""
    generator = torch.Generator().manual_seed(10 + len(shape))
    means, variances = (torch.rand(2, *shape, dtype=torch.float64, generator=generator) for _ in range(2))
    return GaussianMixture(torch.tensor([0.3, 0.7], dtype=torch.float64), 2 * means - 1, 0.1 + 0.3 * variances)


def states(shape: Sequence[int], sigma: float, batch: int = 2) -> Tensor:
    """States at a high level."""
    generator = torch.Generator().manual_seed(99)
    return sigma * torch.randn(batch, *shape, dtype=torch.float64, generator=generator)


def growing(n: int, high: float, low: float) -> list[float]:
    """Levels whose steps in log sigma grow along the way."""
    return [high * (low / high) ** ((i / n) ** 1.3) for i in range(n + 1)]


def jittered(n: int, high: float, low: float) -> list[float]:
    """Levels whose neighbouring steps in log sigma differ by up to a factor of 2.5, however many there are."""
    steps = [(1.5, 0.6, 0.9)[i % 3] for i in range(n)]
    return [high * (low / high) ** (sum(steps[:i]) / sum(steps)) for i in range(n + 1)]


def toy_network(x: Tensor, noise: Tensor) -> Tensor:
    """A smooth nonlinear function of every element of the sample and of its noise level."""
    level = noise.view(-1, *[1] * (x.ndim - 1))
    mixed = x.roll(1, -1) + x.flatten(1).mean(1).view_as(level)
    return torch.tanh(0.7 * x - 0.4 * mixed + 0.3 * level) + 0.2 * torch.sin(x + level)


def order(steps: Sequence[int], errors: Sequence[float]) -> float:
    """The convergence order: minus the slope of log error over log steps, by least squares."""
    design = torch.tensor([[math.log(n), 1.0] for n in steps], dtype=torch.float64)
    logs = torch.tensor(errors, dtype=torch.float64).log()[:, None]
    return -float(torch.linalg.lstsq(design, logs).solution[0])
