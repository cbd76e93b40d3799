"""Parameterizations, binding and windows."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from toys import SHAPES, mixture, states, toy_network

from multigen import denoise as dn
from multigen import samplers, schedules
from multigen.denoise import Parameterization, Sigma, along, bind, evaluate, windowed
from multigen.noise import white

ALL: dict[str, Parameterization] = {
    "eps": dn.eps,
    "v": dn.v,
    "x0": dn.x0,
    "score": dn.score,
    "flow": dn.flow,
    "edm": dn.edm(0.6),
    "local": dn.local(0.2),
}
LEVELS = torch.tensor([0.02, 1.3, 80.0], dtype=torch.float64)
ranks = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
every = pytest.mark.parametrize("name", ALL)


def sigma_of(p: Parameterization, noise: Tensor) -> Tensor:
    return noise / (1 - noise) if p is dn.flow else (4 * noise).exp()


# --- parameterizations --------------------------------------------------------------------------------------


@ranks
@every
def test_to_x0_and_from_x0_are_inverse(name: str, shape: tuple[int, ...]) -> None:
    p, x, prediction = ALL[name], states(shape, 2.0, batch=3), states(shape, 1.0, batch=3)
    for sigma in (LEVELS, 0.7):
        torch.testing.assert_close(p.from_x0(p.to_x0(prediction, x, sigma), x, sigma), prediction)
        torch.testing.assert_close(p.to_x0(p.from_x0(prediction, x, sigma), x, sigma), prediction)


@ranks
@every
def test_the_oracles_own_network_gives_the_oracle_back(name: str, shape: tuple[int, ...]) -> None:
    """The network sees nothing but its scaled input and its noise level, and answers in its own terms."""
    p, oracle = ALL[name], mixture(shape)
    x = oracle.sample(range(3)) + along(lambda s: s, LEVELS, torch.ones(3, *shape)) * white(range(3), shape, stream=1)

    def network(inner: Tensor, noise: Tensor) -> Tensor:
        sigma = sigma_of(p, noise)
        x = inner / along(p.into, sigma, inner)
        return p.from_x0(oracle.denoise(x, sigma), x, sigma)

    torch.testing.assert_close(bind(network, p)(x, LEVELS), oracle.denoise(x, LEVELS), rtol=1e-9, atol=1e-9)


@ranks
def test_what_each_predicts(shape: tuple[int, ...]) -> None:
    """from_x0 of the clean sample, against the definition in x0 and n."""
    x0, n = states(shape, 1.0, batch=3), white(range(3), shape).double()
    s = LEVELS.view(-1, *[1] * len(shape))
    x, root = x0 + s * n, (1 + s**2).sqrt()
    targets = {
        "eps": n,
        "x0": x0,
        "v": (n - s * x0) / root,
        "flow": n - x0,
        "score": -n / s,
    }
    for name, target in targets.items():
        torch.testing.assert_close(ALL[name].from_x0(x0, x, LEVELS), target, rtol=1e-9, atol=1e-9)
    z = x / (1 + s)
    torch.testing.assert_close(along(dn.flow.into, LEVELS, x) * x, z)
    t = s / (1 + s)
    torch.testing.assert_close(z, (1 - t) * x0 + t * n, rtol=1e-12, atol=1e-12)


@ranks
def test_the_score_is_the_gradient_of_the_log_density(shape: tuple[int, ...]) -> None:
    oracle = mixture(shape)
    x = states(shape, 1.5, batch=3).requires_grad_()
    (gradient,) = torch.autograd.grad(oracle.log_prob(x, LEVELS).sum(), x)
    with torch.no_grad():
        score = dn.score.from_x0(oracle.denoise(x, LEVELS), x, LEVELS)
    torch.testing.assert_close(score, gradient, rtol=1e-9, atol=1e-9)


def test_edm_is_its_table() -> None:
    p, data = dn.edm(0.5), 0.5
    torch.testing.assert_close(p.skip(LEVELS), data**2 / (LEVELS**2 + data**2))
    torch.testing.assert_close(p.out(LEVELS), LEVELS * data / (LEVELS**2 + data**2).sqrt())
    torch.testing.assert_close(p.into(LEVELS), 1 / (LEVELS**2 + data**2).sqrt())
    torch.testing.assert_close(p.noise(LEVELS), LEVELS.log() / 4)


def test_edm_gives_the_network_inputs_and_targets_of_unit_variance() -> None:
    x0, n = 0.5 * white([0], (100_000,)).double(), white([1], (100_000,)).double()
    for sigma in (0.05, 0.5, 10.0):
        x, p = x0 + sigma * n, dn.edm(0.5)
        assert float((along(p.into, sigma, x) * x).std()) == pytest.approx(1, abs=0.02)
        assert float(p.from_x0(x0, x, sigma).std()) == pytest.approx(1, abs=0.02)


def test_local_is_the_shrinkage_towards_an_envelope() -> None:
    """Data around a known envelope: the perfect network of `local` is the envelope itself."""
    envelope, x = states((2, 3), 1.0, batch=3), states((2, 3), 1.0, batch=3) + 0.3
    s = LEVELS.view(-1, 1, 1)
    posterior = envelope + 0.2 / (0.2 + s**2) * (x - envelope)
    torch.testing.assert_close(dn.local(0.2).to_x0(envelope, x, LEVELS), posterior)
    torch.testing.assert_close(dn.local(1.0).skip(LEVELS), dn.edm(1.0).skip(LEVELS))


def test_coefficients_keep_their_precision_whatever_the_state() -> None:
    x = torch.ones(3, 4, dtype=torch.bfloat16)
    values = along(lambda s: 1 + s * s - s * s, LEVELS, x)
    assert values.dtype == torch.bfloat16
    assert torch.equal(values, torch.ones(3, 1, dtype=torch.bfloat16))


def test_a_networks_own_noise_coordinate() -> None:
    seen: list[Tensor] = []

    def network(x: Tensor, noise: Tensor) -> Tensor:
        seen.append(noise)
        return x

    bind(network, replace(dn.eps, noise=lambda s: 1000 * s / (1 + s)))(torch.zeros(2, 3), 1.0)
    assert torch.equal(seen[0], torch.tensor([500.0, 500.0]))


# --- binding ------------------------------------------------------------------------------------------------


class Counted:
    """A network with a condition that counts its calls and the samples in them."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, x: Tensor, noise: Tensor, *, push: Tensor, gain: Tensor) -> Tensor:
        self.batches.append(x.shape[0])
        assert len(noise) == len(push) == len(gain) == x.shape[0]
        return gain.view(-1, *[1] * (x.ndim - 1)) * toy_network(x, noise) + push.view(-1, *[1] * (x.ndim - 1))


