"""Metrics of samples of any modality, by the features of whichever extractor is named."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from multigen import metrics, set_metrics
from multigen.evaluation.contract import Metric, Need, PerSet, Statistic
from multigen.evaluation.prompted import PROMPTED
from multigen.metrics import bootstrap, distances, gaussian, jackknife, median_distance

LEAST = 0.1
FEW = 0.1
"""The share of samples that is left out for the interval of a number that grows with them: halves scatter less."""


def _of_distances(pick: Callable[[Tensor, Tensor, Tensor], Callable[..., float]]) -> Callable[..., Statistic]:
    """pick: takes distances within real samples, within made ones, and between real (down) and made ones (across)."""

    def statistic(made: Tensor, real: Tensor, training: Tensor) -> Statistic:
        estimate = pick(distances(real, real), distances(made, made), distances(real, made))
        return lambda u, v: estimate(v, u)

    return statistic


def _kad(made: Tensor, real: Tensor, training: Tensor) -> Statistic:
    estimate = metrics.mmd2(real, made, gaussian(median_distance(real)))
    return lambda u, v: metrics.KAD_SCALE * estimate(v, u)


def _vendi(made: Tensor, real: Tensor, training: Tensor) -> Statistic:
    estimate = metrics.vendi(made, gaussian(median_distance(real)))
    return lambda u, v: estimate(u)


def _nearest_training(made: Tensor, real: Tensor, training: Tensor) -> Statistic:
    of_made, of_real = (metrics.nearest_distance(x, training) for x in (made, real))
    return lambda u, v: metrics.nearest_ratio(of_made[u > 0], of_real[v > 0])


GENERAL: tuple[Metric, ...] = (
    PerSet(
        name="kad",
        about="kernel distance of the features of made and real samples, 100 times the unbiased squared MMD",
        source="arXiv 2502.15602; Gretton et al., JMLR 13:723, 2012, eq. 3",
        higher_is_better=False,
        needs=frozenset({Need.REAL}),
        statistic=_kad,
        intervals=bootstrap,
    ),
    PerSet(
        name="1-nna",
        about="how often the nearest other sample is of one's own kind, among as many made as real ones",
        source="arXiv 1610.06545",
        higher_is_better=None,
        best=0.5,
        needs=frozenset({Need.REAL}),
        statistic=_of_distances(set_metrics.one_nna),
        intervals=jackknife,
        limits=(0, 1),
        balanced=True,
        version=2,
    ),
    PerSet(
        name="density",
        about="in how many real samples' neighbourhoods a made sample lies on average, over their number k = 5",
        source="arXiv 2002.09797",
        higher_is_better=True,
        needs=frozenset({Need.REAL}),
        statistic=_of_distances(lambda real, made, between: set_metrics.density(real, between)),
        intervals=jackknife,
        limits=(0, math.inf),
        balanced=True,
        version=2,
    ),
    PerSet(
        name="coverage",
        about="share of real samples, as many as made ones, that have a made one in their neighbourhood",
        source="arXiv 2002.09797",
        higher_is_better=True,
        needs=frozenset({Need.REAL}),
        statistic=_of_distances(lambda real, made, between: set_metrics.reached(real, between)),
        intervals=jackknife,
        limits=(0, 1),
        balanced=True,
        version=2,
    ),
    PerSet(
        name="vendi",
        about="how many different samples there are among the made ones, on the scale of distances of real samples",
        source="arXiv 2210.02410, definition 3.1",
        higher_is_better=True,
        unit="samples",
        needs=frozenset({Need.REAL}),
        statistic=_vendi,
        intervals=partial(jackknife, left_out=FEW),
        limits=(1, math.inf),
    ),
    PerSet(
        name="nearest-training",
        about="median distance of made samples to the nearest training sample over that of real ones; 0 are copies",
        source="arXiv 2002.09797 measures neighbourhoods so; the ratio is ours",
        higher_is_better=None,
        best=1.0,
        needs=frozenset({Need.REAL, Need.TRAINING}),
        statistic=_nearest_training,
        intervals=jackknife,
        limits=(0, math.inf),
    ),
    *PROMPTED,
)
"""In the order in which they are shown."""


def standardised(*features: Tensor) -> list[Tensor]:
    """Features (n, d) with every column shifted and scaled to mean 0 and deviation 1 over the first set that has rows.

    A column that hardly varies there would count without bounds: deviations below a tenth of the median one are taken
    for that, and columns that do not vary at all are left out.
    """
    base = next((x for x in features if len(x) > 1), features[0])
    if not len(base):
        return list(features)
    mean, deviation = base.mean(0), base.std(0, unbiased=False)
    varies = deviation > 1e-9 * (1 + mean.abs())
    scale = deviation.clamp(min=LEAST * float(deviation[varies].median())) if bool(varies.any()) else deviation
    return [((x - mean) / scale)[:, varies] if len(x) else torch.empty(0, int(varies.sum())) for x in features]
