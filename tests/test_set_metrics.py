"""Set metrics against hand-computed cases, brute force, known limits and simulation."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from multigen.metrics import between_halves, bootstrap, distances, jackknife
from multigen.set_metrics import (
    compare,
    density,
    matched,
    matching_distance,
    one_nna,
    reached,
    real_values,
    statistics,
)


def normal(n: int, d: int, seed: int, *, shift: float = 0.0) -> Tensor:
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def within(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return distances(x, x), distances(y, y), distances(x, y)


def on_a_line(real: list[float], generated: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    return within(*(torch.tensor(places, dtype=torch.float64)[:, None] for places in (real, generated)))


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_a_case_on_a_line_by_hand() -> None:
    # real 0, 1, 10; generated 0.4, 1.5, 7. Nearest: 0 -> .4 (g), 1 -> 1.5 (g), 10 -> 7 (g); .4 -> 0 (r), 1.5 -> 1 (r),
    # 7 -> 10 (r), so that nobody is closest to its own kind.
    sets = on_a_line([0, 1, 10], [0.4, 1.5, 7])
    assert one_nna(*sets)() == 0
    assert matched(sets[2])() == 1
    assert matching_distance(sets[2])() == pytest.approx((0.4 + 0.5 + 3) / 3, abs=1e-12)
    # With generated 0.4, 0.5, 7 both of the first are closest to each other, 0 and 1 to them, and 7 and 10 still apart.
    sets = on_a_line([0, 1, 10], [0.4, 0.5, 7])
    assert one_nna(*sets)() == pytest.approx(2 / 6)
    # 0.5 is as near to 0 as to 1: the first counts.
    assert matched(sets[2])() == pytest.approx(2 / 3)
    assert matching_distance(sets[2])() == pytest.approx((0.4 + 0.5 + 3) / 3, abs=1e-12)
    # Without the last of 0.1, 0.2, 1.1 and 9 nobody is nearest to the real sample at 10.
    between = on_a_line([0, 1, 10], [0.1, 0.2, 1.1, 9])[2]
    assert matched(between)() == 1
    assert matched(between)(None, torch.tensor([1, 1, 1, 0])) == pytest.approx(2 / 3)


def test_neighbourhoods_by_hand() -> None:
    # Radii to the second nearest other real sample: 0 -> 3, 1 -> 2, 3 -> 3, 6 -> 5.
    real, _, between = on_a_line([0, 1, 3, 6], [-1, 2, 20])
    # -1 is in the balls of 0 (1 < 3), but on the rim of that of 1 (2 < 2 is false), and 4 from 3, 7 from 6; 2 is in all
    # of 0, 1, 3 and 6 (2 < 3, 1 < 2, 1 < 3, 4 < 5); 20 in none.
    assert density(real, between, k=2)() == pytest.approx((1 + 4) / (2 * 3))
    assert reached(real, between, k=2)() == 1
    assert reached(real, between[:, [0, 2]], k=2)() == 0.25


def test_neighbours_at_one_distance_share() -> None:
    # The generated sample lies halfway between two real ones: each of them has the other at 2 and it at 1; it has
    # two real ones at 1. With a second generated sample at the same place it has one of its own at 0.
    real, generated, between = on_a_line([0, 2], [1])
    assert one_nna(real, generated, between)() == 0
    real, generated, between = on_a_line([0, 2, 1], [1])
    # 0 and 2 have a real and a generated sample at 1: one half each. The two at 1 have each other: none.
    assert one_nna(real, generated, between)() == pytest.approx((0.5 + 0.5 + 0 + 0) / 4)


# --- brute force ------------------------------------------------------------------------------------------------------


def brute(x: Tensor, y: Tensor, k: int) -> dict[str, float]:
    """The definitions, one sample at a time, samples as lists."""
    real, generated = [tuple(row) for row in x.tolist()], [tuple(row) for row in y.tolist()]
    own = 0
    for kind, samples in (("r", real), ("g", generated)):
        for i, sample in enumerate(samples):
            others = [(math.dist(sample, a), "r") for j, a in enumerate(real) if (kind, i) != ("r", j)]
            others += [(math.dist(sample, a), "g") for j, a in enumerate(generated) if (kind, i) != ("g", j)]
            own += min(others)[1] == kind
    hit = {min((math.dist(r, g), i) for i, r in enumerate(real))[1] for g in generated}
    nearest = [min(math.dist(r, g) for g in generated) for r in real]
    radius = [sorted(math.dist(r, a) for j, a in enumerate(real) if j != i)[k - 1] for i, r in enumerate(real)]
    inside = [[math.dist(r, g) < radius[i] for g in generated] for i, r in enumerate(real)]
    return {
        "1-NNA": own / (len(real) + len(generated)),
        "COV": len(hit) / len(real),
        "MMD": sum(nearest) / len(real),
        "density": sum(map(sum, inside)) / (k * len(generated)),
        "coverage": sum(map(any, inside)) / len(real),
    }


@pytest.mark.parametrize(("n", "m", "shift"), [(9, 9, 0.0), (12, 7, 0.5), (6, 15, 2.0)])
def test_the_definitions_one_sample_at_a_time(n: int, m: int, shift: float) -> None:
    x, y = normal(n, 3, n), normal(m, 3, 100 + m, shift=shift)
    found = {name: one() for name, one in statistics(*within(x, y)).items()}
    assert found == pytest.approx(brute(x, y, 5), abs=1e-12)


def test_samples_that_do_not_count_are_as_if_they_were_not_there() -> None:
    x, y = normal(14, 3, 0), normal(12, 3, 1, shift=0.4)
    u, v = (torch.arange(14) % 3 > 0).double(), (torch.arange(12) < 7).double()
    found = {name: one(u, v) for name, one in statistics(*within(x, y)).items()}
    assert found == pytest.approx(brute(x[u > 0], y[v > 0], 5), abs=1e-12)


def test_a_sample_that_counts_twice_is_not_its_own_neighbour() -> None:
    x, y = normal(10, 2, 0), normal(10, 2, 1)
    weights = torch.ones(10).double()
    # Twice everything is the same mean over the same neighbours.
    for one in (one_nna(*within(x, y)), matched(distances(x, y)), matching_distance(distances(x, y))):
        assert one(2 * weights, 2 * weights) == pytest.approx(one(), abs=1e-12)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_copies_of_the_real_set() -> None:
    x = normal(50, 4, 0)
    found = {name: one() for name, one in statistics(*within(x, x.clone())).items()}
    # Everybody lies in its own ball and in those of whom it is among the first four neighbours.
    assert found["1-NNA"] == 0
    assert found["COV"] == 1
    assert found["MMD"] == 0
    assert found["density"] == pytest.approx(1, abs=1e-12)
    assert found["coverage"] == 1


def test_sets_that_lie_apart() -> None:
    x, y = normal(30, 3, 0), normal(30, 3, 1, shift=1000)
    found = {name: one() for name, one in statistics(*within(x, y)).items()}
    assert found["1-NNA"] == 1
    assert found["COV"] <= 4 / 30
    assert found["MMD"] == pytest.approx(1000 * math.sqrt(3), rel=0.01)
    assert (found["density"], found["coverage"]) == (0, 0)


def test_two_sets_from_one_distribution_read_what_theory_says() -> None:
    sums = dict.fromkeys(("1-NNA", "COV", "density", "coverage"), 0.0)
    for seed in range(40):
        found = statistics(*within(normal(100, 3, 2 * seed), normal(100, 3, 2 * seed + 1)))
        for name in sums:
            sums[name] += found[name]() / 40
    # Of the 199 others, 99 are of one's own kind. Of k nearest among 200 all real: prod (n - 1 - i) / (2 n - 1 - i).
    assert sums["1-NNA"] == pytest.approx(99 / 199, abs=0.02)
    assert sums["density"] == pytest.approx(1, abs=0.02)
    assert sums["coverage"] == pytest.approx(1 - math.prod((99 - i) / (199 - i) for i in range(5)), abs=0.01)
    assert 0.5 < sums["COV"] < 0.65


def test_a_missing_mode_and_noise_show() -> None:
    centres = 4 * normal(20, 4, 9)
    kinds = torch.arange(120) % 20
    real = centres[kinds] + 0.3 * normal(120, 4, 0)
    readings = [statistics(*within(real, centres[kinds % modes] + 0.3 * normal(120, 4, 1))) for modes in (20, 10, 3)]
    for name, worse in (("1-NNA", 1), ("COV", -1), ("MMD", 1), ("coverage", -1)):
        values = [worse * reading[name]() for reading in readings]
        assert values == sorted(values)
        assert values[2] > values[0] + 0.1
    noisy = [statistics(*within(real, centres[kinds] + level * normal(120, 4, 1))) for level in (0.3, 0.6, 1.2)]
    for name, worse in (("1-NNA", 1), ("MMD", 1), ("density", -1)):
        values = [worse * reading[name]() for reading in noisy]
        assert values == sorted(values)
        assert values[2] > values[0] + 0.1


# --- intervals --------------------------------------------------------------------------------------------------------


def mean_of(values: Tensor, counts: Tensor) -> float:
    return float(counts @ values / counts.sum())


def test_the_jackknife_of_a_mean_is_as_wide_as_the_standard_error() -> None:
    values = normal(400, 1, 0)[:, 0]
    interval = jackknife(lambda u: mean_of(values, u), torch.arange(400), repeats=4000)
    assert interval.value == pytest.approx(float(values.mean()), abs=1e-12)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.05)
    clusters = torch.arange(400).repeat_interleave(3)
    copied = jackknife(lambda u: mean_of(values.repeat_interleave(3), u), clusters, repeats=4000)
    assert (copied.low, copied.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_the_jackknife_holds_the_expected_one_nna_and_the_bootstrap_does_not() -> None:
    n, held, resampled = 60, 0, 0
    expected = 0.0
    for seed in range(300):
        expected += one_nna(*within(normal(n, 3, seed), normal(n, 3, 5000 + seed, shift=0.5)))() / 300
    names = torch.arange(n)
    for seed in range(40):
        x, y = normal(n, 3, 10_000 + seed), normal(n, 3, 20_000 + seed, shift=0.5)
        interval = jackknife(one_nna(*within(x, y)), names, names, repeats=80, seed=seed)
        held += interval.low <= expected <= interval.high

        def with_copies(u: Tensor, v: Tensor, x: Tensor = x, y: Tensor = y) -> float:
            return one_nna(*within(x.repeat_interleave(u.long(), 0), y.repeat_interleave(v.long(), 0)))()

        naive = bootstrap(with_copies, names, names, repeats=30, seed=seed)
        resampled += naive.low <= expected <= naive.high
    assert held >= 35
    assert resampled <= 3


def test_halves_of_one_set_are_what_there_is_without_a_difference() -> None:
    x = normal(80, 3, 0)
    found = real_values(distances(x, x), repeats=200)
    assert found["1-NNA"].value == pytest.approx(39 / 79, abs=0.03)
    fresh = statistics(*within(normal(40, 3, 1), normal(40, 3, 2)))
    for name in ("1-NNA", "COV", "density", "coverage"):
        assert found[name].low <= fresh[name]() <= found[name].high


def test_halves_written_out() -> None:
    x = normal(6, 2, 0)
    table = distances(x, x)
    values = []
    for chosen in itertools.combinations(range(6), 3):
        half = torch.tensor([i in chosen for i in range(6)])
        values.append(brute(x[half], x[~half], 1)["MMD"])
    found = between_halves(matching_distance(table), torch.arange(6), repeats=3000)
    assert found.value == pytest.approx(sum(values) / 20, rel=0.02)
    assert (found.low, found.high) == pytest.approx((min(values), max(values)), rel=0.05)


def test_compare_puts_an_interval_around_every_statistic() -> None:
    sets = within(normal(40, 3, 0), normal(30, 3, 1, shift=0.3))
    found = compare(*sets, repeats=100)
    values = {name: one() for name, one in statistics(*sets).items()}
    assert {name: interval.value for name, interval in found.items()} == values
    for name, interval in found.items():
        # The halves' own values lie elsewhere: with fewer samples the nearest one is farther away.
        assert interval.low < interval.value < interval.high
        assert name in ("MMD", "density") or 0 <= interval.low <= interval.high <= 1
    assert found == compare(*sets, repeats=100)
    assert found != compare(*sets, repeats=100, clusters=torch.arange(40) // 4)


def test_tables_that_do_not_fit_are_refused() -> None:
    real, generated, between = within(normal(8, 2, 0), normal(7, 2, 1))
    with pytest.raises(ValueError, match=r"give \(n, n\), \(m, m\), \(n, m\)"):
        compare(generated, real, between)
    with pytest.raises(ValueError, match="at least 6"):
        density(real[:5, :5], between[:5])
