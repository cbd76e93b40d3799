"""Training windows with captions: recordings as they are, and scenes composed of them in which the caption follows.

A scene is a function (source, rng) -> (wave, caption). It changes the sound and says so: "a dog barking" becomes "a dog
barking in a large hall", two recordings become "rain and a crackling fire". Window `i` depends on (seed, i) alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from multigen_models.audio import augment
from multigen_models.audio.augment import MATERIALS, SAMPLE_RATE, Wave
from multigen_models.audio.data import Clip, Recordings, sampling_weights

T = TypeVar("T")

RAINS = ("rain", "heavy rain", "light rain")
# Sounds without attacks: a room changes nothing in them that can be heard.
STEADY = frozenset((*RAINS, "rain indoors", "sea waves", "wind", "summer night", "crickets", "vacuum cleaner"))
VEHICLES = ("helicopter", "airplane", "train", "engine", "car horn", "siren")
NIGHTS = ("crickets", "summer night", "owl hoot")


@final
class Source:
    """Draws windows of `samples` samples from those `clips` of `recordings`, by the clips' weights."""

    def __init__(self, recordings: Recordings, clips: Sequence[Clip], samples: int, /) -> None:
        self.recordings = recordings
        self.samples = samples
        self._clips = tuple(clips)
        self._cumulative = np.cumsum(sampling_weights(self._clips))
        self._members: dict[str, list[Clip]] = defaultdict(list)
        for clip in self._clips:
            self._members[clip.label].append(clip)

    def has(self, labels: Sequence[str], /) -> bool:
        return any(label in self._members for label in labels)

    def clip(self, rng: np.random.Generator, /, *, labels: Sequence[str] | None = None) -> Clip:
        """A clip of any class by its weight, or of one of these classes, each clip as likely as another."""
        if labels is None:
            return self._clips[min(int(np.searchsorted(self._cumulative, rng.random())), len(self._clips) - 1)]
        return _one_of([clip for label in labels for clip in self._members.get(label, ())], rng)

    def wave(self, clip: Clip, rng: np.random.Generator, /) -> Wave:
        """A window of the clip, a little louder or softer than normal."""
        gain = np.float32(10 ** (rng.normal(0, 2) / 20))
        return gain * self.recordings.window(clip, self.samples, rng)


Scene = Callable[[Source, np.random.Generator], tuple[Wave, str]]


def caption_of(clip: Clip, rng: np.random.Generator, /) -> str:
    """One of the clip's captions: the plainest half of the time."""
    return clip.captions[0] if rng.random() < 0.5 else _one_of(clip.captions, rng)


