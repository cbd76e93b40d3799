"""The network of the embedded encoder of sounds."""

from collections.abc import Sequence
from typing import final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from multigen_models.contrast_encoder import Encoder, Pyramid
from multigen_models.layers import moved
from multigen_models.text import WIDTH


@final
class SoundEncoder(Encoder, ModelMixin, ConfigMixin):
    """A pyramid of convolutions; mean and maximum over time of every channel and row, and a linear layer to the text.

    Parameters
    ----------
    bands: of the spectrogram; a multiple of 2 ** (levels).
    channels: of each level.
    """

    @register_to_config
    def __init__(self, *, bands: int = 64, channels: Sequence[int] = (32, 64, 96, 144)) -> None:
        super().__init__()
        self.pyramid = Pyramid((1, *channels))
        rows = bands // 2 ** len(channels)
        self.head = nn.Linear(2 * rows * channels[-1], WIDTH)
        moved(self, memory_format=torch.channels_last)

    def encode(self, x: Tensor, /) -> Tensor:
        """x: (b, 1, bands, frames) -> (b, 384)."""
        h = self.pyramid(x).flatten(1, 2)
        out: Tensor = self.head(torch.cat([h.mean(-1), h.amax(-1)], dim=1))
        return out
