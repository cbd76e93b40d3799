"""Denoisers, and the parameterizations that turn a network into one.

Every modality and every parameterization shares one state space,

    x = x0 + sigma * n,    n ~ N(0, I),

in which ``sigma`` falls from the first noise level to 0. A denoiser estimates ``E[x0 | x, sigma]``; a network that was
trained to predict something else (the noise, a velocity, the score) becomes a denoiser through four functions of
sigma (Karras et al., arXiv 2206.00364, eq. 7):

    D(x, sigma) = skip(sigma) * x + out(sigma) * F(into(sigma) * x, noise(sigma)).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

Cond: TypeAlias = Mapping[str, Tensor]  # one model's own condition, opaque to the core; every value is (b, ...)
Sigma: TypeAlias = float | Tensor
"""One level for the whole batch, one for each sample, (b,), or one for each part of it: of x's rank, broadcasting to
x."""
Coefficient: TypeAlias = Callable[[Tensor], Tensor]


class Denoiser(Protocol):
    """``(x, sigma) -> E[x0 | x]`` with the condition bound already; x: (b, ...) of any rank."""

    def __call__(self, x: Tensor, sigma: Sigma, /) -> Tensor: ...


class Network(Protocol):
    """``(x, noise, **cond) -> F``; x and F: (b, ...), noise: (b,), or (b, n) where n parts have levels of their own."""

    def __call__(self, x: Tensor, noise: Tensor, /, **cond: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Parameterization:
    """What a network predicts, as the four coefficients of the denoiser; each maps sigma, of any shape, to its shape.

    ``dataclasses.replace(v, noise=...)`` fits a network that was told its noise level in another coordinate.
    """

    skip: Coefficient
    out: Coefficient
    into: Coefficient
    noise: Coefficient

    def to_x0(self, prediction: Tensor, x: Tensor, sigma: Sigma, /) -> Tensor:
        """The denoised x0 that a network output stands for; all (b, ...)."""
        if isinstance(sigma, Tensor):
            return torch.addcmul(along(self.skip, sigma, x) * x, along(self.out, sigma, x), prediction)
        return (_at(self.skip, sigma) * x).add_(prediction, alpha=_at(self.out, sigma))

    def from_x0(self, x0: Tensor, x: Tensor, sigma: Sigma, /) -> Tensor:
        """The network output that stands for x0: the training target when x0 is the clean sample."""
        return (x0 - along(self.skip, sigma, x) * x) / along(self.out, sigma, x)


def along(coefficient: Coefficient, sigma: Sigma, like: Tensor, /) -> Tensor:
    """coefficient(sigma), computed in float64 and shaped to multiply `like`: (b, 1, ...), or as sigma where its parts
    have levels of their own."""
    return coefficient(shaped(sigma, like)).to(like.device, like.dtype)


def shaped(sigma: Sigma, like: Tensor, /) -> Tensor:
    """sigma in float64, on the CPU, of the rank of `like`."""
    levels = torch.as_tensor(sigma, dtype=torch.float64, device="cpu")
    return levels if levels.ndim > 1 else levels.expand(like.shape[0]).view(-1, *[1] * (like.ndim - 1))


def told(p: Parameterization, sigma: Tensor, like: Tensor, /) -> Tensor:
    """The noise level as a network is told it: (b,), or (b, n) for n parts of levels of their own."""
    return along(p.noise, sigma, like).flatten(1).expand(like.shape[0], -1).squeeze(1)


@lru_cache(maxsize=1 << 14)  # every window, and both sides of a guidance, ask for the same few levels
def _at(coefficient: Coefficient, sigma: float) -> float:
    return float(coefficient(torch.tensor([sigma], dtype=torch.float64)))


def _log_sigma(s: Tensor) -> Tensor:
    return s.log() / 4


def _vp_scale(s: Tensor) -> Tensor:
    return (1 + s * s).rsqrt()


eps = Parameterization(torch.ones_like, torch.neg, _vp_scale, _log_sigma)
"""F = n, the noise (DDPM, arXiv 2006.11239)."""

v = Parameterization(lambda s: 1 / (1 + s * s), lambda s: -s * _vp_scale(s), _vp_scale, _log_sigma)
"""F = (n - sigma x0) / sqrt(1 + sigma^2), the velocity (Salimans and Ho, arXiv 2202.00512)."""

x0 = Parameterization(torch.zeros_like, torch.ones_like, _vp_scale, _log_sigma)
"""F = x0, the clean sample."""

score = Parameterization(torch.ones_like, torch.square, _vp_scale, _log_sigma)
"""F = grad log p(x; sigma) = (D - x) / sigma^2 (Song et al., arXiv 2011.13456)."""

flow = Parameterization(lambda s: 1 / (1 + s), lambda s: -s / (1 + s), lambda s: 1 / (1 + s), lambda s: s / (1 + s))
"""F = n - x0, the velocity of rectified flow in z = (1 - t) x0 + t n = x / (1 + sigma), t = sigma / (1 + sigma)
(Liu et al., arXiv 2209.03003; Lipman et al., arXiv 2210.02747)."""


@cache  # one for each sigma_data, so that denoisers with it join
def edm(sigma_data: float = 0.5, /) -> Parameterization:
    """Preconditioning for data of standard deviation sigma_data (arXiv 2206.00364, table 1)."""
    var = sigma_data**2
    return Parameterization(
        lambda s: var / (s * s + var),
        lambda s: s * sigma_data * (s * s + var).rsqrt(),
        lambda s: (s * s + var).rsqrt(),
        _log_sigma,
    )


@cache
def local(variance: float, /) -> Parameterization:
    """D = c x + (1 - c) F with c = variance / (variance + sigma^2), for data of unit variance.

    The skip is the optimal linear shrinkage towards an envelope F that the network predicts, when `variance` is the
    variance *around* that envelope (a spectrogram's speckle, a video's grain): x0-prediction at high noise, next to
    nothing left to predict at low noise. ``local(1)`` has EDM's skip for unit-variance data.
    """
    return Parameterization(
        lambda s: variance / (variance + s * s),
        lambda s: s * s / (variance + s * s),
        _vp_scale,
        _log_sigma,
    )


@dataclass(frozen=True)
class Bound:
    """A network with its parameterization and condition bound: a `Denoiser`. Make it with `bind`."""

    network: Network
    parameterization: Parameterization
    cond: Cond
    dtype: torch.dtype | None
    rows: int | None

    def __call__(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        return _forward([self], x, sigma)[0]

    def joins(self, other: "Bound", /) -> bool:
        """Whether one forward pass can serve both."""
        same = (self.network, self.parameterization, self.dtype, self.rows)
        shapes = {key: value.shape[1:] for key, value in self.cond.items()}
        return same == (other.network, other.parameterization, other.dtype, other.rows) and shapes == {
            key: value.shape[1:] for key, value in other.cond.items()
        }


@dataclass(frozen=True)
class Spread:
    """A denoiser of windows, cross-faded along a longer axis: a `Denoiser`. Make it with `windowed` or `ring`."""

    denoise: Denoiser
    dim: int
    size: int
    overlap: int
    closed: bool

    def __call__(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        return _crossfaded([self], x, sigma)[0]

    def joins(self, other: "Spread", /) -> bool:
        """Whether both have the same windows."""
        return self == replace(other, denoise=self.denoise)


@dataclass(frozen=True, eq=False)
class Staggered:
    """A denoiser of states whose parts have noise of levels of their own: a `Denoiser`. Make it with `staggered`."""

    denoise: Denoiser
    levels: Tensor

    def __call__(self, x: Tensor, sigma: Sigma, /) -> Tensor:
        return evaluate(x, sigma, self)[0]

    def joins(self, other: "Staggered", /) -> bool:
        """Whether both have the same levels."""
        return torch.equal(self.levels, other.levels)


def bind(
    network: Network,
    parameterization: Parameterization,
    cond: Cond | None = None,
    /,
    *,
    dtype: torch.dtype | None = None,
    rows: int | None = None,
) -> Bound:
    """A denoiser from a network.

    dtype: what the network computes in; None keeps x's. rows: the most samples of one forward pass; with 1 a sample is
    bit-exact whatever batch it is part of, None runs the whole batch at once.
    """
    return Bound(network, parameterization, cond or {}, dtype, rows)


def counted(denoise: Denoiser, count: Callable[[int], None], /) -> Denoiser:
    """The same denoiser; `count` is told how many rows a network is given, each time that it is asked.

    Of a denoiser that is no network's, the rows of x are counted.
    """
    if isinstance(denoise, Bound):
        return replace(denoise, network=_Counted(denoise.network, count))
    if isinstance(denoise, Spread | Staggered):
        return replace(denoise, denoise=counted(denoise.denoise, count))

    def asked(x: Tensor, sigma: Sigma, /) -> Tensor:
        count(x.shape[0])
        return denoise(x, sigma)

    return asked


@dataclass(frozen=True)
class _Counted:
    """A network; two with the same count are equal where their networks are, so that guidance still joins them."""

    network: Network
    count: Callable[[int], None]

    def __call__(self, x: Tensor, noise: Tensor, /, **cond: Tensor) -> Tensor:
        self.count(x.shape[0])
        return self.network(x, noise, **cond)


def evaluate(x: Tensor, sigma: Sigma, /, *denoisers: Denoiser) -> list[Tensor]:
    """What every denoiser says about the same x: window by window where they have the same windows, and in one batched
    forward pass where they share a network that has no limit of rows."""
    bound = [d for d in denoisers if isinstance(d, Bound)]
    if len(bound) == len(denoisers) and all(map(bound[0].joins, bound)):
        return _forward(bound, x, sigma)
    apart = [d for d in denoisers if isinstance(d, Staggered)]
    if len(apart) == len(denoisers) and all(map(apart[0].joins, apart)):
        return evaluate(x, shaped(sigma, x) * apart[0].levels, *[d.denoise for d in apart])
    spread = [d for d in denoisers if isinstance(d, Spread)]
    if len(spread) == len(denoisers) and all(map(spread[0].joins, spread)):
        return _crossfaded(spread, x, sigma)
    return [denoise(x, sigma) for denoise in denoisers]


def _forward(bound: Sequence[Bound], x: Tensor, sigma: Sigma) -> list[Tensor]:
    """The x0 of denoisers that join, each (b, ...)."""
    p, dtype = bound[0].parameterization, bound[0].dtype or x.dtype
    inner, noise = _entered(p, x, sigma)
    return [p.to_x0(output.to(x.dtype), x, sigma) for output in _outputs(bound, inner.to(dtype), noise)]


def _outputs(bound: Sequence[Bound], inner: Tensor, noise: Tensor) -> Sequence[Tensor]:
    """What the network makes of the same input under each condition."""
    network, rows, b, k = bound[0].network, bound[0].rows, inner.shape[0], len(bound)
    conds = [{key: value.expand(b, *value.shape[1:]) for key, value in d.cond.items()} for d in bound]
    if rows is None and k > 1:
        cond = {key: torch.cat([cond[key] for cond in conds]) for key in conds[0]}
        return network(torch.cat([inner] * k), torch.cat([noise] * k), **cond).chunk(k)
    if rows is None or rows >= b:
        return [network(inner, noise, **cond) for cond in conds]
    parts = [slice(i, i + rows) for i in range(0, b, rows)]
    return [
        torch.cat([network(inner[at], noise[at], **{key: value[at] for key, value in cond.items()}) for at in parts])
        for cond in conds
    ]


def _entered(p: Parameterization, x: Tensor, sigma: Sigma) -> tuple[Tensor, Tensor]:
    """What a network is given: x, scaled, and its noise level, in x's precision: 8 bits would blur the level."""
    if isinstance(sigma, Tensor):
        return along(p.into, sigma, x) * x, told(p, sigma, x)
    return _at(p.into, sigma) * x, x.new_full(x.shape[:1], _at(p.noise, sigma))


