"""Frame rates: timestamps to a constant rate, one constant rate to another, and loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from multigen.errors import UsageError
from multigen_video.picture import resize

if TYPE_CHECKING:
    from torch import Tensor

USUAL = 8.0
HIGHEST = 60.0

# Where a frame begins exactly in the middle of another rate's frame, the one before it is shown, however it is rounded.
_TIE = 1e-6


def constant_rate(times: np.ndarray, end: float, /, *, declared: Sequence[float], clock: float) -> float:
    """The constant rate, at most `HIGHEST`, for frames that begin at these times.

    The first rate that gives every frame a place of its own, none of them two: one that the file declares, a whole
    number that is true to the clock, the mean. Where there is none, because the rate varies, that of most frames.

    Args:
        times: (n,) in s, rising from 0; n > 0.
        end: of the last frame in s.
        declared: rates in Hz that the file names.
        clock: the unit of the times in s; they are off by less.
    """
    n = len(times)
    means = [n / end, *([(n - 1) / float(times[-1])] if n > 1 else [])]
    candidates = [(rate, 0.5) for rate in declared]
    for mean in means:
        whole = max(1.0, float(round(mean)))
        candidates += [(whole, min(0.5, clock * whole)), (mean, 0.5)]
    for rate, slack in candidates:
        held = end * rate - n  # how much longer the last frame is than the others
        if np.all(abs(times * rate - np.arange(n)) < slack) and held < 0.5 + slack and (n > 1 or held > -0.5):
            return min(rate, HIGHEST)
    gaps = np.diff(times)
    median = np.median(gaps)
    return min(float(1 / gaps[abs(gaps - median) <= median / 4].mean()), HIGHEST)


def length(times: np.ndarray, end: float, fps: float, /) -> int:
    """How many frames of a rate a clip has; the last one is among them, whatever the file says of its end."""
    return max(1, round(end * fps), math.floor(float(times[-1]) * fps + 0.5 - _TIE) + 1)


def shown(times: np.ndarray, fps: float, /, *, count: int) -> np.ndarray:
    """Which frame is on show in the middle of each of `count` frames of a rate: (count,) indices, the last one held.

    times: (n,) in s from 0 on, when each frame begins.
    """
    middles = np.arange(count) + 0.5 - _TIE
    found: np.ndarray = np.searchsorted(times * fps, middles, side="right") - 1
    return found.clip(0, len(times) - 1)


def at_rate(frames: Tensor, from_fps: float, to_fps: float, /, *, count: int, size: tuple[int, int]) -> Tensor:
    """`count` frames at another rate and (width, height), by repeating and dropping; the last one is held.

    frames: (t, 3, h, w) uint8, t > 0.
    """
    return repeated(frames, shown(np.arange(len(frames)) / from_fps, to_fps, count=count), size=size)


def repeated(frames: Tensor, index: np.ndarray, /, *, size: tuple[int, int]) -> Tensor:
    """The frames of the indices, each resized to (width, height) once however often it is shown.

    frames: (t, 3, h, w) uint8; they come back as they are where all are shown once, in order, at their size.
    """
    import torch

    if np.array_equal(index, np.arange(len(frames))):
        return resize(frames, size)
    used, places = np.unique(index, return_inverse=True)
    return resize(frames[torch.from_numpy(used).to(frames.device)], size)[torch.from_numpy(places)]


def loop(frames: Tensor, /, *, beyond: int) -> Tensor:
    """Make (t, ...) uint8 frames play in a loop: the last `beyond` ones fade into the first ones.

    Returns:
        (t - beyond, ...). Its last frame and its first were neighbours in `frames`. Where nothing is beyond, `frames`.

    Raises:
        UsageError: `beyond` is more than half of the frames.
    """
    import torch

    t = len(frames)
    if beyond <= 0:
        return frames
    if beyond > t // 2:
        raise UsageError(f"a loop of {t} frames can fade {t // 2} of them into its start, not {beyond}")
    share = (torch.arange(beyond, device=frames.device) / beyond).reshape(-1, *[1] * (frames.ndim - 1))
    head, tail = frames[:beyond].float(), frames[t - beyond :].float()
    return torch.cat([tail.lerp(head, share).round().to(frames.dtype), frames[beyond : t - beyond]])


def crossfaded(frames: Tensor, factor: int, /, *, around: bool) -> Tensor:
    """(t, ...) uint8 to (factor t, ...): every frame, and between it and the next one mixtures of the two.

    around: after the last frame comes the first; otherwise the last one is held.
    """
    import torch

    following = torch.cat([frames[1:], frames[:1] if around else frames[-1:]]).float()
    parts = [torch.lerp(frames.float(), following, i / factor).round() for i in range(factor)]
    return torch.stack(parts, dim=1).flatten(0, 1).to(frames.dtype)
