"""Edits of sets: what is held is in the result whatever the sampler, rows go where the network wants them, noise suits
the sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from multigen.edit import Plan, variation
from multigen.noise import Brownian, white
from multigen.samplers import ddim, dpmpp_2m, euler, heun, unipc
from multigen.schedules import karras
from multigen_models.shapes.set_edits import contain, pair
from multigen_models.shapes.transport import assign, nearest


def plan(denoise, *, b: int = 2, n: int = 64) -> Plan:
    return Plan(
        denoise=denoise,
        sampler=dpmpp_2m,
        sigmas=karras(0.02, 80.0)(8),
        origin=torch.zeros(b, n, 6),
        unit=white(list(range(b)), (n, 6)),
        noise=Brownian(list(range(b)), (n, 6)),
    )


@pytest.mark.parametrize("sampler", [euler, ddim, heun, dpmpp_2m, unipc])
def test_the_held_points_take_the_rows_that_are_nearest(sampler) -> None:
    wanted, held = white([5, 6], (64, 6)), 2 * white([7], (20, 6))[0]
    made = contain(held)(replace(plan(lambda x, sigma: wanted), sampler=sampler)).result()
    for cloud, expected in zip(made, wanted.clone(), strict=True):
        expected[nearest(held[:, :3], expected[:, :3])] = held
        torch.testing.assert_close(cloud, expected, rtol=0, atol=1e-4)


def test_rows_may_change_their_mind() -> None:
    """The points that a denoiser wants move from one noise level to the next: at the end they are all there."""
    held = white([7], (30, 6))[0]
    made = contain(held)(plan(lambda x, sigma: 0.5 * x / (1 + float(torch.as_tensor(sigma).max())))).result()
    for cloud in made:
        distance = torch.cdist(held.double(), cloud.double())
        assert distance.amin(1).max() < 1e-4
        assert len(distance.argmin(1).unique()) == 30


def test_what_the_denoiser_returns_is_left_alone() -> None:
    wanted = white([5, 6], (64, 6))
    kept = wanted.clone()
    held = white([7], (20, 6))[0]
    contain(held)(plan(lambda x, sigma: wanted)).result()
    assert wanted.equal(kept)


def test_nothing_and_everything_can_be_held() -> None:
    wanted = white([5, 6], (64, 6))
    nothing = contain(torch.zeros(0, 6))(plan(lambda x, sigma: wanted)).result()
    torch.testing.assert_close(nothing, wanted, rtol=0, atol=1e-4)
    held = white([9], (64, 6))[0]
    everything = contain(held)(plan(lambda x, sigma: wanted)).result()
    for cloud in everything:
        assert torch.cdist(held.double(), cloud.double()).amin(1).max() < 1e-4


def test_noise_is_put_in_the_order_that_suits_the_sample() -> None:
    x0 = white([3], (64, 6))[0] * torch.tensor([2.0, 1, 0.5, 1, 1, 1])
    varied = variation(x0, 0.5)(plan(lambda x, sigma: x))
    paired = pair(varied)

    def rows(cloud: Tensor) -> list[tuple[float, ...]]:
        return sorted(map(tuple, cloud.tolist()))

    for i in range(2):
        assert rows(paired.unit[i]) == rows(varied.unit[i])
    assert paired.origin.equal(varied.origin)
    assert paired.sigmas == varied.sigmas
    cost = [(p.unit - p.origin)[:, :, :3].square().sum(2).mean() for p in (varied, paired)]
    assert cost[1] < 0.4 * cost[0]
    # As in training, where the sample is put in the order of its noise.
    index = assign(paired.origin[:, :, :3], paired.unit[:, :, :3])
    assert index.equal(torch.arange(64).expand(2, 64))