def staggered(denoise: Denoiser, levels: Tensor, /) -> Staggered:
    """A denoiser for noise that is weaker in some parts: x = x0 + sigma levels n, of a `denoise` that takes a level for
    each part.

    As sigma falls, the parts with the weaker noise are decided first and the others follow them, all in one run (one
    fixed order of the levels that Diffusion Forcing, arXiv 2407.01392, draws at random). For every sampler sigma stays
    one number: noise levels n in place of n is noise of another covariance, as of `multigen.noise.Correlates`.

    levels: positive, broadcasting to x, of its rank or that of one sample.
    """
    return Staggered(denoise, levels.double())


def windowed(denoise: Denoiser, /, *, dim: int, size: int, overlap: int) -> Spread:
    """A denoiser for a longer axis: overlapping windows denoised jointly (MultiDiffusion, arXiv 2302.08113).

    Along `dim`, windows of `size` start every ``size - overlap`` or closer, the last one flush with the end,
    and their x0 are cross-faded linearly over the overlaps. An axis of at most `size` is denoised as it is.

    Raises ValueError unless 0 <= overlap < size.
    """
    _check_overlap(size, overlap)
    return Spread(denoise, dim, size, overlap, closed=False)


def ring(denoise: Denoiser, /, *, dim: int, size: int, overlap: int) -> Spread:
    """`windowed` on an axis that closes on itself, for seamless loops: windows run over the end to the start.

    Their starts are spread evenly over the ring, so turning x by the distance of two starts turns the result.
    A ring shorter than `size` is laid out several times in one window, and its x0 averaged over the turns.

    Raises ValueError unless 0 <= overlap < size.
    """
    _check_overlap(size, overlap)
    return Spread(denoise, dim, size, overlap, closed=True)


