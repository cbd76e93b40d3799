"""Samplers against exact answers: convergence orders, affine maps recovered by probing, equivalences."""

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from toys import SHAPES, gaussian, growing, jittered, mixture, order, states, toy_network

from multigen import denoise as dn
from multigen import registry, samplers, schedules
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
    """The probability flow of the mixture from HIGH to LOW, by a Runge-Kutta method of order 8.

    In u = log sigma and z = x / sqrt(1 + sigma^2), which stays of order 1.
    """
    x, oracle = states(shape, HIGH), mixture(shape)

    def scaled(sigma: float) -> float:
        return math.sqrt(1 + sigma**2)

    def slope(u: float, flat: Sequence[float]) -> Tensor:
        sigma = math.exp(u)
        scale = scaled(sigma)
        z = torch.as_tensor(flat).view_as(x)
        return (z / scale**2 - oracle.denoise(scale * z, sigma) / scale).flatten().numpy()

    ends, begin = (math.log(HIGH), math.log(LOW)), x.flatten().numpy() / scaled(HIGH)
    solution = solve_ivp(slope, ends, begin, method="DOP853", rtol=1e-11, atol=1e-11)
    return scaled(LOW) * torch.tensor(solution.y[:, -1]).view_as(x)


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
        assert order(counts, errors) > 0.85 * expected


def at_log_sigma(power: int) -> Denoiser:
    return lambda x, sigma: torch.full_like(x, math.log(sigma) ** power)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_two_steps_extrapolate_to_the_middle_of_the_next(eta: float) -> None:
    """A prediction linear in log sigma is taken at the middle of the step.

    An inverted ratio of the steps would keep order 2: its errors, differences of squared steps, cancel along the way.
    """
    sigmas = [8.0, 5.0, 0.7]
    silent = partial(samplers.dpmpp_2m_sde, eta=eta, noise=lambda *_: torch.zeros(1, 4))
    for sampler in [silent, samplers.dpmpp_2m][: 2 if eta == 0 else 1]:
        first, second = sampler(at_log_sigma(1), states((4,), 8.0, batch=1), sigmas)
        kept = (0.7 / 5.0) ** (1 + eta)
        expected = kept * first.x + (1 - kept) * (math.log(5.0) + math.log(0.7)) / 2
        torch.testing.assert_close(second.x, expected)


def test_three_steps_follow_a_parabola_exactly() -> None:
    """With D = u^2, u = log sigma, the flow dx / du = x - D is solved by u^2 + 2 u + 2 plus a multiple of sigma."""
    sampler = partial(samplers.dpmpp_3m_sde, eta=0.0)
    reached = list(
        samplers.steps(sampler, at_log_sigma(2), states((4,), 8.0), [8.0, 5.0, 2.9, 0.7, 0.5, 0.1], no_noise)
    )
    particular = [(u := math.log(step.sigma)) ** 2 + 2 * u + 2 for step in reached]
    multiples = [(step.x - value) / step.sigma for step, value in zip(reached, particular, strict=True)]
    for here, after in pairwise(multiples[1:]):
        torch.testing.assert_close(here, after)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
def test_adaptive_error_falls_with_its_tolerance(shape: tuple[int, ...]) -> None:
    x, oracle = states(shape, HIGH), mixture(shape)
    errors, counts = [], []
    for rtol in (1e-2, 1e-4, 1e-6):
        reached = list(samplers.adaptive(oracle.denoise, x, [HIGH, 3.0, LOW], rtol=rtol, atol=rtol))
        errors.append(worst(reached[-1].x, mixture_flow(shape)))
        counts.append(len(reached))
        assert reached[-1].sigma == pytest.approx(LOW)
        assert errors[-1] < 100 * rtol
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

