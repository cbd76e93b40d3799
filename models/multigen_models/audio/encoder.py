"""The embedded encoder of sounds: log-mel spectrograms to the text encoder's space."""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.modality import Sample
from multigen_models.audio.loudness import loud_rms
from multigen_models.contrast_encoder import PublishedEncoder, SampleEncoder
from multigen_models.weights import ZOO, fingerprint, read_network

SAMPLE_RATE = 24_000
N_FFT, HOP, BANDS = 1024, 384, 64
"""Frames every 16 ms, of which 64 mel bands are seen."""
FRAMES = 250
"""What it is trained on, 4 s; shorter sounds are followed by silence, longer ones seen whole."""
SAMPLES = FRAMES * HOP
LOUD = 0.1
MIDDLE, SPREAD = -3.4, 2.2
"""About the mean and deviation of the natural logarithm of a band's magnitude."""


@final
class AudioEncoder(SampleEncoder):
    """Of sounds, whatever their level and rate."""

    name: ClassVar[str] = "audio-encoder"
    modality: ClassVar[str] = "audio"

    @classmethod
    def load(cls, folder: Path, /) -> "AudioEncoder":
        from multigen_models.audio.encoder_network import SoundEncoder

        return cls(read_network(SoundEncoder, folder), fingerprint(folder))

    def seen(self, sample: Sample, /) -> Tensor:
        return seen(_mono(sample))


def _mono(sample: Sample) -> Tensor:
    from torchaudio.functional import resample

    wave = resample(sample["wave"].mean(0), sample["sample_rate"], SAMPLE_RATE)
    return F.pad(wave, (0, max(0, SAMPLES - len(wave))))


def seen(wave: Tensor, /) -> Tensor:
    """What the network sees of a wave (t,): (1, 64, t / 384), loud parts at a common level."""
    wave = wave * (LOUD / loud_rms(wave, SAMPLE_RATE).clamp(min=1e-5))
    # Of power, because reduced precision would lose what is quiet.
    spectrum = torch.stft(wave, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True, pad_mode="constant")
    power = _filters().T @ spectrum[:, : len(wave) // HOP].abs().square()
    return ((power.add(1e-6).log() / 2 - MIDDLE) / SPREAD)[None]


@cache
def _filters() -> Any:
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(N_FFT // 2 + 1, 40.0, 11_500.0, BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney")


published = PublishedEncoder(ZOO / "audio-encoder", "audio", AudioEncoder.load)
