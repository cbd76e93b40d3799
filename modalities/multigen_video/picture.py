"""Sizes of frames: what an input implies, what fits into memory, and antialiased resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_SIDE, _MULTIPLE, _SMALLEST, _LARGEST = 128, 32, 64, 2048
_CHUNK_BYTES = 1 << 26


def like(width: int, height: int, /) -> tuple[int, int]:
    """Width and height of about the same aspect and 128 x 128 pixels in all, in multiples of 32 from 64 to 2048."""

    def side(length: float) -> int:
        return min(max(round(length / _MULTIPLE) * _MULTIPLE, _SMALLEST), _LARGEST)

    stretch = (width / height) ** 0.5
    return side(_SIDE * stretch), side(_SIDE / stretch)


def inside(width: int, height: int, /, *, aspect: tuple[int, int]) -> tuple[int, int, int, int]:
    """(x, y, width, height) of the largest part in the middle that has the aspect of a (width, height)."""
    wide = min(width, max(1, round(height * aspect[0] / aspect[1])))
    high = min(height, max(1, round(width * aspect[1] / aspect[0])))
    return (width - wide) // 2, (height - high) // 2, wide, high


def within(width: int, height: int, /, *, pixels: float) -> tuple[int, int]:
    """Width and height, made smaller by one factor where they have more than `pixels`; at least 1 each."""
    factor = min(1.0, (pixels / max(1, width * height)) ** 0.5)
    if factor == 1:
        return width, height
    return max(1, int(width * factor)), max(1, int(height * factor))


def resize(frames: Tensor, size: tuple[int, int], /) -> Tensor:
    """(t, c, h, w) uint8 at a (width, height), bicubic and antialiased, on the CPU. The same size comes back as is."""
    import torch
    from torch.nn.functional import interpolate

    width, height = size
    frames = frames.cpu()
    t, channels, *old = frames.shape
    if [height, width] == list(old):
        return frames
    resized = torch.empty((t, channels, height, width), dtype=torch.uint8)
    step = max(1, _CHUNK_BYTES // (channels * max(width * height, old[0] * old[1])))
    for k in range(0, t, step):
        chunk = frames[k : k + step].contiguous()
        resized[k : k + step] = interpolate(chunk, (height, width), mode="bicubic", antialias=True)
    return resized
