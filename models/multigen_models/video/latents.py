"""Latents of video scenes: coded once each, when they are first asked for, and kept in memory-mapped files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from multigen_models.video.pair_autoencoder import FACTOR, LATENT, PAIR
from multigen_models.video.scenes import VideoScenes

FRAMES, SIDE = 16, 128
SHAPE = (LATENT, FRAMES // PAIR, SIDE // FACTOR, SIDE // FACTOR)


@final
class Latents:
    """Item i is the latents `SHAPE` of scene i, float32, its frame rate and its caption.

    The files can be shared by processes: what two of them write in one place is the same.
    """

    def __init__(self, scenes: VideoScenes, codec: Any, folder: Path, /) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._scenes, self._codec = scenes, codec
        self._latents = _array(folder / "latents.npy", (len(scenes), *SHAPE), np.float16)
        # Of each scene that is there its frame rate, which is not 0, and its caption in UTF-8.
        self._rates = _array(folder / "rates.npy", (len(scenes),), np.float32)
        self._captions = _array(folder / "captions.npy", (len(scenes),), np.dtype("S400"))

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int, /) -> tuple[Tensor, float, str]:
        if not self._rates[index]:
            frames, fps, caption = self._scenes[index]
            self._latents[index] = self._coded(frames)
            self._captions[index] = json.dumps(caption).encode()
            self._rates[index] = fps  # the last of the three, because it says that they are there
        caption = json.loads(self._captions[index])
        return torch.from_numpy(self._latents[index].astype(np.float32)), float(self._rates[index]), caption

    @torch.no_grad()
    def _coded(self, frames: Tensor) -> Any:
        x = (frames.float() / 127.5 - 1).transpose(0, 1)[None]
        with torch.autocast("cpu", torch.bfloat16):
            return self._codec.encode(x)[0].float().numpy()


def _array(path: Path, shape: tuple[int, ...], kind: Any) -> Any:
    """A memory-mapped file, of zeros at first."""
    if not path.exists():
        temporary = path.with_suffix(".part")
        np.lib.format.open_memmap(temporary, "w+", kind, shape)
        temporary.replace(path)
    return np.lib.format.open_memmap(path, "r+")
