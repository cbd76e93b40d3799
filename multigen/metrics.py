"""Measures of generated samples against real ones, for any modality: they see features, distances and scores alone.

Every measure that rests on a sample comes with an interval, and kernel distances with the floor that real samples
reach against real samples. Features are (n, d); all is computed in float64.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import TypeAlias

import torch
from torch import Tensor

Kernel: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(n, d) and (m, d) to (n, m)."""

KAD_SCALE = 100.0


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its interval, NaN where none can be told.

    error: the standard error, NaN where it was not found.
    """

    value: float
    low: float
    high: float
    error: float = field(default=math.nan, compare=False)

    @classmethod
    def none(cls, value: float, /) -> "Interval":
        """A value of which cannot be said how sure it is."""
        return cls(value, math.nan, math.nan)

    def within(self, low: float, high: float, /) -> "Interval":
        """With ends that do not leave the range of the values."""
        return replace(self, low=max(self.low, low), high=min(self.high, high))


def shown(interval: Interval | None, /) -> str:
    """A value and its interval, if there is one, with the digits that mean something."""
    if interval is None:
        return ""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return digits(interval.value)
    return f"{digits(interval.value)} [{digits(interval.low)}, {digits(interval.high)}]"


def digits(value: float, /) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


# --- intervals --------------------------------------------------------------------------------------------------------


def bootstrap(
    statistic: Callable[..., float], /, *clusters: Tensor, repeats: int = 1000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).

    Whole clusters are drawn with replacement: samples that were cut from one recording are not independent.

    statistic: takes one (n,) float64 tensor for each set of samples, how many times each sample was drawn, and returns
    a number; NaN where a draw leaves it undefined, which is left out.
    clusters: one (n,) integer tensor for each independent set, naming each sample's cluster; `torch.arange(n)` where
    every sample stands alone.

    Returns the statistic of the samples as they are, the quantiles (1 - level) / 2 and (1 + level) / 2, and the
    deviation of the draws. There are no ends where a set is of one cluster: to draw it again changes nothing.
    """
    members = [torch.unique(names, return_inverse=True)[1] for names in clusters]
    value = _as_it_is(statistic, clusters)
    if any(int(member.max()) == 0 for member in members):
        return Interval.none(value)
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(repeats):
        counts = []
        for member in members:
            n = int(member.max()) + 1
            draws = torch.randint(n, (n,), generator=generator).bincount(minlength=n)
            counts.append(draws[member].double())
        drawn.append(statistic(*counts))
    found = torch.tensor(drawn, dtype=torch.float64)
    return Interval(value, *_ends(found, level), _deviation(found))


