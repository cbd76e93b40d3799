"""How probable a denoiser finds data: the probability-flow log-likelihood and the variational bound.

Both are about the density of a continuous x0 in the units of the state space. Where x0 = c * data, the
density of data itself is c^dims times as high: subtract log2(c) bits/dim. Integer data is made continuous by
adding uniform noise of width 1 first (Theis et al., arXiv 1511.01844).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor

from multigen.denoise import Denoiser, Sigma
from multigen.noise import white

_Traced: TypeAlias = Callable[[Tensor, float, Sequence[Tensor]], tuple[Tensor, Tensor]]
_STREAM = 1 << 48  # apart from the streams that samples are drawn from


@dataclass(frozen=True, eq=False)
class Likelihood:
    """log p(x0) of each sample, and what it cost."""

    nats: Tensor  # (b,) float64: the natural logarithm of the density
    stderr: Tensor  # (b,) float64: of nats
    dims: int  # elements of a sample
    evaluations: int  # calls of the denoiser

    @property
    def bits_per_dim(self) -> Tensor:
        """-log2 p(x0) / dims: (b,), less is better."""
        return -self.nats / (self.dims * math.log(2))


@dataclass(frozen=True, eq=False)
class Estimate:
    """A Monte Carlo mean and its standard error."""

    nats: Tensor  # (b,) float64
    stderr: Tensor  # (b,) float64


@dataclass(frozen=True, eq=False)
class VariationalBound:
    """An upper bound on -log p(x0) of each sample: the sum of three terms."""

    prior: Estimate  # KL(q(x at the first level | x0) || p); in closed form, without error
    denoising: Estimate  # the sum over the steps from s to t of KL(q(x_t | x_s, x0) || p(x_t | x_s))
    reconstruction: Estimate  # E[-log p(x0 | x at the last positive level)]
    dims: int  # elements of a sample

    @property
    def nats(self) -> Tensor:
        """The bound on -log p(x0): (b,)."""
        return self.prior.nats + self.denoising.nats + self.reconstruction.nats

    @property
    def stderr(self) -> Tensor:
        """The standard error of nats: (b,)."""
        return torch.hypot(self.denoising.stderr, self.reconstruction.stderr)

    @property
    def bits_per_dim(self) -> Tensor:
        """nats / (dims log 2): (b,), less is better."""
        return self.nats / (self.dims * math.log(2))


def log_likelihood(
    denoise: Denoiser,
    x0: Tensor,
    /,
    *,
    seeds: Sequence[int],
    sigma_min: float = 0.02,
    sigma_max: float = 80.0,
    steps: int = 64,
    probes: int = 2,
    divergence: Callable[[Tensor, Sigma], Tensor] | None = None,
) -> Likelihood:
    """The log-likelihood under the probability-flow ODE (arXiv 2011.13456, eq. 39).

    In u = log sigma the flow is dx/du = x - D, and along it

        log p(x0; sigma_min) = log p(x(sigma_max); sigma_max) + integral of (dims - tr dD/dx) du.

    x0, (b, ...), counts as a state *at level sigma_min*: the result is the density of data + sigma_min n at
    x0. The data alone need not have a density (on a grid, on a surface), and then the result grows without
    limit as sigma_min falls: compare figures at equal sigma_min only. The prior is what sampling starts from,
    N(0, sigma_max^2).

    The integrator is the exponential midpoint rule in `steps` even steps of u (order 2, two evaluations a
    step, one of them differentiated); it is repeated with half the steps, and the result is Richardson's
    extrapolation. The trace is Hutchinson's estimate from `probes` Rademacher vectors per sample and step.
    They come from `seeds`, afresh in every step, which averages over more directions than keeping them along
    the path would; a step of the repetition takes those of both steps that it spans.

    `Likelihood.stderr` is the root of the sum of three squares: the standard error of the trace estimates;
    the correction that extrapolation made, far above the error that it leaves once order 2 shows; and the
    prior's mismatch D . x / sigma_max^2 - tr dD/dx at sigma_max, which under N(0, sigma_max^2) would vanish
    on average (Stein's identity) and to first order is at least the log-density that is missing.

    divergence: tr dD/dx as (x, sigma) -> (b,), in place of its estimate; what is left are the integrator's errors and
    the prior's.

    denoise: differentiable in x, each sample apart. Raises ValueError unless 0 < sigma_min < sigma_max, steps
    is even and positive, probes >= 2, and there is one seed per sample.
    """
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueError(f"log_likelihood needs 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}")
    if steps < 2 or steps % 2:
        raise ValueError(f"log_likelihood needs a positive, even number of steps, not {steps}")
    _check_draws("log_likelihood", "probes", probes, seeds, x0)

    def probe(i: int) -> list[Tensor]:
        streams = range(_STREAM + i * probes, _STREAM + (i + 1) * probes)
        return [white(seeds, x0.shape[1:], stream=stream).sign().to(x0) for stream in streams]

    traced = partial(_estimated, denoise) if divergence is None else partial(_known, denoise, divergence)
    span, dims = math.log(sigma_max / sigma_min), x0[0].numel()
    x_coarse, coarse = _follow(
        denoise, traced, x0, sigma_min, span / steps * 2, steps // 2, lambda i: [*probe(2 * i), *probe(2 * i + 1)]
    )
    x, fine = _follow(denoise, traced, x0, sigma_min, span / steps, steps, probe)
    d, last = traced(x, sigma_max, probe(steps))

    prior_coarse, prior = (-_inner(end, end) / (2 * sigma_max**2) for end in (x_coarse, x))
    prior_shift, shift = (prior - prior_coarse) / 3, (fine - coarse.view_as(fine)) / 3
    traces = (fine + shift) * span / steps  # (steps, probes, b), all independent draws
    volume = dims * span - dims / 2 * math.log(2 * math.pi * sigma_max**2)
    parts = [
        (traces.var(1).sum(0) / probes).sqrt(),
        prior_shift - shift.mean(1).sum(0) * span / steps,
        _inner(d, x) / sigma_max**2 - last.mean(0),
    ]
    return Likelihood(
        nats=prior + prior_shift - traces.mean(1).sum(0) + volume,
        stderr=torch.linalg.vector_norm(torch.stack(parts), dim=0),
        dims=dims,
        evaluations=3 * steps + 1,
    )


def _follow(
    denoise: Denoiser,
    traced: _Traced,
    x: Tensor,
    sigma: float,
    h: float,
    steps: int,
    probe: Callable[[int], Sequence[Tensor]],
) -> tuple[Tensor, Tensor]:
    """Up the flow by `steps` steps of h in log sigma: x, and the midpoints' traces (steps, probes, b)."""
    traces = []
    for i in range(steps):
        s, m, t = (sigma * math.exp(h * (i + part)) for part in (0.0, 0.5, 1.0))
        with torch.no_grad():
            d = denoise(x, s)
        d, trace = traced(torch.lerp(d, x, m / s), m, probe(i))
        x = torch.lerp(d, x, t / s)
        traces.append(trace)
    return x, torch.stack(traces)


def _known(
    denoise: Denoiser,
    divergence: Callable[[Tensor, Sigma], Tensor],
    x: Tensor,
    sigma: float,
    directions: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """D, and its divergence for each direction: (b, ...) and (probes, b) float64."""
    return denoise(x, sigma), divergence(x, sigma).double().expand(len(directions), -1)


def _estimated(denoise: Denoiser, x: Tensor, sigma: float, directions: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """D, and e . (dD/dx) e for each direction e: (b, ...) and (probes, b) float64."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        d = denoise(x, sigma)
    traces = []
    for k, direction in enumerate(directions):
        (product,) = torch.autograd.grad(d, x, direction, retain_graph=k < len(directions) - 1)
        traces.append(_inner(product, direction))
    return d.detach(), torch.stack(traces)


@torch.no_grad()
def variational_bound(
    denoise: Denoiser, x0: Tensor, sigmas: Sequence[float], /, *, seeds: Sequence[int], draws: int = 4
) -> VariationalBound:
    """The bound on -log p(x0) of the chain over falling `sigmas` (arXiv 2006.11239, eq. 5; arXiv 2107.00630).

    The chain starts from N(0, sigmas[0]^2) and steps as `multigen.samplers.ddpm` does at variance 0, so that
    a step from s to t costs (1 / t^2 - 1 / s^2) |x0 - D(x0 + s n, s)|^2 / 2 nats. At the last positive level
    s it draws the data from N(D, s^2); a final 0 in `sigmas` changes nothing. The density is that of x0
    itself, at level 0.

    x0: (b, ...). draws: of the noise, per level and sample, from `seeds`, independent between levels; the
    standard errors come from their spread, and are rough where they are few. Raises ValueError unless there is a
    positive level, draws >= 2, and one seed per sample.
    """
    levels = [sigma for sigma in sigmas if sigma > 0]
    if not levels:
        raise ValueError("variational_bound needs a positive level in sigmas")
    _check_draws("variational_bound", "draws", draws, seeds, x0)
    dims, first, last = x0[0].numel(), levels[0], levels[-1]

    mean = variance = torch.zeros(x0.shape[0], dtype=torch.float64, device=x0.device)
    for i, (s, t) in enumerate(pairwise(levels)):
        cost = _squared_errors(denoise, x0, s, seeds, draws, i) * (1 / t**2 - 1 / s**2) / 2
        mean, variance = mean + cost.mean(0), variance + cost.var(0) / draws
    decoded = _squared_errors(denoise, x0, last, seeds, draws, len(levels) - 1) / (2 * last**2)
    volume = dims / 2 * math.log(2 * math.pi * last**2)
    return VariationalBound(
        prior=Estimate(_inner(x0, x0) / (2 * first**2), torch.zeros_like(mean)),
        denoising=Estimate(mean, variance.sqrt()),
        reconstruction=Estimate(decoded.mean(0) + volume, decoded.std(0) / math.sqrt(draws)),
        dims=dims,
    )


def _squared_errors(
    denoise: Denoiser, x0: Tensor, sigma: float, seeds: Sequence[int], draws: int, level: int
) -> Tensor:
    """|x0 - D(x0 + sigma n, sigma)|^2 of every draw of n: (draws, b) float64."""
    errors = []
    for k in range(draws):
        n = white(seeds, x0.shape[1:], stream=_STREAM + level * draws + k).to(x0)
        error = x0 - denoise(x0 + sigma * n, sigma)
        errors.append(_inner(error, error))
    return torch.stack(errors)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each sample: (b,) float64."""
    return (a.double() * b.double()).flatten(1).sum(1)


def _check_draws(function: str, name: str, count: int, seeds: Sequence[int], x0: Tensor) -> None:
    if count < 2:
        raise ValueError(f"{function} needs at least 2 {name} to know its error, not {count}")
    if len(seeds) != x0.shape[0]:
        raise ValueError(f"{function} needs one seed per sample: {x0.shape[0]} samples, {len(seeds)} seeds")
