"""The embedded video model: a spatio-temporal U-Net on the latents of pairs of frames, of any length and size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.denoise import Cond, Denoiser, Parameterization, local, ring, staggered, windowed
from multigen.edit import region_mask
from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.model import Defaults
from multigen_models.placed import place
from multigen_models.prompts import embed, stacked
from multigen_models.scale import Scale
from multigen_models.video.pair_autoencoder import FACTOR, PAIR
from multigen_models.weights import ZOO, Published, fingerprint, read_about, read_network

DETAIL = 0.1
"""Variance of standardised latents around what the network predicts: the skip of `multigen.denoise.local`."""
LEAD, LEADS = 1 / 8, {4: 1 / 4, 2: 1 / 2}
"""How strong the noise of the first pair of frames is, over sigma, and that of every so many; of all others it is 1."""
RATE = 8.0
"""Frames a second that most of the training is at."""
RATES = (4.0, 16.0)
"""The lowest and the highest rate that the network is told; films of others are made at the nearest of them."""
WINDOW, OVERLAP = 8, 4
"""Latent frames that are denoised together."""
SIDE, SIDE_OVERLAP = 16, 8
"""Latent rows and columns that are denoised together."""


def parameterization() -> Parameterization:
    """What the network predicts."""
    return local(DETAIL)


def levels(pairs: int, /, *, first: int = 0) -> Tensor:
    """How strong the noise of pairs of frames is, over sigma: (pairs, 1, 1), from the pair of that number on.

    The first pair of a film leads: a figure is drawn there once, and then after it in every fourth pair, every second,
    and the rest. With one level for all, each pair would draw a figure of its own before it can see the others'.
    """

    def level(i: int) -> float:
        return LEAD if i == 0 else next((level for every, level in LEADS.items() if i % every == 0), 1.0)

    return torch.tensor([level(i) for i in range(first, first + pairs)], dtype=torch.float64)[:, None, None]


def rate_of(fps: float, /) -> Tensor:
    """What the network is told of a frame rate: (1,)."""
    return torch.tensor([math.log2(fps / RATE)])


@final
@dataclass(frozen=True)
class VideoSmall:
    """A `multigen.model.Model`; the state is (channels, frames / 2, height / 8, width / 8)."""

    network: Any
    codec: Any
    scale: Scale
    fingerprint: str
    device: str
    dtype: torch.dtype
    name: str = "video-small"
    modality: str = "video"
    defaults: ClassVar[Defaults] = Defaults(steps=24, guidance="cfg:scale=4", sigma_max=600.0)
    axes: ClassVar[Mapping[str, int]] = {"time": -3, "height": -2, "width": -1}
    loader: ClassVar[str] = "video-small"

    @classmethod
    def load(cls, folder: Path, /, *, device: str, dtype: str) -> "VideoSmall":
        """From a folder that `VideoRecipe.export` wrote."""
        from multigen_models.video.pair_autoencoder import PairAutoencoder
        from multigen_models.video.unet import VideoUNet

        about = read_about(folder)
        network = read_network(VideoUNet, folder, dtype=dtype, device=device)
        codec = read_network(PairAutoencoder, folder / "codec", dtype=dtype, device=device)
        marks = fingerprint(folder)[:8] + fingerprint(folder / "codec")[:8]
        return cls(network, codec, Scale.read(about, axes=4), marks, device, network.dtype)

    def with_network(self, network: Any, /, *, fingerprint: str) -> "VideoSmall":
        return replace(self, network=network, fingerprint=fingerprint)

    def shape(self, options: Any, /) -> tuple[int, ...]:
        width, height = (self._cells(side) for side in options.resolution)
        return (self.network.config.features, self._pairs(options), height, width)

    def correlate(self, unit: Tensor, /) -> Tensor:
        return levels(unit.shape[-3]).to(unit.dtype) * unit

    def condition(self, prompts: Sequence[str], /) -> Cond:
        return stacked([embed(prompt) for prompt in prompts], device=self.device)

    def denoiser(self, cond: Cond, options: Any, /) -> Denoiser:
        told = {"rate": rate_of(min(_rate(options), RATES[1])).to(self.device), **cond}
        whole: Denoiser = place(self.network, parameterization(), told, device=self.device, dtype=self.dtype)
        for dim in (-2, -1):
            whole = windowed(whole, dim=dim, size=SIDE, overlap=SIDE_OVERLAP)
        spread = ring if options.loop else windowed
        film = spread(whole, dim=-3, size=WINDOW, overlap=OVERLAP)
        return staggered(film, levels(self._pairs(options)))

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """Frames at the model's rate, scaled to cover the size, and cut to it around the middle.

        The last one is held, and where whole cells are larger than the size, the pixels at the edges are.
        """
        shape = self.shape(options)
        at = (torch.arange(PAIR * shape[1]) + 0.5) / _rate(options) * sample["fps"]
        index = at.long().clamp(max=len(sample["frames"]) - 1)
        width, height = options.resolution
        frames = pictures(sample["frames"][index], height=height, width=width)
        frames = surrounded(frames, height=shape[2] * FACTOR, width=shape[3] * FACTOR)
        z = self.codec.encode(frames.transpose(0, 1)[None].to(self.device, self.dtype))
        return self.scale.apply(z[0].float().cpu())

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        z = self.scale.undo(x.float().cpu())[None].to(self.device, self.dtype)
        # Pair by pair: the decoder's own tensors are far larger than the film.
        pairs = [self.codec.decode(z[:, :, i : i + 1])[0].float().cpu() for i in range(z.shape[2])]
        # What is beyond the end of a loop is faded into its start.
        count = PAIR * z.shape[2] if options.loop else self._frames(options)
        frames = torch.cat(pairs, dim=1).transpose(0, 1)[:count]
        width, height = options.resolution
        frames = middle(frames, height=height, width=width)
        return {"frames": ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8), "fps": _rate(options)}

    def mask(self, region: Region, sample: Sample, options: Any, /) -> Tensor:
        """The cells that overlap a region of the sample.

        What is kept at the beginning keeps at least the first pair of frames, since from less nothing could be told.
        Raises UsageError where there is no other.
        """
        shape = self.shape(options)
        if shape[self.axes["time"]] == 1 and region.get("time", (0, 1))[0] > 0:
            raise UsageError(
                "what is made is a single step of time, whose beginning cannot be kept: make more of it, or vary all "
                "with --strength 0.6"
            )
        width, height = options.resolution
        whole = {"time": self._frames(options) / PAIR, "height": height / FACTOR, "width": width / FACTOR}
        box = {}
        for axis, (start, stop) in region.items():
            cells = shape[self.axes[axis]]
            before = 0 if axis == "time" else (cells - whole[axis]) / 2
            first, last = (edge if edge in (0, 1) else (before + edge * whole[axis]) / cells for edge in (start, stop))
            box[axis] = (max(first, 1 / cells) if axis == "time" and first > 0 else first), last
        return region_mask(shape, self.axes, box)

    def _frames(self, options: Any) -> int:
        """How many frames are made, at the model's rate."""
        return max(1, round(options.seconds * _rate(options)))

    def _pairs(self, options: Any) -> int:
        return -(-self._frames(options) // PAIR)

    def _cells(self, side: int) -> int:
        multiple = self.network.multiple
        return max(2 * multiple, -(-side // (FACTOR * multiple)) * multiple)


def _rate(options: Any) -> float:
    """The frame rate that is made: the one that is asked for, within the range of the network unless it is refined."""
    low, high = RATES
    return float(min(max(options.fps, low), high)) * options.interpolate


def pictures(frames: Tensor, /, *, height: int, width: int) -> Tensor:
    """Frames (t, 3, h, w) uint8 in [-1, 1], `covering` the size.

    A few at a time, because a film in floats, at the size of its file, may not fit into memory.
    """
    few = [covering(part.float() / 127.5 - 1, height=height, width=width) for part in frames.split(PAIR)]
    return torch.cat(few)


def covering(frames: Tensor, /, *, height: int, width: int) -> Tensor:
    """Frames (t, 3, h, w) scaled to cover the size, and the middle of them."""
    h, w = frames.shape[-2:]
    scale = max(height / h, width / w)
    if (h, w) != (height, width):
        size = (max(height, round(h * scale)), max(width, round(w * scale)))
        frames = F.interpolate(frames, size, mode="bilinear", antialias=True, align_corners=False)
    return middle(frames, height=height, width=width)


def surrounded(frames: Tensor, /, *, height: int, width: int) -> Tensor:
    """Frames (t, 3, h, w) in the middle of a larger size, their edges held."""
    top, left = ((want - have) // 2 for have, want in zip(frames.shape[-2:], (height, width), strict=True))
    h, w = frames.shape[-2:]
    return F.pad(frames, (left, width - w - left, top, height - h - top), mode="replicate")


def middle(frames: Tensor, /, *, height: int, width: int) -> Tensor:
    top, left = ((have - want) // 2 for have, want in zip(frames.shape[-2:], (height, width), strict=True))
    return frames[..., top : top + height, left : left + width]


published = Published(ZOO / "video-small", VideoSmall.load)
