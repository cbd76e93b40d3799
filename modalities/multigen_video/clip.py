"""A clip as it is read: frames with timestamps, and the room that they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multigen.modality import Sample
from multigen_video.picture import within
from multigen_video.rate import constant_rate, length, repeated, shown

if TYPE_CHECKING:
    import numpy as np

MOST_SECONDS = 60
SECONDS_SLACK = 0.5
"""A clip of a minute may end a frame or two later."""
MOST_BYTES = 1 << 30
"""Of a clip's frames in memory; larger ones are made smaller as they are read."""
MOST_PIXELS = 100_000_000
"""Of one frame in the file."""


class DecodeError(Exception):
    """The decoder's own words for why a file holds no clip."""


class RefusedError(Exception):
    """The rest of a sentence that begins with a file's name: what it holds, what is allowed, what to type."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames and when they are shown.

    frames: (n, 3, h, w) uint8 in sRGB, n > 0.
    times: (n,) in s, rising from 0.
    end: of the last frame in s.
    rates: what the file itself says that its frames per second are.
    clock: the unit of the times in s.
    original_size: width and height in the file, as it is displayed.
    """

    frames: np.ndarray
    times: np.ndarray
    end: float
    rates: Sequence[float]
    clock: float
    original_size: tuple[int, int]

    def sample(self) -> Sample:
        """The clip at a constant rate."""
        import torch

        fps = constant_rate(self.times, self.end, declared=self.rates, clock=self.clock)
        index = shown(self.times, fps, count=length(self.times, self.end, fps))
        *_, h, w = self.frames.shape
        # A frame that is held for long is many frames.
        w, h = fitted((w, h), count=len(index))
        frames = repeated(torch.from_numpy(self.frames), index, size=(w, h))
        smaller = {} if (w, h) == self.original_size else {"original_size": self.original_size}
        return {"frames": frames, "fps": fps, **smaller}


def fitted(size: tuple[int, int], /, *, count: int) -> tuple[int, int]:
    """The size at which `count` frames are kept: that of the file, or a smaller one that fits into `MOST_BYTES`.

    Raises RefusedError for a frame of more than `MOST_PIXELS`.
    """
    width, height = size
    if width * height > MOST_PIXELS:
        raise RefusedError(
            f"has frames of {width} x {height} pixels: at most {MOST_PIXELS // 10**6} million pixels are read; "
            "make it smaller first, such as by ffmpeg -i INPUT -vf scale=1280:-2 OUTPUT"
        )
    return within(width, height, pixels=MOST_BYTES / (3 * max(1, count)))


def check_length(seconds: float, /) -> None:
    """Raise RefusedError for a clip that is too long."""
    if seconds > MOST_SECONDS + SECONDS_SLACK:
        raise RefusedError(
            f"lasts {seconds:.0f} s or more: at most {MOST_SECONDS} s are read; cut it first, such as by "
            f"ffmpeg -i INPUT -t {MOST_SECONDS} OUTPUT"
        )
