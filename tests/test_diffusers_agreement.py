"""The samplers against diffusers' schedulers, each in its usual loop, with the same nonlinear network.

diffusers' variance-preserving state is ours divided by sqrt(1 + sigma^2). Its tables are float32, so that states agree
to about 1e-5 of their size.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from toys import SHAPES, states, toy_network

import multigen  # noqa: F401  # before diffusers: a torchaudio built for another torch then imports
from multigen import denoise as dn
from multigen import samplers, schedules
from multigen.denoise import bind
from multigen.samplers import Sampler, sample

diffusers = pytest.importorskip("diffusers")

# diffusers hands torch tensors to numpy in a way that numpy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLOSE = {"rtol": 5e-5, "atol": 5e-5}


class Draws:
    """The same noise for both: ours through the call, diffusers' through its generator."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape, self.generator = tuple(shape), torch.Generator().manual_seed(3)

    def __call__(self, sigma: float, sigma_next: float) -> Tensor:
        return torch.randn(self.shape, dtype=torch.float64, generator=self.generator)


def ours(sampler: Sampler, sigmas: Sequence[float], unit: Tensor) -> Tensor:
    x = unit * math.sqrt(1 + sigmas[0] ** 2)
    return sample(sampler, bind(toy_network, dn.eps), x, sigmas, Draws(unit.shape))


def level_of(sigma: float, like: Tensor) -> Tensor:
    """The noise level as the eps parameterization tells it."""
    return torch.full((like.shape[0],), math.log(sigma) / 4, dtype=like.dtype)


def ancestors(make: Callable[..., Any], unit: Tensor, n: int, **options: Any) -> tuple[Tensor, list[float]]:
    """DDPM's and DDIM's loop, over timesteps of the discrete chain."""
    scheduler = make(clip_sample=False, beta_schedule="linear")
    scheduler.set_timesteps(n)
    sigmas = [schedules.from_abar(float(scheduler.alphas_cumprod[t])) for t in scheduler.timesteps]
    x, generator = unit, Draws(unit.shape).generator
    for t, sigma in zip(scheduler.timesteps, sigmas, strict=True):
        eps = toy_network(x, level_of(sigma, x))
        x = scheduler.step(eps, t, x, generator=generator, **options).prev_sample
    return x, [*sigmas, 0.0]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank{len(shape) + 1}")
@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim(eta: float, shape: tuple[int, ...]) -> None:
    unit = states(shape, 1.0)
    theirs, sigmas = ancestors(diffusers.DDIMScheduler, unit, 20, eta=eta)
    torch.testing.assert_close(ours(partial(samplers.ddim, eta=eta), sigmas, unit), theirs, **CLOSE)


@pytest.mark.parametrize(("variance", "name"), [(0.0, "fixed_small"), (1.0, "fixed_large")])
@pytest.mark.parametrize("n", [20, 1000])
def test_ddpm(n: int, variance: float, name: str) -> None:
    unit = states((2, 3), 1.0)
    theirs, sigmas = ancestors(partial(diffusers.DDPMScheduler, variance_type=name), unit, n)
    torch.testing.assert_close(ours(partial(samplers.ddpm, variance=variance), sigmas, unit), theirs, **CLOSE)


def test_heun() -> None:
    unit = states((2, 3), 1.0)
    scheduler = diffusers.HeunDiscreteScheduler(beta_schedule="scaled_linear")
    scheduler.set_timesteps(15)
    sigmas = [float(s) for s in [*scheduler.sigmas[:-1:2], scheduler.sigmas[-1]]]
    x = unit * math.sqrt(1 + sigmas[0] ** 2)
    for i, t in enumerate(scheduler.timesteps):
        eps = toy_network(scheduler.scale_model_input(x, t), level_of(float(scheduler.sigmas[i]), x))
        x = scheduler.step(eps, t, x).prev_sample
    torch.testing.assert_close(ours(samplers.heun, sigmas, unit), x, **CLOSE)


