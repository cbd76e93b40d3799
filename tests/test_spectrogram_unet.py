"""The spectrogram U-Net: shapes, what it attends to, what it ignores, and that it starts as nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from multigen_models.audio.spectrogram_unet import SpectrogramUNet, _fold, _unfold

TINY = {
    "bins": 32,
    "patch": (4, 4),
    "channels": (8, 16),
    "blocks": (1, 1),
    "heads": (0, 2),
    "self_attention": (1,),
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
def network() -> SpectrogramUNet:
    """A tiny network none of whose weights are zero."""
    torch.manual_seed(0)
    network = SpectrogramUNet(**TINY)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return network.eval()


def inputs(b: int = 2, frames: int = 24) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(b, 1, 32, frames, generator=g), torch.randn(b, generator=g)


@torch.no_grad()
def test_a_new_network_returns_zero() -> None:
    x, noise = inputs()
    assert SpectrogramUNet(**TINY)(x, noise, **condition(2, 3)).eq(0).all()


@torch.no_grad()
@pytest.mark.parametrize("frames", [8, 24, 40])
def test_frames_may_be_any_multiple(network: SpectrogramUNet, frames: int) -> None:
    assert network.frame_multiple == 8
    x, noise = inputs(frames=frames)
    assert network(x, noise, **condition(2, 3)).shape == x.shape


@pytest.mark.parametrize("shape", [(1, 1, 32, 20), (1, 1, 24, 24)])
def test_other_sizes_are_refused(network: SpectrogramUNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        network(torch.zeros(shape), torch.zeros(1), **condition(1, 3))


def test_folding_is_undone_and_gathers_patches() -> None:
    x = torch.arange(2 * 8 * 12.0).view(2, 1, 8, 12)
    folded = _fold(x, 2, 4)
    assert folded.is_contiguous(memory_format=torch.channels_last)
    assert folded[1, :, 2, 1].tolist() == x[1, 0, 4:6, 4:8].flatten().tolist()
    assert _unfold(folded, 2, 4).equal(x)


@torch.no_grad()
def test_padding_tokens_are_ignored_and_words_are_not(network: SpectrogramUNet) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    padded = {
        "text": torch.cat([given["text"], torch.full((2, 4, 12), 7.0)], dim=1),
        "mask": torch.cat([given["mask"], torch.zeros(2, 4, dtype=torch.bool)], dim=1),
        "pooled": given["pooled"],
    }
    wanted = network(x, noise, **given)
    torch.testing.assert_close(network(x, noise, **padded), wanted, rtol=0, atol=1e-5)
    other = given | {"text": condition(2, 3, seed=5)["text"]}
    assert (network(x, noise, **other) - wanted).abs().max() > 1e-2
    assert network(x, noise, **given | {"mask": torch.zeros_like(given["mask"])}).isfinite().all()


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(network: SpectrogramUNet) -> None:
    x, noise = inputs(b=3)
    given = condition(3, 3)
    together = network(x, noise, **given)
    for i in range(3):
        alone = network(x[i : i + 1], noise[i : i + 1], **{k: v[i : i + 1] for k, v in given.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_frequencies_differ_and_noise_and_pooled_text_count(network: SpectrogramUNet) -> None:
    x, noise = inputs()
    given = condition(2, 3)
    y = network(x, noise, **given)
    flipped = network(x.flip(2), noise, **given).flip(2)
    assert (flipped - y).abs().max() > 1e-2
    assert (network(x, noise + 0.5, **given) - y).abs().max() > 1e-2
    assert (network(x, noise, **given | {"pooled": -given["pooled"]}) - y).abs().max() > 1e-2


def test_every_parameter_learns(network: SpectrogramUNet) -> None:
    x, noise = inputs()
    network(x, noise, **condition(2, 3)).square().mean().backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


@torch.no_grad()
def test_saved_network_is_the_same(network: SpectrogramUNet, tmp_path) -> None:
    network.save_pretrained(tmp_path)
    again = SpectrogramUNet.from_pretrained(tmp_path).eval()
    x, noise = inputs()
    assert again(x, noise, **condition(2, 3)).equal(network(x, noise, **condition(2, 3)))