SPREAD = Gaussian(torch.tensor([0.7], dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64))
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
    "dpmpp_2s_ancestral": (samplers.dpmpp_2s_ancestral, 2),
    "dpmpp_2m_sde": (samplers.dpmpp_2m_sde, 2),
    "dpmpp_2m_sde at eta 1/2": (partial(samplers.dpmpp_2m_sde, eta=0.5), 2),
    "dpmpp_3m_sde": (samplers.dpmpp_3m_sde, 2),  # order 3 is the drift's alone
    "dpmpp_3m_sde at eta 1/2": (partial(samplers.dpmpp_3m_sde, eta=0.5), 2),
    "heun with churn": (partial(samplers.heun, churn=8.0), 2),
    "sde": (samplers.sde, 1),
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_order_of_convergence(name: str) -> None:
    sampler, expected = WEAK[name]
    counts = (48, 96, 192)
    for levels in (growing, jittered):
        found = [moments(sampler, SPREAD, levels(n, HIGH, LOW)) for n in counts]
        assert all(mean == pytest.approx(0.7, abs=1e-12) for mean, _ in found)
        assert order(counts, [abs(variance - 0.5 - LOW**2) for _, variance in found]) > 0.85 * expected


# what they do to the level's own noise, they do exactly: with nothing to predict, x stays N(x0, sigma^2)
LEVEL_KEEPING: dict[str, Sampler] = {
    **{f"ddim at eta {eta}": partial(samplers.ddim, eta=eta) for eta in (0.0, 0.5, 1.0)},
    **{f"dpmpp_2s_ancestral at eta {eta}": partial(samplers.dpmpp_2s_ancestral, eta=eta) for eta in (0.0, 0.5, 1.0)},
    **{f"dpmpp_2m_sde at eta {eta}": partial(samplers.dpmpp_2m_sde, eta=eta) for eta in (0.0, 0.5, 1.0)},
    **{f"dpmpp_3m_sde at eta {eta}": partial(samplers.dpmpp_3m_sde, eta=eta) for eta in (0.0, 0.5, 1.0)},
    "ddpm": samplers.ddpm,
    "heun with churn": partial(samplers.heun, churn=3.0, churn_min=0.3, churn_max=20.0),
}


@pytest.mark.parametrize("name", LEVEL_KEEPING)
def test_a_known_sample_keeps_the_level_of_its_noise(name: str) -> None:
    for n in (1, 2, 7):
        mean, variance = moments(LEVEL_KEEPING[name], POINT, jittered(n, HIGH, LOW))
        assert mean == pytest.approx(0.7, rel=1e-10)
        assert variance == pytest.approx(LOW**2, rel=1e-10)


def ddpm_chain(known: Gaussian, sigmas: Sequence[float], variance: float) -> tuple[float, float]:
    """Mean and variance after DDPM's algorithm 2 as the paper writes it: alphas, betas and noise prediction."""
    m, v = float(known.mean), float(known.variance)
    abars = [schedules.abar(sigma) for sigma in sigmas]
    mean, spread = math.sqrt(abars[0]) * m, abars[0] * v + 1 - abars[0]
    for here, after in pairwise(abars):
        alpha = here / after
        beta = 1 - alpha
        posterior = (1 - after) / (1 - here) * beta
        slope = math.sqrt(1 - here) / (here * v + 1 - here)  # eps(x) = slope * (x - sqrt(abar) m)
        pull = beta / math.sqrt(1 - here) * slope
        mean = (mean - pull * (mean - math.sqrt(here) * m)) / math.sqrt(alpha)
        spread = (1 - pull) ** 2 * spread / alpha
        spread += posterior ** (1 - variance) * beta**variance if after < 1 else 0.0
    return mean / math.sqrt(abars[-1]), spread / abars[-1]


@pytest.mark.parametrize("variance", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 10, 37])
def test_ddpm_is_the_chain_of_its_paper(variance: float, steps: int) -> None:
    for sigmas in (schedules.linear()(steps), jittered(steps, HIGH, LOW)):
        found = moments(partial(samplers.ddpm, variance=variance), SPREAD, sigmas)
        assert found == pytest.approx(ddpm_chain(SPREAD, sigmas, variance), rel=1e-6)
        if variance == 0:
            assert moments(samplers.euler_ancestral, SPREAD, sigmas) == pytest.approx(found, rel=1e-9)


