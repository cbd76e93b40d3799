"""How the embedded audio model is trained: ``multigen train audio-small --data FOLDER``."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond, Parameterization
from multigen.evaluation.collection import spread
from multigen.modality import Sample
from multigen.training import ENDLESS, Items
from multigen_models.audio import small as audio_small
from multigen_models.audio.data import Recordings, load_recordings, split_by_recording
from multigen_models.audio.scenes import AS_RECORDED, SoundWindows
from multigen_models.audio.small import WINDOW, AudioSmall
from multigen_models.audio.spectrogram import Spectrogram
from multigen_models.layers import hidden
from multigen_models.prompts import embedded
from multigen_models.scale import Scale
from multigen_models.weights import start, write_folder

TRAINING_FRAMES = (
    256  # two thirds of the window that is sampled and validated: a third cheaper, and no worse (see the card)
)
VALIDATION_WINDOWS = 96
STATISTICS_WINDOWS = 600
UNCONDITIONAL = 0.1


@final
class AudioRecipe:
    """A `multigen.training.Recipe` for a folder in the Hugging Face audiofolder layout."""

    modality: ClassVar[str] = "audio"
    # What a sound is of is decided at high noise: more of it than of the default density (median sigma 3.7, not 2.2).
    settings: ClassVar[Mapping[str, Any]] = {"t_mean": 1.3, "t_sd": 1.3}
    prompts: ClassVar[Sequence[str]] = (
        "rain on a tin roof",
        "heavy rain on a plastic tent",
        "a dog barking in a large hall",
        "sea waves and seagulls",
        "a campfire crackling at night",
        "a helicopter passing by",
        "a rooster crowing",
        "a clock ticking",
    )

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self.parameterization: Parameterization = audio_small.parameterization()
        self.codec = Spectrogram()
        self._seed, self._warm_start = seed, warm_start
        self._recordings: Recordings = load_recordings(data, cache=cache)
        self._clips = dict(zip(("train", "validation"), split_by_recording(self._recordings.clips), strict=True))
        self.scale = self._statistics(cache / "spectrogram-scale.json")

    def network(self) -> nn.Module:
        from multigen_models.audio.spectrogram_unet import SpectrogramUNet

        network: nn.Module = start(SpectrogramUNet, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def items(self, split: str, /) -> Items:
        if split == "train":
            return _Spectrograms(self, self._windows("train", ENDLESS), unconditional=UNCONDITIONAL)
        windows = SoundWindows(
            self._recordings,
            self._clips["validation"],
            samples=self.codec.samples(WINDOW),
            length=VALIDATION_WINDOWS,
            seed=0,
            parts=AS_RECORDED,
        )
        return _Spectrograms(self, windows, unconditional=0.0)

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        for clip in spread(self._clips[split], most):
            wave = torch.from_numpy(self._recordings.wave(clip))[None]
            sample = {"wave": wave, "sample_rate": self.codec.sample_rate}
            yield clip.file_name, sample, clip.captions[0], clip.group

    def collate(self, items: Sequence[tuple[Tensor, str]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), embedded([caption for _, caption in items])

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(
            folder,
            network,
            {
                "loader": AudioSmall.loader,
                "codec": asdict(self.codec),
                **self.scale.write(),
                "training": about,
            },
        )

    def _windows(self, split: str, length: int) -> SoundWindows:
        return SoundWindows(
            self._recordings,
            self._clips[split],
            samples=self.codec.samples(TRAINING_FRAMES),
            length=length,
            seed=self._seed,
        )

    def _statistics(self, kept: Path) -> Scale:
        """Mean and deviation of every bin over the training windows, rounded as they are published."""
        if not kept.exists():
            windows = SoundWindows(
                self._recordings,
                self._clips["train"],
                samples=self.codec.samples(WINDOW),
                length=STATISTICS_WINDOWS,
                seed=0,
            )
            frames = torch.cat([self.codec.analyse(windows[i][0]).double() for i in range(len(windows))], dim=-1)
            scale = Scale(frames.mean(1), frames.std(1).clamp(min=0.1))
            temporary = kept.with_suffix(".part")
            temporary.write_text(json.dumps(scale.write()))
            os.replace(temporary, kept)
        return Scale.read(json.loads(kept.read_text()), axes=2)


@final
class _Spectrograms:
    """Standardised spectrograms of windows with their captions, a share of them with the empty one."""

    def __init__(self, recipe: AudioRecipe, windows: SoundWindows, *, unconditional: float) -> None:
        self._codec, self._scale = recipe.codec, recipe.scale
        self._windows, self._unconditional, self._seed = windows, unconditional, recipe._seed

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int, /) -> tuple[Tensor, str]:
        wave, caption = self._windows[index]
        dropped = np.random.default_rng((self._seed, index, 1)).random() < self._unconditional
        return self._scale.apply(self._codec.analyse(wave))[None], "" if dropped else caption
