"""Significance: exact permutation by hand, coverage under no difference, scipy's tests, Holm's own example."""

import itertools
import math

import pytest
import torch
from scipy import stats

from multigen.metrics import KAD_SCALE, distances, gaussian, jackknife, median_distance, mmd2
from multigen.set_metrics import one_nna
from multigen.significance import average_ranks, concordance, holm, kendall_w, paired, paired_statistic


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_sign_flip_test_is_exact_for_few_clusters():
    difference = torch.tensor([0.5, -0.1, 0.7, 0.3, 0.2], dtype=torch.float64)
    totals = [
        abs(sum(s * d for s, d in zip(signs, difference.tolist(), strict=True)))
        for signs in itertools.product((1, -1), repeat=5)
    ]
    expected = sum(t >= 1.6 - 1e-9 for t in totals) / 32
    assert paired(difference, torch.zeros(5)).p == pytest.approx(expected)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.6])
def test_many_clusters_agree_with_scipys_permutation_test(shift):
    difference = normal(60) + shift
    ours = paired(difference, torch.zeros(60), repeats=20_000)
    theirs = stats.permutation_test(
        (difference.numpy(),), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=20_000, rng=1
    )
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.015)
    assert ours.interval.value == pytest.approx(float(difference.mean()))


def test_p_values_are_uniform_where_there_is_no_difference():
    p = [paired(normal(20, seed=i), normal(20, seed=1000 + i), repeats=500).p for i in range(300)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_samples_of_one_prompt_are_one_cluster():
    prompts = torch.arange(10).repeat_interleave(20)
    effect = normal(10)[prompts]  # a prompt's twenty samples say the same
    together = paired(effect, torch.zeros(200), clusters=prompts)
    alone = paired(effect, torch.zeros(200))
    once = paired(normal(10), torch.zeros(10))
    assert together.p == pytest.approx(once.p)
    assert together.interval.high - together.interval.low > 3 * (alone.interval.high - alone.interval.low)


def test_pairs_narrow_the_interval_of_a_difference():
    common = 10 * normal(100)
    difference = paired(common + 0.5, common + 0.1 * normal(100, seed=1))
    assert difference.interval.low > 0.4
    assert difference.p < 0.001


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (torch.zeros(3), torch.zeros(4), "no pairs"),
        (torch.zeros(0), torch.zeros(0), "no pairs"),
        (torch.tensor([1.0, math.nan]), torch.zeros(2), "not finite"),
    ],
)
def test_what_are_no_pairs_is_refused(first, second, said):
    with pytest.raises(ValueError, match=said):
        paired(first, second)


def test_a_statistic_of_sets_has_a_paired_bootstrap():
    values, other = normal(80), normal(80, seed=1)

    def means(u):
        return float(u @ values / u.sum()), float(u @ (values + 0.05 * other - 0.1) / u.sum())

    found = paired_statistic(means, torch.arange(80))
    assert found.interval.value == pytest.approx(0.1 - 0.05 * float(other.mean()))
    assert found.interval.low > 0.05
    assert found.p < 0.01
    halved = paired_statistic(means, torch.arange(80), intervals=jackknife)
    assert halved.interval.value == found.interval.value
    assert halved.interval.low == pytest.approx(found.interval.low, abs=0.01)
    assert halved.p < 0.01
    same = paired_statistic(lambda u: (1.0, 1.0), torch.arange(80))
    assert same.p == 1.0


def test_set_statistics_without_a_difference_are_rarely_significant():
    p = []
    for i in range(100):
        first, second = normal(30, seed=i), normal(30, seed=500 + i)
        weighted = paired_statistic(
            lambda u, a=first, b=second: (float(u @ a / u.sum()), float(u @ b / u.sum())), torch.arange(30), repeats=200
        )
        p.append(weighted.p)
    assert sum(v < 0.05 for v in p) <= 12


def kad_of(real, made):
    estimate = mmd2(real, made, gaussian(median_distance(real)))
    return lambda u, v: KAD_SCALE * estimate(v, u)


def one_nna_of(real, made):
    estimate = one_nna(distances(real, real), distances(made, made), distances(real, made))
    return lambda u, v: abs(estimate(v, u) - 0.5)


