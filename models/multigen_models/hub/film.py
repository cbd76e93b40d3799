"""What all pipelines of diffusers that make films have in common, taken apart: shapes, rates and autoencoders."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.denoise import Cond
from multigen.errors import UsageError
from multigen.modality import Sample
from multigen_models.video.small import pictures


class Style(Protocol):
    """What is different from one family of films to another. pipe is always the loaded pipeline."""

    @property
    def rate(self) -> float | None:
        """Frames a second that it was trained for; None where it is told."""

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        """Frames of a latent frame, pixels of a cell, and of how many latent frames and cells all must be multiples."""

    def condition(self, pipe: Any, prompt: str, /) -> Cond: ...

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        """What the network is told of a state (channels, time, height, width) and of its frames a second."""

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor: ...

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]: ...


@final
@dataclass(frozen=True)
class Film:
    """A `multigen_models.hub.opened.Anatomy`; the state is (channels, time, height, width).

    A latent frame stands for several frames but the first, which stands for one. The film is at the top left of what is
    decoded, and at its beginning.

    front: whether the latent frames that fill up a multiple come before the film and stand for nothing, or after it.
    most: cells, high and wide, that the network knows places for; None where there is no end to them.
    """

    pipe: Any
    style: Style
    front: bool = False
    most: tuple[int, int] | None = None
    axes: ClassVar[Mapping[str, int]] = {"time": -3, "height": -2, "width": -1}

    def rate(self, options: Any, /) -> float:
        """Frames a second that are made: the network's own, or what was asked for; more where they are filled in."""
        return float(self.style.rate or options.fps) * options.interpolate

    def count(self, options: Any, /) -> int:
        """How many frames are made."""
        return 1 if options.count == 1 else max(1, round(options.seconds * self.rate(options)))

    def shape(self, options: Any, /) -> tuple[int, ...]:
        if options.loop:
            raise UsageError("--loop is not possible with this model: leave it out, or choose --model video-small")
        _, side, times, cells = self.style.factors(self.pipe)
        width, height = options.resolution
        high, wide = (_up(math.ceil(n / side), cells) for n in (height, width))
        if self.most is not None and (high > self.most[0] or wide > self.most[1]):
            raise UsageError(
                f"--size {options.size} is not possible with this model: at most "
                f"{self.most[1] * side}x{self.most[0] * side}"
            )
        return (self._channels, _up(self._latent_frames(options), times), high, wide)

    def _latent_frames(self, options: Any) -> int:
        period, *_ = self.style.factors(self.pipe)
        return math.ceil((self.count(options) - 1) / period) + 1

    def lead(self, options: Any, /) -> int:
        """How many latent frames before the film stand for nothing."""
        return self.shape(options)[1] - self._latent_frames(options) if self.front else 0

    def place(self, axis: str, edge: float, options: Any, /) -> float:
        """What is kept at the beginning keeps at least the first latent frame: from less nothing could be told."""
        period, side, _, _ = self.style.factors(self.pipe)
        shape = dict(zip(self.axes, self.shape(options)[1:], strict=True))
        if axis == "time":
            return (self.lead(options) + max(1.0, 1 + (edge * self.count(options) - 1) / period)) / shape[axis]
        width, height = options.resolution
        return edge * {"width": width, "height": height}[axis] / side / shape[axis]

    def condition(self, prompt: str, /) -> Cond:
        return self.style.condition(self.pipe, prompt)

    def inputs(self, options: Any, /) -> Mapping[str, Any]:
        return self.style.inputs(self.pipe, self.shape(options), self.rate(options))

    def predict(self, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /) -> Tensor:
        return self.style.predict(self.pipe, network, x, noise, cond, inputs)

    def timetable(self, steps: int, options: Any, /) -> Mapping[str, Any]:
        return self.style.timetable(self.pipe, steps, self.shape(options))

    def encode(self, sample: Sample, options: Any, /) -> Tensor:
        """Frames at the made rate, scaled to cover the size, cut to it around the middle; the last one is held.

        The latent frames before the film are its first, as in diffusers' pipelines that start from an image.
        """
        period, side, _, _ = self.style.factors(self.pipe)
        vae, shape = self.pipe.vae, self.shape(options)
        at = (torch.arange((shape[1] - 1) * period + 1) + 0.5) / self.rate(options) * sample["fps"]
        chosen = sample["frames"][at.long().clamp(max=len(sample["frames"]) - 1)]
        width, height = options.resolution
        frames = pictures(chosen, height=height, width=width)
        frames = F.pad(frames, (0, shape[3] * side - width, 0, shape[2] * side - height), mode="replicate")
        pixels = frames.to(self.pipe._execution_device, vae.dtype)
        if _framewise(vae):
            latents = vae.encode(pixels).latent_dist.mode().transpose(0, 1)[None]
        else:
            latents = vae.encode(pixels.transpose(0, 1)[None]).latent_dist.mode()
        mean, std = _scale(vae, latents)
        x = ((latents - mean) / std)[0].float().cpu()
        lead = self.lead(options)
        return torch.cat([x[:, :1].expand(-1, lead, -1, -1), x[:, : shape[1] - lead]], dim=1)

    def decode(self, x: Tensor, options: Any, /) -> Sample:
        vae = self.pipe.vae
        z = x[None, :, self.lead(options) :].to(self.pipe._execution_device, vae.dtype)
        mean, std = _scale(vae, z)
        z = z * std + mean
        if _framewise(vae):  # one by one: the decoder's own tensors are far larger than the film
            frames = torch.cat([vae.decode(z[:, :, i]).sample for i in range(z.shape[2])])
        else:
            told = (z.new_zeros(1),) if vae.config.get("timestep_conditioning") else ()
            frames = vae.decode(z, *told, return_dict=False)[0][0].transpose(0, 1)
        width, height = options.resolution
        frames = frames[: self.count(options), :, :height, :width].float().cpu()
        pixels = ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return {"frames": pixels, "fps": self.rate(options)}

    @property
    def _channels(self) -> int:
        network: Any = getattr(self.pipe, "transformer", None) or getattr(self.pipe, "unet", None)
        return int(network.config.in_channels)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _framewise(vae: Any) -> bool:
    """Whether it is an autoencoder of pictures."""
    return type(vae).__name__ == "AutoencoderKL"


def _scale(vae: Any, like: Tensor) -> tuple[Tensor | float, Tensor | float]:
    """Mean and deviation that latents are brought to 0 and 1 by, each a number or (1, channels, 1, 1, 1)."""

    def known(name: str) -> Any:
        return vae.config[name] if name in vae.config else getattr(vae, name, None)

    factor = vae.config.get("scaling_factor") or 1.0
    mean, std = known("latents_mean"), known("latents_std")
    if mean is None or std is None:
        return 0.0, 1 / factor
    mean, std = (torch.as_tensor(value).to(like).view(1, -1, 1, 1, 1) for value in (mean, std))
    return mean, std / factor