def _check_overlap(size: int, overlap: int) -> None:
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be in [0, {size}), not {overlap}")


def _crossfaded(spread: Sequence[Spread], x: Tensor, sigma: Sigma) -> list[Tensor]:
    """The x0 of denoisers that join: of each, its windows' x0, cross-faded."""
    dim, size, overlap, closed = spread[0].dim, spread[0].size, spread[0].overlap, spread[0].closed
    inside = [d.denoise for d in spread]
    length = x.shape[dim]
    if length <= size and not closed:
        return evaluate(x, sigma, *inside)
    starts = ring_starts(length, size, overlap) if closed else window_starts(length, size, overlap)
    reach = max(length, starts[-1] + size)
    around = x if reach == length else x.index_select(dim, torch.arange(reach, device=x.device) % length)
    shares = _shares(length, tuple(starts), size, overlap).to(x.device, x.dtype)
    totals = [torch.zeros_like(around) for _ in spread]
    for start, share in zip(starts, shares, strict=True):
        share = share.view(-1, *[1] * (x.ndim - 1 - dim % x.ndim))
        parts = evaluate(around.narrow(dim, start, size), _within(sigma, x, dim, start, size), *inside)
        for total, part in zip(totals, parts, strict=True):
            total.narrow(dim, start, size).addcmul_(part, share)
    for total in totals:
        for first in range(length, reach, length):  # what went over the end belongs to the start
            width = min(length, reach - first)
            total.narrow(dim, 0, width).add_(total.narrow(dim, first, width))
    return [total.narrow(dim, 0, length) for total in totals]


