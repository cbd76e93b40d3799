"""Is one arm of a study better than another? Paired differences, corrected for their number, and agreement of ranks.

Values are (n,) float64, one for each sample, sample i of every arm made from the same prompt and the same noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from multigen.metrics import Interval, bootstrap

EXACT = 16
"""Up to so many clusters all sign changes are tried."""


@dataclass(frozen=True)
class Difference:
    """first minus second with its 95 % interval, and the p-value of there being none.

    least: the smallest p-value that so many clusters allow, 0 where there is no limit.
    """

    interval: Interval
    p: float
    least: float = 0.0


def paired(
    first: Tensor, second: Tensor, /, *, clusters: Tensor | None = None, repeats: int = 10_000, seed: int = 0
) -> Difference:
    """The mean difference of two arms: its bootstrap interval, and a sign-flip permutation test (Fisher, 1935).

    Where the arms do not differ, the difference of a cluster is as likely as its negative. All sign changes are tried
    for up to `EXACT` clusters, otherwise `repeats` random ones beside the one that was found.

    clusters: (n,), such as the prompt of each sample, since samples of one prompt are not independent; by default
    every sample stands alone.

    Raises ValueError for values that are not finite, or not equally many.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            f"values of shapes {tuple(first.shape)} and {tuple(second.shape)} are no pairs: give (n,) each"
        )
    difference = (first - second).double()
    if not bool(difference.isfinite().all()):
        raise ValueError("a value is not finite: leave its pair out")
    names = torch.arange(len(difference)) if clusters is None else clusters
    interval = bootstrap(lambda u: float(u @ difference / u.sum()), names, seed=seed)
    _, member = torch.unique(names, return_inverse=True)
    sums = torch.zeros(int(member.max()) + 1, dtype=torch.float64).index_add_(0, member, difference)
    least = 2.0 ** (1 - len(sums)) if len(sums) <= EXACT else 1 / (repeats + 1)
    return Difference(interval, _sign_flip(sums, repeats, seed), least)


def paired_statistic(
    statistic: Callable[..., tuple[float, float]],
    /,
    *clusters: Tensor,
    intervals: Callable[..., Interval] = bootstrap,
    repeats: int = 1000,
    seed: int = 0,
) -> Difference:
    """The difference of a statistic of whole sets, such as a kernel distance, between two arms, resampled alike.

    statistic: takes how often each sample of every set counts, as in `bootstrap`, and returns its value for both arms.
    intervals: `bootstrap`, or `jackknife` for statistics of nearest neighbours. The p-value is that of Student's t for
    the difference over its standard error, which is the deviation of the resampled differences: 200 of them are enough
    for that (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 6.4 and 12.4), while a share of
    them could not be small enough to be significant among many comparisons. It has one degree of freedom less than the
    smallest set has clusters. Where resampling changes nothing, or cannot, nothing is known and the p-value is 1.
    """
    from scipy.special import stdtr

    def difference(*counts: Tensor) -> float:
        first, second = statistic(*counts)
        return first - second

    interval = intervals(difference, *clusters, repeats=repeats, seed=seed)
    freedom = min(len(torch.unique(names)) for names in clusters) - 1
    if freedom < 1:
        return Difference(interval, 1.0, least=1.0)
    if not interval.error > 0:
        return Difference(interval, 1.0)
    return Difference(interval, float(2 * stdtr(freedom, -abs(interval.value) / interval.error)))


def _sign_flip(sums: Tensor, repeats: int, seed: int) -> float:
    """Two-sided p-value of the total of the clusters' sums (k,)."""
    k, found = len(sums), float(sums.sum().abs())
    slack = 1e-12 * float(sums.abs().sum())  # equal totals may differ in their rounding
    if k <= EXACT:
        return float(((_signs(k) @ sums).abs() >= found - slack).double().mean())
    generator = torch.Generator().manual_seed(seed)
    signs = 2 * torch.randint(2, (repeats, k), generator=generator) - 1
    as_large = int(((signs.double() @ sums).abs() >= found - slack).sum())
    return (as_large + 1) / (repeats + 1)


@cache
def _signs(k: int) -> Tensor:
    """Every choice of k signs (2^(k - 1), k) but for the opposite ones, whose totals are as large."""
    codes = torch.arange(1 << (k - 1))[:, None] >> torch.arange(k) & 1
    return (1 - 2 * codes).double()


def holm(p: Sequence[float], /) -> list[float]:
    """p-values adjusted for their number (Holm, Scandinavian Journal of Statistics 6:65, 1979).

    To call a difference found where its adjusted value is below alpha errs in any of them with a chance of at most
    alpha, however they depend on one another.
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for place, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - place) * p[i]))
        adjusted[i] = highest
    return adjusted


def kendall_w(values: Tensor, /) -> float:
    """Kendall's coefficient of concordance of m judges about k things, from 0 to 1, with the correction for ties.

    values: (m, k), how each judge (a modality, say) scores each thing (a sampler). Only their order counts. 1 where all
    judges agree, about 1 / m where their orders have nothing to do with one another (Kendall and Babington Smith,
    Annals of Mathematical Statistics 10:275, 1939). NaN where a judge holds all things equal, which is
    no order that another could agree with.
    """
    m, k = values.shape
    if m < 2 or k < 2:
        raise ValueError(f"{m} judges of {k} things cannot agree or disagree: give two or more of both")
    if bool((values == values[:, :1]).all(1).any()):
        return math.nan
    ranks = torch.stack([average_ranks(row) for row in values])
    spread = (ranks.sum(0) - m * (k + 1) / 2).square().sum()
    ties = sum(float(c**3 - c) for row in values for c in torch.unique(row, return_counts=True)[1].tolist())
    return 12 * float(spread) / (m**2 * (k**3 - k) - m * ties)


def concordance(values: Tensor, /, *, repeats: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """`kendall_w` and the p-value of orders that have nothing to do with one another, by permuting each judge's.

    Both are NaN where a judge holds all things equal.
    """
    found = kendall_w(values)
    if math.isnan(found):
        return found, math.nan
    generator = torch.Generator().manual_seed(seed)
    m, k = values.shape
    ranks = torch.stack([average_ranks(row) for row in values])
    orders = torch.rand(repeats, m, k, generator=generator).argsort(-1)
    shuffled = ranks.expand(repeats, m, k).gather(-1, orders).sum(1)
    spreads = (shuffled - m * (k + 1) / 2).square().sum(-1)
    spread = (ranks.sum(0) - m * (k + 1) / 2).square().sum()
    as_large = int((spreads >= spread - 1e-9).sum())
    return found, (as_large + 1) / (repeats + 1)


def average_ranks(values: Tensor, /) -> Tensor:
    """Ranks (k,) from 1, of rising values (k,); equal ones share the mean of theirs."""
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    return below.double() + (equal.double() + 1) / 2
