"""Edits: what is kept is kept exactly, and inverse problems against the exact posterior."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from multigen import edit, samplers
from multigen.denoise import Denoiser, Sigma, windowed
from multigen.edit import LinearOperator, Plan
from multigen.errors import UsageError
from multigen.noise import Brownian, Noise, white
from multigen.samplers import Sampler, Step
from multigen.schedules import karras
from multigen.testing import Gaussian, GaussianMixture

SHAPES = {2: (16,), 3: (2, 8), 4: (2, 4, 2), 5: (2, 1, 2, 4)}
RANKS = pytest.mark.parametrize("shape", SHAPES.values(), ids=[f"rank{rank}" for rank in SHAPES])
SIGMAS = karras(0.02, 20.0)(16)

DETERMINISTIC: dict[str, Sampler] = {
    "euler": samplers.euler,
    "ddim": samplers.ddim,
    "heun": samplers.heun,
    "dpm2": samplers.dpm2,
    "dpmpp_2s": partial(samplers.dpmpp_2s_ancestral, eta=0.0),
    "dpmpp_2m": samplers.dpmpp_2m,
    "dpmpp_3m": partial(samplers.dpmpp_3m_sde, eta=0.0),
    "lms": samplers.lms,
    "unipc": samplers.unipc,
    "adaptive": samplers.adaptive,
}
STOCHASTIC: dict[str, Sampler] = {
    "ddpm": samplers.ddpm,
    "euler_ancestral": samplers.euler_ancestral,
    "heun_churned": partial(samplers.heun, churn=10.0),
    "dpmpp_2s_ancestral": samplers.dpmpp_2s_ancestral,
    "dpmpp_2m_sde": samplers.dpmpp_2m_sde,
    "dpmpp_3m_sde": samplers.dpmpp_3m_sde,
    "sde": samplers.sde,
    "predictor_corrector": samplers.predictor_corrector,
}
ANY: dict[str, Sampler] = {**DETERMINISTIC, **STOCHASTIC}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return white([seed], shape)[0].double()


def patterns(shape: Sequence[int], deviation: float = 0.1) -> GaussianMixture:
    """Four patterns of +1 and -1 with little noise: a part of one tells which it is."""
    rows = torch.tensor([[1, 1, 1, -1], [1, -1, -1, -1], [-1, 1, -1, 1], [-1, -1, 1, 1]]).double()
    means = rows.repeat_interleave(4, 1).view(4, *shape)
    return GaussianMixture(torch.ones(4).double(), means, torch.full((4,), deviation**2).double())


def planned(
    denoise: Denoiser,
    shape: Sequence[int],
    *,
    seeds: Sequence[int] = (0, 1, 2),
    sampler: Sampler = samplers.euler,
    sigmas: Sequence[float] = SIGMAS,
) -> Plan:
    return Plan(
        denoise=denoise,
        sampler=sampler,
        sigmas=sigmas,
        origin=torch.zeros(len(seeds), *shape).double(),
        unit=white(seeds, shape).double(),
        noise=Brownian(seeds, shape, dtype=torch.float64),
    )


def half(shape: Sequence[int]) -> Tensor:
    """1, regenerated, over the second half of the cells."""
    cells = torch.arange(torch.Size(shape).numel())
    return (cells >= len(cells) // 2).double().view(*shape)


# --- plans --------------------------------------------------------------------------------------------------


@RANKS
def test_a_plan_starts_at_its_origin_with_noise(shape: Sequence[int]) -> None:
    data = patterns(shape)
    plan = replace(planned(data.denoise, shape), origin=randn(3, *shape, seed=9))
    steps = list(plan.steps())
    assert [step.sigma for step in steps] == SIGMAS[1:]
    assert torch.equal(steps[-1].x, plan.result())
    by_hand = samplers.sample(samplers.euler, data.denoise, plan.origin + SIGMAS[0] * plan.unit, SIGMAS, plan.noise)
    assert torch.equal(plan.result(), by_hand)


def test_a_plan_without_steps_returns_its_origin() -> None:
    plan = replace(planned(patterns((16,)).denoise, (16,), sigmas=[0.0]), origin=randn(3, 16))
    assert list(plan.steps()) == []
    assert torch.equal(plan.result(), plan.origin)


# --- variation ----------------------------------------------------------------------------------------------


@RANKS
def test_variation_goes_from_the_input_itself_to_a_new_sample(shape: Sequence[int]) -> None:
    data = patterns(shape)
    plan, x0 = planned(data.denoise, shape, seeds=range(24)), data.component(2).sample(range(100, 124))
    results = {strength: edit.variation(x0, strength)(plan).result() for strength in (0.0, 0.25, 0.5, 1.0)}
    assert torch.equal(results[0.0], x0)
    assert torch.equal(results[1.0], replace(plan, origin=x0).result())
    same = {strength: data.posterior(result)[:, 2].mean().item() for strength, result in results.items()}
    assert same[0.25] == pytest.approx(1.0)
    assert same[1.0] < 0.6  # a new sample: one of four patterns
    moved = [(results[strength] - x0).norm().item() for strength in (0.25, 0.5, 1.0)]
    assert moved == sorted(moved)


def test_the_strength_is_the_share_of_the_steps() -> None:
    plan = edit.variation(randn(16), 0.5)(planned(patterns((16,)).denoise, (16,)))
    assert list(plan.sigmas) == SIGMAS[8:]
    assert len(list(plan.steps())) == 8


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_is_between_0_and_1(strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        edit.variation(randn(16), strength)


def test_tensors_that_do_not_fit_are_refused() -> None:
    plan = planned(patterns((16,)).denoise, (16,))
    for change in (
        edit.variation(randn(15), 0.5),
        edit.inpaint(randn(17), torch.ones(16)),
        edit.inpaint(randn(16), torch.ones(3)),
    ):
        with pytest.raises(UsageError, match="does not fit"):
            change(plan)


# --- inpainting ---------------------------------------------------------------------------------------------


@RANKS
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_kept_part_stays_on_its_line_of_noise(name: str, shape: Sequence[int]) -> None:
    data, mask, known = patterns(shape), half(shape), randn(3, *shape, seed=9)
    plan = edit.inpaint(known, mask)(planned(data.denoise, shape, sampler=DETERMINISTIC[name]))
    kept = (mask == 0).expand_as(known)
    steps = list(plan.steps())
    for step in steps if name != "adaptive" else steps[-1:]:  # its samples are at levels of their own
        torch.testing.assert_close(step.x[kept], (known + step.sigma * plan.unit)[kept], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(plan.result()[kept], known[kept], rtol=0, atol=1e-13)


@RANKS
@pytest.mark.parametrize("name", STOCHASTIC)
def test_the_kept_part_is_kept_by_stochastic_samplers(name: str, shape: Sequence[int]) -> None:
    data, mask, known = patterns(shape), half(shape), randn(3, *shape, seed=9)
    plan = edit.inpaint(known, mask)(planned(data.denoise, shape, sampler=STOCHASTIC[name]))
    kept = (mask == 0).expand_as(known)
    torch.testing.assert_close(plan.result()[kept], known[kept], rtol=0, atol=1e-13)


@RANKS
def test_a_mask_of_1_is_regenerated_as_if_nothing_were_known(shape: Sequence[int]) -> None:
    """With independent cells the kept part has no say in the rest."""
    plan = planned(Gaussian(randn(*shape, seed=1), torch.tensor(0.3).double()).denoise, shape)
    mask, known = half(shape), randn(3, *shape, seed=9)
    made, plain = edit.inpaint(known, mask)(plan).result(), plan.result()
    assert torch.equal(made[mask.expand_as(made) == 1], plain[mask.expand_as(made) == 1])
    assert torch.equal(edit.inpaint(known, torch.ones(shape))(plan).result(), plain)


def test_a_fractional_mask_mixes() -> None:
    plan, known, x = planned(patterns((16,)).denoise, (16,)), randn(3, 16, seed=9), randn(3, 16, seed=8)
    mask = torch.linspace(0, 1, 16)
    d = plan.denoise(x, 0.7)
    torch.testing.assert_close(edit.inpaint(known, mask)(plan).denoise(x, 0.7), mask * d + (1 - mask) * known)


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_a_mask_lies_between_0_and_1(value: float) -> None:
    with pytest.raises(UsageError, match="mask"):
        edit.inpaint(randn(4), torch.tensor([0.0, 1.0, value, 0.0]))


@RANKS
def test_the_regenerated_part_agrees_with_the_kept_part(shape: Sequence[int]) -> None:
    data, mask, seeds = patterns(shape), half(shape), range(24)
    known = data.sample(range(100, 124))
    right = data.posterior(known).argmax(1)
    plan = edit.inpaint(known, mask)(planned(data.denoise, shape, seeds=seeds))
    travelled = edit.resample(16, segment=2)(plan)
    agree = [(data.posterior(p.result()).argmax(1) == right).double().mean().item() for p in (plan, travelled)]
    assert agree[0] < 0.8
    assert agree[1] > 0.9
    assert data.log_prob(travelled.result()).median() > data.log_prob(known).median() - 5


def test_edits_combine_in_any_order() -> None:
    """A variation of the masked part alone."""
    data, mask = patterns((16,)), half((16,))
    plan, known = planned(data.denoise, (16,)), data.sample(range(3))
    a = edit.inpaint(known, mask)(edit.variation(known, 0.25)(plan))
    b = edit.variation(known, 0.25)(edit.inpaint(known, mask)(plan))
    assert torch.equal(a.result(), b.result())
    kept = mask.expand_as(known) == 0
    torch.testing.assert_close(a.result()[kept], known[kept])
    assert (data.posterior(a.result()).argmax(1) == data.posterior(known).argmax(1)).all()
    assert len(list(edit.resample(3)(a).steps())) == 12


def test_resampling_may_come_before_or_after_inpainting() -> None:
    data, mask = patterns((16,)), half((16,))
    known = data.sample(range(100, 103))
    first, then = edit.resample(3, segment=2), edit.inpaint(known, mask)
    assert torch.equal(
        then(first(planned(data.denoise, (16,)))).result(), first(then(planned(data.denoise, (16,)))).result()
    )


# --- resampling ---------------------------------------------------------------------------------------------


def test_every_segment_is_run_again() -> None:
    sigmas = [8.0, 4.0, 2.0, 1.0, 0.0]
    asked: list[float] = []

    def watched(x: Tensor, sigma: Sigma, /) -> Tensor:
        asked.append(float(sigma))
        return torch.zeros_like(x)

    steps = list(edit.resample(2, segment=3)(planned(watched, (4,), sigmas=sigmas)).steps())
    assert asked == [8.0, 4.0, 2.0, 8.0, 4.0, 2.0, 1.0, 1.0]
    assert [step.i for step in steps] == list(range(8))
    assert [step.sigma for step in steps] == [4.0, 2.0, 1.0, 4.0, 2.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ANY)
def test_one_run_of_one_long_segment_changes_nothing(name: str) -> None:
    plan = planned(patterns((16,)).denoise, (16,), sampler=ANY[name])
    again = replace(plan, noise=Brownian((0, 1, 2), (16,), dtype=torch.float64))
    assert torch.equal(edit.resample(1, segment=99)(plan).result(), again.result())


@pytest.mark.parametrize("name", ANY)
def test_resampling_goes_with_every_sampler(name: str) -> None:
    data = patterns((16,))
    result = edit.resample(2, segment=5)(planned(data.denoise, (16,), sampler=ANY[name])).result()
    assert (data.posterior(result).max(1).values > 0.999).all()
    assert result.abs().max() < 1.6


@pytest.mark.parametrize(("repeats", "segment"), [(1, 1), (2, 1), (3, 2), (2, 5)])
def test_time_travel_keeps_the_distribution(repeats: int, segment: int) -> None:
    """Exactly, by probing: with the exact flow as the sampler a run is linear in the draws, so the squares of its
    coefficients add up to the variance of the result, which must be that of the data."""
    oracle = Gaussian(torch.zeros(1).double(), torch.tensor(0.6, dtype=torch.float64))
    sigmas, draws = [5.0, 3.0, 1.5, 0.75, 0.0], 50

    def exact(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise) -> Iterator[Step]:
        for i, (s, t) in enumerate(pairwise(sigmas)):
            x = oracle.flow(x, s, t)
            yield Step(i, t, x, x)

    basis = iter(torch.eye(draws).double()[:, :, None])
    start = next(basis) * (5.0**2 + 0.6) ** 0.5 / 5.0
    plan = Plan(oracle.denoise, exact, sigmas, torch.zeros(draws, 1).double(), start, lambda s, t: next(basis))
    coefficients = edit.resample(repeats, segment=segment)(plan).result()
    assert coefficients.square().sum().item() == pytest.approx(0.6, rel=1e-12)


def test_a_repeated_segment_has_noise_of_its_own() -> None:
    """A Brownian path would give the same increments again."""
    calls: list[tuple[float, float]] = []

    def noise(s: float, t: float, /) -> Tensor:
        calls.append((s, t))
        return torch.zeros(3, 16).double()

    plan = replace(planned(patterns((16,)).denoise, (16,), sampler=samplers.sde, sigmas=[4.0, 2.0, 1.0]), noise=noise)
    edit.resample(2, segment=2)(plan).result()
    assert calls == [(4.0, 2.0), (2.0, 1.0), (4.0, 4.0), (4.0, 4.0), (2.0, 2.0)]


@pytest.mark.parametrize(("repeats", "segment"), [(0, 1), (1, 0), (-1, 5)])
def test_resampling_needs_whole_runs(repeats: int, segment: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        edit.resample(repeats, segment=segment)


# --- masks and canvases -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "cells"),
    [
        ((0.0, 1.0), range(10)),
        ((0.3, 0.7), range(3, 7)),
        ((0.31, 0.69), range(3, 7)),
        ((0.1, 0.3), range(1, 3)),
        ((0.29, 0.71), range(2, 8)),
        ((0.5, 0.5 + 1e-9), range(5, 6)),
        ((1 - 1e-9, 1.0), range(9, 10)),
        ((0.0, 1e-9), range(1)),
    ],
)
def test_a_region_covers_every_cell_it_touches(region: tuple[float, float], cells: range) -> None:
    mask = edit.region_mask((2, 10), {"time": 1}, {"time": region})
    assert mask.dtype == torch.float32
    assert all(row.nonzero().flatten().tolist() == list(cells) for row in mask)


def test_whole_cells_stay_whole_at_any_length() -> None:
    for length in (7, 49, 100):  # 1 / 49 * 49 is below 1, 7 / 100 * 100 is above 7
        for first in range(length):
            for last in range(first + 1, length + 1):
                mask = edit.region_mask((length,), {"t": 0}, {"t": (first / length, last / length)})
                assert mask.nonzero().flatten().tolist() == list(range(first, last))


def test_a_region_is_a_box() -> None:
    mask = edit.region_mask((3, 4, 8, 10), {"t": 0, "y": -2, "x": -1}, {"y": (0.25, 0.5), "x": (0.5, 1.0)})
    expected = torch.zeros(3, 4, 8, 10)
    expected[:, :, 2:4, 5:] = 1
    assert torch.equal(mask, expected)
    assert edit.region_mask((2, 3), {"t": 0}, {}).min() == 1


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.6, 0.4), (-0.1, 0.5), (0.5, 1.1), (float("nan"), 1.0)])
def test_a_region_must_lie_inside(interval: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="empty or outside"):
        edit.region_mask((10,), {"time": 0}, {"time": interval})
    with pytest.raises(UsageError, match="there is time"):
        edit.region_mask((10,), {"time": 0}, {"height": (0.0, 0.5)})


@RANKS
def test_extend_makes_room_and_masks_it(shape: Sequence[int]) -> None:
    known = randn(3, *shape)
    for dim in (1, -1, known.ndim - 1):
        canvas, mask = edit.extend(known, dim, before=2, after=3)
        length = known.shape[dim]
        assert (
            canvas.shape
            == mask.shape
            == (*known.shape[: dim % known.ndim], length + 5, *known.shape[dim % known.ndim :][1:])
        )
        assert torch.equal(canvas.narrow(dim, 2, length), known)
        assert torch.equal(
            mask,
            1
            - torch.zeros_like(mask).narrow_copy(dim, 0, length + 5).index_fill(dim, torch.arange(2, 2 + length), 1.0),
        )
        assert (canvas * mask).abs().max() == 0


def test_an_extended_sample_goes_on_as_it_began() -> None:
    """The new room shares a window with the end of what is known, which tells the pattern."""
    means = torch.stack([torch.ones(8), -torch.ones(8)]).double()
    data = GaussianMixture(torch.ones(2).double(), means, torch.tensor([0.01, 0.01]).double())
    known = data.component(0).sample(range(100, 124))
    canvas, mask = edit.extend(known, 1, after=4)
    plan = planned(windowed(data.denoise, dim=1, size=8, overlap=4), (12,), seeds=range(24))
    result = edit.resample(16, segment=2)(edit.inpaint(canvas, mask)(plan)).result()
    torch.testing.assert_close(result[:, :8], known, rtol=0, atol=1e-13)
    assert ((result[:, 8:] - 1).abs() < 0.5).all(1).double().mean() > 0.9
    assert ((plan.result() - 1).abs() < 0.5).all(1).double().mean() < 0.6


@pytest.mark.parametrize(("before", "after"), [(0, 0), (-1, 3), (3, -1)])
def test_an_extension_has_a_length(before: int, after: int) -> None:
    with pytest.raises(UsageError, match="at least 1 cell"):
        edit.extend(randn(2, 4), 1, before=before, after=after)


# --- linear inverse problems --------------------------------------------------------------------------------


def lost(shape: Sequence[int]) -> Tensor:
    """Every other cell, and the last two."""
    mask = torch.arange(torch.Size(shape).numel()) % 2
    mask[-2:] = 1
    return mask.view(*shape)


OPERATORS: dict[str, Callable[[Sequence[int]], LinearOperator]] = {
    "downsample": lambda shape: edit.downsample({-1: 2}),
    "downsample_two_dims": lambda shape: edit.downsample({-1: 2, 1: 2} if len(shape) > 1 else {1: 4}),
    "blur": lambda shape: edit.blur(
        torch.tensor([0.25, 0.5, 0.15], dtype=torch.float64), [-1] if shape[-1] > 2 else [-2]
    ),
    "blur_two_dims": lambda shape: (
        edit.blur(torch.tensor([[0.3, 0.2], [0.4, 0.1]], dtype=torch.float64), [-1, 1])
        if len(shape) > 1
        else edit.blur(torch.ones(4).double() / 4, [1])
    ),
    "missing": lambda shape: edit.missing(lost(shape)),
}
EACH = pytest.mark.parametrize("name", OPERATORS)


def dense(operator: LinearOperator, shape: Sequence[int]) -> Tensor:
    """The operator's matrix (m, n), column by column."""
    n = torch.Size(shape).numel()
    return operator.forward(torch.eye(n).double().view(n, *shape)).flatten(1).T


