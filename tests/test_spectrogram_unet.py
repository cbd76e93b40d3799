"""The spectrogram U-Net: how it folds, and sizes and frequencies."""

from __future__ import annotations

import pytest
import torch
from tiny_networks import SPECTROGRAM

from multigen_models.audio.spectrogram_unet import SpectrogramUNet, _fold, _unfold


@pytest.fixture
def network() -> SpectrogramUNet:
    return SPECTROGRAM.made()


@torch.no_grad()
@pytest.mark.parametrize("frames", [8, 24, 40])
def test_frames_may_be_any_multiple(network: SpectrogramUNet, frames: int) -> None:
    assert network.frame_multiple == 8
    x, noise = SPECTROGRAM.inputs(2, 1, 32, frames)
    assert network(x, noise, **SPECTROGRAM.condition()).shape == x.shape


@pytest.mark.parametrize("shape", [(1, 1, 32, 20), (1, 1, 24, 24)])
def test_other_sizes_are_refused(network: SpectrogramUNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        network(torch.zeros(shape), torch.zeros(1), **SPECTROGRAM.condition(1))


def test_folding_is_undone_and_gathers_patches() -> None:
    x = torch.arange(2 * 8 * 12.0).view(2, 1, 8, 12)
    folded = _fold(x, 2, 4)
    assert folded.is_contiguous(memory_format=torch.channels_last)
    assert folded[1, :, 2, 1].tolist() == x[1, 0, 4:6, 4:8].flatten().tolist()
    assert _unfold(folded, 2, 4).equal(x)


@torch.no_grad()
def test_frequencies_differ(network: SpectrogramUNet) -> None:
    x, noise = SPECTROGRAM.inputs()
    given = SPECTROGRAM.condition()
    y = network(x, noise, **given)
    flipped = network(x.flip(2), noise, **given).flip(2)
    assert (flipped - y).abs().max() > 1e-2
