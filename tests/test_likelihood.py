"""Likelihoods and bounds against the closed form, and the closed-form oracles against quadrature."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from toys import SHAPES, gaussian, mixture, states

from multigen import schedules
from multigen.denoise import Sigma
from multigen.likelihood import log_likelihood, variational_bound
from multigen.testing import Gaussian, GaussianMixture

ranks = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
SEEDS = range(24)

# --- the oracles themselves ---------------------------------------------------------------------------------


def one_dimensional() -> GaussianMixture:
    values = ([0.2, 0.5, 0.3], [[-1.0], [0.5], [2.0]], [0.3, 0.05, 0.6])
    return GaussianMixture(*(torch.tensor(value, dtype=torch.float64) for value in values))


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
def test_the_oracle_against_quadrature(sigma: float) -> None:
    """p(x) and E[x0 | x] as integrals over x0, which the closed form does not know."""
    known = one_dimensional()
    x0 = torch.linspace(-12, 14, 40_001, dtype=torch.float64)
    prior = sum(
        w * torch.exp(-((x0 - m) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
        for w, m, v in zip([0.2, 0.5, 0.3], [-1.0, 0.5, 2.0], [0.3, 0.05, 0.6], strict=True)
    )
    for x in (-3.0, 0.4, 1.2, 6.0):
        weight = prior * torch.exp(-((x - x0) ** 2) / (2 * sigma**2)) / math.sqrt(2 * math.pi) / sigma
        evidence = torch.trapezoid(weight, x0)
        here = torch.tensor([[x]], dtype=torch.float64)
        assert float(known.log_prob(here, sigma)) == pytest.approx(float(evidence.log()), rel=1e-9)
        expected = float(torch.trapezoid(weight * x0, x0) / evidence)
        assert float(known.denoise(here, sigma)) == pytest.approx(expected, rel=1e-9)


@ranks
def test_oracles_take_one_level_per_sample(shape: tuple[int, ...]) -> None:
    x, levels = states(shape, 2.0, batch=3), torch.tensor([0.1, 1.0, 9.0], dtype=torch.float64)
    for known in (gaussian(shape), mixture(shape)):
        rows = [(x[i : i + 1], float(level)) for i, level in enumerate(levels)]
        torch.testing.assert_close(known.denoise(x, levels), torch.cat([known.denoise(*row) for row in rows]))
        torch.testing.assert_close(known.log_prob(x, levels), torch.cat([known.log_prob(*row) for row in rows]))
        assert known.denoise(x.float(), 1.0).dtype == torch.float32
        assert known.denoise(x, 1.0).shape == x.shape


@ranks
def test_the_flow_solves_its_equation(shape: tuple[int, ...]) -> None:
    """dx / dsigma = (x - D) / sigma, by central differences; there and back is nowhere."""
    known, x = gaussian(shape), states(shape, 2.0)
    for sigma in (0.1, 2.0, 30.0):
        here, h = known.flow(x, 2.0, sigma), 1e-5 * sigma
        slope = (known.flow(x, 2.0, sigma + h) - known.flow(x, 2.0, sigma - h)) / (2 * h)
        torch.testing.assert_close(slope, (here - known.denoise(here, sigma)) / sigma, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(known.flow(here, sigma, 2.0), x)


def test_a_component_is_a_mixture_of_one() -> None:
    both, x = mixture((2, 3)), states((2, 3), 1.0)
    for i in range(2):
        one = GaussianMixture(both.weights[i : i + 1], both.means[i : i + 1], both.variances[i : i + 1])
        torch.testing.assert_close(both.component(i).denoise(x, 0.7), one.denoise(x, 0.7))
        torch.testing.assert_close(both.component(i).log_prob(x, 0.7), one.log_prob(x, 0.7))
    responsibilities = both.posterior(x, 0.7)
    torch.testing.assert_close(responsibilities.sum(1), torch.ones(2, dtype=torch.float64))
    parts = torch.stack([both.component(i).denoise(x, 0.7) for i in range(2)], 1)
    torch.testing.assert_close(torch.einsum("bk,bkij->bij", responsibilities, parts), both.denoise(x, 0.7))


def test_draws_have_the_mixtures_moments_and_are_their_seeds_own() -> None:
    known, count = one_dimensional(), 20_000
    draws = known.sample(range(count))
    mean = 0.2 * -1 + 0.5 * 0.5 + 0.3 * 2
    second = 0.2 * 1.3 + 0.5 * 0.3 + 0.3 * 4.6
    assert float(draws.mean()) == pytest.approx(mean, abs=5 * math.sqrt((second - mean**2) / count))
    assert float(draws.square().mean()) == pytest.approx(second, rel=0.05)
    assert torch.equal(known.sample([7, 3]), draws[[7, 3]])


@ranks
@pytest.mark.parametrize("sigma", [0.0, 0.3, 2.0, 40.0])
def test_the_divergence_is_the_trace_of_autograds_jacobian(shape: tuple[int, ...], sigma: float) -> None:
    known, x = mixture(shape), states(shape, 1.0, batch=3)
    jacobians = [torch.autograd.functional.jacobian(lambda x: known.denoise(x[None], sigma)[0], one) for one in x]
    expected = torch.stack([jacobian.reshape(x[0].numel(), -1).trace() for jacobian in jacobians])
    torch.testing.assert_close(known.divergence(x, sigma), expected, rtol=1e-9, atol=1e-9)
    levels = torch.full((3,), sigma, dtype=torch.float64)
    torch.testing.assert_close(known.divergence(x, levels), expected, rtol=1e-9, atol=1e-9)


# --- probability-flow likelihood ----------------------------------------------------------------------------


@ranks
def test_with_the_exact_divergence_only_the_integrator_errs(shape: tuple[int, ...]) -> None:
    known = mixture(shape)
    x0, ends = known.sample(SEEDS), {"sigma_max": 1e4, "steps": 256}
    found = log_likelihood(known.denoise, x0, seeds=SEEDS, divergence=known.divergence, **ends)
    error = (found.nats - known.log_prob(x0, 0.02)).abs().max()
    estimated = log_likelihood(known.denoise, x0, seeds=SEEDS, **ends)
    assert error < 1e-3 < 0.1 < (estimated.nats - known.log_prob(x0, 0.02)).abs().max()
    assert found.stderr.max() < 0.02


@ranks
def test_log_likelihood_of_mixtures_is_exact_within_its_reported_error(shape: tuple[int, ...]) -> None:
    known = mixture(shape)
    x0 = known.sample(SEEDS)
    found = log_likelihood(known.denoise, x0, seeds=SEEDS)
    z = (found.nats - known.log_prob(x0, 0.02)) / found.stderr
    assert z.abs().max() < 4.5
    assert 0.2 < z.square().mean() < 2
    assert found.stderr.max() < 1.5
    assert found.dims == x0[0].numel()


@ranks
def test_log_likelihood_of_gaussians_is_exact_without_probe_noise(shape: tuple[int, ...]) -> None:
    """The Jacobian is diagonal, where Rademacher probes are exact: what is left is steps and the prior."""
    known = gaussian(shape)
    x0, exact = known.sample(SEEDS), known.log_prob(known.sample(SEEDS), 0.02)
    found = log_likelihood(known.denoise, x0, seeds=SEEDS)
    assert ((found.nats - exact).abs() <= found.stderr).all()
    assert found.stderr.max() < 0.15
    high = log_likelihood(known.denoise, x0, seeds=SEEDS, sigma_max=1e5, steps=256)
    assert ((high.nats - exact).abs() <= high.stderr).all()
    torch.testing.assert_close(high.nats, exact, rtol=0, atol=1e-3)


def test_more_probes_and_steps_report_and_make_smaller_errors() -> None:
    known = mixture((2, 3))
    x0, exact = known.sample(SEEDS), known.log_prob(known.sample(SEEDS), 0.05)
    options = [{"steps": 16, "probes": 2}, {"steps": 32, "probes": 8}, {"steps": 64, "probes": 32}]
    found = [
        log_likelihood(known.denoise, x0, seeds=SEEDS, sigma_min=0.05, sigma_max=300.0, **each) for each in options
    ]
    errors = [float((each.nats - exact).square().mean().sqrt()) for each in found]
    reported = [float(each.stderr.square().mean().sqrt()) for each in found]
    assert errors[0] > 1.7 * errors[1] > 3 * errors[2]
    assert reported[0] > 1.7 * reported[1] > 3 * reported[2]


def test_log_likelihood_counts_and_converts() -> None:
    calls = 0
    known = gaussian((2, 3))

    def counted(x: torch.Tensor, sigma: Sigma) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return known.denoise(x, sigma)

    found = log_likelihood(counted, known.sample([0]), seeds=[0], steps=8)
    assert found.evaluations == calls == 25
    torch.testing.assert_close(found.bits_per_dim, -found.nats / math.log(2) / 6)


def test_log_likelihood_does_not_depend_on_the_batch_or_touch_its_input() -> None:
    known = mixture((2, 3))
    x0 = known.sample(range(4))
    before = x0.clone()
    with torch.no_grad():
        whole = log_likelihood(known.denoise, x0, seeds=range(4), steps=8)
    assert torch.equal(x0, before)
    assert not whole.nats.requires_grad
    for i in range(4):
        alone = log_likelihood(known.denoise, x0[i : i + 1], seeds=[i], steps=8)
        torch.testing.assert_close(alone.nats, whole.nats[i : i + 1], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(alone.stderr, whole.stderr[i : i + 1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma_min": 0.0}, "0 < sigma_min"),
        ({"sigma_min": 2.0, "sigma_max": 1.0}, "0 < sigma_min"),
        ({"steps": 7}, "even number of steps, not 7"),
        ({"steps": 0}, "even number of steps, not 0"),
        ({"probes": 1}, "at least 2 probes"),
        ({"seeds": [1]}, "2 samples, 1 seeds"),
    ],
)
def test_log_likelihood_refuses(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_likelihood(gaussian((4,)).denoise, states((4,), 1.0), **{"seeds": [0, 1], **options})


# --- variational bound --------------------------------------------------------------------------------------


def closed_form(known: Gaussian, x0: torch.Tensor, sigmas: Sequence[float]) -> list[torch.Tensor]:
    """Prior, denoising and reconstruction as integrals over the noise, from KL divergences of Gaussians."""

    def error(s: float) -> torch.Tensor:  # E |x0 - D(x0 + s n)|^2
        shrink = known.variance / (known.variance + s * s)
        return (((1 - shrink) * (x0 - known.mean)) ** 2 + (s * shrink) ** 2).flatten(1).sum(1)

    prior = x0.flatten(1).square().sum(1) / (2 * sigmas[0] ** 2)
    denoising = torch.zeros_like(prior)
    for s, t in pairwise(sigmas):
        pull, variance = 1 - (t / s) ** 2, t**2 * (1 - (t / s) ** 2)  # of q(x_t | x_s, x0), and of p with D for x0
        denoising += error(s) * pull**2 / (2 * variance)
    last, dims = sigmas[-1], x0[0].numel()
    return [prior, denoising, error(last) / (2 * last**2) + dims / 2 * math.log(2 * math.pi * last**2)]


def chain_log_prob(known: Gaussian, x0: torch.Tensor, sigmas: Sequence[float]) -> torch.Tensor:
    """log p(x0) of the chain that the bound is for, itself a Gaussian."""
    mean, variance = torch.zeros_like(known.mean), torch.full_like(known.mean, sigmas[0] ** 2)
    for s, t in [*pairwise(sigmas), (sigmas[-1], 0.0)]:
        shrink = known.variance / (known.variance + s * s)
        pull = 1 - (t / s) ** 2
        of_x = 1 - pull * (1 - shrink)
        mean = of_x * mean + (1 - of_x) * known.mean
        variance = of_x**2 * variance + (t**2 * pull if t > 0 else s * s)
    return Gaussian(mean, variance).log_prob(x0)


@ranks
def test_each_term_of_the_bound_is_its_closed_form(shape: tuple[int, ...]) -> None:
    known, sigmas = gaussian(shape), schedules.karras(0.05, 40.0)(12)
    x0 = known.sample(SEEDS)
    found = variational_bound(known.denoise, x0, sigmas, seeds=SEEDS, draws=8)
    exact = closed_form(known, x0, sigmas[:-1])
    for term, expected in zip((found.prior, found.denoising, found.reconstruction), exact, strict=True):
        assert ((term.nats - expected).abs() <= 6 * term.stderr + 1e-9).all()
    torch.testing.assert_close(found.prior.nats, exact[0])
    z = (found.denoising.nats - exact[1]) / found.denoising.stderr
    assert 0.3 < z.square().mean() < 2
    torch.testing.assert_close(found.nats, found.prior.nats + found.denoising.nats + found.reconstruction.nats)
    torch.testing.assert_close(found.bits_per_dim, found.nats / math.log(2) / x0[0].numel())


@ranks
def test_the_bound_bounds_and_closes_with_the_steps(shape: tuple[int, ...]) -> None:
    known = gaussian(shape)
    x0 = known.sample(SEEDS)
    gaps = []
    for steps in (8, 64, 512):
        sigmas = schedules.exponential(0.02, 100.0)(steps)
        found = variational_bound(known.denoise, x0, sigmas, seeds=SEEDS, draws=2)
        without_noise = torch.stack(closed_form(known, x0, sigmas[:-1])).sum(0)
        assert (-without_noise < chain_log_prob(known, x0, sigmas[:-1])).all()
        error = float(found.stderr.square().mean().sqrt()) / math.sqrt(len(SEEDS))
        assert float(found.nats.mean()) == pytest.approx(float(without_noise.mean()), abs=4 * error)
        gaps.append(float((without_noise + known.log_prob(x0)).mean()))
    assert gaps[0] > 5 * gaps[1] > 25 * gaps[2]
    assert gaps[2] < 0.1 * x0[0].numel()


def test_the_bound_is_below_the_likelihood_of_a_mixture() -> None:
    known = mixture((2, 3))
    x0 = known.sample(range(200))
    means = []
    for steps in (25, 100):
        found = variational_bound(known.denoise, x0, schedules.exponential(0.02, 100.0)(steps), seeds=range(200))
        gap = found.nats + known.log_prob(x0)
        means.append(float(gap.mean()))
        assert means[-1] > -3 * float(gap.std()) / math.sqrt(200)
    assert means[0] > 3 * means[1]


def test_the_bound_is_its_samples_own_and_ignores_a_final_zero() -> None:
    known, sigmas = mixture((2, 3)), schedules.karras()(6)
    x0 = known.sample(range(3))
    whole = variational_bound(known.denoise, x0, sigmas, seeds=range(3))
    without = variational_bound(known.denoise, x0, sigmas[:-1], seeds=range(3))
    assert torch.equal(whole.nats, without.nats)
    alone = variational_bound(known.denoise, x0[2:], sigmas, seeds=[2])
    torch.testing.assert_close(alone.nats, whole.nats[2:], rtol=1e-12, atol=1e-12)


def test_the_bound_refuses() -> None:
    known, x0 = gaussian((4,)), states((4,), 1.0)
    with pytest.raises(ValueError, match="positive level"):
        variational_bound(known.denoise, x0, [0.0], seeds=[0, 1])
    with pytest.raises(ValueError, match="at least 2 draws"):
        variational_bound(known.denoise, x0, [1.0, 0.0], seeds=[0, 1], draws=1)
    with pytest.raises(ValueError, match="2 samples, 1 seeds"):
        variational_bound(known.denoise, x0, [1.0, 0.0], seeds=[0])
