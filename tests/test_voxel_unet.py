"""The voxel U-Net: shapes, what it attends to, what it ignores, and that it starts as nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from multigen_models.shapes.voxel_unet import VoxelUNet

TINY = {
    "cells": 8,
    "features": 6,
    "channels": (8, 12, 16),
    "depth": (1, 1, 2),
    "blocks": (0, 1, 2),
    "kernels": (3, 3, 1),
    "heads": (0, 2, 2),
    "self_attention": (2,),
    "embedding": 16,
    "text": 12,
}


def condition(b: int, words: int, *, seed: int = 0) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        "text": torch.randn(b, words, 12, generator=g),
        "mask": torch.ones(b, words, dtype=torch.bool),
        "pooled": torch.randn(b, 12, generator=g),
    }


@pytest.fixture
def network() -> VoxelUNet:
    """A tiny network none of whose weights are zero."""
    torch.manual_seed(0)
    network = VoxelUNet(**TINY)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.35)
    return network.eval()


def inputs(b: int = 2) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(b, 6, 8, 8, 8, generator=g), torch.randn(b, generator=g)


@torch.no_grad()
def test_a_new_network_returns_zero() -> None:
    x, noise = inputs()
    y = VoxelUNet(**TINY)(x, noise, **condition(2, 3))
    assert y.shape == x.shape
    assert y.eq(0).all()


@pytest.mark.parametrize("shape", [(1, 6, 8, 8, 16), (1, 5, 8, 8, 8), (6, 8, 8, 8)])
def test_other_sizes_are_refused(network: VoxelUNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"it must be \(b, 6, 8, 8, 8\)"):
        network(torch.zeros(shape), torch.zeros(1), **condition(1, 3))


@torch.no_grad()
def test_padding_tokens_are_ignored_and_words_are_not(network: VoxelUNet) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    padded = {
        "text": torch.cat([given["text"], torch.full((2, 4, 12), 7.0)], dim=1),
        "mask": torch.cat([given["mask"], torch.zeros(2, 4, dtype=torch.bool)], dim=1),
        "pooled": given["pooled"],
    }
    wanted = network(x, noise, **given)
    torch.testing.assert_close(network(x, noise, **padded), wanted, rtol=0, atol=1e-5)
    uneven = padded | {"mask": torch.tensor([[True] * 3 + [False] * 4, [True] * 5 + [False] * 2])}
    changed = network(x, noise, **uneven)
    torch.testing.assert_close(changed[0], wanted[0], rtol=0, atol=1e-5)
    assert (changed[1] - wanted[1]).abs().max() > 1e-2
    other = given | {"text": condition(2, 3, seed=5)["text"]}
    assert (network(x, noise, **other) - wanted).abs().max() > 1e-2
    assert network(x, noise, **given | {"mask": torch.zeros_like(given["mask"])}).isfinite().all()


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(network: VoxelUNet) -> None:
    x, noise = inputs(b=3)
    given = condition(3, 3)
    together = network(x, noise, **given)
    for i in range(3):
        alone = network(x[i : i + 1], noise[i : i + 1], **{k: v[i : i + 1] for k, v in given.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("axis", [2, 3, 4])
def test_both_ends_of_every_axis_differ(network: VoxelUNet, axis: int) -> None:
    x, noise = inputs()
    given = condition(2, 3)
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
    x, noise = inputs(1)
    given = condition(1, 3)
    moved = x.clone()
    moved[:, :, 0, 0, 0] += 3
    change = (network(moved, noise, **given) - network(x, noise, **given)).abs().amax(dim=(0, 1))
    assert change.gt(1e-6).all()


@torch.no_grad()
def test_detail_passes_by_the_lower_levels(network: VoxelUNet) -> None:
    x, noise = inputs(1)
    y = network(x, noise, **condition(1, 3))
    for axis in (2, 3, 4):
        even, odd = y.unflatten(axis, (-1, 2)).unbind(axis + 1)
        assert (even - odd).abs().mean() > 1e-2 * y.abs().mean()


@torch.no_grad()
def test_noise_and_pooled_text_count(network: VoxelUNet) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    y = network(x, noise, **given)
    assert (network(x, noise + 0.5, **given) - y).abs().max() > 1e-2
    assert (network(x, noise, **given | {"pooled": -given["pooled"]}) - y).abs().max() > 1e-2


def test_every_parameter_learns(network: VoxelUNet) -> None:
    x, noise = inputs()
    network(x, noise, **condition(2, 3)).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


@torch.no_grad()
def test_saved_network_is_the_same(network: VoxelUNet, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    again = VoxelUNet.from_pretrained(tmp_path).eval()
    x, noise = inputs()
    assert again(x, noise, **condition(2, 3)).equal(network(x, noise, **condition(2, 3)))


@torch.no_grad()
def test_a_network_in_bfloat16_agrees_to_its_precision(network: VoxelUNet) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    wanted = network(x, noise, **given)
    half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in given.items()}
    made = network.to(torch.bfloat16)(x.bfloat16(), noise, **half)
    assert made.dtype == torch.bfloat16
    assert (made.float() - wanted).square().mean() < 2e-3 * wanted.square().mean()