def test_churn_raises_the_level_before_it_is_evaluated() -> None:
    """One step of EDM's algorithm 2, written out."""
    x, z = states((4,), 2.0), states((4,), 1.0)
    known, s, t, gamma = gaussian((4,)), 2.0, 1.0, 0.25
    raised = s * (1 + gamma)
    hat = x + 1.1 * math.sqrt(raised**2 - s**2) * z
    slope = (hat - known.denoise(hat, raised)) / raised
    moved = hat + (t - raised) * slope
    slope_next = (moved - known.denoise(moved, t)) / t
    expected = hat + (t - raised) * (slope + slope_next) / 2
    (step,) = samplers.heun(known.denoise, x, [s, t], noise=lambda *_: z, churn=gamma, churn_noise=1.1)
    torch.testing.assert_close(step.x, expected)


def test_churn_is_capped_bounded_and_needs_noise() -> None:
    x, known = states((4,), 2.0), gaussian((4,))
    levels: list[Tensor] = []

    def watched(x: Tensor, sigma: float) -> Tensor:
        levels.append(sigma)
        return known.denoise(x, sigma)

    run(partial(samplers.heun, churn=100.0, churn_min=0.6, churn_max=1.5), watched, x, [2.0, 1.0, 0.5])
    assert levels == pytest.approx([2.0, 1.0, math.sqrt(2), 0.5])
    with pytest.raises(ValueError, match="noise"):
        list(samplers.heun(known.denoise, x, [2.0, 1.0], churn=1.0))


def test_langevin_corrections_are_the_papers() -> None:
    x, known, s, t = states((2, 3), 2.0), gaussian((2, 3)), 2.0, 1.0
    noise = Recorded(x.shape)
    sampled, z = noise(s, t), noise(t, t)
    predicted = known.denoise(x, s) * (1 - (t / s) ** 2) + x * (t / s) ** 2 + math.sqrt(s**2 - t**2) * sampled
    score = (known.denoise(predicted, t) - predicted) / t**2
    lengths = (each.flatten(1).norm(dim=1).view(-1, 1, 1) for each in (z, score))
    epsilon = 2 * (0.2 * next(lengths) / next(lengths)) ** 2
    expected = predicted + epsilon * score + (2 * epsilon).sqrt() * z
    torch.testing.assert_close(run(partial(samplers.predictor_corrector, snr=0.2), known.denoise, x, [s, t]), expected)


