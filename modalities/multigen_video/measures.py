"""What can be measured of a film: features for the general metrics, flicker, motion, and the way that things go."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor

from multigen.evaluation.contract import PerSample
from multigen.evaluation.once import once
from multigen.modality import Sample
from multigen_video import features

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor

FROZEN = 0.02
"""A mean change of so many levels of 255 from frame to frame is none."""
FLAT = 1.0
"""A film whose levels deviate by less than so many of 255 shows nothing."""
_SIDEWAYS = re.compile(r"\b(left|right)\b")
_OTHERWISE = re.compile(
    r"\b(camera|pan(s|ning)?|orbit\w*|facing|look(s|ing)?|turn(s|ing)?|of an?|of the"
    r"|(left|right) (arm|hand|leg|foot|eye|ear|side))\b"
)
"""Words that give left and right another meaning than that of a motion."""


@final
class Statistics:
    """420 hand-made statistics (`multigen_video.features.statistics`)."""

    name = "video-statistics"
    fingerprint = "1"

    def __call__(self, sample: Sample, /) -> Tensor:
        return features.statistics(features.prepare(sample["frames"]))


@final
class RandomFeatures:
    """192 features of a network with fixed random weights (`multigen_video.features.RandomNetwork`)."""

    name = "video-random-network"
    fingerprint = "1"

    def __call__(self, sample: Sample, /) -> Tensor:
        found: Tensor = _network()(features.prepare(sample["frames"]))
        return found


def extractors() -> Sequence[Extractor]:
    return Statistics(), RandomFeatures()


def metrics() -> Sequence[PerSample]:
    return (
        PerSample(
            name="temporal-flickering",
            about="1 minus the mean change from frame to frame over the range; 1 is a still picture",
            source="VBench, arXiv 2311.17982, section 3.1",
            higher_is_better=None,
            value=_steadiness,
        ),
        PerSample(
            name="dynamic-degree",
            about="mean of the 5 % fastest optical flow, in sides of the picture a second",
            source="VBench, arXiv 2311.17982, section 3.1, with iterative Lucas-Kanade in place of a network",
            higher_is_better=None,
            unit="sides/s",
            value=_dynamic_degree,
        ),
        PerSample(
            name="direction",
            about="share of films that move the way that the prompt says, left or right, by optical flow",
            source="multigen_video.features.heading",
            higher_is_better=True,
            value=_direction,
            share=True,
        ),
    )


def faults(sample: Sample, /) -> Sequence[str]:
    if float(sample["frames"].float().std()) < FLAT:
        return ("shows nothing",)
    return ("frozen",) if _change(sample) < FROZEN else ()


def _steadiness(sample: Sample, prompt: str) -> float:
    return 1 - _change(sample) / 255


@once
def _change(sample: Sample) -> float:
    """The mean change from frame to frame, in levels; NaN for a single one."""
    frames = sample["frames"].float()
    return float(frames.diff(dim=0).abs().mean()) if len(frames) > 1 else math.nan


@once
def _flow(sample: Sample) -> Tensor:
    return features.flow(sample["frames"])


def _dynamic_degree(sample: Sample, prompt: str) -> float:
    speed = torch.hypot(*_flow(sample).unbind(1)).flatten(1)
    if not len(speed):
        return math.nan
    fastest = speed.topk(max(1, speed.shape[1] // 20), dim=1).values
    return float(fastest.mean()) * float(sample["fps"])


def _direction(sample: Sample, prompt: str) -> float:
    wanted = set(_SIDEWAYS.findall(prompt.lower()))
    if len(wanted) != 1 or _OTHERWISE.search(prompt.lower()) or len(sample["frames"]) < 2:
        return math.nan
    right, _ = features.heading(_flow(sample))
    return float(right > 0) if wanted == {"right"} else float(right < 0)


@cache
def _network() -> features.RandomNetwork:
    return features.RandomNetwork()
