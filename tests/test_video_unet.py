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
        stage.along_time.project.weight.zero_()
        stage.along_time.project.bias.zero_()
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