@RANKS
@EACH
def test_the_pseudo_inverse_is_that_of_the_matrix(name: str, shape: Sequence[int]) -> None:
    operator = OPERATORS[name](shape)
    a = dense(operator, shape)
    y = operator.forward(randn(3, *shape, seed=1))
    noisy = y + randn(*y.shape, seed=2)
    torch.testing.assert_close(
        operator.pinv(noisy, 0.0).flatten(1), noisy.flatten(1) @ torch.linalg.pinv(a, rtol=1e-6).T, rtol=1e-9, atol=1e-9
    )
    ridge = torch.tensor([0.01, 0.5, 20.0]).double()
    for i, r in enumerate(ridge):
        inverse = a.T @ torch.linalg.inv(a @ a.T + r * torch.eye(len(a)).double())
        expected = inverse @ noisy[i].flatten()
        here = operator.pinv(noisy, ridge.view(-1, *[1] * len(shape)))[i]
        torch.testing.assert_close(here.flatten(), expected, rtol=1e-9, atol=1e-9)


def test_the_operators_do_what_they_say() -> None:
    x = randn(2, 3, 8)
    pooled = edit.downsample({1: 3, 2: 4}).forward(x)
    torch.testing.assert_close(pooled, torch.nn.functional.avg_pool2d(x[:, None], (3, 4))[:, 0])
    kernel = torch.tensor([0.2, 0.5, 0.3]).double()
    blurred = edit.blur(kernel, [2]).forward(x)
    by_hand = 0.2 * x.roll(-1, 2) + 0.5 * x + 0.3 * x.roll(1, 2)
    torch.testing.assert_close(blurred, by_hand)
    mask = torch.tensor([0, 1, 0, 1, 1, 0, 0, 1])
    torch.testing.assert_close(edit.missing(mask).forward(x), x * (1 - mask))