def _within(sigma: Sigma, x: Tensor, dim: int, start: int, size: int) -> Sigma:
    """The levels of a window; one that is closed begins again after the end."""
    if not isinstance(sigma, Tensor) or sigma.ndim != x.ndim or sigma.shape[dim] == 1:
        return sigma
    return sigma.index_select(dim, torch.arange(start, start + size) % sigma.shape[dim])


@lru_cache(maxsize=64)
def _shares(length: int, starts: tuple[int, ...], size: int, overlap: int) -> Tensor:
    """The share of every window in the x0 of each of its cells, (windows, size): ramps over the overlaps."""
    ramp = torch.arange(1, size + 1, dtype=torch.float64)
    weight = torch.minimum(ramp, ramp.flip(0)).clamp(max=overlap + 1)
    cells = (torch.tensor(starts)[:, None] + torch.arange(size)) % length
    sums = torch.zeros(length, dtype=torch.float64).index_add_(0, cells.flatten(), weight.repeat(len(starts)))
    return weight / sums[cells]


def window_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where the windows of `windowed` start: evenly spread, overlapping by at least `overlap`."""
    count = max(1, -(-(length - overlap) // (size - overlap)))
    return [round(i * (length - size) / max(1, count - 1)) for i in range(count)]


def ring_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where the windows of `ring` start: evenly spread over it, overlapping by at least `overlap`."""
    count = -(-length // (size - overlap))
    return [round(i * length / count) for i in range(count)]
