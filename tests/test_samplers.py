"""Samplers against exact answers: convergence orders, affine maps recovered by probing, equivalences."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from toys import SHAPES, gaussian, growing, jittered, mixture, order, states, toy_network

from multigen import denoise as dn
from multigen import samplers, schedules
from multigen.denoise import Denoiser, bind
from multigen.noise import Brownian, white
from multigen.samplers import Sampler, sample
from multigen.testing import Gaussian


def no_noise(sigma: float, sigma_next: float) -> Tensor:
    raise AssertionError(f"a deterministic sampler asked for noise between {sigma} and {sigma_next}")


class Recorded:
    """A `Noise` that gives the same draws again in the same order."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.generator, self.shape = torch.Generator().manual_seed(5), tuple(shape)

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(self.shape, dtype=torch.float64, generator=self.generator)


def run(sampler: Sampler, denoise: Denoiser, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    """The final state under recorded noise."""
    return sample(sampler, denoise, x, sigmas, Recorded(x.shape))


def worst(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


# --- deterministic samplers: convergence order --------------------------------------------------------------

# sampler, order
ORDERS: dict[str, tuple[Sampler, int]] = {
    "euler": (samplers.euler, 1),
    "ddim": (samplers.ddim, 1),
    "heun": (samplers.heun, 2),
    "dpm2": (samplers.dpm2, 2),
    "dpm2 at a third": (partial(samplers.dpm2, share=1 / 3), 2),
    "dpmpp_2s": (partial(samplers.dpmpp_2s_ancestral, eta=0.0), 2),
    "dpmpp_2s at a third": (partial(samplers.dpmpp_2s_ancestral, eta=0.0, share=1 / 3), 2),
    "dpmpp_2m": (samplers.dpmpp_2m, 2),
    "dpmpp_2m_sde at eta 0": (partial(samplers.dpmpp_2m_sde, eta=0.0), 2),
    "dpmpp_3m_sde at eta 0": (partial(samplers.dpmpp_3m_sde, eta=0.0), 3),
    "lms 2": (partial(samplers.lms, order=2), 2),
    "lms 3": (partial(samplers.lms, order=3), 3),
    "lms": (samplers.lms, 4),
    "unipc 1": (partial(samplers.unipc, order=1), 2),  # the corrector adds one
    "unipc 2": (partial(samplers.unipc, order=2), 3),
    "unipc": (samplers.unipc, 4),
}
HIGH, LOW = 80.0, 0.1


@cache
def mixture_flow(shape: tuple[int, ...]) -> Tensor:
    """The probability flow of the mixture from HIGH to LOW, by a Runge-Kutta method of order 8."""
    x, oracle = states(shape, HIGH), mixture(shape)

    def slope(u: float, flat: Sequence[float]) -> Tensor:
        here = torch.as_tensor(flat).view_as(x)
        return (here - oracle.denoise(here, math.exp(u))).flatten().numpy()

    ends = math.log(HIGH), math.log(LOW)
    solution = solve_ivp(slope, ends, x.flatten().numpy(), method="DOP853", rtol=1e-11, atol=1e-11)
    return torch.tensor(solution.y[:, -1]).view_as(x)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
@pytest.mark.parametrize("name", ORDERS)
def test_order_of_convergence(name: str, shape: tuple[int, ...]) -> None:
    """On levels that no symmetry helps: growing steps, and steps that jump by 2.5 at every refinement."""
    sampler, expected = ORDERS[name]
    x, known = states(shape, HIGH), gaussian(shape)
    cases: list[tuple[Denoiser, Tensor, Callable[[int, float, float], list[float]]]] = [
        (known.denoise, known.flow(x, HIGH, LOW), growing),
        (known.denoise, known.flow(x, HIGH, LOW), jittered),
        (mixture(shape).denoise, mixture_flow(shape), jittered),
    ]
    # the errors of order 4 change sign on coarser levels
    counts = (72, 144, 288) if expected == 4 else (36, 72, 144)
    for denoise, exact, levels in cases:
        errors = [worst(sample(sampler, denoise, x, levels(n, HIGH, LOW), no_noise), exact) for n in counts]
        assert order(counts, errors) > expected - 0.35


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
def test_adaptive_error_falls_with_its_tolerance(shape: tuple[int, ...]) -> None:
    x, oracle = states(shape, HIGH), mixture(shape)
    errors, counts = [], []
    for rtol in (1e-2, 1e-4, 1e-6):
        reached = list(samplers.adaptive(oracle.denoise, x, [HIGH, 3.0, LOW], rtol=rtol, atol=rtol))
        errors.append(worst(reached[-1].x, mixture_flow(shape)))
        counts.append(len(reached))
        assert reached[-1].sigma == pytest.approx(LOW)
        assert errors[-1] < 20 * rtol
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert counts[0] < counts[1] < counts[2]


def test_adaptive_step_sizes_are_each_samples_own() -> None:
    x, oracle = states((3, 5), HIGH, batch=4), mixture((3, 5))
    x[1] *= 30  # a sample that needs other steps
    together = sample(samplers.adaptive, oracle.denoise, x, [HIGH, 0.0], no_noise)
    apart = [sample(samplers.adaptive, oracle.denoise, x[i : i + 1], [HIGH, 0.0], no_noise) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-12, atol=1e-12)


def test_adaptive_ends_at_the_prediction_or_says_why_not() -> None:
    x, known = states((4,), HIGH), gaussian((4,))
    *_, before, last = samplers.adaptive(known.denoise, x, [HIGH, LOW, 0.0])
    assert last.sigma == 0
    torch.testing.assert_close(last.x, known.denoise(before.x, LOW))
    with pytest.raises(RuntimeError, match="in 3 steps"):
        list(samplers.adaptive(known.denoise, x, [HIGH, LOW], most=3))


# --- stochastic samplers: with Gaussian data each is an affine map of x and its noise -----------------------

TELL = Gaussian(torch.tensor([0.7], dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
POINT = Gaussian(torch.tensor([0.7], dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))


class Probe:
    """The i-th draw is a unit vector: 1 in row 2 + i of the batch, 0 elsewhere."""

    def __init__(self, rows: int) -> None:
        self.rows, self.calls = rows, 0

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        z = torch.zeros(self.rows, 1, dtype=torch.float64)
        z[2 + self.calls] = 1
        self.calls += 1
        return z


def moments(sampler: Sampler, known: Gaussian, sigmas: Sequence[float]) -> tuple[float, float]:
    """The exact mean and variance of what a sampler makes of exact states at the first level.

    Rows of one batch: the map at 0, at a unit state, and at a unit of each draw of noise.
    """
    rows = len(sigmas) + 2
    x = torch.zeros(rows, 1, dtype=torch.float64)
    x[1] = 1
    out = sample(sampler, known.denoise, x, sigmas, Probe(rows)).flatten()
    of_x, *of_noise = (out[1:] - out[0]).tolist()
    mean, variance = float(known.mean), float(known.variance) + sigmas[0] ** 2
    return float(out[0]) + of_x * mean, of_x**2 * variance + math.fsum(b * b for b in of_noise)


# sampler, order in which its moments converge
WEAK: dict[str, tuple[Sampler, int]] = {
    "ddpm": (samplers.ddpm, 1),
    "ddpm of variance beta": (partial(samplers.ddpm, variance=1.0), 1),
    "ddim at eta 1/2": (partial(samplers.ddim, eta=0.5), 1),
    "euler_ancestral": (samplers.euler_ancestral, 1),
    "dpmpp_2s_ancestral": (samplers.dpmpp_2s_ancestral, 1),
    "dpmpp_2m_sde": (samplers.dpmpp_2m_sde, 2),
    "dpmpp_2m_sde at eta 1/2": (partial(samplers.dpmpp_2m_sde, eta=0.5), 2),
    "dpmpp_3m_sde": (samplers.dpmpp_3m_sde, 3),
    "dpmpp_3m_sde at eta 1/2": (partial(samplers.dpmpp_3m_sde, eta=0.5), 3),
    "heun with churn": (partial(samplers.heun, churn=8.0), 2),
    "sde": (samplers.sde, 1),
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_order_of_convergence(name: str) -> None:
    sampler, expected = WEAK[name]
    counts = (48, 96, 192)
    for levels in (growing, jittered):
        found = [moments(sampler, TELL, levels(n, HIGH, LOW)) for n in counts]
        variance = order(counts, [abs(v - 0.5 - LOW**2) for _, v in found])
        mean = order(counts, [abs(m - 0.7) + 1e-14 for m, _ in found])
        print(f"{name:24} {levels.__name__:9} {mean:.2f} {variance:.2f} {found[-1]}")