def test_operators_refuse_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match="multiple"):
        edit.downsample({-1: 3}).forward(randn(1, 8))
    with pytest.raises(UsageError, match="does not fit"):
        edit.blur(torch.ones(9).double(), [-1]).forward(randn(1, 8))
    with pytest.raises(UsageError, match="one for each"):
        edit.blur(torch.ones(3), [-1, -2])
    with pytest.raises(UsageError, match="missing"):
        edit.missing(torch.tensor([0.0, 0.5]))


@RANKS
@EACH
@pytest.mark.parametrize(("variance", "noise_std"), [(1.0, 0.0), (1.0, 0.3), (2.5, 0.1)])
def test_pi_gdm_is_the_exact_posterior_mean_of_a_gaussian(
    name: str, shape: Sequence[int], variance: float, noise_std: float
) -> None:
    """E[x0 | x, y] from the joint covariance of x0, x = x0 + sigma n and y = A x0 + noise."""
    operator, n = OPERATORS[name](shape), torch.Size(shape).numel()
    a, eye = dense(operator, shape), torch.eye(n).double()
    oracle = Gaussian(torch.zeros(shape).double(), torch.tensor(variance).double())
    y, x = operator.forward(randn(3, *shape, seed=1)), randn(3, *shape, seed=2)
    plan = edit.pseudo_inverse(operator, y, noise_std=noise_std, variance=variance)(planned(oracle.denoise, shape))
    sigmas = torch.tensor([0.1, 1.0, 7.0]).double()
    together = plan.denoise(x, sigmas)
    for i, sigma in enumerate(sigmas):
        across = variance * torch.cat([eye, a.T], 1)
        corner = variance * a @ a.T + noise_std**2 * torch.eye(len(a)).double()
        joint = torch.cat(
            [
                torch.cat([(variance + sigma**2) * eye, variance * a.T], 1),
                torch.cat([variance * a, corner], 1),
            ]
        )
        observed = torch.cat([x[i].flatten(), y[i].flatten()])
        exact = across @ torch.linalg.pinv(joint, rtol=1e-9, hermitian=True) @ observed
        torch.testing.assert_close(together[i].flatten(), exact, rtol=1e-6, atol=1e-6)


