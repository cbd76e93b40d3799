"""What measures see of a sound: statistics of its log-mel spectrogram, a fixed random network, plain facts.

Waves go through `prepare` first, so that neither level nor silence at the ends tells two sounds apart.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLE_RATE = 24_000
BANDS = 64
HOP = 240
"""Samples from one log-mel frame to the next: 10 ms."""
N_FFT = 1024
RANGE = 60.0
"""dB below its loudest cell at which a log-mel spectrogram ends."""
AUDIBLE = 50.0
"""dB below its loudest 20 ms at which a sound is silent."""
LOUD = 0.1


def prepare(wave: Tensor, samples: int, /) -> Tensor:
    """(t,) at `SAMPLE_RATE` to (samples,): silence at the ends cut off, loud parts at an RMS of 0.1, silence appended.

    Silent is what lies 50 dB below the loudest 20 ms; loud parts are the loudest 30 % of 50 ms frames.
    """
    heard = torch.nonzero(_levels(wave, 0.02) > 10 ** (-AUDIBLE / 20) * _levels(wave, 0.02).max().clamp(min=1e-6))
    if not len(heard):
        return torch.zeros(samples)
    frame = SAMPLE_RATE // 50
    cut = wave[int(heard[0]) * frame : (int(heard[-1]) + 1) * frame][:samples]
    levels = _levels(cut, 0.05)
    loud = levels[levels >= levels.quantile(0.7)].square().mean().sqrt()
    return F.pad(cut * LOUD / loud, (0, samples - len(cut)))


def log_mel(waves: Tensor, /) -> Tensor:
    """(n, t) to (n, 64, frames): dB relative to the loudest cell, from -60 to 0; Slaney's mel scale, 10 ms frames."""
    spectrum = torch.stft(waves, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True, pad_mode="constant")
    power = _filters().T @ spectrum.abs().square()
    decibels = 10 * power.clamp(min=1e-10).log10()
    return (decibels - decibels.amax((1, 2), keepdim=True)).clamp(min=-RANGE)


def statistics(mel: Tensor, /) -> Tensor:
    """(n, 64, frames) to (n, 546): hand-made features.

    Of each band: mean, standard deviation, 10, 50 and 90 % quantiles, mean absolute change over 10 ms and 50 ms. Of
    each of eight groups of bands: level of modulation in ten ranges from 0.5 to 50 Hz. Of the whole: quantiles of the
    level and of its rise over 50 ms, and the share of frames near the floor.
    """
    quantiles = mel.quantile(torch.tensor([0.1, 0.5, 0.9]), dim=-1).unbind(0)
    changes = [(mel[..., lag:] - mel[..., :-lag]).abs().mean(-1) for lag in (1, 5)]
    bands = torch.cat([mel.mean(-1), mel.std(-1), *quantiles, *changes], dim=1)
    level = 10 * (10 ** (mel / 10)).mean(1).log10()
    rise = level[:, 5:] - level[:, :-5]
    marks = torch.tensor([0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98])
    whole = [level.quantile(marks, dim=1).T, rise.quantile(marks, dim=1).T, _quiet_shares(level)]
    return torch.cat([bands, _modulation(mel).flatten(1), *whole], dim=1)


class RandomNetwork(nn.Module):
    """A fixed convolutional network with random weights: (n, 64, frames) log-mel to (n, 512).

    Random networks rank generators much like trained ones where there is none for the data (Naeem et al., "Reliable
    fidelity and diversity metrics for generative models", arXiv 2002.09797). Four 3 x 3 convolutions with ReLU, each
    halving both axes; then mean and deviation over time of 64 channels in four ranges of frequency.
    """

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        widths = (1, 16, 32, 48, 64)
        self.weights = [
            torch.randn(out, fan, 3, 3, generator=generator) * (2 / (9 * fan)) ** 0.5 for fan, out in pairwise(widths)
        ]

    @torch.no_grad()
    def forward(self, mel: Tensor, /) -> Tensor:
        x = mel[:, None] / (RANGE / 2) + 1
        for weight in self.weights:
            x = F.relu(F.conv2d(x, weight, stride=2, padding=1))
            x = x / x.square().mean(1, keepdim=True).add(1e-3).sqrt()
        return torch.cat([x.mean(-1).flatten(1), x.std(-1).flatten(1)], dim=1)


def describe(wave: Tensor, /) -> Mapping[str, float]:
    """What is plain about a sound (t,) as it is written: see the keys.

    centroid and bandwidth in Hz are those of its mean power spectrum; modulation is the spread, in dB, between the
    10 % and 90 % quantiles of the level of its audible 20 ms frames; silence is the share of the others; flat tops are
    the share of samples within 0.1 % of the peak (clipping shows there at any level); DC is relative to the RMS.
    """
    loud = wave.abs().max().clamp(min=1e-9)
    rms = wave.square().mean().sqrt().clamp(min=1e-9)
    power = torch.stft(wave, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True).abs().square().mean(1)
    hertz = torch.linspace(0, SAMPLE_RATE / 2, len(power))
    share = power / power.sum().clamp(min=1e-20)
    centroid = (share * hertz).sum()
    levels = 20 * _levels(wave, 0.02).clamp(min=1e-6).log10()
    audible = levels[levels > levels.max() - AUDIBLE]
    spread = audible.quantile(0.9) - audible.quantile(0.1)
    values: Mapping[str, float | Tensor] = {
        "centroid (Hz)": centroid,
        "bandwidth (Hz)": (share * (hertz - centroid).square()).sum().sqrt(),
        "crest (dB)": 20 * (loud / rms).log10(),
        "modulation (dB)": spread,
        "silence (%)": 100 * (1 - len(audible) / len(levels)),
        "flat tops (%)": 100 * (wave.abs() >= 0.999 * loud).float().mean(),
        "DC (%)": 100 * (wave.mean() / rms).abs(),
    }
    return {name: float(value) for name, value in values.items()}


def _levels(wave: Tensor, seconds: float) -> Tensor:
    """RMS of every frame of so many seconds, the last one completed with zeros."""
    size = int(seconds * SAMPLE_RATE)
    return F.pad(wave, (0, -len(wave) % size)).view(-1, size).square().mean(1).sqrt()


def _modulation(mel: Tensor) -> Tensor:
    """(n, 8, 10): log magnitude of the changes over time of eight groups of bands, in ten ranges from 0.5 to 50 Hz."""
    groups = mel.unflatten(1, (8, -1)).mean(2)
    frames = groups.shape[-1]
    window = torch.hann_window(frames)
    spectrum = torch.fft.rfft((groups - groups.mean(-1, keepdim=True)) * window).abs() / frames
    hertz = torch.linspace(0, SAMPLE_RATE / HOP / 2, spectrum.shape[-1])
    edges = torch.logspace(-0.301, 1.7, 11)
    ranges = [(hertz >= low) & (hertz < high) for low, high in pairwise(edges)]
    return torch.stack([spectrum[..., inside].mean(-1) for inside in ranges], dim=-1).add(1e-2).log()


def _quiet_shares(level: Tensor) -> Tensor:
    """(n, 4): the shares of frames that lie so far below the loudest."""
    below = level.amax(1, keepdim=True) - level
    return torch.stack([(below > decibels).float().mean(1) for decibels in (10, 20, 30, 40)], dim=1)


@cache
def _filters() -> Any:
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(N_FFT // 2 + 1, 40.0, 11_500.0, BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