def plain(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """One recording as it is."""
    clip = source.clip(rng)
    return source.wave(clip, rng), caption_of(clip, rng)


def in_a_room(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """One recording in a room of some size."""
    clip = source.clip(rng)
    wave = source.wave(clip, rng)
    if clip.label in STEADY:
        return wave, caption_of(clip, rng)
    rooms: Sequence[tuple[str, tuple[float, float], tuple[float, float]]] = (
        ("in a small room", (0.25, 0.45), (0.8, 2.0)),
        ("in a bathroom", (0.6, 0.9), (0.5, 1.2)),
        ("in a large hall", (1.4, 2.4), (0.4, 1.2)),
        ("in a large hall", (1.4, 2.4), (0.4, 1.2)),
        ("in a cathedral", (2.8, 4.0), (0.3, 0.8)),
    )
    where, decay, direct = _one_of(rooms, rng)
    heard = augment.reverberate(wave, rng, decay=rng.uniform(*decay), direct=rng.uniform(*direct))
    return augment.level(heard, wave), f"{caption_of(clip, rng)} {where}"


def at_a_distance(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """One recording from afar, or from close by."""
    clip = source.clip(rng)
    wave, caption = source.wave(clip, rng), caption_of(clip, rng)
    if rng.random() < 0.3:
        return wave * np.float32(10 ** (rng.uniform(4, 7) / 20)), f"{caption} {_one_of(('close by', 'up close'), rng)}"
    return augment.far_away(wave, rng), f"{caption} {_one_of(('far away', 'in the distance'), rng)}"


def together(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """Two recordings of different classes, about equally loud."""
    return _pair(source.clip(rng), source.clip(rng), source, rng)


def in_the_background(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """One recording, and another one much softer."""
    near, far = source.clip(rng), source.clip(rng)
    wave = source.wave(near, rng)
    if near.label == far.label:
        return wave, caption_of(near, rng)
    wave = wave + np.float32(10 ** (rng.uniform(-16, -10) / 20)) * source.wave(far, rng)
    return wave, f"{caption_of(near, rng)} with {caption_of(far, rng)} in the background"


def rain_by_density(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """Several recordings of rain at once are heavy rain; a soft, thinned one is light rain."""
    first = source.wave(source.clip(rng, labels=RAINS), rng)
    if rng.random() < 0.5:
        for _ in range(2):
            first = first + source.wave(source.clip(rng, labels=RAINS), rng)
        return first, _one_of(("heavy rain", "heavy rain falling", "a downpour", "pouring rain"), rng)
    soft = np.float32(10 ** (rng.uniform(-12, -7) / 20)) * augment.low_pass(first, 5000)
    single = augment.drops(source.samples, rng, rate=rng.uniform(3, 12))
    taps = augment.convolve(single, _one_of(augment.strikes(MATERIALS["plastic"]), rng))
    wave = soft + augment.level(taps, soft, decibels=rng.uniform(-3, 3))
    return wave, _one_of(("light rain", "light rain falling", "a few drops of rain", "drizzle"), rng)


def rain_on_material(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """A recording of rain that falls on tin, wood, glass, plastic or canvas (synthesised; see `augment.rain_on`)."""
    surfaces = {
        "tin": ("a tin roof", "a tin roof", "a metal roof", "a sheet of metal"),
        "wood": ("wood", "a wooden roof", "wooden boards"),
        "glass": ("a window", "glass", "a glass roof"),
        "plastic": ("a plastic tent", "a plastic tent", "plastic", "an umbrella"),
        "canvas": ("canvas", "a canvas tent", "a tent"),
    }
    name = _one_of(tuple(surfaces), rng)
    amounts = (("light rain", 8, 25), ("rain", 40, 120), ("rain", 40, 120), ("heavy rain", 200, 600))
    amount, least, most = _one_of(amounts, rng)
    rain = source.wave(source.clip(rng, labels=RAINS), rng)
    rain = augment.rain_on(MATERIALS[name], rain, rng, rate=rng.uniform(least, most))
    gain = {"light rain": -7.0, "rain": 0.0, "heavy rain": 4.0}[amount]
    return np.float32(10 ** (gain / 20)) * rain, f"{amount} on {_one_of(surfaces[name], rng)}"


def knocking(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """Knocks on a body of some material (synthesised)."""
    count = int(rng.integers(1, 6))
    name = _one_of(tuple(MATERIALS), rng)
    wave = augment.knocks(MATERIALS[name], source.samples, rng, count=count)
    times = ("a knock", "two knocks", "three knocks", "four knocks", "five knocks")[count - 1]
    return wave, f"{times if rng.random() < 0.5 else 'knocking'} on {'metal' if name == 'tin' else name}"


def passing(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """A vehicle that passes, comes or goes."""
    often = ("helicopter",)
    clip = source.clip(rng, labels=often if source.has(often) and rng.random() < 0.5 else VEHICLES)
    words, least, most = (("passing by", 0.35, 0.65), ("approaching", 0.95, 1.2), ("moving away", -0.2, 0.05))[
        rng.choice(3, p=(0.6, 0.2, 0.2))
    ]
    wave = augment.pass_by(source.wave(clip, rng), rng, closest=rng.uniform(least, most))
    return wave, f"{_one_of(_NAMES.get(clip.label, clip.captions[:1]), rng)} {words}"


def night_fire(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """A fire outdoors at night: the recording of a fire over soft insects."""
    fire = source.wave(source.clip(rng, labels=("crackling fire",)), rng)
    night = source.wave(source.clip(rng, labels=NIGHTS), rng)
    captions = ("a campfire crackling at night", "a campfire at night", "a crackling fire and crickets at night")
    return fire + np.float32(10 ** (rng.uniform(-16, -6) / 20)) * night, _one_of(captions, rng)


def sea_birds(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """Seagulls over the sea."""
    captions = ("sea waves and seagulls", "seagulls over the sea", "waves on a beach with seagulls calling")
    wave = source.wave(source.clip(rng, labels=("sea waves",)), rng)
    for _ in range(rng.integers(1, 4)):
        gull = source.wave(source.clip(rng, labels=("seagulls",)), rng)
        gull = np.roll(gull, int(rng.integers(source.samples)))
        wave = wave + np.float32(10 ** (rng.uniform(-8, 2) / 20)) * gull
    return wave, _one_of(captions, rng)


def counted_barks(source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    """One bark of a recording, one to four times."""
    clip = source.clip(rng, labels=("dog",))
    bark = _loudest_burst(source.recordings.wave(clip))
    count = int(rng.integers(1, 5))
    wave = np.zeros(source.samples, np.float32)
    at = int(rng.uniform(0.02, 0.3) * SAMPLE_RATE)
    for _ in range(count):
        part = bark[: max(source.samples - at, 0)]
        wave[at : at + len(part)] += np.float32(10 ** (rng.normal(0, 1.5) / 20)) * part
        at += len(bark) + int(rng.uniform(0.08, 0.45) * SAMPLE_RATE)
    return wave, f"a dog barks {('once', 'twice', 'three times', 'four times')[count - 1]}"


@dataclass(frozen=True)
class Part:
    """A scene with its share of the windows. needs: it is left out unless one class of each of these is there."""

    scene: Scene
    share: float
    needs: tuple[Sequence[str], ...] = ()


SCENES = (
    Part(plain, 0.40),
    Part(in_a_room, 0.10),
    Part(at_a_distance, 0.07),
    Part(together, 0.13),
    Part(in_the_background, 0.06),
    Part(rain_by_density, 0.03, (RAINS,)),
    Part(rain_on_material, 0.09, (RAINS,)),
    Part(knocking, 0.02),
    Part(passing, 0.04, (VEHICLES,)),
    Part(night_fire, 0.02, (("crackling fire",), NIGHTS)),
    Part(sea_birds, 0.02, (("sea waves",), ("seagulls",))),
    Part(counted_barks, 0.02, (("dog",),)),
)
AS_RECORDED = (Part(plain, 1.0),)


@final
class SoundWindows(Dataset[tuple[Tensor, str]]):
    """Windows drawn from scenes: item i is (wave: (samples,) float32 in [-1, 1], caption), a function of (seed, i).

    Parameters
    ----------
    recordings, clips: where the sound comes from, and which of its clips may be used.
    samples: length of a window at `SAMPLE_RATE`.
    length: number of windows.
    parts: the scenes; those whose classes are missing from `clips` are left out.
    """

    def __init__(
        self,
        recordings: Recordings,
        clips: Sequence[Clip],
        /,
        *,
        samples: int,
        length: int,
        seed: int,
        parts: Sequence[Part] = SCENES,
    ) -> None:
        self.source = Source(recordings, clips, samples)
        self.length = length
        self.seed = seed
        possible = [part for part in parts if all(map(self.source.has, part.needs))]
        shares = np.array([part.share for part in possible])
        self._scenes = [part.scene for part in possible]
        self._shares = shares / shares.sum()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        if not 0 <= index < self.length:
            raise IndexError(f"window {index} of {self.length}")
        rng = np.random.default_rng((self.seed, index))
        scene = self._scenes[rng.choice(len(self._scenes), p=self._shares)]
        wave, caption = scene(self.source, rng)
        peak = float(np.abs(wave).max())
        return torch.from_numpy(wave * np.float32(min(1.0, 0.95 / max(peak, 1e-9)))), caption


_NAMES: Mapping[str, Sequence[str]] = {
    "helicopter": ("a helicopter",),
    "airplane": ("an airplane",),
    "train": ("a train",),
    "engine": ("a car", "a motor vehicle"),
    "car horn": ("a honking car",),
    "siren": ("a siren", "a police car with its siren"),
}


def _pair(one: Clip, other: Clip, source: Source, rng: np.random.Generator) -> tuple[Wave, str]:
    wave = source.wave(one, rng)
    if one.label == other.label:
        return wave, caption_of(one, rng)
    wave = wave + np.float32(10 ** (rng.uniform(-4, 4) / 20)) * source.wave(other, rng)
    return wave, f"{caption_of(one, rng)} and {caption_of(other, rng)}"


def _loudest_burst(wave: Wave) -> Wave:
    """The stretch (0.06 to 0.8 s) around the loudest 20 ms in which the level stays within 14 dB of it, faded out."""
    hop = int(0.02 * SAMPLE_RATE)
    frames = np.pad(wave, (0, -len(wave) % hop)).reshape(-1, hop)
    loud = np.sqrt(np.mean(frames**2, axis=1))
    peak = int(loud.argmax())
    quiet = np.flatnonzero(loud < 0.2 * loud[peak])
    begin = max(int(max(quiet[quiet < peak], default=-1)), peak - 20, 0)
    end = min(int(min(quiet[quiet > peak], default=len(loud))) + 1, peak + 20)
    burst = wave[begin * hop : end * hop].copy()
    fade = min(hop, len(burst))
    burst[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
    return burst


def _one_of(options: Sequence[T], rng: np.random.Generator) -> T:
    return options[int(rng.integers(len(options)))]
