"""U-Net on a space-to-depth spectrogram, conditioned on the noise level and on text tokens.

The spectrogram is folded into patches first, so every convolution works on few positions and many channels, where a CPU
is fast; convolutions carry the upper levels, attention the lower ones. Modulation by the noise level is shared by the
blocks of a level (adaLN-single, arXiv 2310.00426, section 2.3); blocks are pre-norm residual (arXiv 1603.05027).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Layer norm over the channels of every position. x: (b, c, h, w), channels_last -> the same."""

    def __init__(self, channels: int, /, *, affine: bool = True) -> None:
        super().__init__()
        self.shape = (channels,)
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        # The fused kernel over the last axis costs a third of RMS norm written out in bf16.
        weight = None if self.weight is None else self.weight.to(x.dtype)
        return F.layer_norm(x.permute(0, 2, 3, 1), self.shape, weight).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a modulation. x: (b, c, h, w), modulation: (b, 2c) -> (b, c, h, w)."""

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(channels, affine=False)
        self.modulation = nn.Parameter(torch.zeros(2 * channels))
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = ChannelNorm(channels)
        self.conv2 = _zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, modulation: Tensor, /) -> Tensor:
        scale, shift = (modulation + self.modulation).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(torch.addcmul(shift, self.norm1(x), 1 + scale)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Attention(nn.Module):
    """Residual attention of positions to themselves, or to text. x: (b, c, h, w) -> (b, c, h, w).

    Queries and keys are normalised (arXiv 2302.05442), which keeps training in bf16 stable.
    """

    def __init__(self, channels: int, /, *, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ChannelNorm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context, 2 * channels, bias=False)
        self.scale = nn.Parameter(torch.full((heads,), (channels / heads) ** -0.5))
        self.project = _zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """context: (b, l, context), by default the positions; bias: (b, 1, 1, l), added to the logits."""
        h = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2)
        q = self._split(self.query(h))
        k, v = map(self._split, self.key_value(h if context is None else context).chunk(2, dim=-1))
        q, k = (F.layer_norm(z, z.shape[-1:]) for z in (q, k))
        # Written out: with so few tokens the fused kernel takes two to five times as long backwards.
        logits = (q * self.scale[:, None, None].to(q.dtype)) @ k.transpose(-1, -2)
        h = (logits if bias is None else logits + bias.to(logits.dtype)).softmax(dim=-1).to(v.dtype) @ v
        h = self.project(h.transpose(1, 2).flatten(2))
        return x + h.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Stage(nn.Module):
    """The residual blocks of one resolution, then attention of the positions to one another and to the text.

    heads: 0 for no attention; itself: whether the positions attend to one another as well.
    """

    def __init__(self, channels: int, blocks: int, /, *, embedding: int, heads: int, itself: bool) -> None:
        super().__init__()
        self.modulate = nn.Linear(embedding, 2 * channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels) for _ in range(blocks))
        self.to_itself = Attention(channels, context=channels, heads=heads) if itself else None
        self.to_text = Attention(channels, context=embedding, heads=heads) if heads else None

    def forward(self, x: Tensor, embedding: Tensor, text: Tensor, bias: Tensor, /) -> Tensor:
        modulation = self.modulate(embedding)
        for block in self.blocks:
            x = block(x, modulation)
        if self.to_itself is not None:
            x = self.to_itself(x)
        return x if self.to_text is None else self.to_text(x, text, bias)


@final
class SpectrogramUNet(ModelMixin, ConfigMixin):
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
        super().__init__()
        p, q = patch
        self.noise_embedding = NoiseEmbedding(embedding)
        self.pooled_embedding = nn.Linear(text, embedding)
        self.text_embedding = nn.Sequential(nn.Linear(text, embedding), nn.LayerNorm(embedding))
        # Attended to beside the words, so that a prompt without words still has something to attend to.
        self.no_text = nn.Parameter(torch.zeros(1, 1, embedding))
        rows = bins // p
        # Convolutions cannot tell one frequency from another: every level is told.
        self.frequency = nn.ParameterList(
            nn.Parameter(0.02 * torch.randn(1, c, rows // 2**i, 1)) for i, c in enumerate(channels)
        )
        self.fold = nn.Conv2d(p * q, channels[0], 3, padding=1)

        def stage(i: int) -> Stage:
            itself = i in self_attention
            return Stage(channels[i], blocks[i], embedding=embedding, heads=heads[i], itself=itself)

        levels = range(len(channels))
        self.down = nn.ModuleList(stage(i) for i in levels)
        self.up = nn.ModuleList(stage(i) for i in levels)
        pairs = list(itertools.pairwise(channels))
        self.shrink = nn.ModuleList(nn.Conv2d(c, d, 2, stride=2) for c, d in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(d, c, 1) for c, d in pairs)
        self.norm = ChannelNorm(channels[0])
        self.unfold = _zeroed(nn.Conv2d(channels[0], p * q, 3, padding=1))
        self.to(memory_format=torch.channels_last)

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
        # A pooled vector of length 1 would be lost beside the noise level: entries of the order of 1 are not.
        pooled = pooled * math.sqrt(pooled.shape[1])
        embedding = F.silu(self.noise_embedding(noise) + self.pooled_embedding(pooled))
        # Columns that no sample attends to cost time only: batches come padded to one length.
        longest = int(mask.sum(dim=1).max())
        text, mask = text[:, :longest], mask[:, :longest]
        no_text = self.no_text.expand(len(x), -1, -1).to(text.dtype)
        text = torch.cat([no_text, self.text_embedding(text)], dim=1)
        bias = torch.zeros(len(x), 1, 1, text.shape[1], device=x.device)
        bias[..., 1:].masked_fill_(~mask[:, None, None, :], -1e4)
        p, q = self.config.patch
        h = self._frequency(self.fold(_fold(x, p, q)), 0)
        skips = []
        for i, stage in enumerate(self.down):
            h = stage(h, embedding, text, bias)
            if i < len(self.shrink):
                skips.append(h)
                h = self._frequency(self.shrink[i](h), i + 1)
        for i in reversed(range(len(self.up))):
            h = self.up[i](h, embedding, text, bias)
            if i:
                h = skips[i - 1] + F.interpolate(self.grow[i - 1](h), scale_factor=2.0)
        return _unfold(self.unfold(F.silu(self.norm(h))), p, q)

    def _frequency(self, h: Tensor, level: int) -> Tensor:
        return h + self.frequency[level].to(h.dtype)


class NoiseEmbedding(nn.Module):
    """Sinusoids of noise = log(sigma) / 4 through two layers. noise: (b,) -> (b, width)."""

    def __init__(self, width: int, /, *, waves: int = 32) -> None:
        super().__init__()
        self.waves = waves
        self.layers = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, noise: Tensor) -> Tensor:
        # In float32 whatever the weights are in: at the highest rate, bfloat16 would be off by tenths of a radian.
        angle = noise.float()[:, None] * torch.logspace(-1, 1, self.waves, device=noise.device) * math.pi
        return self.layers(torch.cat([angle.cos(), angle.sin()], dim=1).to(self.layers[0].weight.dtype))


def _fold(x: Tensor, p: int, q: int) -> Tensor:
    """(b, 1, h p, w q) -> (b, p q, h, w), channels_last."""
    b, _, h, w = x.shape
    patches = x.view(b, h // p, p, w // q, q).transpose(2, 3)
    return patches.reshape(b, h // p, w // q, p * q).permute(0, 3, 1, 2)


def _unfold(x: Tensor, p: int, q: int) -> Tensor:
    """(b, p q, h, w), channels_last -> (b, 1, h p, w q)."""
    b, _, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(b, h, w, p, q).transpose(2, 3).reshape(b, 1, h * p, w * q)


def _zeroed(layer: nn.Module) -> Any:
    """The layer with weights and bias of zero: a residual branch begins as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