def conditions() -> list[dict[str, Tensor]]:
    return [{"push": torch.tensor([float(i)]), "gain": torch.tensor([1.0, 2.0, 3.0]) + i} for i in range(3)]


@ranks
def test_denoisers_that_share_a_network_share_its_forward_pass(shape: tuple[int, ...]) -> None:
    x, network = states(shape, 2.0, batch=3), Counted()
    bound = [bind(network, dn.v, cond) for cond in conditions()]
    apart = [denoise(x, LEVELS) for denoise in bound]
    assert network.batches == [3, 3, 3]
    together = evaluate(x, LEVELS, *bound)
    assert network.batches[3:] == [9]
    for a, b in zip(apart, together, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [dn.windowed, dn.ring])
def test_denoisers_with_the_same_windows_share_each_forward_pass(spread: Callable[..., dn.Spread]) -> None:
    x, network = states((2, 9), 2.0, batch=3), Counted()
    wide = [spread(bind(network, dn.v, cond), dim=-1, size=5, overlap=1) for cond in conditions()]
    apart = [denoise(x, LEVELS) for denoise in wide]
    windows = len(network.batches) // 3
    assert windows >= 2
    network.batches.clear()
    together = evaluate(x, LEVELS, *wide)
    assert network.batches == [9] * windows
    for a, b in zip(apart, together, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spread", [dn.windowed, dn.ring])
def test_the_rows_of_every_window_are_counted_and_passes_stay_shared(spread: Callable[..., dn.Spread]) -> None:
    x, network = states((2, 9), 2.0, batch=3), Counted()
    plain = [spread(bind(network, dn.v, cond), dim=-1, size=5, overlap=1) for cond in conditions()]
    rows: list[int] = []
    told = [dn.counted(denoise, rows.append) for denoise in plain]
    together = evaluate(x, LEVELS, *told)
    assert rows == network.batches
    assert rows == [9] * len(rows)
    for a, b in zip(evaluate(x, LEVELS, *plain), together, strict=True):
        assert torch.equal(a, b)
    dn.counted(lambda x, sigma: x, rows.append)(x, 1.0)
    assert rows[-1] == 3


def test_denoisers_with_other_windows_keep_their_own() -> None:
    x, network = states((2, 9), 2.0, batch=3), Counted()
    first, second, _ = (bind(network, dn.v, cond) for cond in conditions())
    five, six = dn.windowed(first, dim=-1, size=5, overlap=1), dn.windowed(second, dim=-1, size=6, overlap=1)
    together = evaluate(x, LEVELS, five, six)
    assert torch.equal(together[0], five(x, LEVELS))
    assert torch.equal(together[1], six(x, LEVELS))


# --- parts with levels of their own --------------------------------------------------------------------------


def told_apart(x: Tensor, noise: Tensor, *, gain: Tensor) -> Tensor:
    """A network of sequences (b, c, t, h) that is told the level of each of t."""
    assert noise.shape == (x.shape[0], x.shape[2])
    return gain.view(-1, 1, 1, 1) * torch.tanh(x + noise[:, None, :, None])


PARTS = torch.tensor([0.2, 1.0, 0.5, 1.0, 0.25, 1.0, 0.5])[:, None]  # (t, 1)


@every
@pytest.mark.parametrize("sigma", [0.7, LEVELS])
def test_parts_are_denoised_at_their_own_levels(name: str, sigma: Sigma) -> None:
    """Of independent Gaussians: a network that gives their posterior mean, told each part's level in its coordinate."""
    p, x, levels = ALL[name], states((2, 7, 3), 2.0, batch=3), along(lambda s: s, sigma, torch.zeros(3, 1, 1, 1))

    def network(inner: Tensor, noise: Tensor) -> Tensor:
        sigma = sigma_of(p, noise)[:, None, :, None]
        x = inner / along(p.into, sigma, inner)
        return p.from_x0(x / (1 + sigma**2), x, sigma)

    found = dn.staggered(bind(network, p), PARTS)(x, sigma)
    torch.testing.assert_close(found, x / (1 + (levels.double() * PARTS.double()) ** 2), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("spread", [dn.windowed, dn.ring])
def test_parts_keep_their_levels_in_windows(spread: Callable[..., dn.Spread]) -> None:
    def pointwise(x: Tensor, sigma: Sigma) -> Tensor:
        return x / (1 + torch.as_tensor(sigma) ** 2)

    x = states((2, 7, 3), 2.0, batch=2)
    found = dn.staggered(spread(pointwise, dim=-2, size=4, overlap=2), PARTS)(x, 1.5)
    torch.testing.assert_close(found, x / (1 + (1.5 * PARTS.double()) ** 2), rtol=1e-12, atol=1e-12)


def test_denoisers_with_the_same_levels_share_each_forward_pass() -> None:
    x, seen = states((2, 7, 3), 2.0, batch=3), []
    plain = [bind(told_apart, dn.v, {"gain": torch.tensor([gain])}) for gain in (1.0, 2.0)]
    wide = [dn.staggered(dn.windowed(d, dim=2, size=4, overlap=1), PARTS) for d in plain]
    together = evaluate(x, 1.5, *(dn.counted(d, seen.append) for d in wide))
    assert seen == [6, 6]
    for denoise, found in zip(wide, together, strict=True):
        torch.testing.assert_close(denoise(x, 1.5), found, rtol=1e-12, atol=1e-12)
    other = dn.staggered(wide[1].denoise, 2 * PARTS)
    apart = evaluate(x, 1.5, wide[0], other)
    assert torch.equal(apart[1], other(x, 1.5))
    assert not torch.equal(apart[1], wide[1](x, 1.5))


def test_a_run_with_levels_of_their_own_draws_from_the_data() -> None:
    """Heun's probability flow of a Gaussian whose parts belong together is linear; it takes the covariance of the start
    to that of the data."""
    data = torch.tensor([[1.0, 0.8, 0.5], [0.8, 1.0, 0.8], [0.5, 0.8, 1.0]], dtype=torch.float64)
    parts = torch.tensor([0.2, 1.0, 0.5], dtype=torch.float64)

    def posterior_mean(x: Tensor, sigma: Sigma) -> Tensor:
        noise = torch.as_tensor(sigma).expand(len(x), 3)[0].square().diag()
        return x @ torch.linalg.solve(data + noise, data)

    sigmas = schedules.karras(0.002, 80.0)(200)
    denoise = dn.staggered(posterior_mean, parts)
    start = data + (80 * parts).square().diag()
    basis = torch.eye(3, dtype=torch.float64)
    *_, last = samplers.steps(samplers.heun, denoise, basis, sigmas, lambda s, t: basis)
    torch.testing.assert_close(last.x.T @ start @ last.x, data, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("make", [dn.edm, dn.local])
def test_parameterizations_made_twice_of_one_number_join(make: Callable[[float], dn.Parameterization]) -> None:
    network, (first, second, _) = Counted(), conditions()
    assert bind(network, make(0.3), first).joins(bind(network, make(0.3), second))
    assert not bind(network, make(0.3), first).joins(bind(network, make(0.4), second))


@ranks
def test_one_row_at_a_time_is_bit_exact(shape: tuple[int, ...]) -> None:
    x, network = states(shape, 2.0, batch=3), Counted()
    bound = [bind(network, dn.v, cond, rows=1) for cond in conditions()]
    together = evaluate(x, LEVELS, *bound)
    assert network.batches == [1] * 9
    for denoise, whole in zip(bound, together, strict=True):
        gain = denoise.cond["gain"]
        for i in range(3):
            alone = replace(denoise, cond={**denoise.cond, "gain": gain[i : i + 1]})
            assert torch.equal(alone(x[i : i + 1], LEVELS[i : i + 1]), whole[i : i + 1])


def test_rows_bound_the_batch() -> None:
    network, cond = Counted(), {"push": torch.zeros(1), "gain": torch.ones(1)}
    x = states((2, 3), 2.0, batch=5)
    out = bind(network, dn.v, cond, rows=2)(x, 1.0)
    assert network.batches == [2, 2, 1]
    torch.testing.assert_close(out, bind(network, dn.v, cond)(x, 1.0), rtol=1e-12, atol=1e-12)


def test_what_cannot_share_a_forward_pass_gets_its_own() -> None:
    x, network = states((2, 3), 2.0, batch=3), Counted()
    first, second, third = conditions()
    wide = {"push": second["push"], "gain": second["gain"].view(3, 1)}
    others = [bind(network, dn.eps, second), bind(Counted(), dn.v, second), bind(network, dn.v, wide)]
    for other in others:
        with_other = evaluate(x, 1.0, bind(network, dn.v, first), other)
        torch.testing.assert_close(with_other[1], other(x, 1.0), rtol=1e-12, atol=1e-12)
    plain = evaluate(x, 1.0, lambda x, sigma: 2 * x, bind(network, dn.v, third))
    assert torch.equal(plain[0], 2 * x)


def test_the_network_computes_in_its_own_dtype() -> None:
    seen: list[torch.dtype] = []

    def network(x: Tensor, noise: Tensor) -> Tensor:
        seen.append(x.dtype)
        return toy_network(x, noise.to(x.dtype))

    x = states((2, 3), 2.0)
    out = bind(network, dn.v, dtype=torch.bfloat16)(x, 1.0)
    assert seen == [torch.bfloat16]
    assert out.dtype == torch.float64
    torch.testing.assert_close(out, bind(network, dn.v)(x, 1.0), rtol=0.05, atol=0.05)


# --- windows ------------------------------------------------------------------------------------------------


def pointwise(x: Tensor, sigma: Sigma) -> Tensor:
    return torch.tanh(x) / (1 + torch.as_tensor(sigma, dtype=x.dtype).view(-1, *[1] * (x.ndim - 1)))


@pytest.mark.parametrize(("size", "overlap"), [(4, 0), (4, 1), (4, 3), (7, 3), (1, 0)])
@pytest.mark.parametrize("length", [1, 4, 5, 8, 13, 29])
@pytest.mark.parametrize(("rank", "dim"), [(2, 1), (3, 2), (3, 1), (4, -1), (5, 2), (5, -3)])
def test_windows_change_nothing_for_a_pointwise_denoiser(
    rank: int, dim: int, length: int, size: int, overlap: int
) -> None:
    shape = [2] * rank
    shape[dim] = length
    x = states(shape[1:], 1.0)
    for sigma in (0.5, torch.tensor([0.5, 2.0])):
        joint = windowed(pointwise, dim=dim, size=size, overlap=overlap)(x, sigma)
        torch.testing.assert_close(joint, pointwise(x, sigma), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "overlap"), [(4, 0), (4, 1), (5, 3), (16, 8)])
def test_windows_have_their_size_cover_the_axis_and_overlap_enough(size: int, overlap: int) -> None:
    for length in range(size + 1, 60):
        starts = dn.window_starts(length, size, overlap)
        assert starts[0] == 0
        assert starts[-1] == length - size
        assert all(overlap <= a + size - b < size for a, b in pairwise(starts))


def test_windows_are_cross_faded() -> None:
    """Each window answers with its own number: the result moves from one to the other in even steps."""
    seen: list[int] = []

    def numbered(x: Tensor, sigma: Sigma) -> Tensor:
        seen.append(x.shape[1])
        return torch.full_like(x, float(len(seen)))

    joint = windowed(numbered, dim=1, size=6, overlap=3)(torch.zeros(1, 9, dtype=torch.float64), 1.0)
    assert seen == [6, 6]
    torch.testing.assert_close(joint, torch.tensor([[1, 1, 1, 1.25, 1.5, 1.75, 2, 2, 2]], dtype=torch.float64))


@pytest.mark.parametrize("overlap", [-1, 4, 5])
def test_an_overlap_that_leaves_no_step(overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"\[0, 4\), not {overlap}"):
        windowed(pointwise, dim=1, size=4, overlap=overlap)
