"""Spatio-temporal U-Net on the latents of films, conditioned on the noise levels, text tokens and the frame rate.

Residual blocks see one latent frame at a time (time is folded into the batch). Frames meet, at every level, in a narrow
convolution over time and space and in attention along time; at the lower ones also in attention over both together.
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

from multigen_models.layers import Attention, Context, Norm, ResidualBlock, UNet, moved, zeroed
from multigen_models.video.pair_autoencoder import LATENT


@final
class VideoUNet(UNet, ModelMixin, ConfigMixin):
    """F(into * x, noise) of the preconditioned denoiser, for standardised latents (b, features, t, h, w).

    Parameters
    ----------
    features: channels of the latents.
    rows: height of the latents that it is trained on; others are told their heights by interpolation.
    frames: most latent frames of an input.
    channels: channels of each level; every level halves height and width of the one before.
    blocks: residual blocks of each level, on the way down and again on the way up.
    heads: attention heads of each level.
    within: levels (by index) whose positions attend to those of the same frame.
    joint: levels whose positions attend to those of all frames.
    embedding: width of the embedding of noise level, pooled text and rate.
    text: width of the text encoder's states.
    """

    config: Any

    @register_to_config
    def __init__(
        self,
        *,
        features: int = LATENT,
        rows: int = 16,
        frames: int = 8,
        channels: Sequence[int] = (128, 192, 256),
        blocks: Sequence[int] = (1, 1, 1),
        heads: Sequence[int] = (4, 6, 8),
        within: Sequence[int] = (),
        joint: Sequence[int] = (1, 2),
        embedding: int = 256,
        text: int = 384,
    ) -> None:
        super().__init__(width=embedding, text=text)
        self.rate_embedding = zeroed(nn.Linear(1, embedding))
        # Convolutions cannot tell the sky from the ground, and attention not what comes first: every level is told.
        self.row = nn.ParameterList(
            nn.Parameter(0.02 * torch.randn(1, c, rows // 2**i, 1)) for i, c in enumerate(channels)
        )
        self.moment = nn.ParameterList(nn.Parameter(0.02 * torch.randn(frames, c, 1, 1)) for c in channels)
        self.fold = nn.Conv2d(features, channels[0], 3, padding=1)

        def stage(i: int) -> SpaceTimeStage:
            return SpaceTimeStage(
                channels[i], blocks[i], embedding=embedding, heads=heads[i], within=i in within, joint=i in joint
            )

        self._add_levels(axes=2, channels=channels, stage=stage, grow=partial(nn.Conv2d, kernel_size=1))
        self.norm = Norm(channels[0])
        self.unfold = zeroed(nn.Conv2d(channels[0], features, 3, padding=1))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                moved(layer, memory_format=torch.channels_last)
            elif isinstance(layer, nn.Conv3d):
                moved(layer, memory_format=torch.channels_last_3d)

    @property
    def multiple(self) -> int:
        """Height and width of an input must be multiples of this."""
        return int(2 ** (len(self.config.channels) - 1))

    def forward(
        self,
        x: Tensor,
        noise: Tensor,
        /,
        *,
        text: Tensor,
        mask: Tensor,
        pooled: Tensor,
        rate: Tensor,
        first: Tensor | None = None,
    ) -> Tensor:
        """The network's output, of the shape of x.

        x: (b, features, t, h, w); noise: (b,), or (b, t) for a level of each frame; text: (b, l, text); mask: (b, l)
        bool, True where there is a token; pooled: (b, text); rate: (b,), the binary logarithm of the frame rate over
        that of the training; first: (b,), the number of the first frame in its film, by default 0.

        Raises
        ------
        ValueError: features differ from the configuration, there are more frames than `frames`, or height or width are
            no multiples of `multiple`.
        """
        b, features, t, h, w = x.shape
        if features != self.config.features or t > self.config.frames or h % self.multiple or w % self.multiple:
            wanted = f"(b, {self.config.features}, at most {self.config.frames}, two multiples of {self.multiple})"
            raise ValueError(f"x is {tuple(x.shape)}; it must be {wanted}")
        told = self.rate_embedding(rate[:, None].to(self.rate_embedding.weight.dtype))
        noise = noise.reshape(b, -1).expand(b, t)
        context = self.context(noise, text=text, mask=mask, pooled=pooled, told=told)
        moments = torch.arange(t, device=x.device) + (0 if first is None else first[:, None])
        context = context._replace(moments=moments.expand(b, t))
        y = self._through_levels(self.fold(x.transpose(1, 2).flatten(0, 1)), context)
        y = F.silu(self.norm(y.movedim(1, -1))).movedim(-1, 1)
        return self.unfold(y).unflatten(0, (b, t)).transpose(1, 2)

    def _larger(self, h: Tensor, level: int, /) -> Tensor:
        return F.interpolate(self.grow[level](h), scale_factor=2.0)

    def _place(self, h: Tensor, level: int, context: Context, /) -> Tensor:
        assert context.moments is not None
        row, moment = self.row[level], self.moment[level][context.moments.flatten()]
        if row.shape[2] != h.shape[2]:
            row = F.interpolate(row, (h.shape[2], 1), mode="bilinear", align_corners=False)
        return h + row.to(h.dtype) + moment.to(h.dtype)


class SpaceTimeStage(nn.Module):
    """The residual blocks of one resolution, what is nearby, then attention along time, over space, and to the text.

    within: whether positions attend to those of their frame; joint: to those of all frames.
    """

    def __init__(self, channels: int, blocks: int, /, *, embedding: int, heads: int, within: bool, joint: bool) -> None:
        super().__init__()
        self.modulate = nn.Linear(embedding, 2 * channels)
        self.blocks = nn.ModuleList(ResidualBlock(channels, axes=2) for _ in range(blocks))
        self.nearby = Nearby(channels)
        self.along_time = Attention(channels, context=channels, heads=heads)
        self.within_frame = Attention(channels, context=channels, heads=heads) if within else None
        self.joint = Attention(channels, context=channels, heads=heads) if joint else None
        self.to_text = Attention(channels, context=embedding, heads=heads)

    def forward(self, x: Tensor, context: Context, /) -> Tensor:
        """x: (b t, c, h, w), frame by frame -> the same."""
        (b, t, _), (frames, c, h, w) = context.embedding.shape, x.shape
        modulation = self.modulate(context.embedding).flatten(0, 1)
        for block in self.blocks:
            x = block(x, modulation)
        tokens = x.permute(0, 2, 3, 1).reshape(b, t, h * w, c)
        if t > 1:
            tokens = self.nearby(tokens.unflatten(2, (h, w))).flatten(2, 3)
            tokens = self.along_time(tokens.transpose(1, 2).flatten(0, 1)).unflatten(0, (b, h * w)).transpose(1, 2)
        if self.within_frame is not None:
            tokens = self.within_frame(tokens.flatten(0, 1)).unflatten(0, (b, t))
        tokens = tokens.flatten(1, 2)
        if self.joint is not None:
            tokens = self.joint(tokens)
        tokens = self.to_text(tokens, context.text, context.bias)
        return tokens.reshape(frames, h, w, c).permute(0, 3, 1, 2)


class Nearby(nn.Module):
    """A convolution over three frames and three by three positions, in half the channels: what moves, and where to.

    Begins as nothing. x: (b, t, h, w, c) -> the same.
    """

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        narrow = channels // 2
        self.norm1 = Norm(channels)
        self.shrink = nn.Linear(channels, narrow, bias=False)
        self.norm2 = Norm(narrow)
        self.conv1 = nn.Conv3d(narrow, narrow, 3, padding=1)
        self.project = zeroed(nn.Linear(narrow, channels))

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.norm2(self.shrink(self.norm1(x)))).movedim(-1, 1)
        return x + self.project(F.silu(self.conv1(h)).movedim(1, -1))