METHODS: dict[str, Callable[[LinearOperator, Tensor], edit.Edit]] = {
    "pseudo_inverse": edit.pseudo_inverse,
    "null_space": lambda operator, y: lambda plan: edit.resample(8)(edit.null_space(operator, y)(plan)),
}
TASKS = {
    "super_resolution": "downsample",
    "deblurring": "blur",
    "missing_data": "missing",
}


@RANKS
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("task", TASKS)
def test_the_pattern_behind_a_measurement_is_found(task: str, method: str, shape: Sequence[int]) -> None:
    data, seeds = patterns(shape), range(16)
    truth = data.sample(seeds)
    operator = OPERATORS[TASKS[task]](shape)
    y = operator.forward(truth)
    plan = planned(data.denoise, shape, seeds=range(100, 116), sigmas=karras(0.002, 20.0)(40))
    with torch.no_grad():
        found, free = METHODS[method](operator, y)(plan).result(), plan.result()
    right = data.posterior(truth).argmax(1)
    assert (data.posterior(free).argmax(1) == right).double().mean() < 0.6
    assert (data.posterior(found).argmax(1) == right).all()
    assert (operator.forward(found) - y).abs().max() < 1e-3
    assert (operator.forward(free) - y).abs().max() > 0.5
    assert (found - truth).square().mean().sqrt() < 0.2


