"""Schedules against their papers' formulas."""

import math
from itertools import pairwise

import pytest
import torch
from scipy import stats
from toys import SHAPES, gaussian

from multigen import schedules
from multigen.noise import white
from multigen.schedules import Schedule

ALL: dict[str, Schedule] = {
    "karras": schedules.karras(),
    "exponential": schedules.exponential(),
    "polyexponential": schedules.polyexponential(rho=0.7),
    "flow": schedules.flow(),
    "flow, shifted": schedules.flow(shift=5.0),
    "linear": schedules.linear(),
    "scaled_linear": schedules.scaled_linear(),
    "cosine": schedules.cosine(),
    "sigmoid": schedules.sigmoid(),
    "vp": schedules.vp(),
    "ve": schedules.ve(),
    "beta_spaced": schedules.beta_spaced(),
    "beta_spaced karras": schedules.beta_spaced(schedules.karras(), a=2.0, b=3.0),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("name", ALL)
def test_levels_fall_strictly_to_zero(name: str, steps: int) -> None:
    sigmas = ALL[name](steps)
    assert len(sigmas) == steps + 1
    assert sigmas[-1] == 0
    assert all(t < s < math.inf for s, t in pairwise(sigmas))
    assert all(type(sigma) is float for sigma in sigmas)
    assert sigmas[0] == pytest.approx(ALL[name](7)[0], rel=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_no_steps_are_no_schedule(name: str) -> None:
    with pytest.raises(ValueError, match="at least 1 step, not 0"):
        ALL[name](0)


def test_conversions() -> None:
    for sigma in (1e-3, 0.5, 1.0, 80.0):
        assert schedules.from_abar(schedules.abar(sigma)) == pytest.approx(sigma, rel=1e-9)
        abar = schedules.abar(sigma)
        assert schedules.log_snr(sigma) == pytest.approx(math.log(abar / (1 - abar)), rel=1e-9)
    assert schedules.log_snr(0.0) == math.inf
    assert schedules.abar(0.0) == 1


def test_karras() -> None:
    n, rho, low, high = 18, 7, 0.002, 80.0
    expected = [(high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho for i in range(n)]
    assert schedules.karras(low, high, rho=rho)(n) == pytest.approx([*expected, 0.0], rel=1e-12)


def test_exponential_and_its_relatives() -> None:
    levels = schedules.exponential(0.1, 10.0)(5)
    assert levels == pytest.approx([10, 10**0.5, 1, 10**-0.5, 0.1, 0], rel=1e-12)
    assert schedules.polyexponential(0.1, 10.0)(5) == pytest.approx(levels, rel=1e-12)
    assert schedules.polyexponential(0.1, 10.0, rho=2.0)(5)[2] == pytest.approx(0.1 * 100 ** (0.5**2))
    assert schedules.ve(0.1, 10.0)(5) == pytest.approx(levels, rel=1e-12)


def test_vp_is_the_integral_of_its_betas() -> None:
    """abar(t) = exp(-integral of beta), beta(t) = 0.1 + 19.9 t, by Simpson's rule, exact for it."""
    sigmas = schedules.vp()(11)
    for i, sigma in enumerate(sigmas[:-1]):
        t = 1 + i / 10 * (1e-3 - 1)
        beta_start, beta_middle, beta_end = (0.1 + 19.9 * u for u in (0, t / 2, t))
        integral = t / 6 * (beta_start + 4 * beta_middle + beta_end)
        assert schedules.abar(sigma) == pytest.approx(math.exp(-integral), rel=1e-9)


def test_flow_times_and_their_shift() -> None:
    for shift in (0.5, 1.0, 3.0):
        levels = schedules.flow(0.99, shift=shift)(8)
        plain = [0.99 * (1 - i / 8) for i in range(9)]
        shifted = [shift * t / (1 + (shift - 1) * t) for t in plain]
        assert [s / (1 + s) for s in levels] == pytest.approx(shifted, rel=1e-12)
        # the shift multiplies sigma = t / (1 - t), which is why it is a matter of resolution
        assert levels == pytest.approx([shift * t / (1 - t) for t in plain], rel=1e-9)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine", "sigmoid"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
def test_ddpm_forward_process(name: str, shape: tuple[int, ...]) -> None:
    """x_t = sqrt(abar) x0 + sqrt(1 - abar) n, built beta by beta, is the state at level sigma_t times sqrt(abar)."""
    sigmas = list(reversed(ALL[name](1000)[:-1]))
    known = gaussian(shape)
    scale, spread, abars = 1.0, 0.0, [schedules.abar(sigma) for sigma in sigmas]
    for before, abar in zip([1.0, *abars], abars, strict=False):
        beta = 1 - abar / before
        assert 0 < beta <= 0.9991
        scale, spread = scale * math.sqrt(1 - beta), spread * (1 - beta) + beta
    assert scale == pytest.approx(math.sqrt(abars[-1]), rel=1e-6)
    assert spread == pytest.approx(1 - abars[-1], rel=1e-6)
    t = 400
    abar, x0, n = abars[t], known.sample(range(3)), white(range(3), shape, stream=9).double()
    variance_preserving = math.sqrt(abar) * x0 + math.sqrt(1 - abar) * n
    torch.testing.assert_close(variance_preserving / math.sqrt(abar), x0 + sigmas[t] * n, rtol=1e-9, atol=1e-9)


def test_linear_betas_are_even() -> None:
    abars = [1.0, *(schedules.abar(s) for s in reversed(schedules.linear(1e-4, 0.02)(1000)[:-1]))]
    betas = [1 - after / before for before, after in pairwise(abars)]
    expected = [1e-4 + (0.02 - 1e-4) * i / 999 for i in range(1000)]
    assert betas == pytest.approx(expected, rel=1e-8)


def test_cosine_is_its_formula_where_no_beta_is_clipped() -> None:
    levels = list(reversed(schedules.cosine()(1000)[:-1]))
    for i in (0, 10, 500, 900):
        signal = [math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2 for t in ((i + 1) / 1000, 0.0)]
        assert schedules.abar(levels[i]) == pytest.approx(signal[0] / signal[1], rel=1e-9)


def test_sigmoid_is_its_formula_where_no_beta_is_clipped() -> None:
    levels = list(reversed(schedules.sigmoid(start=-2.0, end=4.0, tau=1.5)(1000)[:-1]))
    for i in (0, 10, 500, 900):
        low, here, high = (stats.logistic.cdf(u / 1.5) for u in (-2.0, -2.0 + 6.0 * (i + 1) / 1000, 4.0))
        assert schedules.abar(levels[i]) == pytest.approx((high - here) / (high - low), rel=1e-9)


@pytest.mark.parametrize(("a", "b"), [(0.6, 0.6), (1.0, 1.0), (2.0, 5.0), (0.5, 3.0)])
def test_beta_spacing_takes_the_betas_quantiles(a: float, b: float) -> None:
    """Along an exponential schedule the place of a level is read off its logarithm."""
    n, low, high = 21, math.exp(-3), math.exp(5)
    levels = schedules.beta_spaced(schedules.exponential(low, high), a=a, b=b)(n)
    places = [(5 - math.log(level)) / 8 for level in levels[:-1]]
    assert places == pytest.approx([stats.beta.ppf(i / (n - 1), a, b) for i in range(n)], abs=2e-4)


@pytest.mark.parametrize("base", ["karras", "polyexponential", "linear", "vp"])
def test_even_quantiles_change_nothing(base: str) -> None:
    respaced = schedules.beta_spaced(ALL[base], a=1.0, b=1.0, dense=2000)(10)
    assert respaced == pytest.approx(ALL[base](10), rel=1e-3)


def test_table() -> None:
    header, first, *_, last = schedules.table(schedules.karras()(5)).splitlines()
    assert header.split() == ["step", "sigma", "abar", "log-SNR"]
    assert [float(word) for word in first.split()] == pytest.approx([0, 80, 1 / 6401, -2 * math.log(80)], rel=1e-4)
    assert [float(word) for word in last.split()] == [5, 0, 1, math.inf]


def test_truncate() -> None:
    sigmas = schedules.karras()(10)
    assert schedules.truncate(sigmas, 1.0) == sigmas
    assert schedules.truncate(sigmas, 0.3) == sigmas[7:]
    assert schedules.truncate(sigmas, 0.0) == [0.0]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: schedules.karras(0.0, 1.0),
        lambda: schedules.karras(2.0, 1.0),
        lambda: schedules.karras(0.1, math.inf),
        lambda: schedules.karras(0.1, math.nan),
        lambda: schedules.karras(rho=0.0),
        lambda: schedules.exponential(-1.0, 1.0),
        lambda: schedules.polyexponential(0.0, 1.0),
        lambda: schedules.polyexponential(rho=0.0),
        lambda: schedules.ve(1.0, 1.0),
        lambda: schedules.flow(1.0),
        lambda: schedules.flow(0.0),
        lambda: schedules.flow(shift=0.0),
        lambda: schedules.beta_spaced(a=0.0),
        lambda: schedules.beta_spaced(b=-1.0),
        lambda: schedules.linear(0.02, 1.0),
        lambda: schedules.linear(timesteps=0),
        lambda: schedules.scaled_linear(-0.1, 0.2),
        lambda: schedules.cosine(timesteps=1),
        lambda: schedules.cosine(beta_clip=1.0),
        lambda: schedules.sigmoid(start=3.0, end=-3.0),
        lambda: schedules.sigmoid(tau=0.0),
        lambda: schedules.vp(t_min=0.0),
        lambda: schedules.vp(beta_min=-30.0),
        lambda: schedules.truncate([1.0, 0.0], 1.5),
        lambda: schedules.truncate([1.0, 0.0], -0.1),
    ],
)
def test_bad_parameters(bad: object) -> None:
    with pytest.raises(ValueError, match="not"):
        bad()
