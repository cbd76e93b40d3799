"""U-Net on a space-to-depth spectrogram, conditioned on the noise level and on text tokens.

The spectrogram is folded into patches first, so every convolution works on few positions and many channels, where a CPU
is fast; convolutions carry the upper levels, attention the lower ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from multigen_models.layers import Context, Norm, Stage, UNet, moved, zeroed


@final
class SpectrogramUNet(UNet, ModelMixin, ConfigMixin):
    """F(into * x, noise) of the preconditioned denoiser, for standardised log-magnitude spectrograms.

    Parameters
    ----------
    bins: number of frequency bins; a multiple of patch[0] * 2 ** (levels - 1).
    patch: bins and frames folded into the channels of one position.
    channels: channels of each level; every level halves both axes of the one before.
    blocks: residual blocks of each level, on the way down and again on the way up.
    heads: attention heads of each level; 0 is a level without attention.
    self_attention: levels (by index) whose positions also attend to one another.
    embedding: width of the embedding of noise level and pooled text.
    text: width of the text encoder's states.
    """

    config: Any

    @register_to_config
    def __init__(
        self,
        *,
        bins: int = 384,
        patch: Sequence[int] = (8, 8),
        channels: Sequence[int] = (64, 128, 256),
        blocks: Sequence[int] = (1, 1, 1),
        heads: Sequence[int] = (0, 2, 4),
        self_attention: Sequence[int] = (2,),
        embedding: int = 256,
        text: int = 384,
    ) -> None:
        super().__init__(width=embedding, text=text)
        p, q = patch
        rows = bins // p
        # Convolutions cannot tell one frequency from another: every level is told.
        self.frequency = nn.ParameterList(
            nn.Parameter(0.02 * torch.randn(1, c, rows // 2**i, 1)) for i, c in enumerate(channels)
        )
        self.fold = nn.Conv2d(p * q, channels[0], 3, padding=1)

        def stage(i: int) -> Stage:
            itself = i in self_attention
            return Stage(channels[i], blocks[i], axes=2, kernel=3, embedding=embedding, heads=heads[i], itself=itself)

        self._add_levels(axes=2, channels=channels, stage=stage, grow=partial(nn.Conv2d, kernel_size=1))
        self.norm = Norm(channels[0])
        self.unfold = zeroed(nn.Conv2d(channels[0], p * q, 3, padding=1))
        moved(self, memory_format=torch.channels_last)

    @property
    def frame_multiple(self) -> int:
        """The number of frames of an input must be a multiple of this."""
        return int(self.config.patch[1] * 2 ** (len(self.config.channels) - 1))

    def forward(self, x: Tensor, noise: Tensor, /, *, text: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        """The network's output, of the shape of x.

        x: (b, 1, bins, frames); noise: (b,); text: (b, l, text); mask: (b, l) bool, True where there is a token;
        pooled: (b, text).

        Raises
        ------
        ValueError: bins differ from the configuration, or frames are no multiple of `frame_multiple`.
        """
        bins, multiple = self.config.bins, self.frame_multiple
        if x.shape[2] != bins or x.shape[3] % multiple:
            raise ValueError(f"x is {tuple(x.shape)}; it must be (b, 1, {bins}, a multiple of {multiple})")
        p, q = self.config.patch
        context = self.context(noise, text=text, mask=mask, pooled=pooled)
        h = self._through_levels(self.fold(_fold(x, p, q)), context)
        h = F.silu(self.norm(h.movedim(1, -1))).movedim(-1, 1)
        return _unfold(self.unfold(h), p, q)

    def _larger(self, h: Tensor, level: int, /) -> Tensor:
        return F.interpolate(self.grow[level](h), scale_factor=2.0)

    def _place(self, h: Tensor, level: int, context: Context, /) -> Tensor:
        return h + self.frequency[level].to(h.dtype)


def _fold(x: Tensor, p: int, q: int) -> Tensor:
    """(b, 1, h p, w q) -> (b, p q, h, w), channels_last."""
    b, _, h, w = x.shape
    patches = x.view(b, h // p, p, w // q, q).transpose(2, 3)
    return patches.reshape(b, h // p, w // q, p * q).permute(0, 3, 1, 2)


def _unfold(x: Tensor, p: int, q: int) -> Tensor:
    """(b, p q, h, w), channels_last -> (b, 1, h p, w q)."""
    b, _, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(b, h, w, p, q).transpose(2, 3).reshape(b, 1, h * p, w * q)
