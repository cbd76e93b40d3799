"""Recordings to train on: a Hugging Face audiofolder, decoded once, split by recording, cut into windows.

The folder holds `metadata.csv` with the columns file_name and caption; label and url are used where they exist. Waves
are kept as one memory-mapped file of int16 at `SAMPLE_RATE`, mono, without the silence at either end.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from multigen.errors import UsageError
from multigen_models.audio.augment import SAMPLE_RATE, Wave, rms
from multigen_models.audio.captions import captions, sound_class

_LAYOUT = 1  # raised when what the cache holds changes
_LOUDNESS = 0.1  # RMS of a clip's loud parts after normalisation: -20 dBFS


@final
@dataclass(frozen=True)
class Clip:
    """One file of the folder.

    label: its class. group: what it was cut from; clips of a group stay on one side of a split. start, samples: where
    it lies in the wave file. gain: factor that brings its loud parts to the common loudness.
    """

    file_name: str
    captions: tuple[str, ...]
    label: str
    group: str
    start: int
    samples: int
    gain: float

    @property
    def seconds(self) -> float:
        return self.samples / SAMPLE_RATE


@final
@dataclass(frozen=True)
class Recordings:
    """The clips of a folder and their waves (int16, one after the other)."""

    clips: tuple[Clip, ...]
    waves: NDArray[np.int16] = field(repr=False)

    def wave(self, clip: Clip, /) -> Wave:
        """The whole clip at the common loudness."""
        return self._read(clip, 0, clip.samples)

    def window(self, clip: Clip, samples: int, rng: np.random.Generator, /) -> Wave:
        """`samples` samples of the clip at the common loudness.

        Of a longer clip, a part in which there is sound; a shorter one begins within 0.3 s and silence surrounds it.
        """
        if clip.samples >= samples:
            for _ in range(4):
                cut = self._read(clip, int(rng.integers(0, clip.samples - samples + 1)), samples)
                if rms(cut) > 0.25 * _LOUDNESS:
                    break
            return cut
        begin = int(rng.integers(0, min(int(0.3 * SAMPLE_RATE), samples - clip.samples) + 1))
        return np.pad(self.wave(clip), (begin, samples - clip.samples - begin))

    def _read(self, clip: Clip, offset: int, samples: int) -> Wave:
        begin = clip.start + offset
        return self.waves[begin : begin + samples].astype(np.float32) * np.float32(clip.gain / 32768)


def load_recordings(folder: Path, /, *, cache: Path) -> Recordings:
    """The recordings of an audiofolder; decoded into `cache` at first, read from there afterwards.

    Raises
    ------
    UsageError: the folder has no usable metadata.csv, or a file it names cannot be read.
    """
    metadata, key = _read_metadata(folder)
    kept = cache / f"recordings-{key}"
    if not kept.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
        try:
            _decode_all(folder, metadata, partial)
            os.replace(partial, kept)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    rows = json.loads((kept / "clips.json").read_text())
    clips = [Clip(**row | {"captions": tuple(row["captions"])}) for row in rows]
    waves = np.memmap(kept / "waves.int16", np.int16, mode="r")
    return Recordings(tuple(clips), np.asarray(waves))


def split_by_recording(clips: Sequence[Clip], /, *, fraction: float = 0.1) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """(training, validation): about `fraction` of every class of at least five groups, whole groups only.

    Where no class is large enough, about `fraction` of all of them together, at least one group. Deterministic in the
    clips' names: the same folder is always split in the same way. Raises UsageError for a single group.
    """
    by_label: Mapping[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        by_label[clip.label][clip.group].append(clip)
    held_out: dict[str, bool] = {}
    for label in sorted(by_label):
        groups = by_label[label]
        wanted = round(fraction * sum(map(len, groups.values()))) if len(groups) >= 5 else 0
        for group in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
            held_out.setdefault(group, len(groups[group]) <= wanted)
            wanted -= len(groups[group]) if held_out[group] else 0
    if not any(held_out.values()):
        held_out = _smallest(clips, round(fraction * len(clips)))
    training = tuple(clip for clip in clips if not held_out[clip.group])
    return training, tuple(clip for clip in clips if held_out[clip.group])


def _smallest(clips: Sequence[Clip], wanted: int) -> dict[str, bool]:
    """Every group, and whether it is among the smallest that hold so many clips together."""
    sizes = Counter(clip.group for clip in clips)
    if len(sizes) < 2:
        raise UsageError("all clips are of one recording: give two or more, because one is held out to measure with")
    chosen: dict[str, bool] = {}
    for group in sorted(sizes, key=lambda name: (sizes[name], hashlib.sha256(name.encode()).digest())):
        chosen[group] = not chosen or sizes[group] <= wanted
        wanted -= sizes[group] if chosen[group] else 0
    return chosen


def sampling_weights(clips: Sequence[Clip], /, *, power: float = 1.5, window: float = 3.0) -> NDArray[np.float64]:
    """(n,) probabilities, in which well-covered classes count for more than their share.

    A clip counts as many times as windows (seconds) fit into it, once at least and seven times at most; less than once
    if it is shorter than 0.4 s, which is mostly a click. A class counts as the sum of its clips, to `power`.
    """
    seconds = np.array([clip.seconds for clip in clips])
    worth = np.clip(seconds / window, 1.0, 7.0) * np.minimum(seconds / 0.4, 1.0)
    total: dict[str, float] = defaultdict(float)
    for clip, value in zip(clips, worth, strict=True):
        total[clip.label] += value
    weights = worth * np.array([total[clip.label] ** (power - 1) for clip in clips])
    return np.asarray(weights / weights.sum())


def _read_metadata(folder: Path) -> tuple[list[dict[str, str]], str]:
    path = folder / "metadata.csv"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); give a folder with a metadata.csv in UTF-8") from error
    rows = list(csv.DictReader(text.splitlines()))
    missing = {"file_name", "caption"} - set(rows[0] if rows else ())
    if missing:
        lacking = " and no ".join(sorted(missing))
        raise UsageError(f"{path} has no {lacking} in it; it needs the columns file_name and caption")
    return rows, hashlib.sha256(f"{_LAYOUT}\n{text}".encode()).hexdigest()[:16]


def _decode_all(folder: Path, rows: Sequence[Mapping[str, str]], into: Path) -> None:
    groups = _groups(rows)
    clips, start = [], 0
    with (into / "waves.int16").open("wb") as file:
        for row, group in zip(rows, groups, strict=True):
            wave = _trim(_decode(folder / row["file_name"]))
            wave.astype("<i2").tofile(file)
            label = row.get("label", "")
            clips.append(
                Clip(
                    file_name=row["file_name"],
                    captions=captions(row["caption"], label),
                    label=sound_class(label) or captions(row["caption"])[0],
                    group=group,
                    start=start,
                    samples=len(wave),
                    gain=_gain(wave),
                )
            )
            start += len(wave)
    (into / "clips.json").write_text(json.dumps([asdict(clip) for clip in clips]))


def _decode(path: Path) -> NDArray[np.int16]:
    """The file as mono int16 at SAMPLE_RATE."""
    import soundfile
    import soxr

    try:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        message = f"{path} cannot be read as audio ({error}); repair it or take it out of metadata.csv"
        raise UsageError(message) from error
    mono = soxr.resample(wave.mean(axis=1), rate, SAMPLE_RATE)
    return np.asarray(np.clip(np.rint(mono * 32768), -32768, 32767), np.int16)


def _trim(wave: NDArray[np.int16]) -> NDArray[np.int16]:
    """Without the silence (50 dB below the loudest 20 ms) at either end; at least one sample is left."""
    loudness = _loudness(wave, 0.02)
    heard = np.flatnonzero(loudness > max(loudness.max() * 10 ** (-50 / 20), 10 ** (-66 / 20)))
    if not len(heard):
        return wave[:1]
    hop = int(0.02 * SAMPLE_RATE)
    return wave[max(heard[0] * hop - hop // 2, 0) : (heard[-1] + 4) * hop]


def _gain(wave: NDArray[np.int16]) -> float:
    """Factor that brings the loudest 30 % of the wave's 50 ms frames to `_LOUDNESS`; at most 30 (30 dB)."""
    loudness = _loudness(wave, 0.05)
    loud = loudness[loudness >= np.quantile(loudness, 0.7)]
    return float(min(_LOUDNESS / max(float(np.sqrt(np.mean(loud**2))), 1e-9), 30.0))


def _loudness(wave: NDArray[np.int16], seconds: float) -> NDArray[np.float32]:
    """RMS of every frame of so many seconds, full scale 1; the last frame is completed with zeros."""
    hop = int(seconds * SAMPLE_RATE)
    frames = np.pad(wave, (0, -len(wave) % hop)).astype(np.float32).reshape(-1, hop) / np.float32(32768)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)), np.float32)


def _groups(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """What every row was cut from: its address, unless that is the address of a collection (over three labels)."""
    labels: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        labels[row.get("url", "")].add(row.get("label", ""))
    names = []
    for row in rows:
        url = row.get("url", "")
        collection = not url or len(labels[url]) > 3
        names.append(row["file_name"] if collection else url)
    return names
