"""Noise: one seed per sample, and Brownian paths whose covariances are recovered exactly."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toys import growing, jittered

from multigen import noise, schedules
from multigen.noise import Brownian, mixed, white

# --- white --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (2, 1, 3), (1, 2, 2, 2)])
def test_a_row_depends_on_its_seed_and_stream_only(shape: tuple[int, ...]) -> None:
    seeds = [3, 0, 2**62, -1, 3]
    together = white(seeds, shape)
    assert together.shape == (5, *shape)
    assert together.dtype == torch.float32
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, white([seed], shape)[0])
        assert not torch.equal(row, white([seed], shape, stream=1)[0])
    assert torch.equal(together[0], together[4])


def test_it_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    Brownian([1], (3,))(2.0, 1.0)
    white([1], (3,))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_neighbouring_seeds_and_streams_are_standard_and_unrelated() -> None:
    count = 40_000
    draws = torch.stack([white([seed], (count,), stream=stream)[0] for seed in (0, 1, 2) for stream in (0, 1, 2)])
    off = torch.cov(draws.double()) - torch.eye(9)
    assert off.abs().max() < 5 * math.sqrt(2 / count)
    assert draws.mean(1).abs().max() < 5 / math.sqrt(count)
    fourth = draws.double().pow(4).mean(1)
    assert (fourth - 3).abs().max() < 5 * math.sqrt(96 / count)


def test_seeds_are_mixed_without_a_collision() -> None:
    mixed = {noise._mix(seed, stream) for seed in range(300) for stream in range(300)}
    assert len(mixed) == 300 * 300
    assert all(0 <= value < 2**63 for value in mixed)


# --- Brownian -----------------------------------------------------------------------------------------------


@pytest.fixture
def unit_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stream of random numbers becomes a direction of its own, so that inner products are covariances."""
    directions: dict[int, int] = {}

    def unit(seeds: Sequence[int], shape: Sequence[int], /, *, stream: int = 0) -> Tensor:
        row = torch.zeros(tuple(shape), dtype=torch.float64)
        row[directions.setdefault(stream, len(directions))] = 1
        return row.expand(len(seeds), *shape)

    monkeypatch.setattr(noise, "white", unit)


LEVELS = {
    "growing": growing(12, 80.0, 0.02),
    "jittered": jittered(12, 80.0, 0.02),
    "a thousand of DDPM": schedules.linear()(1000),
    "a thousand of karras": schedules.karras()(1000),
}


@pytest.mark.parametrize("name", LEVELS)
def test_steps_have_exactly_unit_variance_and_are_independent(name: str, unit_vectors: None) -> None:
    path = Brownian([0], (20_000 if len(LEVELS[name]) > 100 else 1000,), dtype=torch.float64)
    steps = torch.cat([path(s, t) for s, t in pairwise(LEVELS[name])])
    covariance = steps @ steps.T
    torch.testing.assert_close(covariance, torch.eye(len(steps), dtype=torch.float64), rtol=0, atol=1e-9)


def test_steps_shorter_than_a_leaf_are_fresh(unit_vectors: None) -> None:
    levels = [1.0002 * 1.00005**-i for i in range(12)]
    path = Brownian([0], (1000,), dtype=torch.float64)
    covariance = torch.cat([path(s, t) for s, t in pairwise(levels)])
    covariance = covariance @ covariance.T
    torch.testing.assert_close(covariance.diagonal(), torch.ones(11, dtype=torch.float64), rtol=1e-9, atol=0)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 0.5


def test_a_step_is_the_weighted_sum_of_its_parts() -> None:
    """In tau = 1 / sigma^2: sqrt(span) times the noise adds up, on any levels between."""
    fine = jittered(24, 10.0, 0.3)
    path, again = (Brownian(range(3), (4, 5), dtype=torch.float64) for _ in range(2))

    def increment(source: Brownian, s: float, t: float) -> Tensor:
        return source(s, t) * math.sqrt(t**-2 - s**-2)

    for every in (2, 5, 24):
        coarse = fine[::every]
        whole = increment(again, coarse[0], coarse[-1])
        parts = [increment(path, s, t) for s, t in pairwise(coarse)]
        torch.testing.assert_close(sum(parts), whole, rtol=1e-5, atol=1e-5)


def test_a_path_is_its_seeds_and_nothing_elses() -> None:
    """Not of the order of the steps, the batch, or the direction asked in."""
    levels = jittered(9, 80.0, 0.1)
    steps = list(pairwise(levels))
    path, backwards = Brownian([5, 6, 7], (4,)), Brownian([6], (4,))
    there = [path(s, t)[1:2] for s, t in steps]
    back = [backwards(t, s) for s, t in reversed(steps)]
    assert all(torch.equal(a, b) for a, b in zip(there, reversed(back), strict=True))
    assert not torch.equal(path(80.0, 1.0)[0], path(80.0, 1.0)[1])


def test_fresh_noise_and_levels_out_of_range() -> None:
    path = Brownian([0, 1], (5_000,))
    draws = [path(1.0, 1.0), path(1.0, 1.0), path(1e9, 1e8), path(1e-8, 0.0), path(1.0, 0.0), path(math.inf, 1.0)]
    for i, draw in enumerate(draws):
        assert draw.shape == (2, 5_000)
        assert float(draw.std()) == pytest.approx(1, abs=0.05)
        for other in draws[i + 1 :]:
            assert abs(float((draw * other).mean())) < 0.05


def test_dtype_and_shape_are_what_was_asked() -> None:
    assert Brownian([0], (2, 3), dtype=torch.bfloat16)(2.0, 1.0).dtype == torch.bfloat16
    assert Brownian([0, 1], ())(2.0, 1.0).shape == (2,)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_mixed_noise_has_its_share_in_common_on_every_part_of_the_axis(share: float) -> None:
    noise = mixed(white(range(20_000), (6, 2)), share, dim=1)
    expected = (1 - share) * torch.eye(6) + share
    assert torch.allclose(torch.cov(noise[:, :, 0].T), expected, atol=0.04)
    assert abs(float((noise[:, :, 0] * noise[:, :, 1]).mean())) < 0.02  # other axes stay independent


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_mixed_noise_refuses_other_shares(share: float) -> None:
    with pytest.raises(ValueError, match="share must be in"):
        mixed(torch.zeros(1, 2), share, dim=1)
