"""How the autoencoder of the embedded video model is trained: ``multigen train video-codec --data FOLDER``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond
from multigen.modality import Sample
from multigen.noise import white
from multigen.training import ENDLESS, Items
from multigen_models.latest import Latest
from multigen_models.video.names import still_figures
from multigen_models.video.pair_autoencoder import FACTOR, LATENT, PAIR, PairAutoencoder, smaller
from multigen_models.video.scenes import VideoScenes
from multigen_models.video.takes import Takes, load_takes
from multigen_models.weights import read_network, start, write_folder

PAIRS = 8  # from one scene after another: filming it takes longer than a step on one of them
VALIDATION_CLIPS = 48
ILLUSTRATIONS = 6
NOISE = 0.1  # deviation of what is added to the latents, so that slight errors in them do no harm
PRIOR = 1e-3  # weight of the latents' squares: with NOISE, the KL divergence from N(0, 1)
EDGES = 1.0  # weight of the error of differences between neighbouring pixels
SMALLER: Mapping[int, float] = {1: 1.0, 2: 1.0, 4: 0.5}
"""Weights of the errors of pictures so many times smaller, each from latents that were made smaller likewise.

What is coarse in the latents is then what is coarse in the picture ("Improving the diffusability of autoencoders",
arXiv 2502.14831).
"""


@final
class VideoCodecRecipe:
    """A `multigen.training.Recipe` and `Objective`, for a folder that `load_takes` takes."""

    modality: ClassVar[str] = "video"
    settings: ClassVar[Mapping[str, Any]] = {"samples": 100_000}
    prompts: ClassVar[Sequence[str]] = ()

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self._takes: Takes = load_takes(data, cache=cache)
        self._still = still_figures(data)
        self._seed, self._warm_start = seed, warm_start

    def network(self) -> nn.Module:
        network: nn.Module = start(PairAutoencoder, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return "conv" in name

    def items(self, split: str, /) -> Items:
        if split == "train":
            return _Pairs(self._scenes("train", ENDLESS, self._seed), self._seed)
        return _Whole(self._scenes("validation", VALIDATION_CLIPS, 0))

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]:
        return torch.stack([x for x, _ in items]), {}

    def loss(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> Tensor:
        """Absolute error of pixels and of their differences, in several sizes, and the prior of the latents."""
        z, made = network(x0, NOISE * self._noise(x0, seeds), factors=tuple(SMALLER))
        prior = PRIOR * z.float().square().flatten(1).mean(1)
        return prior + sum(
            weight * _error(small, smaller(x0, factor))
            for small, (factor, weight) in zip(made, SMALLER.items(), strict=True)
        )

    def errors(self, network: nn.Module, x0: Tensor, cond: Cond, /, *, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Mean squared error of pixels in [-1, 1] ("mean"), and the ratio of 2 to its root in dB ("psnr")."""
        _, (made,) = network(x0, torch.zeros_like(self._noise(x0, seeds)))
        squared = (made.float().clamp(-1, 1) - x0).square().flatten(1).mean(1)
        return {"mean": squared, "psnr": 10 * torch.log10(4 / squared)}

    @torch.no_grad()
    def illustrate(self, model: Path, /) -> list[tuple[str, Sample]]:
        """Held-out scenes, and under each of them what is left of it."""
        codec = read_network(PairAutoencoder, model)
        scenes = self._scenes("validation", ILLUSTRATIONS, 0)
        shown: list[tuple[str, Sample]] = []
        for frames, fps, caption in (scenes[i] for i in range(ILLUSTRATIONS)):
            made = codec.decode(codec.encode(_signed(frames)[None]))[0].transpose(0, 1)
            bytes_ = ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            shown += [(caption, {"frames": frames, "fps": fps}), ("coded and decoded", {"frames": bytes_, "fps": fps})]
        return shown

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(folder, network, {"training": about})

    def _scenes(self, split: str, length: int, seed: int) -> VideoScenes:
        return VideoScenes(self._takes, split=split, length=length, seed=seed, still=self._still)

    def _noise(self, x0: Tensor, seeds: Sequence[int]) -> Tensor:
        _, _, t, h, w = x0.shape
        return white(seeds, (LATENT, t // PAIR, h // FACTOR, w // FACTOR)).to(x0.device)


@final
class _Pairs:
    """Two frames (3, 2, h, w) in [-1, 1] after one another, PAIRS times of each scene; the last is kept at hand."""

    def __init__(self, scenes: VideoScenes, seed: int) -> None:
        self._scenes, self._seed = scenes, seed
        self._filmed = Latest(scenes.__getitem__)

    def __len__(self) -> int:
        return PAIRS * len(self._scenes)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        frames, _, _ = self._filmed(index // PAIRS)
        # The third number tells this generator from the one of the scene.
        first = int(np.random.default_rng((self._seed, index, 1)).integers(len(frames) - PAIR + 1))
        return _signed(frames[first : first + PAIR]), {}


@final
class _Whole:
    """Scenes (3, t, h, w) in [-1, 1]."""

    def __init__(self, scenes: VideoScenes) -> None:
        self._scenes = scenes

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        return _signed(self._scenes[index][0]), {}


def _error(made: Tensor, x0: Tensor) -> Tensor:
    error = made.float() - x0
    edges = sum(error.diff(dim=dim).abs().flatten(1).mean(1) for dim in (-1, -2))
    return error.abs().flatten(1).mean(1) + EDGES * edges


def _signed(frames: Tensor) -> Tensor:
    """(t, 3, h, w) uint8 as (3, t, h, w) in [-1, 1]."""
    return frames.transpose(0, 1).float() / 127.5 - 1