def multistep(scheduler: Any, unit: Tensor, n: int, noise: Draws | None = None) -> tuple[Tensor, list[float]]:
    """The loop of the schedulers that work on log-SNR."""
    scheduler.set_timesteps(n)
    sigmas, x = [float(s) for s in scheduler.sigmas], unit
    for t, sigma in zip(scheduler.timesteps, sigmas, strict=False):
        eps = toy_network(x, level_of(sigma, x))
        x = scheduler.step(eps, t, x, **({"variance_noise": noise(0, 0)} if noise else {})).prev_sample
    return x, sigmas


@pytest.mark.parametrize("n", [5, 20])
@pytest.mark.parametrize("karras", [False, True])
def test_dpmpp_2m(karras: bool, n: int) -> None:
    unit = states((2, 3), 1.0)
    scheduler = diffusers.DPMSolverMultistepScheduler(use_karras_sigmas=karras)
    theirs, sigmas = multistep(scheduler, unit, n)
    assert sigmas[-1] == 0
    torch.testing.assert_close(ours(samplers.dpmpp_2m, sigmas, unit), theirs, **CLOSE)


def test_dpmpp_2m_sde() -> None:
    unit = states((2, 3), 1.0)
    scheduler = diffusers.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++")
    theirs, sigmas = multistep(scheduler, unit, 20, Draws(unit.shape))
    torch.testing.assert_close(ours(samplers.dpmpp_2m_sde, sigmas, unit), theirs, **CLOSE)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n", [5, 20])
def test_unipc(n: int, order: int) -> None:
    unit = states((2, 3), 1.0)
    scheduler = diffusers.UniPCMultistepScheduler(solver_order=order, final_sigmas_type="zero")
    theirs, sigmas = multistep(scheduler, unit, n)
    assert sigmas[-1] == 0
    torch.testing.assert_close(ours(partial(samplers.unipc, order=order), sigmas, unit), theirs, **CLOSE)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_flow_euler(shift: float) -> None:
    """The rectified-flow state is ours divided by 1 + sigma; the schedule is compared on the way."""
    n, unit = 12, states((2, 3), 1.0)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=[0.999 * (1 - i / n) for i in range(n)])
    z = unit
    for t, time in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        velocity = toy_network(z, torch.full((z.shape[0],), float(time), dtype=z.dtype))
        z = scheduler.step(velocity, t, z).prev_sample
    sigmas = schedules.flow(0.999, shift=shift)(n)
    times = [sigma / (1 + sigma) for sigma in sigmas]
    assert times == pytest.approx(scheduler.sigmas.tolist(), rel=1e-6)
    x = sample(samplers.euler, bind(toy_network, dn.flow), unit * (1 + sigmas[0]), sigmas, Draws(unit.shape))
    torch.testing.assert_close(x, z.to(x), **CLOSE)


@pytest.mark.parametrize(
    ("schedule", "name", "options"),
    [
        (schedules.linear(), "linear", {}),
        (schedules.scaled_linear(0.0001, 0.02), "scaled_linear", {}),
        (schedules.scaled_linear(), "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
        (schedules.cosine(), "squaredcos_cap_v2", {}),
    ],
)
def test_beta_tables(schedule: schedules.Schedule, name: str, options: dict[str, float]) -> None:
    """All 1,000 levels, as cumulative products and as betas."""
    table = diffusers.DDPMScheduler(beta_schedule=name, **options)
    abars = torch.tensor([schedules.abar(s) for s in reversed(schedule(1000)[:-1])], dtype=torch.float64)
    torch.testing.assert_close(abars, table.alphas_cumprod.double(), rtol=2e-5, atol=1e-9)
    betas = 1 - abars / torch.cat([abars.new_ones(1), abars[:-1]])
    torch.testing.assert_close(betas, table.betas.double(), rtol=1e-5, atol=1e-7)
