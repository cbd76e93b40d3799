"""Measures against closed forms, brute force and known expectations."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor

from multigen.metrics import (
    Interval,
    between_halves,
    bootstrap,
    distances,
    gaussian,
    jackknife,
    kad,
    kad_floor,
    median_distance,
    mmd2,
    nearest_distance,
    nearest_ratio,
    proportion,
    ranks,
    recall,
    shown,
    vendi,
    wilson,
)


def normal(n: int, d: int, seed: int, *, shift: float = 0.0) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def linear(x: Tensor, y: Tensor) -> Tensor:
    return x @ y.T


# --- intervals --------------------------------------------------------------------------------------------------------


def mean_of(values: Tensor) -> Callable[[Tensor], float]:
    return lambda counts: float(counts @ values / counts.sum())


def test_the_bootstrap_of_a_mean_is_as_wide_as_the_standard_error() -> None:
    values = normal(400, 1, 0)[:, 0]
    interval = bootstrap(mean_of(values), torch.arange(400), repeats=4000)
    error = float(values.std(correction=0)) / 20
    assert interval.value == pytest.approx(float(values.mean()), abs=1e-12)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert interval == bootstrap(mean_of(values), torch.arange(400), repeats=4000)
    assert interval != bootstrap(mean_of(values), torch.arange(400), repeats=4000, seed=1)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(300):
        values = normal(60, 1, seed)[:, 0].square()
        interval = bootstrap(mean_of(values), torch.arange(60), repeats=200, level=0.8, seed=seed)
        covered += interval.low <= 1 <= interval.high
    # A squared normal is skewed, so that the percentile interval covers a little less than it says.
    assert 0.72 <= covered / 300 <= 0.85


def test_clusters_are_drawn_whole() -> None:
    seen: list[Tensor] = []
    clusters = torch.tensor([7, 7, 7, 3, 9, 9])

    def keep(counts: Tensor) -> float:
        seen.append(counts)
        return 0.0

    bootstrap(keep, clusters, repeats=50)
    for counts in seen:
        for name in (3, 7, 9):
            assert len(set(counts[clusters == name].tolist())) == 1
        assert sum(float(counts[clusters == name][0]) for name in (3, 7, 9)) == 3
    assert len({tuple(counts.tolist()) for counts in seen}) > 5


def test_copies_in_a_cluster_do_not_narrow_the_interval() -> None:
    values = normal(50, 1, 1)[:, 0]
    alone = bootstrap(mean_of(values), torch.arange(50))
    copied = bootstrap(mean_of(values.repeat(8)), torch.arange(50).repeat(8))
    assert copied.low == pytest.approx(alone.low, abs=1e-9)
    assert copied.high == pytest.approx(alone.high, abs=1e-9)


def test_undefined_draws_are_left_out() -> None:
    values = torch.tensor([1.0, 3.0], dtype=torch.float64)

    def undefined_unless_both(counts: Tensor) -> float:
        return 2.0 if bool((counts > 0).all()) else math.nan

    assert bootstrap(undefined_unless_both, torch.arange(len(values))) == Interval(2.0, 2.0, 2.0)


@pytest.mark.parametrize(("successes", "n"), [(0, 5), (3, 5), (20, 20), (37, 200)])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_wilson_agrees_with_scipy(successes: int, n: int, level: float) -> None:
    expected = stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    interval = wilson(successes, n, level=level)
    assert (interval.value, interval.low, interval.high) == pytest.approx((successes / n, *expected), abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 10, 110])
def test_the_ends_of_no_success_and_of_nothing_else_are_exact(n: int) -> None:
    assert (wilson(0, n).low, wilson(n, n).high) == (0, 1)


@pytest.mark.parametrize("resample", [bootstrap, jackknife])
def test_one_cluster_has_no_interval(resample: Callable[..., Interval]) -> None:
    values = normal(20, 1, 0)[:, 0]
    found = resample(mean_of(values), torch.zeros(20, dtype=torch.int64))
    assert found.value == pytest.approx(float(values.mean()))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert shown(found) == f"{found.value:.3g}"


def test_a_standard_error_comes_with_the_interval() -> None:
    values = normal(400, 1, 0)[:, 0]
    error = float(values.std()) / 20
    for found in (
        bootstrap(mean_of(values), torch.arange(400)),
        jackknife(mean_of(values), torch.arange(400)),
        jackknife(mean_of(values), torch.arange(400), left_out=0.1),
    ):
        assert found.error == pytest.approx(error, rel=0.08)
        assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_ends_stay_in_the_range_of_the_values() -> None:
    assert Interval(0.1, -0.2, 0.4).within(0, 1) == Interval(0.1, 0, 0.4)
    assert math.isnan(Interval.none(0.5).within(0, 1).low)


def test_halves_count_as_many_as_are_asked_for() -> None:
    seen: list[tuple[float, float]] = []
    clusters = torch.arange(30) // 3

    def keep(u: Tensor, v: Tensor) -> float:
        assert not set(clusters[u > 0].tolist()) & set(clusters[v > 0].tolist())
        seen.append((float(u.sum()), float(v.sum())))
        return 0.0

    between_halves(keep, clusters, sizes=(4, 12), repeats=20)
    assert set(seen) == {(4, 12)}
    seen.clear()
    between_halves(keep, clusters, sizes=(40, 40), repeats=20)
    assert set(seen) == {(15, 15)}


def test_a_proportion_of_single_samples_is_wilsons() -> None:
    for hits in (0, 13, 40):
        found = proportion((torch.arange(40) < hits).double(), torch.arange(40))
        expected = wilson(hits, 40)
        assert (found.value, found.low, found.high) == pytest.approx((hits / 40, expected.low, expected.high))


def test_samples_that_say_the_same_are_worth_one() -> None:
    hits = (torch.arange(20) < 7).double().repeat_interleave(10)
    found = proportion(hits, torch.arange(20).repeat_interleave(10))
    few, many = wilson(7, 20), wilson(70, 200)
    assert found.high - found.low == pytest.approx(few.high - few.low, rel=0.05)
    assert found.high - found.low > 2 * (many.high - many.low)
    always = proportion(torch.ones(60), torch.arange(60) // 10)
    assert (always.low, always.high) == pytest.approx((wilson(6, 6).low, 1))
    assert math.isnan(proportion(torch.ones(5), torch.zeros(5)).low)


def test_a_proportion_holds_the_truth_as_often_as_it_says() -> None:
    """Sixteen prompts of four samples each: samples of one prompt have one chance, which is 0.9 on average."""
    generator = torch.Generator().manual_seed(0)
    chances = torch.rand(500, 16, 1, generator=generator) ** (1 / 9)  # beta(9, 1) has mean 0.9
    hits = (torch.rand(500, 16, 4, generator=generator) < chances).double().flatten(1)
    found = [proportion(row, torch.arange(64) // 4) for row in hits]
    assert 0.92 <= sum(i.low <= 0.9 <= i.high for i in found) / 500 <= 0.99


def test_the_error_of_a_vendi_score_is_its_deviation() -> None:
    """Halves scatter less than the whole does, because a score of fewer samples is lower."""
    kernel = gaussian(median_distance(normal(200, 8, 999)))
    fresh = torch.tensor([vendi(normal(64, 8, 5000 + seed), kernel)() for seed in range(300)])
    names = torch.arange(64)
    errors = {
        left_out: sum(
            jackknife(vendi(normal(64, 8, seed), kernel), names, left_out=left_out, repeats=60, seed=seed).error
            for seed in range(12)
        )
        / 12
        for left_out in (0.1, 0.5)
    }
    assert errors[0.1] == pytest.approx(float(fresh.std()), rel=0.12)
    assert errors[0.5] < 0.87 * float(fresh.std())


# --- kernel distances -------------------------------------------------------------------------------------------------


def test_mmd2_is_the_mean_over_pairs_written_out() -> None:
    x, y = normal(7, 3, 0), normal(5, 3, 1, shift=0.5)
    k = gaussian(1.3)
    within_x = [float(k(x[[i]], x[[j]])) for i, j in itertools.permutations(range(7), 2)]
    within_y = [float(k(y[[i]], y[[j]])) for i, j in itertools.permutations(range(5), 2)]
    between = [float(k(x[[i]], y[[j]])) for i in range(7) for j in range(5)]
    expected = sum(within_x) / 42 + sum(within_y) / 20 - 2 * sum(between) / 35
    assert mmd2(x, y, k)() == pytest.approx(expected, abs=1e-14)


def test_counts_are_repeated_rows_without_pairs_of_a_row_and_itself() -> None:
    x, y = normal(4, 2, 0), normal(3, 2, 1)
    u, v = torch.tensor([2.0, 0.0, 1.0, 3.0]).double(), torch.tensor([1.0, 2.0, 1.0]).double()
    k = gaussian(0.9)
    index = torch.arange(4).repeat_interleave(u.long()), torch.arange(3).repeat_interleave(v.long())

    def within(rows: Tensor, names: Tensor) -> float:
        pairs = [(i, j) for i, j in itertools.product(range(len(names)), repeat=2) if names[i] != names[j]]
        return sum(float(k(rows[names[[i]]], rows[names[[j]]])) for i, j in pairs) / len(pairs)

    between = float(k(x[index[0]], y[index[1]]).mean())
    expected = within(x, index[0]) + within(y, index[1]) - 2 * between
    assert mmd2(x, y, k)(u, v) == pytest.approx(expected, abs=1e-14)


def test_with_a_linear_kernel_mmd2_is_the_distance_of_means_less_its_noise() -> None:
    x, y = normal(9, 4, 0), normal(6, 4, 1, shift=0.3)
    bias = x.var(0).sum() / 9 + y.var(0).sum() / 6
    expected = (x.mean(0) - y.mean(0)).square().sum() - bias
    assert mmd2(x, y, linear)() == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_mmd2_of_normals_has_the_closed_form_as_its_mean(shift: float) -> None:
    """E k(x, y) of two standard normals whose means lie `a` apart is (1 + 2 / w^2)^(-d/2) exp(-a^2 / (2 w^2 + 4))."""
    d, width = 3, 1.5
    scale = (1 + 2 / width**2) ** (-d / 2)
    expected = 2 * scale * (1 - math.exp(-d * shift**2 / (2 * width**2 + 4)))
    values = [
        mmd2(normal(8, d, 2 * seed), normal(12, d, 2 * seed + 1, shift=shift), gaussian(width))()
        for seed in range(2000)
    ]
    error = float(torch.tensor(values).std()) / math.sqrt(len(values))
    assert sum(values) / len(values) == pytest.approx(expected, abs=3 * error)
    assert error < 0.003
    if shift == 0:
        assert min(values) < 0 < max(values)


def test_resampling_does_not_bias_mmd2() -> None:
    x, y = normal(12, 2, 0), normal(10, 2, 1)
    estimate = mmd2(x, y, gaussian(1.0))
    drawn: list[float] = []

    def keep(u: Tensor, v: Tensor) -> float:
        drawn.append(estimate(u, v))
        return drawn[-1]

    interval = bootstrap(keep, torch.arange(12), torch.arange(10), repeats=4000)
    resampled = torch.tensor(drawn[:-1])
    assert float(resampled.mean()) == pytest.approx(interval.value, abs=4 * float(resampled.std()) / math.sqrt(4000))


def test_mmd2_needs_two_on_both_sides() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        mmd2(normal(1, 2, 0), normal(5, 2, 1), gaussian(1.0))


def test_kad_is_a_hundred_times_mmd2_with_the_references_median_distance() -> None:
    reference, generated = normal(20, 3, 0), normal(15, 3, 1, shift=1.0)
    pairs = sorted(math.dist(a, b) for a, b in itertools.combinations(reference.tolist(), 2))
    assert median_distance(reference) == pytest.approx((pairs[94] + pairs[95]) / 2, abs=1e-12)
    expected = 100 * mmd2(reference, generated, gaussian(median_distance(reference)))()
    interval = kad(reference, generated, repeats=100)
    assert interval.value == pytest.approx(expected, abs=1e-12)
    assert interval.low < interval.value < interval.high
    assert kad(7 * reference, 7 * generated, repeats=2).value == pytest.approx(expected, abs=1e-9)


def test_sets_that_lie_apart_differ_by_two_hundred() -> None:
    clump = torch.zeros(5, 2, dtype=torch.float64)
    assert kad(clump, clump + 1e6, bandwidth=1.0, repeats=2).value == pytest.approx(200, abs=1e-9)


def test_kad_grows_as_samples_get_worse() -> None:
    reference, real = normal(150, 8, 0), normal(150, 8, 1)
    noise = normal(150, 8, 2)
    worse = [kad(reference, real + level * noise, repeats=2).value for level in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert worse == sorted(worse)
    fewer = [kad(reference, real[:modes].repeat(150 // modes, 1), repeats=2).value for modes in (150, 30, 5, 1)]
    assert fewer == sorted(fewer)
    mixed = [kad(reference, torch.cat([real[:kept], real[kept:] + 3]), repeats=2).value for kept in (150, 120, 75, 0)]
    assert mixed == sorted(mixed)
    floor = kad_floor(torch.cat([reference, real]))
    assert floor.low < worse[0] < floor.high < worse[2]


def test_the_floor_is_zero_on_average_and_holds_new_real_samples_as_often_as_it_says() -> None:
    inside = 0
    means = []
    for seed in range(100):
        real = normal(60, 4, 3 * seed)
        width = median_distance(real)
        floor = kad_floor(real, bandwidth=width, repeats=200, seed=seed)
        means.append(floor.value)
        fresh = kad(normal(30, 4, 3 * seed + 1), normal(30, 4, 3 * seed + 2), bandwidth=width, repeats=2).value
        inside += floor.low <= fresh <= floor.high
    error = float(torch.tensor(means).std()) / 10
    assert sum(means) / 100 == pytest.approx(0, abs=4 * error + 0.02)
    assert 88 <= inside <= 99


def test_the_floor_keeps_clusters_together() -> None:
    centres = 3 * normal(20, 4, 0)
    real = centres.repeat_interleave(5, 0) + 0.1 * normal(100, 4, 1)
    names = torch.arange(20).repeat_interleave(5)
    apart = kad_floor(real)
    together = kad_floor(real, clusters=names)
    assert apart.value < 0.5 < 5 < together.value
    brute = 0.0
    for chosen in itertools.combinations(range(4), 2):
        half = torch.isin(names[:20], torch.tensor(chosen))
        brute += kad(real[:20][half], real[:20][~half], bandwidth=2.0, repeats=2).value / 6
    sampled = kad_floor(real[:20], bandwidth=2.0, clusters=names[:20], repeats=3000)
    assert sampled.value == pytest.approx(brute, rel=0.03)


# --- memorisation -----------------------------------------------------------------------------------------------------


def test_nearest_distances_are_those_found_one_by_one() -> None:
    x, training = normal(6, 3, 0), normal(9, 3, 1)
    brute = [min(math.dist(a, b) for b in training.tolist()) for a in x.tolist()]
    assert nearest_distance(x, training).tolist() == pytest.approx(brute, abs=1e-12)
    assert nearest_distance(training, training).tolist() == [0.0] * 9
    own = torch.eye(9, dtype=torch.bool)
    left_out = [min(math.dist(a, b) for b in training.tolist() if a != b) for a in training.tolist()]
    assert nearest_distance(training, training, own=own).tolist() == pytest.approx(left_out, abs=1e-12)


def test_distances_are_exact_far_from_the_origin() -> None:
    x = torch.tensor([[1e8, 0.0], [1e8, 3.0]])
    assert distances(x, x).tolist() == [[0.0, 3.0], [3.0, 0.0]]


def test_copies_and_originals_are_told_apart() -> None:
    training, held_out, fresh = normal(300, 6, 0), normal(200, 6, 1), normal(200, 6, 2)
    real = nearest_distance(held_out, training)

    def ratios(generated: Tensor) -> tuple[float, float]:
        found = nearest_distance(generated, training)
        return nearest_ratio(found, real), nearest_ratio(found, real, quantile=0.05)

    assert ratios(held_out) == (1.0, 1.0)
    assert ratios(training) == (0.0, 0.0)
    assert ratios(fresh) == pytest.approx((1, 1), abs=0.1)
    median, low = ratios(torch.cat([training[:30], fresh[:170]]))
    assert median == pytest.approx(1, abs=0.15)
    assert low == 0
    blurred = [ratios(training[:200] + noise * fresh)[0] for noise in (0.05, 0.2, 0.5)]
    assert blurred == sorted(blurred)
    assert blurred[-1] < 1


# --- retrieval --------------------------------------------------------------------------------------------------------


def test_ranks_are_places_in_the_sorted_row() -> None:
    scores = normal(40, 10, 0)
    target = torch.randint(10, (40,), generator=torch.Generator().manual_seed(1))
    places = [sorted(row, reverse=True).index(row[t]) + 1 for row, t in zip(scores.tolist(), target, strict=True)]
    assert ranks(scores, target).tolist() == places
    for k in (1, 3, 10):
        assert recall(ranks(scores, target), k) == sum(place <= k for place in places) / 40
    assert recall(ranks(scores, target), 10) == 1


def test_ties_count_against_the_target() -> None:
    assert ranks(torch.zeros(2, 5), torch.tensor([0, 4])).tolist() == [5, 5]
    assert ranks(torch.tensor([[2.0, 1.0, 1.0, 0.0]]), torch.tensor([1])).tolist() == [3]


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        ranks(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]))


def test_random_scores_retrieve_at_chance() -> None:
    n, m = 20_000, 10
    places = ranks(normal(n, m, 0), torch.arange(n) % m)
    for k in (1, 3):
        interval = wilson(recall(places, k) * n, n, level=0.999)
        assert interval.low < k / m < interval.high
