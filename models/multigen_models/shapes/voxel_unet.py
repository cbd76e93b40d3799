"""U-Net on grids of latents, conditioned on the noise level and on text tokens.

A position stands for a block of 8^3 distances and 4^3 colours, so everything works on few positions and many channels,
where a CPU is fast; convolutions carry the upper level, attention the lower one.
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

from multigen_models.layers import Context, Norm, Stage, Stages, UNet, moved, zeroed


@final
class VoxelUNet(UNet, ModelMixin, ConfigMixin):
    """F(into * x, noise) of the preconditioned denoiser, for standardised latents.

    Parameters
    ----------
    cells: positions along each axis; a multiple of 2 ** (levels - 1).
    features: channels of the latents.
    channels: channels of each level; every level halves the three axes of the one before.
    depth: stages of each level, on the way down and again on the way up.
    blocks: residual blocks of each stage.
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
        cells: int = 8,
        features: int = 16,
        channels: Sequence[int] = (96, 384),
        depth: Sequence[int] = (1, 3),
        blocks: Sequence[int] = (1, 1),
        kernels: Sequence[int] = (3, 1),
        heads: Sequence[int] = (2, 6),
        self_attention: Sequence[int] = (1,),
        embedding: int = 256,
        text: int = 384,
    ) -> None:
        super().__init__(width=embedding, text=text)
        # Convolutions cannot tell a foot from a head: every level is told where its positions are.
        self.position = nn.ParameterList(
            nn.Parameter(0.02 * torch.randn(1, c, *[cells // 2**i] * 3)) for i, c in enumerate(channels)
        )
        self.fold = nn.Linear(features, channels[0])

        def stage(i: int) -> Stages:
            itself = i in self_attention
            return Stages(
                Stage(
                    channels[i],
                    blocks[i],
                    axes=3,
                    kernel=kernels[i],
                    embedding=embedding,
                    heads=heads[i],
                    itself=itself,
                )
                for _ in range(depth[i])
            )

        self._add_levels(
            axes=3, channels=channels, stage=stage, grow=partial(nn.ConvTranspose3d, kernel_size=2, stride=2)
        )
        self.norm = Norm(channels[0])
        self.unfold = zeroed(nn.Linear(channels[0], features))
        moved(self, memory_format=torch.channels_last_3d)

    def forward(self, x: Tensor, noise: Tensor, /, *, text: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        """The network's output, of the shape of x.

        x: (b, features, cells, cells, cells); noise: (b,); text: (b, l, text); mask: (b, l) bool, True where there is a
        token; pooled: (b, text).

        Raises
        ------
        ValueError: x is of another shape.
        """
        wanted = (self.config.features, *[self.config.cells] * 3)
        if tuple(x.shape[1:]) != wanted:
            raise ValueError(f"x is {tuple(x.shape)}; it must be (b, {', '.join(map(str, wanted))})")
        context = self.context(noise, text=text, mask=mask, pooled=pooled)
        h = self._through_levels(self.fold(x.movedim(1, -1)).movedim(-1, 1), context)
        return self.unfold(F.silu(self.norm(h.movedim(1, -1)))).movedim(-1, 1).contiguous()

    def _larger(self, h: Tensor, level: int, /) -> Tensor:
        grown: Tensor = self.grow[level](h)
        return grown

    def _place(self, h: Tensor, level: int, context: Context, /) -> Tensor:
        return h + self.position[level].to(h.dtype)