def test_langevin_corrections_correct() -> None:
    """Coarse predictor steps leave a variance that is far off; the corrections bring it back."""
    x = white([1], (20_000,)).double() * 80
    known = Gaussian(torch.zeros(20_000, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    sigmas = schedules.karras(0.1)(12)[:-1]
    without, corrected = (
        float(run(partial(samplers.predictor_corrector, corrections=k), known.denoise, x, sigmas).var()) for k in (0, 8)
    )
    plain = run(samplers.sde, known.denoise, x, sigmas)
    assert without == pytest.approx(float(plain.var()), rel=1e-12)
    assert abs(corrected - 1.01) < abs(without - 1.01) / 4


# --- stochastic samplers: on one Brownian path -----------------------------------------------------------------

ON_A_PATH: dict[str, Sampler] = {
    "ddpm": samplers.ddpm,
    "euler_ancestral": samplers.euler_ancestral,
    "dpmpp_2s_ancestral": samplers.dpmpp_2s_ancestral,
    "dpmpp_2m_sde": samplers.dpmpp_2m_sde,
    "dpmpp_3m_sde": samplers.dpmpp_3m_sde,
}


def follow(sampler: Sampler, denoise: Denoiser, x: Tensor, n: int) -> Tensor:
    path = Brownian(range(x.shape[0]), x.shape[1:], dtype=x.dtype)
    return sample(sampler, denoise, x, growing(n, 10.0, 0.3), path)


@pytest.mark.parametrize("name", ON_A_PATH)
def test_the_step_count_does_not_change_what_the_noise_adds(name: str) -> None:
    x = states((3, 5), 10.0)
    few, *more = (follow(ON_A_PATH[name], lambda x, sigma: torch.full_like(x, 0.3), x, n) for n in (10, 20, 40))
    for other in more:
        torch.testing.assert_close(other, few, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ON_A_PATH)
def test_sde_samplers_converge_path_by_path(name: str) -> None:
    x, oracle, counts = states((2, 3), 10.0, batch=8), mixture((2, 3)), (20, 40, 80)
    finest = follow(samplers.dpmpp_2m_sde, oracle.denoise, x, 640)
    errors = [float((follow(ON_A_PATH[name], oracle.denoise, x, n) - finest).square().mean().sqrt()) for n in counts]
    assert order(counts, errors) > 0.8
    assert errors[-1] < 0.03


# --- equivalences -------------------------------------------------------------------------------------------


def toy(parameterization: dn.Parameterization = dn.v, rows: int | None = None) -> Denoiser:
    return bind(toy_network, parameterization, rows=rows)


SIGMAS = [*jittered(6, 20.0, 0.2), 0.0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (samplers.euler, samplers.ddim),
        (samplers.euler, partial(samplers.lms, order=1)),
        (samplers.euler_ancestral, samplers.ddpm),
        (samplers.euler_ancestral, partial(samplers.ddim, eta=1.0)),
        (samplers.dpmpp_2m, partial(samplers.dpmpp_2m_sde, eta=0.0)),
        (samplers.dpmpp_2s_ancestral, partial(samplers.dpmpp_2s_ancestral, share=0.5, eta=1.0)),
        (samplers.heun, partial(samplers.heun, churn=9.0, churn_min=99.0)),
        (samplers.sde, partial(samplers.predictor_corrector, corrections=0)),
    ],
)
def test_equal_methods(one: Sampler, other: Sampler) -> None:
    x = states((2, 3), SIGMAS[0])
    torch.testing.assert_close(run(one, toy(), x, SIGMAS), run(other, toy(), x, SIGMAS), rtol=1e-12, atol=1e-12)


def test_methods_that_begin_alike() -> None:
    x, sigmas = states((2, 3), 5.0), [5.0, 2.0, 1.0]
    (euler, *_), (multistep, *_) = samplers.euler(toy(), x, sigmas), samplers.dpmpp_2m(toy(), x, sigmas)
    torch.testing.assert_close(multistep.x, euler.x, rtol=1e-13, atol=1e-13)
    (sde_2, *_), (sde_3, *_) = (
        sampler(toy(), x, sigmas, noise=Recorded(x.shape)) for sampler in (samplers.dpmpp_2m_sde, samplers.dpmpp_3m_sde)
    )
    torch.testing.assert_close(sde_2.x, sde_3.x, rtol=1e-13, atol=1e-13)


# --- every sampler ------------------------------------------------------------------------------------------

SAMPLERS: dict[str, Sampler] = {
    "ddpm": samplers.ddpm,
    "ddim": samplers.ddim,
    "euler": samplers.euler,
    "euler_ancestral": samplers.euler_ancestral,
    "heun": partial(samplers.heun, churn=2.0),
    "dpm2": samplers.dpm2,
    "dpmpp_2s_ancestral": samplers.dpmpp_2s_ancestral,
    "dpmpp_2m": samplers.dpmpp_2m,
    "dpmpp_2m_sde": samplers.dpmpp_2m_sde,
    "dpmpp_3m_sde": samplers.dpmpp_3m_sde,
    "lms": samplers.lms,
    "unipc": samplers.unipc,
    "sde": samplers.sde,
    "predictor_corrector": samplers.predictor_corrector,
    "adaptive": samplers.adaptive,
}

SCHEDULES: dict[str, schedules.Schedule] = {
    "karras": schedules.karras(),
    "exponential": schedules.exponential(),
    "polyexponential": schedules.polyexponential(rho=1.3),
    "flow": schedules.flow(),
    "flow, shifted": schedules.flow(shift=3.0),
    "linear": schedules.linear(),
    "scaled_linear": schedules.scaled_linear(),
    "cosine": schedules.cosine(),
    "sigmoid": schedules.sigmoid(),
    "vp": schedules.vp(),
    "ve": schedules.ve(),
    "beta_spaced": schedules.beta_spaced(),
    "levels of one's own": lambda n: [*jittered(n - 1, 60.0, 0.03), 0.0],
}

PARAMETERIZATIONS: dict[str, dn.Parameterization] = {
    "eps": dn.eps,
    "v": dn.v,
    "x0": dn.x0,
    "score": dn.score,
    "flow": dn.flow,
    "edm": dn.edm(0.7),
    "local": dn.local(0.3),
}


def network_of(oracle: Denoiser, p: dn.Parameterization) -> dn.Network:
    """The perfect network: it undoes the scaling of its input and answers in its own terms."""

    def network(inner: Tensor, noise: Tensor) -> Tensor:
        sigma = noise / (1 - noise) if p is dn.flow else (4 * noise).exp()
        x = inner / dn.along(p.into, sigma, inner)
        return p.from_x0(oracle(x, sigma), x, sigma)

    return network


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_sampler_any_schedule_any_parameterization(sampler: str, schedule: str) -> None:
    """Every pair of the three occurs: 1,000 elements in 50 steps land on the data's mean and deviation, loosely."""
    pair = list(SAMPLERS).index(sampler) + list(SCHEDULES).index(schedule)
    p = list(PARAMETERIZATIONS.values())[pair % len(PARAMETERIZATIONS)]
    known, seeds = gaussian((40,)), range(25)
    # where the last steps in log sigma are the longest, order 3 extrapolates from predictions that noise keeps moving
    sigmas = SCHEDULES[schedule](200 if sampler == "dpmpp_3m_sde" else 50)
    if sampler in ("sde", "predictor_corrector"):  # Euler-Maruyama cannot follow a first step from 20,000 to 30
        sigmas = [sigma for sigma in sigmas if sigma < 100]
    x = known.sample(seeds) + sigmas[0] * white(seeds, (40,), stream=1)
    noise = Brownian(seeds, (40,), dtype=torch.float64)
    out = sample(SAMPLERS[sampler], bind(network_of(known.denoise, p), p), x, sigmas, noise)
    unit = (out - known.mean) / known.variance.sqrt()
    assert abs(float(unit.mean())) < 0.15
    assert abs(float(unit.std()) - 1) < 0.2


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    """Bit for bit, with a network that is given one sample at a time."""
    x = states((3, 5), SIGMAS[0], batch=4)
    denoise = toy(rows=1)

    def alone(i: int) -> Tensor:
        path = Brownian([i], (3, 5), dtype=x.dtype)
        return sample(SAMPLERS[name], denoise, x[i : i + 1], SIGMAS, path)

    together = sample(SAMPLERS[name], denoise, x, SIGMAS, Brownian(range(4), (3, 5), dtype=x.dtype))
    assert torch.equal(together, torch.cat([alone(i) for i in range(4)]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_report_the_levels_and_leave_the_input_alone(name: str) -> None:
    x = states((2, 3), SIGMAS[0])
    before = x.clone()
    reached = list(samplers.steps(SAMPLERS[name], toy(), x, SIGMAS, Recorded(x.shape)))
    assert torch.equal(x, before)
    assert [step.i for step in reached] == list(range(len(reached)))
    if name != "adaptive":
        assert [step.sigma for step in reached] == SIGMAS[1:]
    assert reached[-1].sigma == 0
    assert torch.equal(reached[-1].x, reached[-1].x0)
    for nowhere in ([], [0.0], [SIGMAS[0]]):
        assert sample(SAMPLERS[name], toy(), x, nowhere, no_noise) is x


@pytest.mark.parametrize("sampler", [samplers.lms, samplers.unipc])
@pytest.mark.parametrize("order", [0, 5])
def test_orders_that_there_are_not(sampler: Sampler, order: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 4, not {order}"):
        list(sampler(toy(), states((4,), 1.0), [1.0, 0.5], order=order))


def test_which_samplers_add_noise():
    quiet = {"euler", "ddim", "heun", "dpm2", "dpmpp_2m", "lms", "unipc", "adaptive"}
    assert {name for name in registry.samplers.names() if not samplers.adds_noise(registry.samplers[name])} == quiet
    assert samplers.adds_noise(partial(samplers.heun, churn=5.0))
