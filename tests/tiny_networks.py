"""The embedded networks in little, and what they are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from multigen_models.audio.spectrogram_unet import SpectrogramUNet
from multigen_models.shapes.point_transformer import PointTransformer
from multigen_models.shapes.voxel_unet import VoxelUNet
from multigen_models.video.unet import VideoUNet

TEXT = 12


@dataclass(frozen=True)
class Kind:
    """A network's class and its little configuration.

    shape: of one sample. std: of the weights of `made`. told: what it is told beside noise and text, one number each.
    """

    network: type[Any]
    config: Mapping[str, Any]
    shape: tuple[int, ...]
    std: float
    told: tuple[str, ...] = field(default=())

    def new(self) -> Any:
        return self.network(**self.config, text=TEXT)

    def made(self) -> Any:
        """A network none of whose weights are zero."""
        torch.manual_seed(0)
        network = self.new()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=self.std)
        return network.eval()

    def inputs(self, b: int = 2, *shape: int) -> tuple[Tensor, Tensor]:
        """A noisy batch, of another shape if one is given, and its noise levels."""
        g = torch.Generator().manual_seed(1)
        return torch.randn(b, *(shape or self.shape), generator=g), torch.randn(b, generator=g)

    def condition(self, b: int = 2, words: int = 3, *, seed: int = 0) -> dict[str, Tensor]:
        g = torch.Generator().manual_seed(seed)
        return {
            "text": torch.randn(b, words, TEXT, generator=g),
            "mask": torch.ones(b, words, dtype=torch.bool),
            "pooled": torch.randn(b, TEXT, generator=g),
            **{name: torch.zeros(b) for name in self.told},
        }


SPECTROGRAM = Kind(
    SpectrogramUNet,
    {"bins": 32, "patch": (4, 4), "channels": (8, 16), "blocks": (1, 1), "heads": (0, 2), "self_attention": (1,),
     "embedding": 16},
    shape=(1, 32, 24), std=0.2,
)  # fmt: skip
VOXELS = Kind(
    VoxelUNet,
    {"cells": 8, "features": 6, "channels": (8, 12, 16), "depth": (1, 1, 2), "blocks": (0, 1, 2),
     "kernels": (3, 3, 1), "heads": (0, 2, 2), "self_attention": (2,), "embedding": 16},
    shape=(6, 8, 8, 8), std=0.35,
)  # fmt: skip
POINTS = Kind(
    PointTransformer,
    {"points": 12, "exchange": 8, "latents": 5, "width": 16, "blocks": 2, "layers": 2, "heads": 2, "frequencies": 3},
    shape=(40, 6), std=0.5,
)  # fmt: skip
VIDEO = Kind(
    VideoUNet,
    {"features": 4, "rows": 8, "frames": 4, "channels": (16, 24, 32), "heads": (2, 2, 2), "embedding": 32},
    shape=(4, 4, 8, 8), std=0.2, told=("rate",),
)  # fmt: skip
