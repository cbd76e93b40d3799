"""Latents of video scenes."""

from pathlib import Path
from typing import Any, final

import torch

from multigen_models.latents import Coded, Latents
from multigen_models.video.pair_autoencoder import FACTOR, LATENT, PAIR
from multigen_models.video.scenes import VideoScenes

FRAMES, SIDE = 16, 128
SHAPE = (LATENT, FRAMES // PAIR, SIDE // FACTOR, SIDE // FACTOR)


def scene_latents(scenes: VideoScenes, codec: Any, folder: Path, /) -> Latents:
    """Latents `SHAPE` of each scene, its frame rate and its caption."""
    return Latents(_Coding(scenes, codec), count=len(scenes), shape=SHAPE, folder=folder)


@final
class _Coding:
    def __init__(self, scenes: VideoScenes, codec: Any, /) -> None:
        self._scenes, self._codec = scenes, codec

    @torch.no_grad()
    def __call__(self, index: int, /) -> Coded:
        frames, fps, caption = self._scenes[index]
        x = (frames.float() / 127.5 - 1).transpose(0, 1)[None]
        with torch.autocast("cpu", torch.bfloat16):
            return self._codec.encode(x)[0].float(), fps, caption
