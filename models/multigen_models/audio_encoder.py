"""The embedded encoder of sounds: log-mel spectrograms to the text encoder's space."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.modality import Sample
from multigen_models.contrast_encoder import PublishedEncoder, places
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
@dataclass(frozen=True)
class AudioEncoder:
    """A `multigen.evaluation.contract.Reads`."""

    network: Any
    fingerprint: str
    name: str = "audio-encoder"
    modality: str = "audio"
    loader: ClassVar[str] = "audio-encoder"

    @classmethod
    def load(cls, folder: Path, /) -> "AudioEncoder":
        from multigen_models.audio_encoder_network import SoundEncoder

        return cls(read_network(SoundEncoder, folder), fingerprint(folder))

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        """(384,) of length 1, whatever the level and the rate of the sound."""
        return F.normalize(self.network.encode(seen(_mono(sample))[None]), dim=1)[0]

    def text(self, prompts: Sequence[str], /) -> Tensor:
        return places(prompts)


def _mono(sample: Sample) -> Tensor:
    from torchaudio.functional import resample

    wave = resample(sample["wave"].mean(0), sample["sample_rate"], SAMPLE_RATE)
    return F.pad(wave, (0, max(0, SAMPLES - len(wave))))


def seen(wave: Tensor, /) -> Tensor:
    """What the network sees of a wave (t,): (1, 64, t / 384), loud parts at a common level."""
    hop = SAMPLE_RATE // 20
    frames = F.pad(wave, (0, -len(wave) % hop)).view(-1, hop).square().mean(1)
    loud = frames[frames >= frames.quantile(0.7)].mean().sqrt()
    wave = wave * (LOUD / loud.clamp(min=1e-5))
    # Of power, because reduced precision would lose what is quiet.
    spectrum = torch.stft(wave, N_FFT, HOP, window=torch.hann_window(N_FFT), return_complex=True, pad_mode="constant")
    power = _filters().T @ spectrum[:, : len(wave) // HOP].abs().square()
    return ((power.add(1e-6).log() / 2 - MIDDLE) / SPREAD)[None]


@cache
def _filters() -> Any:
    from torchaudio.functional import melscale_fbanks

    return melscale_fbanks(N_FFT // 2 + 1, 40.0, 11_500.0, BANDS, SAMPLE_RATE, norm="slaney", mel_scale="slaney")


published = PublishedEncoder(ZOO / "audio-encoder", "audio", AudioEncoder.load)
