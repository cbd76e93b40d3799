"""Changes to a sound that can be said in words: rooms, distance, movement, and rain or knocks on materials.

Every function takes mono float32 waves of `SAMPLE_RATE` and a `numpy.random.Generator`, returns a new wave of the
same length, and draws everything that varies from the generator. Materials are physical synthesis: impulses that
excite exponentially damped modes (Cook, "Physically informed sonic modeling", Computer Music Journal 21(3), 1997).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

Wave = NDArray[np.float32]

SAMPLE_RATE = 24_000


def convolve(wave: Wave, response: Wave, /) -> Wave:
    """The first `len(wave)` samples of the convolution with `response`."""
    size = next_fast_len(len(wave) + len(response) - 1, real=True)
    return np.asarray(irfft(rfft(wave, size) * rfft(response, size), size)[: len(wave)], np.float32)


def rms(wave: Wave, /) -> float:
    """Root mean square over the whole wave."""
    return float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0


def level(wave: Wave, like: Wave, /, *, decibels: float = 0.0) -> Wave:
    """`wave` scaled so that its RMS lies `decibels` above the RMS of `like`; silence stays silence."""
    loudness = rms(wave)
    return wave * np.float32(10 ** (decibels / 20) * rms(like) / loudness) if loudness > 0 else wave


def low_pass(wave: Wave, cutoff: float, /) -> Wave:
    """First-order roll-off (6 dB an octave) above `cutoff` Hz, without delay."""
    size = next_fast_len(len(wave), real=True)
    frequencies = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(SAMPLE_RATE / size / cutoff)
    return np.asarray(irfft(rfft(wave, size) / np.sqrt(1 + frequencies**2), size)[: len(wave)], np.float32)


def room_response(rng: np.random.Generator, /, *, decay: float, direct: float, damping: float) -> Wave:
    """Impulse response of a room: the direct sound, then exponentially decaying noise.

    decay: seconds until the reverberation has fallen by 60 dB. direct: energy of the direct sound relative to
    that of the reverberation. damping: Hz above which the walls absorb.
    """
    samples = int(min(decay, 1.8) * SAMPLE_RATE)
    t = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    tail = rng.standard_normal(samples, np.float32) * np.exp(np.float32(-6.91 / decay) * t)
    tail = low_pass(tail, damping)
    # Reflections arrive after the direct sound: the wider the room, the later.
    tail[: int(0.012 * decay * SAMPLE_RATE)] = 0
    tail *= np.float32(1 / np.sqrt(np.sum(tail**2) * direct))
    tail[0] = 1
    return tail


def reverberate(wave: Wave, rng: np.random.Generator, /, *, decay: float, direct: float) -> Wave:
    """`wave` in a room of that decay (seconds) and direct-to-reverberant energy ratio."""
    return convolve(wave, room_response(rng, decay=decay, direct=direct, damping=rng.uniform(2500, 6000)))


def far_away(wave: Wave, rng: np.random.Generator, /) -> Wave:
    """`wave` heard from afar: air takes the treble, reflections add a tail, and it is quieter."""
    heard = low_pass(low_pass(wave, rng.uniform(900, 2200)), rng.uniform(2000, 4000))
    heard = reverberate(heard, rng, decay=rng.uniform(0.6, 1.3), direct=rng.uniform(0.7, 1.5))
    return level(heard, wave, decibels=rng.uniform(-14, -8))


def pass_by(wave: Wave, rng: np.random.Generator, /, *, closest: float) -> Wave:
    """`wave` moving past on a straight line: level over distance, Doppler shift, air absorption.

    closest: time of the closest approach, as a fraction of the wave (outside [0, 1]: before or after it).
    """
    samples = len(wave)
    t = (np.arange(samples, dtype=np.float32) - np.float32(closest * samples)) / np.float32(SAMPLE_RATE)
    width = rng.uniform(0.35, 0.8)
    distance = np.sqrt(1 + (t / np.float32(width)) ** 2)
    # The delay grows with distance; its slope is the ratio of the speed to that of sound, at most `mach`.
    mach = rng.uniform(0.03, 0.1)
    at = np.arange(samples) - mach * width * SAMPLE_RATE * (distance - distance.min())
    moved = np.interp(np.mod(at, samples - 1), np.arange(samples), wave).astype(np.float32)
    near = (1 / distance).astype(np.float32)
    muffled = low_pass(moved, 1200)
    return level((near * (near * moved + (1 - near) * muffled)).astype(np.float32), wave)


@dataclass(frozen=True)
class Material:
    """Range of the damped modes that a struck body of some material rings with.

    modes: how many. low, high: their frequencies in Hz. decay: (shortest, longest) seconds to fall by 60 dB, the
    longest for the lowest mode. tilt: fall of the modes' amplitudes, in decibels an octave. thud: share of a
    broadband click, which stands for the modes that are too many and too damped to be told apart.
    """

    modes: int
    low: float
    high: float
    decay: tuple[float, float]
    tilt: float
    thud: float


MATERIALS = {
    "tin": Material(modes=90, low=300, high=9500, decay=(0.025, 0.16), tilt=1.5, thud=0.35),
    "wood": Material(modes=20, low=110, high=2200, decay=(0.012, 0.06), tilt=5.0, thud=0.35),
    "glass": Material(modes=30, low=900, high=9500, decay=(0.012, 0.07), tilt=2.5, thud=0.5),
    "plastic": Material(modes=16, low=200, high=3200, decay=(0.008, 0.03), tilt=3.5, thud=0.6),
    "canvas": Material(modes=12, low=70, high=900, decay=(0.015, 0.05), tilt=6.0, thud=0.6),
}


def strike(material: Material, rng: np.random.Generator, /, *, ring: float = 1.0) -> Wave:
    """One blow to a body of `material`, of unit energy. ring: factor on the decay times (a freer body)."""
    low, high = np.log(material.low), np.log(material.high)
    frequency = np.exp(rng.uniform(low, high, material.modes)).astype(np.float32)
    height = (np.log(frequency) - low) / (high - low)
    shortest, longest = material.decay
    decay = ring * longest * (shortest / longest) ** height * rng.uniform(0.6, 1.5, material.modes)
    octaves = height * (high - low) / np.log(2)
    amplitude = rng.standard_normal(material.modes) * 10 ** (-material.tilt * octaves / 20)
    samples = int(min(1.2 * ring * longest, 1.5) * SAMPLE_RATE)
    t = np.arange(samples, dtype=np.float32) / np.float32(SAMPLE_RATE)
    phase = rng.uniform(0, 2 * np.pi, material.modes)
    damped = np.exp(t[:, None] * (2j * np.pi * frequency - 6.91 / decay).astype(np.complex64))
    blow = (damped @ (amplitude * np.exp(1j * phase)).astype(np.complex64)).imag.astype(np.float32)
    blow /= np.float32(np.sqrt(np.sum(blow**2)))
    click = rng.standard_normal(len(t), np.float32) * np.exp(-t / np.float32(0.0015))
    click = low_pass(click, material.high)
    blow += np.float32(material.thud) * click / np.float32(np.sqrt(np.sum(click**2)))
    return blow / np.float32(np.sqrt(np.sum(blow**2)))


def drops(samples: int, rng: np.random.Generator, /, *, rate: float) -> Wave:
    """Impulses at random times, `rate` a second on average, their strengths log-normal."""
    count = rng.poisson(rate * samples / SAMPLE_RATE)
    train = np.zeros(samples, np.float32)
    np.add.at(train, rng.integers(0, samples, count), rng.lognormal(0, 0.9, count).astype(np.float32))
    return train


@cache
def strikes(material: Material, /, *, count: int = 32) -> tuple[Wave, ...]:
    """`count` blows to bodies of `material`, always the same: drawing them costs more than using them."""
    rng = np.random.default_rng(0)
    return tuple(strike(material, rng) for _ in range(count))


def rain_on(material: Material, rain: Wave, rng: np.random.Generator, /, *, rate: float) -> Wave:
    """Recorded rain that falls on `material`: drops, `rate` a second, and the recording itself excite it.

    Drops fall on four places, which ring differently; the recording is heard in the background.
    """
    places = [strikes(material)[i] for i in rng.choice(len(strikes(material)), 4, replace=False)]
    size = next_fast_len(len(rain) + max(map(len, places)), real=True)
    heard = [rfft(drops(len(rain), rng, rate=rate / 4), size) * rfft(place, size) for place in places]
    splash = np.asarray(irfft(sum(heard), size)[: len(rain)], np.float32)
    coloured = level(convolve(rain, places[0]), splash, decibels=rng.uniform(-12, -6))
    background = level(low_pass(rain, rng.uniform(2000, 8000)), splash, decibels=rng.uniform(-12, -4))
    return level(splash + coloured + background, rain)


def knocks(material: Material, samples: int, rng: np.random.Generator, /, *, count: int) -> Wave:
    """`count` blows of one hand at an even pace to one body of `material`, the first within 0.3 s."""
    pace = rng.uniform(0.18, 0.5) * SAMPLE_RATE
    train = np.zeros(samples, np.float32)
    at = rng.uniform(0.02, 0.3) * SAMPLE_RATE + pace * np.arange(count) + rng.normal(0, 0.02 * pace, count)
    train[np.clip(at.astype(int), 0, samples - 1)] = rng.uniform(0.7, 1.0, count)
    wave = convolve(train, strike(material, rng, ring=rng.uniform(1.0, 2.5)))
    return wave * np.float32(0.5 / np.abs(wave).max())
