"""The voxel U-Net: sizes, positions, and what reaches what."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import VOXELS
from torch import nn

from multigen_models.shapes.voxel_unet import VoxelUNet


@pytest.fixture
def network() -> VoxelUNet:
    return VOXELS.made()


@pytest.mark.parametrize("shape", [(1, 6, 8, 8, 16), (1, 5, 8, 8, 8), (6, 8, 8, 8)])
def test_other_sizes_are_refused(network: VoxelUNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"it must be \(b, 6, 8, 8, 8\)"):
        network(torch.zeros(shape), torch.zeros(1), **VOXELS.condition(1))


@torch.no_grad()
@pytest.mark.parametrize("axis", [2, 3, 4])
def test_both_ends_of_every_axis_differ(network: VoxelUNet, axis: int) -> None:
    x, noise = VOXELS.inputs()
    given = VOXELS.condition()
    # Kernels that cannot tell the ends either: only the learned positions can.
    for module in network.modules():
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            module.weight.copy_(module.weight.mean(dim=(2, 3, 4), keepdim=True).expand_as(module.weight))
    y = network(x, noise, **given)
    assert (network(x.flip(axis), noise, **given).flip(axis) - y).abs().max() > 1e-2
    for position in network.position:
        position.zero_()
    y = network(x, noise, **given)
    torch.testing.assert_close(network(x.flip(axis), noise, **given).flip(axis), y, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_every_position_reaches_every_other(network: VoxelUNet) -> None:
    x, noise = VOXELS.inputs(1)
    given = VOXELS.condition(1)
    moved = x.clone()
    moved[:, :, 0, 0, 0] += 3
    change = (network(moved, noise, **given) - network(x, noise, **given)).abs().amax(dim=(0, 1))
    assert change.gt(1e-6).all()


@torch.no_grad()
def test_detail_passes_by_the_lower_levels(network: VoxelUNet) -> None:
    x, noise = VOXELS.inputs(1)
    y = network(x, noise, **VOXELS.condition(1))
    for axis in (2, 3, 4):
        even, odd = y.unflatten(axis, (-1, 2)).unbind(axis + 1)
        assert (even - odd).abs().mean() > 1e-2 * y.abs().mean()