@RANKS
def test_null_space_of_missing_data_is_inpainting(shape: Sequence[int]) -> None:
    data, mask = patterns(shape), lost(shape)
    known, x = data.sample(range(3)), randn(3, *shape)
    plan, operator = planned(data.denoise, shape), edit.missing(mask)
    a = edit.null_space(operator, operator.forward(known))(plan)
    torch.testing.assert_close(a.denoise(x, 0.7), edit.inpaint(known, mask)(plan).denoise(x, 0.7))


def test_a_noisy_measurement_is_not_copied() -> None:
    """Of N(0, 1) data measured with unit noise, the mean given y alone is y / 2."""
    oracle = Gaussian(torch.zeros(16).double(), torch.tensor(1.0).double())
    y = 4 * torch.ones(3, 16).double()
    plan = planned(oracle.denoise, (16,), sigmas=karras(0.002, 1000.0)(10))
    operator = edit.missing(torch.zeros(16))
    d = edit.pseudo_inverse(operator, y, noise_std=1.0)(plan).denoise(plan.unit * 1e4, 1e4)
    torch.testing.assert_close(d, y / 2, rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OPERATORS)
def test_a_restored_sample_does_not_depend_on_its_batch(name: str, method: str) -> None:
    shape = SHAPES[4]
    data, operator = patterns(shape), OPERATORS[name](shape)
    y = operator.forward(data.sample(range(3)))
    together = METHODS[method](operator, y)(planned(data.denoise, shape)).result()
    alone = [
        METHODS[method](operator, y[i : i + 1])(planned(data.denoise, shape, seeds=[i])).result() for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-9)


def test_pi_gdm_works_in_any_grad_mode() -> None:
    data, operator, x = patterns((16,)), edit.downsample({-1: 2}), randn(3, 16)
    y = operator.forward(data.sample(range(3)))
    denoise = edit.pseudo_inverse(operator, y)(planned(data.denoise, (16,))).denoise
    expected = denoise(x, 0.5)
    assert not expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(denoise(x, 0.5), expected)
    with torch.inference_mode():
        torch.testing.assert_close(denoise(x * 1.0, 0.5), expected)


@pytest.mark.parametrize("sampler", ANY.values(), ids=ANY)
def test_no_edit_writes_into_its_arguments(sampler: Sampler) -> None:
    data, mask = patterns((16,)), half((16,))
    plan, known = planned(data.denoise, (16,), sampler=sampler), data.sample(range(3))
    operator = edit.missing(mask)
    measurement = operator.forward(known)
    given = (plan.origin, plan.unit, known, mask, measurement)
    before = [t.clone() for t in given]
    for change in (
        edit.variation(known, 0.5),
        edit.inpaint(known, mask),
        edit.resample(2, segment=3),
        edit.pseudo_inverse(operator, measurement),
        edit.null_space(operator, measurement),
    ):
        change(plan).result()
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
