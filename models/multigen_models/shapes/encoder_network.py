"""The network of the embedded encoder of shapes."""

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
class SolidEncoder(Encoder, ModelMixin, ConfigMixin):
    """A pyramid of convolutions over a grid that coloured points fall into, and a linear layer to the text.

    Parameters
    ----------
    cells: of the grid, along each axis; a multiple of 2 ** (levels).
    channels: of each level.
    """

    @register_to_config
    def __init__(self, *, cells: int = 32, channels: Sequence[int] = (24, 40, 64, 96)) -> None:
        super().__init__()
        self.pyramid = Pyramid((4, *channels), conv=nn.Conv3d)
        left = cells // 2 ** len(channels)
        self.head = nn.Linear(left**3 * channels[-1], WIDTH)
        moved(self, memory_format=torch.channels_last_3d)

    def encode(self, x: Tensor, /) -> Tensor:
        """x: (b, 4, cells, cells, cells) -> (b, 384)."""
        out: Tensor = self.head(self.pyramid(x).flatten(1))
        return out
