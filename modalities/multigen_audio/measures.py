"""What can be measured of a sound: features for the general metrics, and plain facts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, final

from torch import Tensor

from multigen.errors import UsageError
from multigen.evaluation.contract import PerSample
from multigen.modality import Sample
from multigen_audio import features
from multigen_audio.signal import loudness, resample

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor

SECONDS = 5
"""Features see so much of a sound; shorter ones are followed by silence."""
SHORTEST = 0.1
SILENT = 1e-4
"""A peak below is silence: -80 dB."""


@final
class Statistics:
    """546 hand-made statistics of the log-mel spectrogram (`multigen_audio.features.statistics`)."""

    name = "audio-statistics"
    fingerprint = "1"

    def __call__(self, sample: Sample, /) -> Tensor:
        return features.statistics(_log_mel(sample))[0]


@final
class RandomFeatures:
    """512 features of a convolutional network with fixed random weights (`multigen_audio.features.RandomNetwork`)."""

    name = "audio-random-network"
    fingerprint = "1"

    def __call__(self, sample: Sample, /) -> Tensor:
        found: Tensor = _network()(_log_mel(sample))[0]
        return found


def extractors() -> Sequence[Extractor]:
    return Statistics(), RandomFeatures()


def metrics() -> Sequence[PerSample]:
    """Faults of a recording that listeners notice; real sounds have some of each."""
    told = (
        ("silence (%)", "share of 20 ms frames that are 50 dB below the loudest", "%"),
        ("flat tops (%)", "share of samples within 0.1 % of the peak, where clipping shows", "%"),
        ("DC (%)", "offset relative to the RMS", "%"),
        ("modulation (dB)", "between the 10 % and 90 % quantiles of the level of audible frames", "dB"),
    )
    heard = PerSample(
        name="loudness",
        about="integrated, over all channels",
        source="EBU R 128 / ITU-R BS.1770-5, by pyloudnorm",
        higher_is_better=None,
        unit="LUFS",
        value=_loudness,
    )
    described = [
        PerSample(
            name=key.partition(" (")[0].replace(" ", "-").lower(),
            about=about,
            source="multigen_audio.features.describe",
            higher_is_better=None if unit == "dB" else False,
            unit=unit,
            value=_described(key),
        )
        for key, about, unit in told
    ]
    return [*described, heard]


def faults(sample: Sample, /) -> Sequence[str]:
    wave = sample["wave"]
    if wave.shape[-1] < SHORTEST * sample["sample_rate"]:
        return (f"shorter than {SHORTEST} s",)
    if not bool(wave.isfinite().all()):
        return ("not finite",)
    return ("silent",) if float(wave.abs().max()) < SILENT else ()


def _described(key: str) -> Callable[[Sample, str], float]:
    return lambda sample, prompt: features.describe(_mono(sample))[key]


def _loudness(sample: Sample, prompt: str) -> float:
    """NaN under the standard's gate, and for more channels than the standard weighs."""
    try:
        found = loudness(sample["wave"], sample["sample_rate"])
    except UsageError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def _mono(sample: Sample) -> Tensor:
    """(t,) at the rate of the features."""
    return resample(sample["wave"].mean(0, keepdim=True), sample["sample_rate"], features.SAMPLE_RATE)[0]


def _log_mel(sample: Sample) -> Tensor:
    return features.log_mel(features.prepare(_mono(sample), SECONDS * features.SAMPLE_RATE)[None])


@cache
def _network() -> features.RandomNetwork:
    return features.RandomNetwork()
