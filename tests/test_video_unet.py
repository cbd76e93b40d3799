"""The spatio-temporal U-Net: what each part sees, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import VIDEO

from multigen_models.video.unet import VideoUNet


@pytest.fixture
def network() -> VideoUNet:
    return VIDEO.made()


def changed_by(network, x, cond, change):
    before = network(x, torch.zeros(len(x)), **cond)
    return (network(change(x), torch.zeros(len(x)), **cond) - before).abs()


@pytest.mark.parametrize("shape", [(1, 4, 1, 8, 8), (2, 4, 4, 8, 8), (1, 4, 3, 4, 12)])
def test_any_number_of_frames_and_any_fitting_size(network, shape):
    x = torch.randn(shape)
    assert network(x, torch.zeros(shape[0]), **VIDEO.condition(shape[0])).shape == shape


@pytest.mark.parametrize("shape", [(1, 3, 4, 8, 8), (1, 4, 5, 8, 8), (1, 4, 4, 6, 8), (1, 4, 4, 8, 10)])
def test_other_shapes_are_refused(network, shape):
    with pytest.raises(ValueError, match="it must be"):
        network(torch.randn(shape), torch.zeros(shape[0]), **VIDEO.condition(shape[0]))


@torch.no_grad()
def test_every_frame_sees_every_other_and_every_place(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), VIDEO.condition(1)

    def touch(x):
        x = x.clone()
        x[0, :, 3, 7, 7] += 1
        return x

    change = changed_by(network, x, cond, touch)
    assert (change.amax(dim=(0, 1)) > 1e-6).all()


@torch.no_grad()
def test_without_attention_between_frames_they_are_apart(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), VIDEO.condition(1)
    for stage in (*network.down, *network.up):
        for layer in (stage.nearby, stage.along_time):
            layer.project.weight.zero_()
            layer.project.bias.zero_()
        if stage.joint is not None:
            stage.joint.project.weight.zero_()
            stage.joint.project.bias.zero_()

    def touch(x):
        x = x.clone()
        x[0, :, 3] += 1
        return x

    change = changed_by(network, x, cond, touch)
    assert change[:, :, :3].max() == 0
    assert change[:, :, 3].min() > 0


@torch.no_grad()
def test_order_matters_in_time_and_height(network):
    x, cond = torch.randn(1, 4, 4, 8, 8), VIDEO.condition(1)
    out = network(x, torch.zeros(1), **cond)
    for dim in (2, 3):
        flipped = network(x.flip(dim), torch.zeros(1), **cond).flip(dim)
        assert (flipped - out).abs().mean() > 1e-3


@torch.no_grad()
def test_what_is_nearby_reaches_the_next_frame_and_position(network):
    x = torch.randn(1, 4, 8, 8, 16)
    touched = x.clone()
    touched[0, 1, 4, 4] *= -1
    reached = (network.down[0].nearby(touched) - network.down[0].nearby(x)).abs().amax(dim=-1)[0] > 0
    expected = torch.zeros(4, 8, 8, dtype=torch.bool)
    expected[0:3, 3:6, 3:6] = True
    assert torch.equal(reached, expected)


@torch.no_grad()
def test_each_frame_is_told_its_own_noise_level(network):
    x, cond = torch.randn(2, 4, 4, 8, 8), VIDEO.condition(2)
    levels = torch.tensor([[0.1, -0.3, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2]])
    out = network(x, levels, **cond)
    torch.testing.assert_close(out[1:], network(x, torch.tensor([0.1, 0.2]), **cond)[1:])
    assert (out[0] - network(x, torch.tensor([0.1, 0.2]), **cond)[0]).abs().max() > 1e-3


@torch.no_grad()
def test_a_stretch_of_a_film_knows_where_it_begins(network):
    x, cond = torch.randn(2, 4, 2, 8, 8), VIDEO.condition(2)
    plain = network(x, torch.zeros(2), **cond)
    placed = network(x, torch.zeros(2), **cond, first=torch.tensor([0, 2]))
    assert torch.equal(placed[0], plain[0])
    assert (placed[1] - plain[1]).abs().max() > 1e-3