SETS = {"kad": (kad_of, {}), "1-nna": (one_nna_of, {"intervals": jackknife})}


def p_of(name, shift, seed, *, n=32, m=64):
    """Of two arms of which the second lies `shift` apart, both in front of the same real samples."""
    statistic, how = SETS[name]
    real = normal(m if name == "kad" else n, 4, seed=seed)
    arms = [statistic(real, normal(n, 4, seed=1000 * k + seed) + 0.4 + shift * (k == 1)) for k in (1, 2)]
    found = paired_statistic(
        lambda u, v: (arms[0](u, v), arms[1](u, v)), torch.arange(n), torch.arange(len(real)), repeats=60, **how
    )
    return found.p


@pytest.mark.parametrize("name", SETS)
def test_sets_that_are_as_far_from_the_real_one_differ_as_often_as_said(name):
    p = [p_of(name, 0.0, seed) for seed in range(1, 61)]
    assert sum(v < 0.05 for v in p) <= 7  # 3 are expected; 8 or more have a chance of 1 %


@pytest.mark.parametrize("name", SETS)
def test_sets_that_differ_are_found_among_a_hundred_comparisons(name):
    p = [p_of(name, 2.0, seed, n=64) for seed in range(1, 6)]
    assert holm([sorted(p)[2], *[1.0] * 132])[0] < 0.05


def test_a_p_value_says_how_small_it_could_be():
    four, twenty = (paired(normal(k), torch.zeros(k), repeats=999) for k in (4, 20))
    assert (four.least, twenty.least) == (1 / 8, 1 / 1000)
    assert paired(torch.ones(16), torch.zeros(16)).p == paired(torch.ones(16), torch.zeros(16)).least == 2 / 2**16
    values = normal(30)

    def mean(u):
        return float(u @ values / u.sum()) + 5, 0.0

    assert paired_statistic(mean, torch.arange(30)).least == 0
    alone = paired_statistic(mean, torch.zeros(30))
    assert (alone.p, alone.least) == (1, 1)
    assert math.isnan(alone.interval.low)


def test_the_p_value_of_a_mean_is_that_of_students_t_test():
    values = normal(40) + 0.5
    found = paired_statistic(lambda u: (float(u @ values / u.sum()), 0.0), torch.arange(40), repeats=4000)
    assert math.log(found.p) == pytest.approx(math.log(stats.ttest_1samp(values.numpy(), 0).pvalue), abs=0.6)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_false_finds_below_alpha():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(4000, 10, generator=generator, dtype=torch.float64).tolist()
    found = sum(min(holm(row)) < 0.05 for row in p) / len(p)
    assert found == pytest.approx(1 - 0.995**10, abs=0.01)


def test_ranks_are_scipys():
    values = torch.tensor([3.0, 1.0, 3.0, 2.0, 2.0, 2.0])
    assert average_ranks(values).tolist() == stats.rankdata(values.numpy()).tolist()


def test_concordance_is_friedmans_statistic_rescaled():
    values = normal(6, 5).round(decimals=0)  # with ties
    chi2 = stats.friedmanchisquare(*values.T.numpy()).statistic
    assert kendall_w(values) == pytest.approx(chi2 / (6 * 4))


def test_concordance_at_its_ends():
    order = torch.tensor([[1.0, 2, 3, 4]])
    assert kendall_w(order.expand(3, 4)) == 1
    assert kendall_w(torch.cat([order, order.flip(1)])) == 0
    assert math.isnan(kendall_w(torch.ones(2, 3)))
    undecided = torch.tensor([[1.0, 2, 3, 4], [5, 5, 5, 5]])
    assert math.isnan(kendall_w(undecided))
    assert all(math.isnan(value) for value in concordance(undecided))
    with pytest.raises(ValueError, match="two or more"):
        kendall_w(order)


def test_agreement_by_chance_is_not_significant_and_perfect_agreement_is():
    assert concordance(normal(5, 1).T.expand(3, 5))[1] < 0.001
    p = [concordance(normal(3, 5, seed=i), repeats=300)[1] for i in range(200)]
    assert sum(v < 0.05 for v in p) / len(p) < 0.09
