"""What is done to a wave outside a model: rates, loudness, loops, edges."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from multigen.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

# ITU-R BS.1770-5, annex 1: gating blocks of 400 ms, weights for left, right, centre and two surrounds.
_BLOCK_SECONDS = 0.4
_METER_CHANNELS = 5
# ITU-R BS.1770-5, annex 2.
_TRUE_PEAK_OVERSAMPLING = 4


def resample(wave: Tensor, from_rate: int, to_rate: int, /) -> Tensor:
    """Change the sample rate of (channels, t), to the nearest whole number of samples, at least one.

    libsoxr's very high quality: linear phase, aliases below -140 dB. It takes any pair of rates in constant
    memory; a polyphase table (torchaudio's `resample`) takes gigabytes where the two have no common divisor.
    No gradients.
    """
    import numpy as np
    import soxr
    import torch

    if from_rate == to_rate:
        return wave.clone()
    t = max(1, round(wave.shape[-1] * to_rate / from_rate))
    samples = np.ascontiguousarray(wave.detach().float().cpu().numpy().T)
    resampled = soxr.resample(samples, from_rate, to_rate, quality="VHQ")[:t]
    resampled = np.pad(resampled, ((0, t - len(resampled)), (0, 0)))
    return torch.from_numpy(np.ascontiguousarray(resampled.T)).to(wave.device)


def loudness(wave: Tensor, sample_rate: int, /) -> float:
    """Integrated loudness of (1 to 5 channels, t) in LUFS; -inf for what lies under the standard's gate of -70.

    EBU R 128 / ITU-R BS.1770-5 by pyloudnorm, which holds the standard's filters ("DeMan") for any rate.
    torchaudio's meter clips at full scale inside its filters and, without its compiled extension, runs them
    sample by sample. The standard has no value for less than 0.4 s; a shorter clip is one block of its own length.

    Raises:
        UsageError: no samples, or more than five channels.
    """
    import numpy as np
    import pyloudnorm

    channels, t = wave.shape
    if not t or not 1 <= channels <= _METER_CHANNELS:
        raise UsageError(
            f"loudness needs 1 to {_METER_CHANNELS} channels and at least one sample, not {channels} x {t}"
        )
    samples = wave.detach().double().cpu().numpy().T
    if not np.any(samples):
        return -math.inf
    block_size = _BLOCK_SECONDS
    if t < block_size * sample_rate:
        # Half a sample more than the clip, so that rounding cannot make the block longer or the clip shorter.
        block_size = (t + 0.5) / sample_rate
        samples = np.pad(samples, ((0, 1), (0, 0)))
    meter = pyloudnorm.Meter(sample_rate, filter_class="DeMan", block_size=block_size)
    return float(meter.integrated_loudness(samples))


def true_peak(wave: Tensor, sample_rate: int, /) -> float:
    """The peak, between the samples too, in dBFS: ITU-R BS.1770-5 annex 2, four times oversampled."""
    import torch

    peak = torch.maximum(wave.abs().max(), resample(wave, 1, _TRUE_PEAK_OVERSAMPLING).abs().max())
    return 20 * math.log10(float(peak)) if peak > 0 else -math.inf


def normalise(wave: Tensor, sample_rate: int, /, *, target: float = -23.0, peak: float = -1.0) -> Tensor:
    """Bring (channels, t) to a loudness of `target` LUFS, or as near as a true peak of `peak` dBFS allows.

    One gain for the whole wave, never a limiter. Under the loudness meter's gate of -70 LUFS a wave counts as
    silence and comes back as it is. More than five channels are a `UsageError`, as in `loudness`.
    """
    level = loudness(wave, sample_rate)
    if math.isinf(level):
        return wave.clone()
    gain = min(target - level, peak - true_peak(wave, sample_rate))
    return wave * 10 ** (gain / 20)


def crossfade_loop(wave: Tensor, overlap: int, /) -> Tensor:
    """Make (channels, t) play in a seamless loop: its last `overlap` samples fade into its first ones.

    Equal power (sine and cosine), right for a head and a tail that are uncorrelated, as in textures; where they
    are alike the sum may pass full scale by up to 3 dB, so normalise afterwards.

    Returns:
        (channels, t - overlap). Its last sample and its first were neighbours in `wave`.

    Raises:
        UsageError: `overlap` is not between 1 and half of t.
    """
    import torch

    t = wave.shape[-1]
    if not 1 <= overlap <= t // 2:
        raise UsageError(f"a loop crossfade of {overlap} samples needs between 1 and {t // 2} (half of the clip)")
    phase = torch.arange(overlap, device=wave.device) * (math.pi / 2 / overlap)
    tail, head = wave[:, t - overlap :], wave[:, :overlap]
    seam = tail * phase.cos() + head * phase.sin()
    return torch.cat([seam, wave[:, overlap : t - overlap]], dim=-1)


def fade(wave: Tensor, sample_rate: int, /, *, seconds: float) -> Tensor:
    """Fade (channels, t) in and out over `seconds` (at most half of it) by raised cosines from and to exactly 0."""
    import torch

    t = wave.shape[-1]
    n = min(t // 2, round(seconds * sample_rate))
    rise = torch.sin(torch.arange(n, device=wave.device) * (math.pi / 2 / max(n, 1))) ** 2
    return wave * torch.cat([rise, torch.ones(t - 2 * n, device=wave.device), rise.flip(0)])
