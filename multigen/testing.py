"""Conformance checks for plugins, and closed-form oracles: denoisers whose answers are known.

Gaussian data x0, or a mixture of Gaussians, seen as x = x0 + sigma * n is Gaussian, or a mixture, at every level. All
else here follows from that and holds for tensors of any rank. It is computed in the dtype and on the device of the
distribution's own tensors: with float64 ones the answers are exact to rounding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from multigen.conformance import check_modality, check_model
from multigen.denoise import Sigma
from multigen.noise import white

__all__ = ["Gaussian", "GaussianMixture", "check_modality", "check_model"]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """x0 ~ N(mean, variance) with independent elements. `Gaussian.denoise` is a `Denoiser`.

    mean: (*shape). variance: () for all elements or (*shape) for each, at least 0.
    """

    mean: Tensor
    variance: Tensor

    def denoise(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        """E[x0 | x]: the mean pulled towards x by variance / (variance + sigma^2), never 0 / 0."""
        here, total = x.to(self.mean), self._total(sigma)
        return (self.mean + self.variance / total * (here - self.mean)).to(x)

    def log_prob(self, x: Tensor, sigma: Sigma = 0.0, /) -> Tensor:
        """The log-density of x = x0 + sigma * n in nats: (b, *shape) -> (b,)."""
        here, total = x.to(self.mean), self._total(sigma)
        density = (here - self.mean) ** 2 / total + (2 * math.pi * total).log()
        return -density.flatten(1).sum(1) / 2

    def sample(self, seeds: Sequence[int], /) -> Tensor:
        """One exact draw per seed: (len(seeds), *shape)."""
        return self.mean + self.variance.sqrt() * white(seeds, self.mean.shape).to(self.mean)

    def flow(self, x: Tensor, sigma: Sigma, to: Sigma, /) -> Tensor:
        """The probability-flow ODE's solution from x at level sigma to level `to`, up or down.

        Every element keeps its distance from the mean in units of the standard deviation at its level.
        """
        here, scale = x.to(self.mean), (self._total(to) / self._total(sigma)).sqrt()
        return (self.mean + scale * (here - self.mean)).to(x)

    def _total(self, sigma: Sigma) -> Tensor:
        """The variance of every element at level sigma: (1 or b, *shape)."""
        level = torch.as_tensor(sigma, dtype=self.mean.dtype, device=self.mean.device)
        level = level.view(-1, *[1] * self.mean.ndim)
        return self.variance.expand(self.mean.shape) + level**2


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """x0 ~ N(means[i], variances[i]) with probability weights[i]. `GaussianMixture.denoise` is a `Denoiser`.

    weights: (k,), positive, normalised here to sum to 1. means: (k, *shape). variances: (k,) or (k, *shape).
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    def component(self, i: int, /) -> Gaussian:
        """The i-th Gaussian: with `denoise` the oracle of a perfect condition "component i"."""
        return Gaussian(self.means[i], self.variances[i])

    def denoise(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        """E[x0 | x]: what the components say, weighted by `posterior`."""
        here = x.to(self.means)
        told = torch.stack([gaussian.denoise(here, sigma) for gaussian in self._components()], 1)
        return torch.einsum("bk,bk...->b...", self.posterior(here, sigma), told).to(x)

    def divergence(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        """tr dD/dx of `denoise`: (b, *shape) -> (b,). The probability flow dx / dlog sigma = x - D has dims less it.

        D is x + sigma^2 times the score, so it is what the components' own are on average, and sigma^2 times the
        variance of their scores, both weighted by `posterior`.
        """
        here, share, components = x.to(self.means), self.posterior(x, sigma), self._components()
        totals = [gaussian._total(sigma) for gaussian in components]
        own = torch.stack(
            [(g.variance / total).flatten(1).sum(1) for g, total in zip(components, totals, strict=True)], 1
        )
        scores = torch.stack(
            [((g.mean - here) / total).flatten(1) for g, total in zip(components, totals, strict=True)], 1
        )
        apart = scores - torch.einsum("bk,bkd->bd", share, scores)[:, None]
        level = torch.as_tensor(sigma, dtype=self.means.dtype, device=self.means.device)
        return (share * own).sum(1) + level**2 * torch.einsum("bk,bkd->b", share, apart**2)

    def posterior(self, x: Tensor, sigma: Sigma = 0.0, /) -> Tensor:
        """How probable each component is given x: (b, *shape) -> (b, k), rows that sum to 1."""
        return self._joint(x, sigma).softmax(1)

    def log_prob(self, x: Tensor, sigma: Sigma = 0.0, /) -> Tensor:
        """The log-density of x = x0 + sigma * n in nats: (b, *shape) -> (b,)."""
        return self._joint(x, sigma).logsumexp(1)

    def sample(self, seeds: Sequence[int], /) -> Tensor:
        """One exact draw per seed: (len(seeds), *shape)."""
        uniform = torch.special.ndtr(white(seeds, (), stream=1)).to(self.means)
        edges = (self.weights / self.weights.sum()).to(self.means).cumsum(0)[:-1]
        rows = zip(seeds, torch.bucketize(uniform, edges).tolist(), strict=True)
        return torch.cat([self.component(i).sample([seed]) for seed, i in rows])

    def _components(self) -> list[Gaussian]:
        return [self.component(i) for i in range(len(self.weights))]

    def _joint(self, x: Tensor, sigma: Sigma) -> Tensor:
        """log p(component, x): (b, k)."""
        log_weights = (self.weights / self.weights.sum()).log().to(self.means)
        return log_weights + torch.stack([gaussian.log_prob(x, sigma) for gaussian in self._components()], 1)
