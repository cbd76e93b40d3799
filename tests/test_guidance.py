"""Guidance against closed forms: Gaussians and mixtures, whose guided denoisers are known."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from multigen import guidance as g
from multigen import samplers
from multigen.denoise import Denoiser, Sigma, bind, flow
from multigen.denoise import x0 as x0_prediction
from multigen.errors import UsageError
from multigen.noise import Brownian, white
from multigen.schedules import karras
from multigen.testing import Gaussian, GaussianMixture

SHAPES = {2: (12,), 3: (3, 4), 4: (2, 3, 2), 5: (2, 1, 3, 2)}
RANKS = pytest.mark.parametrize("shape", SHAPES.values(), ids=[f"rank{rank}" for rank in SHAPES])
SIGMAS = karras(0.02, 20.0)(12)
LEVELS = (0.05, 1.0, 30.0)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return white([seed], shape)[0].double()


def mixture(shape: Sequence[int], *weights: float) -> GaussianMixture:
    """Two modes, the same for any weights; the first one is wanted."""
    means = torch.stack([randn(*shape, seed=1), randn(*shape, seed=2)])
    return GaussianMixture(torch.tensor(weights).double(), means, torch.tensor([0.2, 0.3]).double())


def never(x: Tensor, sigma: Sigma, /) -> Tensor:
    raise AssertionError("this denoiser must not be called")


def run(
    denoise: Denoiser, shape: Sequence[int], seeds: Sequence[int], sampler: samplers.Sampler = samplers.euler
) -> Tensor:
    noise = Brownian(seeds, shape, dtype=torch.float64)
    with torch.no_grad():
        return samplers.sample(sampler, denoise, SIGMAS[0] * white(seeds, shape).double(), SIGMAS, noise)


def score(denoise: Denoiser, x: Tensor, sigma: float) -> Tensor:
    return (denoise(x, sigma) - x) / sigma**2


def gradient(log_density: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(log_density(x).sum(), x)[0]


# --- every guidance, every rank -----------------------------------------------------------------------------

SCALED: dict[str, Callable[[float], g.AnyGuidance]] = {
    "cfg": g.cfg,
    "interval": lambda scale: g.within(g.cfg(scale), 0.3, 10.0),
    "rescaled": g.rescaled,
    "apg": lambda scale: g.apg(scale, threshold=3.0, momentum=-0.3),
    "cfg_zero_star": g.cfg_zero_star,
    "cfg_zero_star_interval": lambda scale: g.within(g.cfg_zero_star(scale), 0.3, 10.0),
}


def two(guidance: g.AnyGuidance, shape: Sequence[int], wanted: float = 0.6, unwanted: float = 0.3) -> Denoiser:
    return g.on_grid(guidance, SIGMAS)(
        mixture(shape, wanted, 1 - wanted).denoise, mixture(shape, unwanted, 1 - unwanted).denoise
    )


def clip_like(shape: Sequence[int]) -> Denoiser:
    data = mixture(shape, 0.5, 0.5)
    project = randn(data.means[0].numel(), 5, seed=3)

    def encode(x: Tensor) -> Tensor:
        return x.flatten(1) @ project

    log_prob = g.on_clean(data.denoise, g.similarity(encode, encode(data.means[:1]), temperature=0.2))
    return g.classifier(log_prob)(data.denoise)


def classified(shape: Sequence[int]) -> Denoiser:
    data = mixture(shape, 0.5, 0.5)
    return g.classifier(lambda x, s: data.posterior(x, s)[:, 0].log(), scale=2.0)(data.denoise)


def composed(shape: Sequence[int]) -> Denoiser:
    data = mixture(shape, 0.5, 0.5)
    return g.compose(data.denoise, [(mixture(shape, 0.8, 0.2).denoise, 1.5), (data.component(1).denoise, -0.2)])


GUIDED: dict[str, Callable[[Sequence[int]], Denoiser]] = {
    **{name: lambda shape, make=make: two(make(3.0), shape) for name, make in SCALED.items()},
    "cfg_pp": lambda shape: two(g.cfg_pp(0.8), shape),
    "negative_prompt": lambda shape: two(g.cfg(2.0), shape, wanted=0.5, unwanted=0.05),
    "autoguidance": lambda shape: two(g.cfg(3.0), shape, wanted=0.6, unwanted=0.5),
    "classifier": classified,
    "text_similarity": clip_like,
    "compose": composed,
}
EVERY = pytest.mark.parametrize("name", GUIDED)


@RANKS
@EVERY
def test_guidance_moves_samples_to_the_wanted_mode(name: str, shape: Sequence[int]) -> None:
    seeds = range(48)
    judge = mixture(shape, 0.5, 0.5)
    plain = judge.posterior(run(mixture(shape, 0.6, 0.4).denoise, shape, seeds))[:, 0]
    result = run(GUIDED[name](shape), shape, seeds)
    guided = judge.posterior(result)[:, 0]
    assert 0.4 < plain.mean() < 0.8
    assert guided.mean() > plain.mean() + 0.15
    assert (guided > plain - 0.01).all(), "guidance lost a sample that was there without it"
    flat = run(GUIDED[name](SHAPES[2]), SHAPES[2], seeds)
    torch.testing.assert_close(result.flatten(1), flat, rtol=0, atol=1e-10, msg="the shape made a difference")


@EVERY
@pytest.mark.parametrize("sampler", [samplers.euler, samplers.heun, samplers.dpmpp_2m_sde])
def test_a_guided_sample_does_not_depend_on_its_batch(name: str, sampler: samplers.Sampler) -> None:
    shape = SHAPES[3]
    together = run(GUIDED[name](shape), shape, [5, 6, 7], sampler)
    alone = torch.cat([run(GUIDED[name](shape), shape, [seed], sampler) for seed in (5, 6, 7)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", [name for name in GUIDED if name != "apg"])
def test_a_guided_sample_does_not_depend_on_its_batch_with_a_level_of_its_own(name: str) -> None:
    shape = SHAPES[4]
    x, sigma = randn(4, *shape, seed=8), torch.tensor([0.1, 0.5, 9.0, 19.0]).double()
    denoise = GUIDED[name](shape)
    one_by_one = torch.cat([denoise(x[i : i + 1], sigma[i].item()) for i in range(4)])
    torch.testing.assert_close(denoise(x, sigma), one_by_one, rtol=0, atol=1e-11)


@pytest.mark.parametrize("name", SCALED)
def test_a_scale_of_1_never_calls_the_second_denoiser(name: str) -> None:
    x, wanted = randn(2, 12), mixture((12,), 0.6, 0.4).denoise
    guided = g.on_grid(SCALED[name](1.0), SIGMAS)(wanted, never)
    for sigma in (20.0, 1.0, 0.1):
        assert torch.equal(guided(x, sigma), wanted(x, sigma))


@pytest.mark.parametrize("make", [g.cfg, g.rescaled, g.apg, g.cfg_zero_star, g.cfg_pp])
def test_both_denoisers_share_one_forward_pass(make: Callable[[float], g.AnyGuidance]) -> None:
    sizes: list[int] = []

    def network(x: Tensor, noise: Tensor, /, *, shift: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.tanh(x) + shift

    wanted, unwanted = (bind(network, x0_prediction, {"shift": torch.full((1, 4), s).double()}) for s in (1.0, -1.0))
    x = randn(3, 4)
    guided = g.on_grid(make(2.0), SIGMAS)(wanted, unwanted)(x, 1.0)
    assert sizes == [6]
    apart = g.on_grid(make(2.0), SIGMAS)(lambda x, s: wanted(x, s), lambda x, s: unwanted(x, s))
    torch.testing.assert_close(guided, apart(x, 1.0))


# --- cfg ----------------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0, 7.5])
def test_cfg_of_two_gaussians_is_a_gaussian(shape: Sequence[int], scale: float) -> None:
    variance = torch.tensor(0.7).double()
    m_c, m_u, x = randn(*shape, seed=1), randn(*shape, seed=2), randn(3, *shape, seed=3)
    guided = g.cfg(scale)(Gaussian(m_c, variance).denoise, Gaussian(m_u, variance).denoise)
    exact = Gaussian(m_u + scale * (m_c - m_u), variance)
    for sigma in LEVELS:
        torch.testing.assert_close(guided(x, sigma), exact.denoise(x, sigma), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sigma", LEVELS)
def test_cfg_has_the_score_of_the_sharpened_density(sigma: float) -> None:
    p_c, p_u, x = mixture((12,), 0.7, 0.3), mixture((12,), 0.2, 0.8), randn(4, 12, seed=3) * (1 + sigma)
    expected = gradient(lambda x: 3 * p_c.log_prob(x, sigma) - 2 * p_u.log_prob(x, sigma), x)
    torch.testing.assert_close(score(g.cfg(3.0)(p_c.denoise, p_u.denoise), x, sigma), expected)


# --- interval -----------------------------------------------------------------------------------------------


def test_an_interval_calls_the_second_denoiser_inside_only() -> None:
    asked: list[float] = []

    def unwanted(x: Tensor, sigma: Sigma, /) -> Tensor:
        asked.append(float(sigma))
        return -x

    guided = g.within(g.cfg(3.0), 0.5, 5.0)(lambda x, s: x, unwanted)
    x = randn(2, 3)
    results = {sigma: guided(x, sigma) for sigma in (80.0, 5.01, 5.0, 1.0, 0.51, 0.5, 0.1)}
    assert asked == [5.0, 1.0, 0.51]
    for sigma, result in results.items():
        torch.testing.assert_close(result, 5 * x if sigma in asked else x)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (2.0, 2.0), (3.0, 2.0), (float("nan"), 2.0)])
def test_an_interval_must_be_one(low: float, high: float) -> None:
    with pytest.raises(UsageError, match="interval"):
        g.within(g.cfg(3.0), low, high)


# --- rescaled -----------------------------------------------------------------------------------------------


@RANKS
def test_rescaled_has_the_deviation_of_the_wanted_prediction(shape: Sequence[int]) -> None:
    x, wanted, unwanted = randn(3, *shape), mixture(shape, 0.9, 0.1).denoise, mixture(shape, 0.1, 0.9).denoise
    plain, full, half = (g.rescaled(5.0, phi=phi)(wanted, unwanted)(x, 1.0) for phi in (0.0, 1.0, 0.5))
    spread = full.flatten(1).std(1)
    torch.testing.assert_close(plain, g.cfg(5.0)(wanted, unwanted)(x, 1.0))
    torch.testing.assert_close(spread, wanted(x, 1.0).flatten(1).std(1))
    assert not torch.allclose(spread, plain.flatten(1).std(1), rtol=0.05)
    torch.testing.assert_close(full / plain, (full / plain).flatten(1)[:, :1].view(-1, *[1] * len(shape)).expand_as(x))
    torch.testing.assert_close(half, (plain + full) / 2)


# --- apg ----------------------------------------------------------------------------------------------------


@RANKS
def test_apg_with_everything_off_is_cfg(shape: Sequence[int]) -> None:
    wanted, unwanted = mixture(shape, 0.9, 0.1).denoise, mixture(shape, 0.1, 0.9).denoise
    a, b = (make(wanted, unwanted) for make in (g.apg(4.0, eta=1.0), g.cfg(4.0)))
    torch.testing.assert_close(run(a, shape, range(3)), run(b, shape, range(3)), rtol=1e-10, atol=1e-10)


def test_apg_splits_the_difference_by_direction_and_bounds_its_norm() -> None:
    shape, x = SHAPES[4], randn(3, *SHAPES[4])
    wanted, unwanted = mixture(shape, 0.9, 0.1).denoise, mixture(shape, 0.1, 0.9).denoise
    d_c, difference = wanted(x, 1.0), wanted(x, 1.0) - unwanted(x, 1.0)

    def pushed(**options: float) -> Tensor:
        return (g.apg(3.0, **options)(wanted, unwanted)(x, 1.0) - d_c) / 2

    inner = (pushed(eta=0.0) * d_c).flatten(1).sum(1)
    torch.testing.assert_close(inner, torch.zeros_like(inner), rtol=0, atol=1e-12)
    along_d_c = pushed(eta=1.0) - pushed(eta=0.0)
    cosine = torch.cosine_similarity(along_d_c.flatten(1), d_c.flatten(1)).abs()
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    torch.testing.assert_close(pushed(eta=0.25), pushed(eta=0.0) + along_d_c / 4)
    norms = difference.flatten(1).norm(dim=1)
    threshold = float(norms.sort().values[1]) + 1e-9  # the largest one is above, the others are not
    bounded = pushed(eta=1.0, threshold=threshold).flatten(1).norm(dim=1)
    torch.testing.assert_close(bounded, norms.clamp(max=threshold))


def test_apg_remembers_one_run_only() -> None:
    answers = iter(randn(6, 1, 5, seed=4))
    deltas = randn(6, 1, 5, seed=4)
    guidance = g.apg(2.0, eta=1.0, momentum=-0.5)
    for first in (0, 3):
        guided = guidance(lambda x, s: next(answers), lambda x, s: torch.zeros_like(x))
        d1, d2, d3 = deltas[first : first + 3]
        for d_c, remembered in ((d1, d1), (d2, d2 - 0.5 * d1), (d3, d3 - 0.5 * d2 + 0.25 * d1)):
            torch.testing.assert_close(guided(torch.zeros(1, 5).double(), 1.0), d_c + remembered)


def test_apg_momentum_refuses_levels_that_differ() -> None:
    guided = two(g.apg(3.0, momentum=-0.5), (12,))
    with pytest.raises(UsageError, match="momentum=0"):
        run(guided, (12,), range(2), samplers.adaptive)
    assert run(two(g.apg(3.0), (12,)), (12,), range(2), samplers.adaptive).isfinite().all()


# --- cfg-zero* ----------------------------------------------------------------------------------------------


@RANKS
def test_cfg_zero_star_projects_the_unwanted_velocity(shape: Sequence[int]) -> None:
    wanted, unwanted = mixture(shape, 0.9, 0.1).denoise, mixture(shape, 0.1, 0.9).denoise
    x, sigma, scale = 2 * randn(3, *shape), 1.3, 4.0
    guided = g.on_grid(g.cfg_zero_star(scale, zero_steps=0), SIGMAS)(wanted, unwanted)(x, sigma)
    v_c, v_u, v = (((x - d) / sigma - d).flatten(1) for d in (wanted(x, sigma), unwanted(x, sigma), guided))
    best = torch.stack([torch.linalg.lstsq(u[:, None], c[:, None]).solution[0] for c, u in zip(v_c, v_u, strict=True)])
    torch.testing.assert_close(v, best * v_u + scale * (v_c - best * v_u))
    used = (v - scale * v_c) / (1 - scale)  # s* v_u, read back from the result

    def residual(s: float) -> Tensor:
        return (v_c - s * used).norm(dim=1)

    assert (residual(1.0) < torch.minimum(residual(0.99), residual(1.01))).all()


@pytest.mark.parametrize("zero_steps", [0, 1, 3])
def test_cfg_zero_star_keeps_the_flow_still_at_first(zero_steps: int) -> None:
    asked: list[float] = []
    data = mixture((12,), 0.6, 0.4)

    def counted(x: Tensor, sigma: Sigma, /) -> Tensor:
        asked.append(float(sigma))
        return data.denoise(x, sigma)

    guided = g.on_grid(g.cfg_zero_star(3.0, zero_steps=zero_steps), SIGMAS)(counted, data.component(1).denoise)
    x = SIGMAS[0] * randn(2, 12)
    states = [x / (1 + SIGMAS[0]), *(s.x / (1 + s.sigma) for s in samplers.euler(guided, x, SIGMAS))]
    for state in states[1 : zero_steps + 1]:
        torch.testing.assert_close(state, states[0])
    assert not torch.allclose(states[zero_steps + 1], states[0], rtol=1e-3)
    assert asked == SIGMAS[zero_steps:-1]


def test_cfg_zero_star_never_skips_the_last_step() -> None:
    wanted, unwanted = mixture((12,), 0.6, 0.4).denoise, mixture((12,), 0.4, 0.6).denoise
    x = randn(2, 12)
    a, b = (g.on_grid(g.cfg_zero_star(2.0, zero_steps=k), [0.5, 0.0])(wanted, unwanted) for k in (0, 9))
    assert torch.equal(a(x, 0.5), b(x, 0.5))
    g.on_grid(g.cfg_zero_star(2.0), [0.0])(wanted, unwanted)


def test_cfg_zero_star_of_parallel_velocities_is_no_guidance() -> None:
    """v_u = 3 v_c: a wrong length of the unwanted velocity is corrected away."""
    x, sigma = randn(2, 7), 2.0
    v_c = randn(2, 7, seed=1)
    wanted, unwanted = (flow.to_x0(k * v_c, x, sigma) for k in (1.0, 3.0))
    guided = g.on_grid(g.cfg_zero_star(5.0, zero_steps=0), SIGMAS)(lambda x, s: wanted, lambda x, s: unwanted)
    torch.testing.assert_close(guided(x, sigma), wanted)


# --- cfg++ --------------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("scale", [0.0, 0.6, 1.0])
def test_cfg_pp_is_the_papers_step(shape: Sequence[int], scale: float) -> None:
    wanted, unwanted = mixture(shape, 0.9, 0.1).denoise, mixture(shape, 0.2, 0.8).denoise
    sigmas = [9.0, 4.0, 3.5, 1.0, 0.2, 0.0]
    x = expected = 9.0 * randn(3, *shape)
    for s, t in pairwise(sigmas):
        d_c, d_u = wanted(expected, s), unwanted(expected, s)
        expected = d_u + scale * (d_c - d_u) + t * (expected - d_u) / s
    guided = g.on_grid(g.cfg_pp(scale), sigmas)(wanted, unwanted)
    for sampler in (samplers.euler, samplers.ddim):
        noise = Brownian(range(3), shape, dtype=torch.float64)
        torch.testing.assert_close(samplers.sample(sampler, guided, x, sigmas, noise), expected)


def test_cfg_pp_between_levels_keeps_the_scale_of_the_step() -> None:
    guided = g.on_grid(g.cfg_pp(0.5), [4.0, 1.0, 0.0])(lambda x, s: x, lambda x, s: torch.zeros_like(x))
    x = torch.ones(1, 1).double()
    scales = [float(guided(x, sigma)) for sigma in (5.0, 4.0, 4.0 * (1 + 1e-7), 2.0, 1.0, 0.5)]
    assert scales == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2 / 3, 0.5, 0.5])
    g.on_grid(g.cfg_pp(0.5), [0.0])


def test_a_plain_guidance_is_its_own_on_any_grid() -> None:
    guidance = g.cfg(3.0)
    assert g.on_grid(guidance, SIGMAS) is guidance


# --- classifier guidance ------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("sigma", LEVELS)
def test_the_exact_posterior_turns_the_mixture_into_its_component(shape: Sequence[int], sigma: float) -> None:
    data, x = mixture(shape, 0.3, 0.7), (0.5 + sigma) * randn(3, *shape)
    guided = g.classifier(lambda x, s: data.posterior(x, s)[:, 0].log())(data.denoise)
    torch.testing.assert_close(guided(x, sigma), data.component(0).denoise(x, sigma), rtol=1e-9, atol=1e-9)


def test_classifier_guidance_works_in_any_grad_mode() -> None:
    data, x = mixture((12,), 0.3, 0.7), randn(3, 12)
    guided = g.classifier(lambda x, s: data.posterior(x, s)[:, 0].log())(data.denoise)
    expected = data.component(0).denoise(x, 1.0)
    with torch.no_grad():
        result = guided(x, 1.0)
        torch.testing.assert_close(result, expected)
        assert not result.requires_grad
    with torch.inference_mode():
        torch.testing.assert_close(guided(x * 1.0, 1.0), expected)
    assert not guided(x, 1.0).requires_grad
    assert not x.requires_grad


def test_a_classifier_guided_denoiser_can_be_differentiated() -> None:
    data, x = mixture((6,), 0.3, 0.7), randn(1, 6)
    guided = g.classifier(lambda x, s: data.posterior(x, s)[:, 0].log())(data.denoise)
    jacobian, expected = (
        torch.autograd.functional.jacobian(lambda x, d=d: d(x, 1.0), x) for d in (guided, data.component(0).denoise)
    )
    torch.testing.assert_close(jacobian, expected)


def test_a_classifier_of_scale_0_is_never_called() -> None:
    denoise = mixture((12,), 0.3, 0.7).denoise
    assert g.classifier(never, scale=0.0)(denoise) == denoise


@RANKS
def test_on_clean_pulls_the_gradient_through_the_denoiser(shape: Sequence[int]) -> None:
    variance, sigma, scale = 0.7, 1.5, 3.0
    oracle = Gaussian(randn(*shape, seed=1), torch.tensor(variance).double())
    weights, x = randn(*shape, seed=2), randn(3, *shape, seed=3)
    log_prob = g.on_clean(oracle.denoise, lambda x0: (weights * x0).flatten(1).sum(1))
    jacobian = variance / (variance + sigma**2)
    expected = oracle.denoise(x, sigma) + scale * sigma**2 * jacobian * weights
    torch.testing.assert_close(g.classifier(log_prob, scale=scale)(oracle.denoise)(x, sigma), expected)


def test_similarity_is_the_cosine_over_the_temperature() -> None:
    log_prob = g.similarity(lambda x: x.flatten(1), torch.tensor([0.0, 2.0]), temperature=0.1)
    x0 = torch.tensor([[[0.0], [3.0]], [[-1.0], [0.0]], [[0.0], [-0.5]], [[1.0], [1.0]]])
    torch.testing.assert_close(log_prob(x0), torch.tensor([10.0, 0.0, -10.0, 10 * 0.5**0.5]))


# --- composition --------------------------------------------------------------------------------------------


@RANKS
def test_composed_gaussians_are_a_gaussian(shape: Sequence[int]) -> None:
    variance = torch.tensor(0.7).double()
    base, a, b = (randn(*shape, seed=seed) for seed in (1, 2, 3))
    parts = [(Gaussian(a, variance).denoise, 1.5), (Gaussian(b, variance).denoise, -0.5)]
    exact = Gaussian(base + 1.5 * (a - base) - 0.5 * (b - base), variance)
    x = randn(3, *shape, seed=4)
    for sigma in LEVELS:
        torch.testing.assert_close(
            g.compose(Gaussian(base, variance).denoise, parts)(x, sigma),
            exact.denoise(x, sigma),
            rtol=1e-12,
            atol=1e-12,
        )


@pytest.mark.parametrize("sigma", LEVELS)
def test_composition_has_the_score_of_the_product(sigma: float) -> None:
    base, a, b = mixture((12,), 0.5, 0.5), mixture((12,), 0.9, 0.1), mixture((12,), 0.2, 0.8)
    x = (1 + sigma) * randn(4, 12)

    def log_density(x: Tensor) -> Tensor:
        p, p_a, p_b = (m.log_prob(x, sigma) for m in (base, a, b))
        return p + 2 * (p_a - p) - 0.5 * (p_b - p)

    composed = g.compose(base.denoise, [(a.denoise, 2.0), (b.denoise, -0.5)])
    torch.testing.assert_close(score(composed, x, sigma), gradient(log_density, x))


def test_a_composition_runs_in_one_forward_pass() -> None:
    sizes: list[int] = []

    def network(x: Tensor, noise: Tensor, /, *, shift: Tensor) -> Tensor:
        sizes.append(len(x))
        return x + shift

    base, a, b = (bind(network, x0_prediction, {"shift": torch.full((1, 1), s)}) for s in (0.0, 1.0, 10.0))
    x = torch.zeros(2, 4)
    torch.testing.assert_close(g.compose(base, [(a, 0.5), (b, -2.0)])(x, 1.0), torch.full((2, 4), -19.5))
    assert sizes == [6]
    torch.testing.assert_close(g.compose(base, [])(x, 1.0), base(x, 1.0))
