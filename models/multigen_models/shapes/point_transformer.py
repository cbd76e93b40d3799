"""Set transformer on points: a few latent tokens read all points, think, and write back, block after block.

Points attend to nothing but the latents, so the cost grows with their number and not with its square, and the network
does not see their order (latent bottlenecks: Set Transformer, arXiv 1810.00825; RIN, arXiv 2212.11972). Blocks are
pre-norm residual and begin as nothing; modulation by noise level and pooled text is shared by the layers of a block
(adaLN-single, arXiv 2310.00426, section 2.3).
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from multigen_models.layers import Attention, Conditioned, Context, Norm, zeroed

EXPANSION = 2
"""Width of the points' perceptrons over that of the points: they are the largest part of the cost."""


class Perceptron(nn.Module):
    """Residual perceptron of one hidden layer. x: (b, n, c), modulation: (b, 2c) -> (b, n, c)."""

    def __init__(self, channels: int, hidden: int, /) -> None:
        super().__init__()
        self.norm = Norm(channels, affine=False)
        self.modulation = nn.Parameter(torch.zeros(2 * channels))
        self.project_in = nn.Linear(channels, hidden)
        self.project_out = zeroed(nn.Linear(hidden, channels))

    def forward(self, x: Tensor, modulation: Tensor, /) -> Tensor:
        h = _modulated(self.norm(x), modulation + self.modulation)
        return x + self.project_out(F.silu(self.project_in(h)))


class Layer(nn.Module):
    """Latents attend to one another, each is transformed. x: (b, m, c), modulation: (b, 2c) -> (b, m, c)."""

    def __init__(self, channels: int, /, *, heads: int) -> None:
        super().__init__()
        self.to_itself = Attention(channels, context=channels, heads=heads)
        self.perceptron = Perceptron(channels, 4 * channels)

    def forward(self, x: Tensor, modulation: Tensor, /) -> Tensor:
        x = self.to_itself(x)
        return self.perceptron(x, modulation)


class Block(nn.Module):
    """The latents read the points and the text, attend to one another, and write to the points.

    Both exchanges have a single head of width `exchange`: there are as many latents as other networks have heads.
    """

    def __init__(self, points: int, latents: int, /, *, exchange: int, layers: int, heads: int) -> None:
        super().__init__()
        self.modulate_points = nn.Linear(latents, 4 * points)
        self.modulate_latents = nn.Linear(latents, 2 * latents)
        self.norm = Norm(points, affine=False)
        # One product makes what the latents read and what the points ask them afterwards.
        self.key_value_query = nn.Linear(points, 3 * exchange, bias=False)
        self.norm_read = Norm(latents)
        self.query = nn.Linear(latents, exchange, bias=False)
        self.project_read = zeroed(nn.Linear(exchange, latents))
        self.to_text = Attention(latents, context=latents, heads=heads)
        self.layers = nn.ModuleList(Layer(latents, heads=heads) for _ in range(layers))
        self.norm_write = Norm(latents)
        self.key_value = nn.Linear(latents, 2 * exchange, bias=False)
        self.project_write = zeroed(nn.Linear(exchange, points))
        self.scales = nn.Parameter(torch.full((2,), exchange**-0.5))
        self.perceptron = Perceptron(points, EXPANSION * points)

    def forward(self, points: Tensor, latents: Tensor, context: Context, /) -> tuple[Tensor, Tensor]:
        """points: (b, n, points), latents: (b, m, latents) -> both."""
        to_exchange, to_perceptron = self.modulate_points(context.embedding).chunk(2, dim=1)
        k, v, q = self.key_value_query(_modulated(self.norm(points), to_exchange)).chunk(3, dim=-1)
        read = _attend(self.query(self.norm_read(latents)), k, v, self.scales[0])
        latents = latents + self.project_read(read)
        latents = self.to_text(latents, context.text, context.bias)
        modulation = self.modulate_latents(context.embedding)
        for layer in self.layers:
            latents = layer(latents, modulation)
        k, v = self.key_value(self.norm_write(latents)).chunk(2, dim=-1)
        points = points + self.project_write(_attend(q, k, v, self.scales[1]))
        return self.perceptron(points, to_perceptron), latents


@final
class PointTransformer(Conditioned, ModelMixin, ConfigMixin):
    """F(into * x, noise) of the preconditioned denoiser, for standardised clouds of any number of points.

    Parameters
    ----------
    features: of a point, of which the first three are its place.
    points: width of the points' states.
    exchange: width of queries, keys and values between points and latents.
    latents: number of latent tokens.
    width: of the latents, and of the embedding of noise level and text.
    blocks: times that the latents read, think and write.
    layers: of attention among the latents in each block.
    heads: of that attention, and of the one to the text.
    frequencies: octaves of sinusoids by which a point's place is told, the first one of 8 units.
    text: width of the text encoder's states.
    """

    config: Any

    @register_to_config
    def __init__(
        self,
        *,
        features: int = 6,
        points: int = 128,
        exchange: int = 64,
        latents: int = 96,
        width: int = 256,
        blocks: int = 3,
        layers: int = 2,
        heads: int = 4,
        frequencies: int = 6,
        text: int = 384,
    ) -> None:
        super().__init__(width=width, text=text)
        self.enter = nn.Linear(features + 2 * 3 * frequencies, points)
        self.initial = nn.Parameter(torch.randn(latents, width))
        self.trunk = nn.ModuleList(
            Block(points, width, exchange=exchange, layers=layers, heads=heads) for _ in range(blocks)
        )
        self.norm = Norm(points)
        self.leave = zeroed(nn.Linear(points, features))

    def forward(self, x: Tensor, noise: Tensor, /, *, text: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        """The network's output, of the shape of x; in another order of the points it is the same in that order.

        x: (b, n, features); noise: (b,); text: (b, l, text); mask: (b, l) bool, True where there is a token;
        pooled: (b, text).
        """
        context = self.context(noise, text=text, mask=mask, pooled=pooled)
        points = self.enter(torch.cat([x, self._waves(x[:, :, :3])], dim=2))
        latents = self.initial.expand(len(x), -1, -1)
        for block in self.trunk:
            points, latents = block(points, latents, context)
        return self.leave(self.norm(points))

    def _waves(self, place: Tensor) -> Tensor:
        octaves = 2.0 ** torch.arange(self.config.frequencies, device=place.device)
        angle = (place.float()[:, :, :, None] * (octaves * math.pi / 4)).flatten(2)
        return torch.cat([angle.sin(), angle.cos()], dim=2).to(place.dtype)


def _modulated(x: Tensor, modulation: Tensor) -> Tensor:
    """x: (b, n, c), modulation: (b, 2c)."""
    scale, shift = modulation.to(x.dtype)[:, None].chunk(2, dim=2)
    return torch.addcmul(shift, x, 1 + scale)


def _attend(q: Tensor, k: Tensor, v: Tensor, scale: Tensor) -> Tensor:
    """Attention of one head with normalised queries and keys (arXiv 2302.05442): (b, n, c), (b, m, c), (b, m, c)."""
    q, k = (F.layer_norm(z, z.shape[-1:]) for z in (q, k))
    return ((q * scale.to(q.dtype)) @ k.transpose(1, 2)).softmax(dim=-1).to(v.dtype) @ v
