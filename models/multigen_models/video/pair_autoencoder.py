"""Autoencoder of films: two frames at a time to a grid an eighth of their height and width.

Pairs of frames are coded apart from one another, so films of any length can be cut, joined, looped and extended in
latent space without a trace, and one frame, shown twice, is an image. Blocks of pixels of both frames are folded into
channels first, so every convolution works on few positions and many channels, where a CPU is fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange, reduce
from torch import Tensor, nn

from multigen_models.layers import ChannelNorm, PlainBlock, moved

PAIR = 2
FOLD = 4  # pixels along the edge of a block that becomes one position
FACTOR = 2 * FOLD
"""Pixels along the edge of one position of the latents."""
LATENT = 16
"""Channels of the latents."""


@final
class PairAutoencoder(ModelMixin, ConfigMixin):
    """x (b, 3, t, h, w) in [-1, 1] to latents (b, latent, t / 2, h / 8, w / 8) and back.

    Parameters
    ----------
    latent: channels of the latents.
    encoder_channels, decoder_channels: at a quarter and at an eighth of the resolution.
    encoder_blocks, decoder_blocks: residual blocks at each resolution.
    """

    @register_to_config
    def __init__(
        self,
        *,
        latent: int = LATENT,
        encoder_channels: tuple[int, int] = (64, 128),
        decoder_channels: tuple[int, int] = (96, 160),
        encoder_blocks: int = 1,
        decoder_blocks: int = 2,
    ) -> None:
        super().__init__()
        pixels = 3 * PAIR * FOLD**2
        fine, coarse = encoder_channels
        self.encoder = nn.Sequential(
            nn.Conv2d(pixels, fine, 3, padding=1),
            *(PlainBlock(fine, axes=2) for _ in range(encoder_blocks)),
            nn.Conv2d(fine, coarse, 2, stride=2),
            *(PlainBlock(coarse, axes=2) for _ in range(encoder_blocks)),
            ChannelNorm(coarse),
            nn.Conv2d(coarse, latent, 1),
        )
        fine, coarse = decoder_channels
        self.decoder = nn.Sequential(
            nn.Conv2d(latent, coarse, 3, padding=1),
            *(PlainBlock(coarse, axes=2) for _ in range(decoder_blocks)),
            nn.ConvTranspose2d(coarse, fine, 2, stride=2),
            *(PlainBlock(fine, axes=2) for _ in range(decoder_blocks)),
            ChannelNorm(fine),
            nn.Conv2d(fine, pixels, 3, padding=1),
        )
        moved(self, memory_format=torch.channels_last)

    def encode(self, x: Tensor, /) -> Tensor:
        """Raises ValueError unless the number of frames is even, and height and width are multiples of 8."""
        _, _, t, h, w = x.shape
        if t % PAIR or h % FACTOR or w % FACTOR:
            raise ValueError(f"x is {tuple(x.shape)}; it must be (b, 3, a multiple of 2, two multiples of {FACTOR})")
        folded = rearrange(x, "b c (t i) (h p) (w q) -> (b t) (c i p q) h w", i=PAIR, p=FOLD, q=FOLD)
        return rearrange(self.encoder(folded), "(b t) c h w -> b c t h w", t=t // PAIR)

    def decode(self, z: Tensor, /) -> Tensor:
        folded = self.decoder(rearrange(z, "b c t h w -> (b t) c h w"))
        return rearrange(folded, "(b t) (c i p q) h w -> b c (t i) (h p) (w q)", t=z.shape[2], i=PAIR, p=FOLD, q=FOLD)

    def forward(self, x: Tensor, noise: Tensor, /, *, factors: Sequence[int] = (1,)) -> tuple[Tensor, list[Tensor]]:
        """Latents, and for each factor what is decoded from them, so many times smaller, with `noise` added.

        noise: of the latents' shape; smaller ones get a corner of it.
        """
        z = self.encode(x)
        shrunk = [smaller(z, factor) for factor in factors]
        return z, [self.decode(y + noise[..., : y.shape[-2], : y.shape[-1]]) for y in shrunk]


def smaller(x: Tensor, factor: int, /) -> Tensor:
    """Means of blocks of factor x factor positions: (..., h, w) to (..., h / factor, w / factor)."""
    return reduce(x, "... (h p) (w q) -> ... h w", "mean", p=factor, q=factor)
