"""The point transformer: sets of any size in any order."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import POINTS

from multigen_models.layers import hidden
from multigen_models.shapes.point_transformer import PointTransformer


@pytest.fixture
def network() -> PointTransformer:
    return POINTS.made()


@torch.no_grad()
def test_the_order_of_the_points_goes_through(network: PointTransformer) -> None:
    network.double()
    x, noise = (t.double() for t in POINTS.inputs())
    given = {k: t.double() if t.is_floating_point() else t for k, t in POINTS.condition().items()}
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    y = network(x, noise, **given)
    torch.testing.assert_close(network(x[:, order], noise, **given), y[:, order], rtol=0, atol=1e-12)
    assert (y[:, order] - y).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 3, 100])
def test_there_may_be_any_number_of_points(network: PointTransformer, n: int) -> None:
    x, noise = POINTS.inputs(2, n, 6)
    y = network(x, noise, **POINTS.condition())
    assert y.shape == x.shape
    # Every point twice is the same cloud.
    twice = network(torch.cat([x, x], dim=1), noise, **POINTS.condition())
    torch.testing.assert_close(twice, torch.cat([y, y], dim=1), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_point_meets_every_other_one(network: PointTransformer) -> None:
    x, noise = POINTS.inputs()
    moved = x.clone()
    moved[:, 7] += 1
    change = (network(moved, noise, **POINTS.condition()) - network(x, noise, **POINTS.condition())).abs().amax((0, 2))
    assert (change > 1e-5).all()


@torch.no_grad()
def test_place_and_color_count(network: PointTransformer) -> None:
    x, noise = POINTS.inputs()
    given = POINTS.condition()
    y = network(x, noise, **given)
    for feature in range(6):
        other = x.clone()
        other[:, :, feature] += 1
        assert (network(other, noise, **given) - y).abs().max() > 1e-2


def test_muon_takes_the_matrices_between_the_first_layer_and_the_last(network: PointTransformer) -> None:
    taken = {name for name, p in network.named_parameters() if hidden(name) and p.ndim == 2}
    others = {name for name, p in network.named_parameters() if p.ndim == 2} - taken
    block = {"modulate_points", "modulate_latents"}
    assert {name.split(".")[2] for name in others if name.startswith("trunk.")} == block
    assert {"enter.weight", "leave.weight", "initial"} <= others
    assert len(taken) == 2 * (6 + 2 * 5 + 4)  # exchanges and text, two layers, the rest