def jackknife(
    statistic: Callable[..., float],
    /,
    *clusters: Tensor,
    left_out: float = 0.5,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Delete-d jackknife (Shao and Wu, Annals of Statistics 17:1176, 1989), for statistics of nearest neighbours.

    A random part of every set's clusters is left out, again and again; the statistic's scatter around its mean over
    what is kept, times the root of kept / left out, is put around its value on everything. Half is left out by default,
    where that factor is 1. Unlike `bootstrap`, no sample is ever its own neighbour, and how the statistic depends on
    the number of samples does not shift the interval.

    left_out: the share of clusters, at least one of each set: a small one for a smooth statistic whose scatter depends
    on the number of samples. statistic, clusters: as in `bootstrap`, and so is what is returned; the tensors hold ones
    and zeros.
    """
    value = _as_it_is(statistic, clusters)
    counts = [len(torch.unique(names)) for names in clusters]
    if min(counts) < 2:
        return Interval.none(value)
    left = [max(1, int(count * left_out)) for count in counts]
    generator = torch.Generator().manual_seed(seed)
    parts = [
        [_part(names, count - out, generator) for names, count, out in zip(clusters, counts, left, strict=True)]
        for _ in range(repeats)
    ]
    drawn = torch.tensor([statistic(*part) for part in parts], dtype=torch.float64)
    factor = math.sqrt(sum((count - out) / out for count, out in zip(counts, left, strict=True)) / len(counts))
    scattered = factor * (drawn - drawn.nanmean())
    low, high = _ends(scattered, level)
    return Interval(value, value + low, value + high, _deviation(scattered))


def between_halves(
    statistic: Callable[[Tensor, Tensor], float],
    clusters: Tensor,
    /,
    *,
    sizes: tuple[int, int] | None = None,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """What a comparison of two sets reads where there is no difference: its mean and quantiles over random halves.

    statistic: takes ones and zeros (n,) for the half that is one set, and for the other half. clusters: (n,) as in
    `bootstrap`; a cluster stays in one half. sizes: how many samples of the halves count, drawn from each anew; a half
    that has no more counts whole, as by default.
    """
    generator = torch.Generator().manual_seed(seed)
    count, (most, others) = len(torch.unique(clusters)), sizes or (len(clusters), len(clusters))
    drawn = []
    for _ in range(repeats):
        half = _part(clusters, count - count // 2, generator)
        drawn.append(statistic(_thinned(half, most, generator), _thinned(1 - half, others, generator)))
    found = torch.tensor(drawn, dtype=torch.float64)
    return Interval(float(found.nanmean()), *_ends(found, level))


def _as_it_is(statistic: Callable[..., float], clusters: Sequence[Tensor]) -> float:
    return statistic(*(torch.ones(len(names), dtype=torch.float64) for names in clusters))


def _part(clusters: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Ones (n,) for so many of the clusters, drawn at random."""
    _, member = torch.unique(clusters, return_inverse=True)
    place = torch.randperm(int(member.max()) + 1, generator=generator)
    return (place < count)[member].double()


def _thinned(chosen: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Ones (n,) for at most so many of those that are chosen (n,)."""
    places = chosen.nonzero()[:, 0]
    if len(places) <= most:
        return chosen
    kept = places[torch.randperm(len(places), generator=generator)[:most]]
    return torch.zeros_like(chosen).index_fill_(0, kept, 1.0)


def _deviation(values: Tensor) -> float:
    """Of those that are numbers, NaN where there are fewer than two."""
    numbers = values[values.isfinite()]
    return float(numbers.std()) if len(numbers) > 1 else math.nan


def _ends(values: Tensor, level: float) -> tuple[float, float]:
    low, high = values.nanquantile(torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)).tolist()
    return low, high


def wilson(successes: float, n: float, /, *, level: float = 0.95) -> Interval:
    """Share of successes in `n` >= 1 independent trials, with the score interval of Wilson (1927).

    It is the set of shares p with |successes / n - p| <= z sqrt(p (1 - p) / n): never empty, never beyond [0, 1].
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low = max(0.0, centre - half) if successes > 0 else 0.0  # exact at the ends, where rounding is not
    high = min(1.0, centre + half) if successes < n else 1.0
    return Interval(share, low, high)


def proportion(hits: Tensor, clusters: Tensor, /, *, level: float = 0.95) -> Interval:
    """The share of hits (n,), 0 or 1 each, with Wilson's interval for samples that are not independent.

    Its number of trials is what n samples of these clusters (n,) are worth: n over the design effect, which is the
    variance of the share between clusters over that of n independent samples (Kish; Korn and Graubard, Survey
    Methodology 24:193, 1998), and never more than n. Where all hits are equal the effect cannot be told: a cluster is
    worth one trial then. There are no ends for one cluster.

    Unlike those of `bootstrap`, the ends of no hits at all and of nothing else lie apart.
    """
    values, n = hits.double(), len(hits)
    share = float(values.mean())
    _, member = torch.unique(clusters, return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        return Interval.none(share)
    if share in (0.0, 1.0):
        return wilson(share * count, count, level=level)
    sums = torch.zeros(count, dtype=torch.float64).index_add_(0, member, values - share)
    between = float(sums.square().sum()) / n**2 * count / (count - 1)
    alone = share * (1 - share) / (n - 1)
    worth = n * alone / max(between, alone)
    return wilson(share * worth, worth, level=level)


# --- kernel distances -------------------------------------------------------------------------------------------------


def distances(x: Tensor, y: Tensor, /) -> Tensor:
    """Euclidean, (n, d) and (m, d) to (n, m), from differences: the distance of a row to itself is exactly 0."""
    return torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")


def median_distance(x: Tensor, /) -> float:
    """The median distance between two rows of (n, d), n >= 2: the usual bandwidth of a Gaussian kernel."""
    return float(torch.pdist(x.double()).quantile(0.5))


def gaussian(bandwidth: float, /) -> Kernel:
    """k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)), which is 1 on the diagonal; characteristic."""
    return lambda x, y: torch.exp(distances(x, y).square() / (-2 * bandwidth**2))


def mmd2(x: Tensor, y: Tensor, kernel: Kernel, /) -> Callable[..., float]:
    """Squared maximum mean discrepancy, unbiased (Gretton et al., JMLR 13:723, 2012, eq. 3), ready for `bootstrap`.

    Its expectation is 0 where x (n, d) and y (m, d), n, m >= 2, come from one distribution: it can be negative.

    Returns a function of how often each row of x (n,) and of y (m,) counts, by default once. Pairs of a row with
    itself never count, or resampling with replacement would raise the estimate by about (1 - mean k) (1/n + 1/m).
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"mmd2 of {len(x)} and {len(y)} samples: both sides need at least 2")
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)

    def estimate(u: Tensor | None = None, v: Tensor | None = None, /) -> float:
        u = torch.ones(len(xx), dtype=xx.dtype) if u is None else u
        v = torch.ones(len(yy), dtype=yy.dtype) if v is None else v
        return float(_pairs(xx, u) + _pairs(yy, v) - 2 * (u @ xy @ v) / (u.sum() * v.sum()))

    return estimate


def _pairs(k: Tensor, u: Tensor) -> Tensor:
    """The mean of k (n, n) over pairs of different rows, a pair counted u_i u_j times."""
    return (u @ k @ u - u.square() @ k.diagonal()) / (u.sum().square() - u.square().sum())


def kad(
    reference: Tensor,
    generated: Tensor,
    /,
    *,
    bandwidth: float | None = None,
    clusters: Tensor | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> Interval:
    """Kernel distance in the convention of KAD (arXiv 2502.15602): 100 times the unbiased MMD^2, Gaussian kernel.

    0 is no difference; 200 is the most that two sets can differ by, points that lie apart. Kernel distances of other
    features, bandwidths or scales are other numbers.

    reference: (n, d); generated: (m, d). bandwidth: by default the median distance within the reference.
    clusters: (n,) of the reference, see `bootstrap`, which makes the interval. Near 0 the interval is too wide rather
    than too narrow (the statistic is degenerate there): compare with `kad_floor` instead.
    """
    width = median_distance(reference) if bandwidth is None else bandwidth
    estimate = mmd2(reference, generated, gaussian(width))
    names = torch.arange(len(reference)) if clusters is None else clusters
    alone = torch.arange(len(generated))
    return bootstrap(lambda u, v: KAD_SCALE * estimate(u, v), names, alone, repeats=repeats, seed=seed)


def kad_floor(
    real: Tensor,
    /,
    *,
    bandwidth: float | None = None,
    clusters: Tensor | None = None,
    repeats: int = 1000,
    seed: int = 0,
) -> Interval:
    """What `kad` reads between real samples: the mean, 2.5 % and 97.5 % quantiles over random halves of `real` (n, d).

    A cluster stays in one half. A generated set of about n / 2 samples whose `kad` lies within the interval cannot be
    told from real ones by it. bandwidth: by default the median distance within `real`.
    """
    width = median_distance(real) if bandwidth is None else bandwidth
    estimate = mmd2(real, real, gaussian(width))
    names = torch.arange(len(real)) if clusters is None else clusters
    return between_halves(lambda u, v: KAD_SCALE * estimate(u, v), names, repeats=repeats, seed=seed)


# --- diversity --------------------------------------------------------------------------------------------------------


def vendi(x: Tensor, kernel: Kernel, /) -> Callable[..., float]:
    """The Vendi score of x (n, d), how many different samples it holds, 1 to n (arXiv 2210.02410, definition 3.1).

    The exponential of the entropy of the eigenvalues of K / n, for a kernel that is 1 on the diagonal.

    Returns a function of how often each row counts (n,), by default once; a row that counts twice adds nothing.
    """
    k = kernel(x, x)

    def estimate(u: Tensor | None = None, /) -> float:
        weights = torch.ones(len(k), dtype=k.dtype) if u is None else u.to(k.dtype)
        drawn = weights > 0
        root = (weights[drawn] / weights.sum()).sqrt()
        eigenvalues = torch.linalg.eigvalsh(root[:, None] * k[drawn][:, drawn] * root).clamp(min=0)
        return math.exp(-float(torch.xlogy(eigenvalues, eigenvalues).sum()))

    return estimate


# --- memorisation -----------------------------------------------------------------------------------------------------


def nearest_distance(x: Tensor, training: Tensor, /, *, own: Tensor | None = None) -> Tensor:
    """Distance of each row of x (n, d) to the nearest row of training (m, d): (n,).

    own: (n, m) bool, pairs that do not count: with it training samples, each without what it was cut from, serve as
    samples that were held out.
    """
    between = distances(x, training)
    return (between if own is None else between.masked_fill(own, math.inf)).amin(1)


def nearest_ratio(generated: Tensor, held_out: Tensor, /, *, quantile: float = 0.5) -> float:
    """A quantile of the generated samples' nearest-training distances (n,) over the held-out real samples' (m,).

    1 where generated samples are as far from the training set as new real ones, 0 for copies. A low quantile finds a
    few copies among many originals that the median does not see. It does not see bad samples: those lie far away.
    """
    return float(generated.double().quantile(quantile) / held_out.double().quantile(quantile))


# --- retrieval --------------------------------------------------------------------------------------------------------


def ranks(scores: Tensor, target: Tensor, /) -> Tensor:
    """The place, from 1, of each row's target among the candidates by falling score: (n, m) and (n,) to (n,) int64.

    Ties count against the target: equal scores for all candidates are the last place. A NaN is an error.
    """
    if scores.isnan().any():
        raise ValueError("scores hold NaN: they cannot be ranked")
    wanted = scores.gather(1, target[:, None])
    return (scores >= wanted).sum(1)


def recall(places: Tensor, k: int, /) -> float:
    """R@k: the share of `ranks` (n,) that are k or better; chance is k / m among m candidates."""
    return float((places <= k).double().mean())
