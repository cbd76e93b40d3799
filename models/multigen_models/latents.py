"""Latents of training samples, and their captions' states: coded once each, when they are first asked for, and kept in
memory-mapped files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from multigen.denoise import Cond
from multigen_models.prompts import TOKENS, encoded, padded
from multigen_models.scale import Scale
from multigen_models.text import WIDTH

Coded = tuple[Tensor, float, str]
"""Latents, a number that is not 0, such as a rate, and a caption."""


@final
class Latents:
    """Item i is what `code(i)` returns, its latents of `shape` through float16.

    The files can be shared by processes: what two of them write in one place is the same.
    """

    def __init__(self, code: Callable[[int], Coded], /, *, count: int, shape: tuple[int, ...], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._code, self._count = code, count
        self._latents = _array(folder / "latents.npy", (count, *shape), np.float16)
        # Of each item that is there its number, and its caption in UTF-8.
        self._numbers = _array(folder / "numbers.npy", (count,), np.float32)
        self._captions = _array(folder / "captions.npy", (count,), np.dtype("S400"))
        # Of each caption that was encoded its tokens, and after their states the pooled vector.
        self._tokens = _array(folder / "tokens.npy", (count,), np.uint8)
        self._states = _array(folder / "states.npy", (count, TOKENS + 1, WIDTH), np.float16)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Coded:
        if not self._numbers[index]:
            latents, number, caption = self._code(index)
            self._latents[index] = latents.numpy()
            self._captions[index] = json.dumps(caption).encode()
            self._numbers[index] = number  # the last of the three, because it says that they are there
        caption = json.loads(self._captions[index])
        return torch.from_numpy(self._latents[index].astype(np.float32)), float(self._numbers[index]), caption

    def cond(self, index: int, /) -> Cond:
        """What `embed` gives for the caption of item `index`, through float16."""
        if not self._tokens[index]:
            text, pooled = encoded(self[index][2])
            self._states[index, : len(text) + 1] = torch.cat([text, pooled[None]]).numpy()
            self._tokens[index] = len(text)  # after them, because it says that they are there
        states = torch.from_numpy(self._states[index, : self._tokens[index] + 1].astype(np.float32))
        return padded(states[:-1], states[-1])

    def scale(self, count: int, kept: Path, /) -> Scale:
        """Mean and deviation of every channel over the first `count` items, rounded as they are published.

        Measured once, and kept in a file.
        """
        if not kept.exists():
            x = torch.cat([self[i][0].flatten(1) for i in range(count)], dim=1).double()
            temporary = kept.with_suffix(".part")
            temporary.write_text(json.dumps(Scale(x.mean(1), x.std(1).clamp(min=1e-3)).write()))
            os.replace(temporary, kept)
        return Scale.read(json.loads(kept.read_text()), axes=self._latents.ndim - 1)


def _array(path: Path, shape: tuple[int, ...], kind: Any) -> Any:
    """A memory-mapped file, of zeros at first."""
    if not path.exists():
        temporary = path.with_suffix(".part")
        np.lib.format.open_memmap(temporary, "w+", kind, shape)
        temporary.replace(path)
    return np.lib.format.open_memmap(path, "r+")
