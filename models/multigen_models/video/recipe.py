"""How the embedded video model is trained.

First on single pairs of frames, then on four of a film's eight, and then on films:

    multigen train video-stills --data FOLDER
    multigen train video-clips --data FOLDER --warm-start runs/video-stills/model
    multigen train video-small --data FOLDER --warm-start runs/video-clips/model
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from multigen.denoise import Cond, Parameterization
from multigen.modality import Sample
from multigen.noise import white
from multigen.training import Items
from multigen_models.latents import Latents
from multigen_models.layers import hidden
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.video import small as video_small
from multigen_models.video.latents import SHAPE, scene_latents
from multigen_models.video.names import still_figures
from multigen_models.video.pair_autoencoder import PairAutoencoder
from multigen_models.video.scenes import VideoScenes
from multigen_models.video.small import VideoSmall, rate_of
from multigen_models.video.takes import Takes, load_takes
from multigen_models.weights import ZOO, fingerprint, read_network, start, write_folder

SCENES = 16_384
"""Different scenes; each is seen several times, with other noise, because coding one takes as long as a step."""
VALIDATION_SCENES = 96
STATISTICS_SCENES = 1000
REAL_SCENES = 1000
UNCONDITIONAL = 0.1
LATER = 4
"""Pairs of frames after which the noise levels of a film begin again."""
_BLOCK = 64  # items, a whole number of batches


class VideoRecipe:
    """A `multigen.training.Recipe` for a folder that `load_takes` takes.

    The codec is the one in the folder `codec` of the cache, or else the published one.
    """

    pairs: ClassVar[Sequence[int]] = (SHAPE[1],) * 6 + (SHAPE[1] // 2, 1)
    """So many pairs of frames after one another, from a moment that is drawn, are an item of each of the batches in
    turn; held-out items have the first number of them."""
    idles: ClassVar[bool] = True
    modality: ClassVar[str] = "video"
    # sigma is the level of the noisiest pairs of frames; that of the first is an eighth of it.
    settings: ClassVar[Mapping[str, Any]] = {"t_mean": 1.7, "t_sd": 1.5}
    prompts: ClassVar[Sequence[str]] = (
        "a fox galloping to the left through snow",
        "a red car driving to the right on a grey road",
        "a blue fish swimming to the right under water",
        "a knight walking towards the camera",
        "a white horse galloping to the right on grass",
        "a dog running to the left at sunset",
        "a green dinosaur walking to the left",
        "a wooden chair, the camera orbits around it",
    )

    def __init__(self, data: Path, cache: Path, /, *, seed: int = 0, warm_start: str | None = None) -> None:
        self.parameterization: Parameterization = video_small.parameterization()
        self._takes: Takes = load_takes(data, cache=cache)
        self._still = still_figures(data)
        own = cache / "codec"
        self._codec_folder = own if own.is_dir() else ZOO / "video-small" / "codec"
        self.codec = read_network(PairAutoencoder, self._codec_folder)
        self.seed, self._warm_start = seed, warm_start
        self._latents = cache / f"latents-{fingerprint(self._codec_folder)}"
        self.scale: Scale = self._scenes("train", SCENES, self.seed).scale(
            STATISTICS_SCENES, self._latents / "scale.json"
        )

    def network(self) -> nn.Module:
        from multigen_models.video.unet import VideoUNet

        network: nn.Module = start(VideoUNet, self._warm_start)
        return network

    def hidden(self, name: str, /) -> bool:
        return hidden(name)

    def levels(self, x0: Tensor, seeds: Sequence[int], /) -> Tensor:
        """Those of a film's beginning for every other sample, and else from a later pair on, as a window may."""
        ranks = torch.special.ndtr(white(seeds, (), stream=3).double()).tolist()  # uniform in (0, 1)
        firsts = [max(0, int(2 * LATER * rank) - LATER + 1) for rank in ranks]
        return torch.stack([video_small.levels(x0.shape[-3], first=first) for first in firsts])[:, None]

    def items(self, split: str, /) -> Items:
        if split == "train":
            return _Films(self, self._scenes("train", SCENES, self.seed), trained=True)
        return _Films(self, self._scenes("validation", VALIDATION_SCENES, 0), trained=False)

    def real(self, split: str, /, *, most: int) -> Iterator[tuple[str, Sample, str, str]]:
        """Scenes as they are drawn, `REAL_SCENES` for 0."""
        count = most or REAL_SCENES
        scenes = VideoScenes(self._takes, split=split, length=count, seed=1, still=self._still)
        for i in range(count):
            frames, fps, caption = scenes[i]
            yield f"{split}-{i}", {"frames": frames, "fps": fps}, caption, str(i)

    def collate(self, items: Sequence[tuple[Tensor, Cond]], /) -> tuple[Tensor, Cond]:
        """Films and parts of films do not go into one batch: it becomes one of such parts."""
        frames = min(x.shape[1] for x, _ in items)
        return torch.stack([x[:, :frames] for x, _ in items]), stacked([cond for _, cond in items])

    def export(self, network: nn.Module, folder: Path, /, *, about: Mapping[str, Any]) -> None:
        write_folder(
            folder,
            network,
            {"loader": VideoSmall.loader, **self.scale.write(), "training": about},
            inside={"codec": self._codec_folder},
        )

    def _scenes(self, split: str, count: int, seed: int) -> Latents:
        scenes = VideoScenes(self._takes, split=split, length=count, seed=seed, still=self._still)
        return scene_latents(scenes, self.codec, self._latents / f"{split}-{count}-{seed}")


@final
class VideoClipsRecipe(VideoRecipe):
    """The same network on stretches of half a film, which take half as long and show the same figures on the move."""

    pairs: ClassVar[Sequence[int]] = (SHAPE[1] // 2,) * 7 + (1,)


@final
class VideoStillsRecipe(VideoRecipe):
    """The same network on single pairs of frames alone, eight of which take as long as one film.

    What figures and places look like, and which words mean them, is in a single frame; batch for batch in the same
    time it is learned from eight times as many scenes.
    """

    pairs: ClassVar[Sequence[int]] = (1,)
    # Sample for sample batches of 32 teach as much, but a third fewer samples a second.
    settings: ClassVar[Mapping[str, Any]] = {**VideoRecipe.settings, "batch": 128, "samples": 1_000_000}


@final
class _Films:
    """Standardised latents with their captions' states and rates.

    Any index is valid: the scenes repeat. A share of what is trained on has the empty caption.
    """

    def __init__(self, recipe: VideoRecipe, latents: Latents, *, trained: bool) -> None:
        self._recipe, self._latents, self._trained = recipe, latents, trained

    def __len__(self) -> int:
        return len(self._latents)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Cond]:
        scene = index % len(self._latents)
        z, fps, _ = self._latents[scene]
        # The third number tells this generator from the one of the scene.
        rng = np.random.default_rng((self._recipe.seed, index, 1))
        dropped = self._trained and rng.random() < UNCONDITIONAL
        pairs = self._pairs(index)
        start = int(rng.integers(z.shape[1] - pairs + 1))
        z = z[:, start : start + pairs]
        cond = embed("") if dropped else self._latents.cond(scene)
        return self._recipe.scale.apply(z), {**cond, "rate": rate_of(fps)[0], "first": torch.tensor(start)}

    def _pairs(self, index: int) -> int:
        """The same for whole blocks of what is trained on, so that few batches are mixed."""
        pairs = self._recipe.pairs
        return pairs[index // _BLOCK % len(pairs)] if self._trained else pairs[0]
