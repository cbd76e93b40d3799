"""Randomness, one seed per sample: sample 7 is the same in any batch, order, process or device count.

All numbers are drawn on the CPU, in float32, one generator per sample, and moved to the device afterwards.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

Noise: TypeAlias = Callable[[float, float], Tensor]
"""``noise(sigma, sigma_next)``: unit noise (b, ...) for the step between two levels; fresh noise when they are
equal."""

_MASK = (1 << 64) - 1


@runtime_checkable
class Correlates(Protocol):
    """A recipe or a model whose noise is not white, as for films, whose frames resemble one another."""

    def correlate(self, unit: Tensor, /) -> Tensor:
        """Noise of the wanted covariance from white noise, by a linear map: (b, *shape) each."""


def _mix(seed: int, stream: int) -> int:
    """A 63-bit seed for one stream of one sample (the finalizer of SplitMix64, so that neighbours are unrelated)."""
    z = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


def white(seeds: Sequence[int], shape: Sequence[int], /, *, stream: int = 0) -> Tensor:
    """Standard normal noise (len(seeds), *shape), float32, on the CPU; row i depends on seeds[i] and stream only."""
    generator = torch.Generator()
    rows = torch.empty(len(seeds), *shape)
    for row, seed in zip(rows, seeds, strict=True):
        torch.randn(tuple(shape), generator=generator.manual_seed(_mix(seed, stream)), out=row)
    return rows


def mixed(unit: Tensor, share: float, /, *, dim: int) -> Tensor:
    """White noise made such that positions along `dim` have `share` of their variance in common (PYoCo, arXiv
    2305.10474, section 4.1: the mixed noise model).

    Its covariance along `dim` is (1 - share) I + share 1 1^T, on every part of that axis too. Raises ValueError unless
    0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be in [0, 1), not {share}")
    own, length = math.sqrt(1 - share), unit.shape[dim]
    return own * unit + (math.sqrt(1 - share + share * length) - own) * unit.mean(dim, keepdim=True)


class Brownian:
    """A `Noise` read off one fixed Brownian path, so that an SDE sampler converges to the same sample at any step
    count.

    The clock is tau = 1 / sigma^2: in it y = x / sigma^2 is the process y_tau = tau * x0 + W_tau of stochastic
    localization (Montanari, arXiv 2305.10690), whose reversed steps (DDPM, any sampler here at eta = 1) add exactly the
    increments of W. Their linear part is therefore the same for every step count, not only in the limit.

    The path is a virtual Brownian tree (Li et al., arXiv 2001.01328, algorithm 3) over log sigma in +-14, of 2^depth
    leaves. A step inside one leaf (0.04 % of sigma at the default depth) gets fresh noise: a leaf holds one draw only.
    Levels outside are clamped to the range. ``noise(sigma, sigma)`` draws from a separate stream of fresh noise.
    """

    _RANGE = 14.0
    _FRESH = 1 << 40  # stream numbers: the tree's nodes are below, fresh draws count on from here

    def __init__(
        self,
        seeds: Sequence[int],
        shape: Sequence[int],
        /,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        depth: int = 16,
    ) -> None:
        self._seeds, self._shape, self._depth = tuple(seeds), tuple(shape), depth
        self._device, self._dtype = device, dtype
        self._draws = 0
        self._path: dict[int, Tensor] = {}
        self._last: tuple[float, Tensor] | None = None

    def __call__(self, sigma: float, sigma_next: float, /) -> Tensor:
        if sigma == sigma_next:
            self._draws += 1
            return self._to_device(self._normal(self._FRESH + self._draws))
        late, early = (self._clamp(s) for s in sorted((sigma, sigma_next)))
        if self._leaf(late) == self._leaf(early):
            return self(sigma, sigma)
        span = _tau(late) - _tau(early)
        difference = self._value(late) - self._value(early)
        return self._to_device(difference / math.sqrt(span))

    def _to_device(self, noise: Tensor) -> Tensor:
        return noise.to(self._device, self._dtype)

    def _clamp(self, sigma: float) -> float:
        return min(max(math.log(sigma) if sigma > 0 else -math.inf, -self._RANGE), self._RANGE)

    def _leaf(self, log_sigma: float) -> int:
        return int((log_sigma + self._RANGE) / (2 * self._RANGE) * 2**self._depth)

    def _normal(self, stream: int) -> Tensor:
        return white(self._seeds, self._shape, stream=stream)

    def _value(self, log_sigma: float) -> Tensor:
        """W at tau = exp(-2 log_sigma), by bisection from the ends of the range."""
        if self._last is not None and self._last[0] == log_sigma:
            return self._last[1]
        lo, hi = -self._RANGE, self._RANGE
        w_hi = self._path.get(-1)
        w_hi = self._normal(1) * math.sqrt(_tau(hi)) if w_hi is None else w_hi
        w_lo = self._path.get(-2)
        w_lo = w_hi + self._normal(2) * math.sqrt(_tau(lo) - _tau(hi)) if w_lo is None else w_lo
        path, node = {-1: w_hi, -2: w_lo}, 1
        for _ in range(self._depth):
            middle = (lo + hi) / 2
            known = self._path.get(node)
            path[node] = self._bridge(middle, lo, hi, w_lo, w_hi, node) if known is None else known
            if log_sigma < middle:
                hi, w_hi, node = middle, path[node], 2 * node
            else:
                lo, w_lo, node = middle, path[node], 2 * node + 1
        value = self._bridge(log_sigma, lo, hi, w_lo, w_hi, node)
        self._path, self._last = path, (log_sigma, value)
        return value

    def _bridge(self, at: float, lo: float, hi: float, w_lo: Tensor, w_hi: Tensor, node: int) -> Tensor:
        """A draw of W(at) given its values at both ends; log sigma falls as tau rises, so `hi` comes first."""
        before, here, after = _tau(hi), _tau(at), _tau(lo)
        share = (here - before) / (after - before)
        spread = math.sqrt(max(0.0, (here - before) * (after - here) / (after - before)))
        return torch.lerp(w_hi, w_lo, share).add_(self._normal(2 + node), alpha=spread)


def _tau(log_sigma: float) -> float:
    return math.exp(-2 * log_sigma)
