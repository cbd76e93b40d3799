"""The embedded encoder of films and images: frames to the text encoder's space."""

from pathlib import Path
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.modality import Sample
from multigen_models.contrast_encoder import PublishedEncoder, SampleEncoder
from multigen_models.weights import ZOO, fingerprint, read_network

FRAMES, SIDE = 8, 64
SECONDS = 2.0
"""Of a film's beginning, so much is seen."""


@final
class VideoEncoder(SampleEncoder):
    """Of films of any size, rate and length; a film that is over sooner stands still at its end."""

    name: ClassVar[str] = "video-encoder"
    modality: ClassVar[str] = "video"

    @classmethod
    def load(cls, folder: Path, /) -> "VideoEncoder":
        from multigen_models.video.encoder_network import FilmEncoder

        return cls(read_network(FilmEncoder, folder), fingerprint(folder))

    def seen(self, sample: Sample, /) -> Tensor:
        return seen(sample["frames"], sample["fps"])


def seen(frames: Tensor, fps: float, /) -> Tensor:
    """What the network sees of frames (t, 3, h, w) uint8: (3, FRAMES, SIDE, SIDE) in [-1, 1], evenly over `SECONDS`, of
    the square in the middle."""
    at = ((torch.arange(FRAMES) + 0.5) / FRAMES * SECONDS * fps).long().clamp(max=len(frames) - 1)
    _, _, h, w = frames.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    square = frames[at, :, top : top + side, left : left + side].float() / 127.5 - 1
    return F.interpolate(square, size=(SIDE, SIDE), mode="bilinear", antialias=True).transpose(0, 1)


published = PublishedEncoder(ZOO / "video-encoder", "video", VideoEncoder.load)
