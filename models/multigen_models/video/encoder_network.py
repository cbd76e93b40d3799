"""The network of the embedded encoder of films."""

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
class FilmEncoder(Encoder, ModelMixin, ConfigMixin):
    """A pyramid of convolutions over time, height and width, and a linear layer to the text.

    Parameters
    ----------
    frames, side: of the films; side a multiple of 2 ** levels.
    channels: of each level.
    """

    @register_to_config
    def __init__(self, *, frames: int = 8, side: int = 64, channels: Sequence[int] = (24, 40, 64, 80)) -> None:
        super().__init__()
        self.pyramid = Pyramid((3, *channels), conv=nn.Conv3d)
        shrunk = 2 ** len(channels)
        self.head = nn.Linear(-(-frames // shrunk) * (side // shrunk) ** 2 * channels[-1], WIDTH)
        moved(self, memory_format=torch.channels_last_3d)

    def encode(self, x: Tensor, /) -> Tensor:
        """x: (b, 3, frames, side, side) -> (b, 384)."""
        out: Tensor = self.head(self.pyramid(x).flatten(1))
        return out
