"""How the embedded encoder of sounds is trained: ``multigen train audio-encoder --data FOLDER``."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.training import ENDLESS, Items
from multigen_models.audio.data import Clip, Recordings, load_recordings, split_by_recording
from multigen_models.audio.encoder import SAMPLES, AudioEncoder, seen
from multigen_models.audio.scenes import SoundWindows
from multigen_models.contrast_encoder import ContrastRecipe, captioned
from multigen_models.weights import start

HIDDEN_BANDS, HIDDEN_FRAMES = 12, 50
"""At most so many bands and frames of a training item are blanked (SpecAugment, arXiv 1904.08779)."""


@final
class AudioEncoderRecipe(ContrastRecipe):
    """For a folder that `multigen_models.audio.data` takes; held out are whole recordings, once each."""

    modality: ClassVar[str] = "audio"
    loader: ClassVar[str] = AudioEncoder.name

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self._seed, self._warm_start = seed, warm_start
        self._recordings: Recordings = load_recordings(data, cache=cache)
        self._training, self._validation = split_by_recording(self._recordings.clips)

    def network(self) -> nn.Module:
        from multigen_models.audio.encoder_network import SoundEncoder

        network: nn.Module = start(SoundEncoder, self._warm_start)
        return network

    def items(self, split: str, /) -> Items:
        if split == "train":
            windows = SoundWindows(self._recordings, self._training, samples=SAMPLES, length=ENDLESS, seed=self._seed)
            return _Seen(windows, seed=self._seed)
        return _Held(self._recordings, self._validation)


@final
class _Seen:
    """Spectrograms of windows with a few bands and frames blanked."""

    def __init__(self, windows: SoundWindows, *, seed: int) -> None:
        self._windows, self._seed = windows, seed

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        wave, caption = self._windows[index]
        x = seen(wave)
        rng = np.random.default_rng((self._seed, index, 1))  # apart from the window's own
        for axis, most in ((1, HIDDEN_BANDS), (2, HIDDEN_FRAMES)):
            count = int(rng.integers(most + 1))
            first = int(rng.integers(x.shape[axis] - count + 1))
            x.narrow(axis, first, count).fill_(x.mean())
        return x, captioned(caption)


@final
class _Held:
    """One window of every clip, always the same, with its plainest caption."""

    def __init__(self, recordings: Recordings, clips: Sequence[Clip]) -> None:
        self._recordings, self._clips = recordings, clips

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        clip = self._clips[index]
        wave = self._recordings.window(clip, SAMPLES, np.random.default_rng((0, index)))
        return seen(torch.from_numpy(wave)), captioned(clip.captions[0])
