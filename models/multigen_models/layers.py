"""What the networks share: noise and text conditions, attention on tokens, and the levels of a U-Net in 2 or 3 axes.

Blocks are pre-norm residual (arXiv 1603.05027) and begin as nothing. Modulation by the noise level is shared by the
blocks of a level (adaLN-single, arXiv 2310.00426, section 2.3). Maps are (b, c, ...) in the channels-last memory
format, so that their positions are tokens (b, n, c) without a copy.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
HIDDEN = ("conv1", "conv2", "query", "key_value", "project", "shrink", "grow")


class Context(NamedTuple):
    """What a network is told beside its input."""

    embedding: Tensor
    """Noise level and pooled text: (b, width), or (b, t, width) where each of t frames has a level of its own."""
    text: Tensor
    """What to attend to: (b, l, width)."""
    bias: Tensor
    """Added to the logits of attention to `text`: (b, 1, 1, l), very negative where there is no token."""
    moments: Tensor | None = None
    """Which moment of a film each frame is: (b, t)."""


class Conditioned(nn.Module):
    """Abstract: a network that is told a noise level and a text.

    width: of the context's vectors; text: of the text encoder's states.
    """

    def __init__(self, *, width: int, text: int) -> None:
        super().__init__()
        self.noise_embedding = NoiseEmbedding(width)
        self.pooled_embedding = nn.Linear(text, width)
        self.text_embedding = nn.Sequential(nn.Linear(text, width), nn.LayerNorm(width))
        # Attended to beside the words, so that a prompt without words still has something to attend to.
        self.no_text = nn.Parameter(torch.zeros(1, 1, width))

    def context(
        self, noise: Tensor, /, *, text: Tensor, mask: Tensor, pooled: Tensor, told: Tensor | None = None
    ) -> Context:
        """noise: (b,) or (b, t); text: (b, l, text); mask: (b, l) bool, True where there is a token; pooled: (b, text).

        told: (b, width), what else there is to know.
        """
        # A pooled vector of length 1 would be lost beside the noise level: entries of the order of 1 are not.
        pooled = pooled * math.sqrt(pooled.shape[1])
        constant = self.pooled_embedding(pooled) if told is None else self.pooled_embedding(pooled) + told
        embedding = F.silu(self.noise_embedding(noise) + (constant[:, None] if noise.ndim > 1 else constant))
        # Columns that no sample attends to cost time only: batches come padded to one length. A compiled network keeps
        # them: a number that is read from a tensor cuts its graph in two, and each length is compiled anew.
        longest = mask.shape[1] if torch.compiler.is_compiling() else int(mask.sum(dim=1).max())
        text, mask = text[:, :longest], mask[:, :longest]
        no_text = self.no_text.expand(len(noise), -1, -1).to(text.dtype)
        text = torch.cat([no_text, self.text_embedding(text)], dim=1)
        bias = torch.zeros(len(noise), 1, 1, text.shape[1], device=text.device)
        bias[..., 1:].masked_fill_(~mask[:, None, None, :], -1e4)
        return Context(embedding, text, bias)


class NoiseEmbedding(nn.Module):
    """Sinusoids of noise = log(sigma) / 4 through two layers. noise: (...) -> (..., width)."""

    def __init__(self, width: int, /, *, waves: int = 32) -> None:
        super().__init__()
        self.waves = waves
        self.layers = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, noise: Tensor) -> Tensor:
        # In float32 whatever the weights are in: at the highest rate, bfloat16 would be off by tenths of a radian.
        angle = noise.float()[..., None] * torch.logspace(-1, 1, self.waves, device=noise.device) * math.pi
        return self.layers(torch.cat([angle.cos(), angle.sin()], dim=-1).to(next(self.layers.parameters()).dtype))


class Norm(nn.Module):
    """Layer norm over the last axis, without a shift, in the precision of x. x: (b, ..., channels) -> the same."""

    def __init__(self, channels: int, /, *, affine: bool = True) -> None:
        super().__init__()
        self.shape = (channels,)
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        # The fused kernel over the last axis costs a third of RMS norm written out in bf16.
        return F.layer_norm(x, self.shape, None if self.weight is None else self.weight.to(x.dtype))


class ResidualBlock(nn.Module):
    """Two convolutions around a modulation. x: (b, c, ...), modulation: (b, 2c) -> (b, c, ...)."""

    def __init__(self, channels: int, /, *, axes: int, kernel: int = 3) -> None:
        super().__init__()
        conv = CONVOLUTIONS[axes]
        self.axes = axes
        self.norm1 = Norm(channels, affine=False)
        self.modulation = nn.Parameter(torch.zeros(2 * channels))
        self.conv1 = conv(channels, channels, kernel, padding=kernel // 2)
        self.norm2 = Norm(channels)
        self.conv2 = zeroed(conv(channels, channels, kernel, padding=kernel // 2))

    def forward(self, x: Tensor, modulation: Tensor, /) -> Tensor:
        spread = (len(x), *[1] * self.axes, -1)
        scale, shift = (part.reshape(spread) for part in (modulation + self.modulation).to(x.dtype).chunk(2, dim=1))
        h = F.silu(torch.addcmul(shift, self.norm1(x.movedim(1, -1)), 1 + scale))
        h = self.conv1(h.movedim(-1, 1)).movedim(1, -1)
        return x + self.conv2(F.silu(self.norm2(h)).movedim(-1, 1))


class PlainBlock(nn.Module):
    """x + conv(silu(conv(silu(norm(x))))), for codecs: (b, c, ...) -> (b, c, ...)."""

    def __init__(self, channels: int, /, *, axes: int) -> None:
        super().__init__()
        conv = CONVOLUTIONS[axes]
        self.norm = ChannelNorm(channels)
        self.conv1 = conv(channels, channels, 3, padding=1)
        self.conv2 = zeroed(conv(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class ChannelNorm(nn.Module):
    """`Norm` over the channels of each position: (b, c, ...) -> (b, c, ...)."""

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.norm = Norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class Attention(nn.Module):
    """Residual attention of tokens to themselves, or to a context. x: (b, n, channels) -> (b, n, channels).

    Queries and keys are normalised (arXiv 2302.05442), which keeps training in bf16 stable.
    """

    def __init__(self, channels: int, /, *, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = Norm(channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key_value = nn.Linear(context, 2 * channels, bias=False)
        self.scale = nn.Parameter(torch.full((heads,), (channels / heads) ** -0.5))
        self.project = zeroed(nn.Linear(channels, channels))

    def forward(self, x: Tensor, context: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """context: (b, l, context), by default the tokens; bias: (b, 1, 1, l), added to the logits."""
        h = self.norm(x)
        q = self._split(self.query(h))
        k, v = map(self._split, self.key_value(h if context is None else context).chunk(2, dim=-1))
        q, k = (F.layer_norm(z, z.shape[-1:]) for z in (q, k))
        # Written out: with so few tokens the fused kernel takes two to five times as long backwards.
        logits = (q * self.scale[:, None, None].to(q.dtype)) @ k.transpose(-1, -2)
        h = (logits if bias is None else logits + bias.to(logits.dtype)).softmax(dim=-1).to(v.dtype) @ v
        return x + self.project(h.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Stage(nn.Module):
    """The residual blocks of one resolution, then attention of the positions to one another and to the text.

    heads: 0 for no attention; itself: whether the positions attend to one another as well.
    """

    def __init__(
        self, channels: int, blocks: int, /, *, axes: int, kernel: int, embedding: int, heads: int, itself: bool
    ) -> None:
        super().__init__()
        self.modulate = nn.Linear(embedding, 2 * channels) if blocks else None
        self.blocks = nn.ModuleList(ResidualBlock(channels, axes=axes, kernel=kernel) for _ in range(blocks))
        self.to_itself = Attention(channels, context=channels, heads=heads) if itself else None
        self.to_text = Attention(channels, context=embedding, heads=heads) if heads else None

    def forward(self, x: Tensor, context: Context, /) -> Tensor:
        """x: (b, c, ...) -> (b, c, ...)."""
        if self.modulate is not None:
            modulation = self.modulate(context.embedding)
            for block in self.blocks:
                x = block(x, modulation)
        tokens = x.flatten(2).transpose(1, 2)
        if self.to_itself is not None:
            tokens = self.to_itself(tokens)
        if self.to_text is not None:
            tokens = self.to_text(tokens, context.text, context.bias)
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class Stages(nn.ModuleList):
    """Stages of one resolution after one another."""

    def forward(self, x: Tensor, context: Context, /) -> Tensor:
        """x: (b, c, ...) -> (b, c, ...)."""
        for stage in self:
            x = stage(x, context)
        return x


class UNet(Conditioned):
    """Abstract: stages down to fewer positions and up again. A network adds what comes before and after them."""

    def _add_levels(
        self,
        *,
        axes: int,
        channels: Sequence[int],
        stage: Callable[[int], nn.Module],
        grow: Callable[[int, int], nn.Module],
    ) -> None:
        """One stage for each of `channels` down, and one up; each level halves every axis of the one before.

        stage: makes that of a level, by index. grow: makes the layer from the channels of a level to those of the one
        above.
        """
        conv = CONVOLUTIONS[axes]
        levels = range(len(channels))
        self.down = nn.ModuleList(stage(i) for i in levels)
        self.up = nn.ModuleList(stage(i) for i in levels)
        pairs = list(itertools.pairwise(channels))
        self.shrink = nn.ModuleList(conv(c, d, 2, stride=2) for c, d in pairs)
        self.grow = nn.ModuleList(grow(d, c) for c, d in pairs)

    def _through_levels(self, h: Tensor, context: Context, /) -> Tensor:
        """h: (b, channels[0], ...) -> (b, channels[0], ...)."""
        h = self._place(h, 0, context)
        skips = []
        for i, stage in enumerate(self.down):
            h = stage(h, context)
            if i < len(self.shrink):
                skips.append(h)
                h = self._place(self.shrink[i](h), i + 1, context)
        for i in reversed(range(len(self.up))):
            h = self.up[i](h, context)
            if i:
                h = skips[i - 1] + self._larger(h, i - 1)
        return h

    @abstractmethod
    def _larger(self, h: Tensor, level: int, /) -> Tensor:
        """h: (b, channels[level + 1], ...) through the layer `grow[level]`, twice as many positions along each axis."""

    @abstractmethod
    def _place(self, h: Tensor, level: int, context: Context, /) -> Tensor:
        """h: (b, channels[level], ...), told where its positions are."""


def hidden(name: str, /) -> bool:
    """Whether a parameter is a hidden matrix or kernel, for Muon: embeddings, first and last layers are not."""
    return any(part in name for part in HIDDEN)


def moved(network: Any, /, **where: Any) -> Any:
    """`torch.nn.Module.to`: that of diffusers' ModelMixin imports peft first, a second of every start."""
    nn.Module.to(network, **where)
    return network


def zeroed(layer: Any, /) -> Any:
    """The layer with weights and bias of zero: a residual branch begins as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
