"""Autoencoder of packed distance and colour grids: 88 channels at 16^3 to 16 at 8^3, and back.

What a surface looks like within a few voxels is the decoder's to know, so that a diffusion model on the latents decides
what goes where and no more. The latents are local: a part of a shape can be kept or made anew.
"""

from __future__ import annotations

from typing import final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from multigen_models.layers import ChannelNorm, PlainBlock, moved

LATENT = 16
"""Channels of the latents."""
FACTOR = 2
"""Packed positions along the edge of one position of the latents."""


@final
class GridAutoencoder(ModelMixin, ConfigMixin):
    """x (b, features, n, n, n), packed grids, to latents (b, latent, n / 2, n / 2, n / 2) and back.

    Parameters
    ----------
    features: what is folded into the channels of one packed position.
    latent: channels of the latents.
    encoder_channels, decoder_channels: at the packed resolution and at half of it.
    encoder_blocks, decoder_blocks: residual blocks at each of the two.
    """

    @register_to_config
    def __init__(
        self,
        *,
        features: int = 88,
        latent: int = LATENT,
        encoder_channels: tuple[int, int] = (64, 128),
        decoder_channels: tuple[int, int] = (80, 160),
        encoder_blocks: tuple[int, int] = (0, 1),
        decoder_blocks: tuple[int, int] = (1, 2),
    ) -> None:
        super().__init__()
        fine, coarse = encoder_channels
        self.encoder = nn.Sequential(
            nn.Conv3d(features, fine, 1),
            *(PlainBlock(fine, axes=3) for _ in range(encoder_blocks[0])),
            nn.Conv3d(fine, coarse, 2, stride=2),
            *(PlainBlock(coarse, axes=3) for _ in range(encoder_blocks[1])),
            ChannelNorm(coarse),
            nn.Conv3d(coarse, latent, 1),
        )
        fine, coarse = decoder_channels
        self.decoder = nn.Sequential(
            nn.Conv3d(latent, coarse, 3, padding=1),
            *(PlainBlock(coarse, axes=3) for _ in range(decoder_blocks[1])),
            nn.ConvTranspose3d(coarse, fine, 2, stride=2),
            *(PlainBlock(fine, axes=3) for _ in range(decoder_blocks[0])),
            ChannelNorm(fine),
            nn.Conv3d(fine, features, 1),
        )
        moved(self, memory_format=torch.channels_last_3d)

    def encode(self, x: Tensor, /) -> Tensor:
        """Raises ValueError unless the three axes are multiples of 2."""
        if any(n % FACTOR for n in x.shape[2:]):
            raise ValueError(f"x is {tuple(x.shape)}; its last three axes must be multiples of {FACTOR}")
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor, /) -> Tensor:
        x: Tensor = self.decoder(z)
        return x

    def forward(self, x: Tensor, noise: Tensor, /) -> tuple[Tensor, Tensor]:
        """Latents, and what is decoded from them with `noise` of their shape added."""
        z = self.encode(x)
        return z, self.decode(z + noise)
