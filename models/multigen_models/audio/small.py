"""The embedded audio model: a U-Net on log-magnitude spectrograms, 24 kHz, any duration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from multigen.denoise import Cond, Denoiser, Parameterization, local, ring, windowed
from multigen.modality import Sample
from multigen.model import Defaults
from multigen_models.audio.loudness import loud_rms
from multigen_models.audio.spectrogram import Spectrogram
from multigen_models.placed import place
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.weights import ZOO, Published, fingerprint, read_about, read_network

SPECKLE = 0.1
"""Variance of standardised log magnitude around its envelope: the skip of `multigen.denoise.local`."""
WINDOW = 384
SHORTEST = 256
OVERLAP = 96
LOOP_FRAMES = 24
LOUD = 0.1


def parameterization() -> Parameterization:
    """What the network predicts."""
    return local(SPECKLE)


@final
@dataclass(frozen=True)
class AudioSmall:
    """A `multigen.model.Model`; the state is (1, bins, frames)."""

    network: Any
    codec: Spectrogram
    scale: Scale
    fingerprint: str
    device: str
    dtype: torch.dtype
    name: str = "audio-small"
    modality: str = "audio"
    defaults: ClassVar[Defaults] = Defaults(steps=24, guidance="cfg:scale=7", sigma_max=250.0)
    axes: ClassVar[Mapping[str, int]] = {"frequency": -2, "time": -1}
    loader: ClassVar[str] = "audio-small"

    @classmethod
    def load(cls, folder: Path, /, *, device: str, dtype: str) -> "AudioSmall":
        """From a folder that `AudioRecipe.export` wrote."""
        from multigen_models.audio.spectrogram_unet import SpectrogramUNet

        about = read_about(folder)
        network = read_network(SpectrogramUNet, folder, dtype=dtype, device=device)
        scale = Scale.read(about, axes=2)
        return cls(network, Spectrogram(**about["codec"]), scale, fingerprint(folder), device, network.dtype)

    def with_network(self, network: Any, /, *, fingerprint: str) -> "AudioSmall":
        return replace(self, network=network, fingerprint=fingerprint)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        frames = self.extent(options)["time"]
        multiple = self.network.frame_multiple
        padded = max(SHORTEST, -(-frames // multiple) * multiple)
        return (1, self.codec.bins, frames if options.loop else padded)

    def extent(self, options: Any, /) -> Mapping[str, int]:
        return {"time": self.codec.frames(round(options.duration * self.codec.sample_rate))}

    def condition(self, prompts: Sequence[str], /) -> Cond:
        return stacked([embed(prompt) for prompt in prompts], device=self.device)

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser:
        whole = place(self.network, parameterization(), cond, device=self.device, dtype=self.dtype)
        spread = ring if options.loop else windowed
        return spread(whole, dim=-1, size=WINDOW, overlap=OVERLAP)

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """Mixed down, resampled and brought to the level that the model was trained at."""
        from torchaudio.functional import resample

        wave = resample(sample["wave"].mean(0), sample["sample_rate"], self.codec.sample_rate)
        x = self.scale.apply(self.codec.analyse(wave * _gain(wave, self.codec.sample_rate)))
        frames = self.shape(options)[-1]
        silence = self.scale.apply(torch.full_like(self.scale.mean, self.codec.floor).log())
        padding = silence.expand(-1, max(0, frames - x.shape[-1]))
        return torch.cat([x, padding], dim=-1)[None, :, :frames]

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        """For a loop the wave goes on for another 24 frames, into its own start."""
        length = round(options.duration * self.codec.sample_rate)
        if options.loop:
            repeats = -(-LOOP_FRAMES // x.shape[-1])
            x = torch.cat([x, x.repeat(1, 1, repeats)[..., :LOOP_FRAMES]], dim=-1)
            length += LOOP_FRAMES * self.codec.hop
        # No wave in [-1, 1] is louder than the window's sum, sqrt(gamma).
        logmag = self.scale.undo(x.float().cpu()).clamp(max=math.log(self.codec.gamma) / 2)
        wave = self.codec.synthesise(logmag, length=length)
        return {"wave": wave, "sample_rate": self.codec.sample_rate}


def _gain(wave: Tensor, sample_rate: int) -> float:
    """The factor that brings the loudest 30 % of 50 ms frames to an RMS of 0.1, as in training; at most 30."""
    return float((LOUD / loud_rms(wave, sample_rate).clamp(min=1e-9)).clamp(max=30.0))


published = Published(ZOO / "audio-small", AudioSmall.load)
