"""Audio files: reading any rate and channel count, writing with provenance tags.

wav, flac and ogg go through libsndfile (soundfile), mp3, m4a and opus through FFmpeg (PyAV).

Every format comes back with the exact number of samples that was written: the encoders' start delay and end
padding are declared in the file (LAME header, MP4 edit list, Ogg granule position). Only an mp3 is never shorter
than 47 samples. Players built on FFmpeg end an m4a or an ogg with a whole block of the codec all the same: less
than 1,024 samples off in m4a, less than 2,048 in ogg.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen_audio.tags import add_tags, read_tags

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["EXTENSIONS", "check_writable", "read", "read_tags", "write"]

_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (7350, *_MP3_RATES, 64000, 88200, 96000)
_OPUS_RATE = 48000

# libsndfile encodes Vorbis on the stack: one call with some millions of frames overflows it.
_VORBIS_BLOCK = 65536


def read(path: str | os.PathLike[str], /) -> tuple[Tensor, int]:
    """Read an audio file of one of `EXTENSIONS`.

    Returns:
        wave: (channels, t) float32, t > 0, finite. Full scale is 1; floating-point files and lossy decoders can
            pass it.
        sample_rate: in Hz, as stored.

    Raises:
        UsageError: missing, unreadable, empty, damaged or not audio, of another extension, without samples, or
            with samples that are not finite.
    """
    import numpy as np
    import torch

    path = Path(path)
    decode = _format(path).decode
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"{path} is empty; give an audio file")
            file.seek(0)
            wave, sample_rate = decode(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; give an audio file") from error
    except _DecodeError as error:
        raise UsageError(f"{path} is damaged or not audio ({error}); give an intact audio file") from error
    if not wave.size:
        raise UsageError(f"{path} holds no samples; give an audio file that is longer than 0 s")
    if not np.isfinite(wave).all():
        raise UsageError(f"{path} holds samples that are NaN or infinite; give an audio file with finite samples")
    return torch.from_numpy(np.ascontiguousarray(wave)), sample_rate


def write(path: str | os.PathLike[str], wave: Tensor, sample_rate: int, /, *, tags: Mapping[str, str]) -> None:
    """Write an audio file in the format of its extension, or leave what was there untouched.

    wav and flac are 16-bit: a 16-bit file that was read and is written again keeps every sample. mp3, m4a (AAC)
    and opus have 128 kbit/s a channel (less below 32 kHz), ogg is Vorbis at its default quality. opus always
    plays at 48 kHz (RFC 7845), so other rates are resampled.

    Args:
        wave: (channels, t) in [-1, 1], t > 0.
        sample_rate: in Hz.
        tags: see `multigen_audio.tags.add_tags`; they do not touch the audio.

    Raises:
        UsageError: another extension, a rate or a channel count that the format does not have, no samples, or
            samples that are not finite or outside [-1, 1].
        OSError: the file cannot be written.
    """
    path = Path(path)
    channels, t = wave.shape
    check_writable(path, channels=channels, sample_rate=sample_rate)
    if not t:
        raise UsageError("there are no samples to write; give a wave that is longer than 0 s")
    samples = wave.detach().float().cpu().numpy()
    peak = float(abs(samples).max())
    if not peak <= 1:  # also true for NaN
        raise UsageError(f"the wave peaks at {peak:g}; samples must be in [-1, 1]: normalise the wave first")
    replace_file(path, add_tags(_format(path).encode(samples, sample_rate), tags))


def check_writable(path: str | os.PathLike[str], /, *, channels: int, sample_rate: int) -> None:
    """Raise the `UsageError` that `write` would raise for this name, channel count and rate, before any work."""
    path = Path(path)
    form = _format(path)
    if not 1 <= channels <= form.channels:
        raise UsageError(
            f"{path.suffix} holds 1 to {form.channels} channels, not {channels}; use .wav or fewer channels"
        )
    if sample_rate not in form.rates:
        allowed = _rates_text(form.rates)
        raise UsageError(f"{path.suffix} has no sample rate of {sample_rate} Hz; use {allowed}, or .wav")


class _DecodeError(Exception):
    """The decoder's own words for why a file is no audio."""


@dataclass(frozen=True, kw_only=True)
class _Format:
    """One container: its decoder and encoder, and what the encoder takes."""

    decode: Callable[[Any], tuple[np.ndarray, int]]  # file -> (channels, t), rate
    encode: Callable[[np.ndarray, int], bytes]  # (channels, t), rate -> file
    channels: int
    rates: Sequence[int]


def _format(path: Path) -> _Format:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        given = f"{path.suffix} is not an audio format that is supported" if path.suffix else "no file extension"
        raise UsageError(f"{path}: {given}; use {', '.join(EXTENSIONS)}") from None


def _rates_text(rates: Sequence[int]) -> str:
    if isinstance(rates, range):
        return f"{rates.start} to {rates.stop - 1} Hz"
    return f"one of {', '.join(map(str, rates))} Hz"


def _decode_soundfile(file: Any) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with soundfile.SoundFile(file) as source:
            wave = source.read(dtype="float32", always_2d=True)
            return wave.T, source.samplerate
    except soundfile.LibsndfileError as error:
        raise _DecodeError(error.error_string.rstrip(".")) from error


def _decode_av(file: Any) -> tuple[np.ndarray, int]:
    import av
    import numpy as np

    try:
        # To FFmpeg a list of files is audio too, and opens what it names.
        options = {"format_whitelist": "mp3,mov,ogg,aac,flac,wav"}
        with av.open(file, options=options, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise _DecodeError("it has no audio stream")
            stream = container.streams.audio[0]
            convert = av.AudioResampler(format="fltp")
            frames = [planar for frame in container.decode(stream) for planar in convert.resample(frame)]
            if not frames:
                raise _DecodeError("it holds no samples")
            sample_rate = frames[0].sample_rate
            wave = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
            if container.format.name.startswith("mov") and stream.duration and stream.time_base:
                # FFmpeg applies the start of MP4's edit list, and leaves the encoder's padding at the end.
                wave = wave[:, : round(stream.duration * stream.time_base * sample_rate)]
            return wave, sample_rate
    except (av.FFmpegError, ValueError) as error:
        raise _DecodeError(getattr(error, "strerror", None) or error) from error


def _encode_soundfile(wave: np.ndarray, sample_rate: int, *, format: str, subtype: str) -> bytes:
    import numpy as np
    import soundfile

    samples = wave.T
    if subtype == "PCM_16":
        # The inverse of reading, k / 2^15; libsndfile's conversion scales by 2^15 - 1 and loses a bit each cycle.
        samples = np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", sample_rate, samples.shape[1], format=format, subtype=subtype) as sink:
        for start in range(0, len(samples), _VORBIS_BLOCK):
            sink.write(samples[start : start + _VORBIS_BLOCK])
    return file.getvalue()


def _encode_av(wave: np.ndarray, sample_rate: int, *, format: str, codec: str) -> bytes:
    import av
    import numpy as np

    layout = "mono" if len(wave) == 1 else "stereo"
    options = {"fflags": "+bitexact"}
    if format == "ipod":
        # The edit list counts in this unit; FFmpeg's default is the millisecond.
        options["movie_timescale"] = str(sample_rate)
    file = io.BytesIO()
    with av.open(file, "w", format=format, options=options) as container:
        stream: Any = container.add_stream(codec, rate=sample_rate)
        stream.layout = layout
        stream.bit_rate = len(wave) * min(128_000, 4 * sample_rate)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
        frame.sample_rate = sample_rate
        # Without a time stamp the muxers cannot tell the encoder's delay from sound.
        frame.pts = 0
        frame.time_base = Fraction(1, sample_rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _encode_opus(wave: np.ndarray, sample_rate: int) -> bytes:
    import torch

    from multigen_audio.signal import resample

    wave = resample(torch.from_numpy(wave), sample_rate, _OPUS_RATE).clamp(-1, 1).numpy()
    return _encode_av(wave, _OPUS_RATE, format="opus", codec="libopus")


def _soundfile_format(format: str, *, subtype: str, rates: range) -> _Format:
    encode = partial(_encode_soundfile, format=format, subtype=subtype)
    return _Format(decode=_decode_soundfile, encode=encode, channels=8, rates=rates)


def _av_format(format: str, *, codec: str, rates: Sequence[int]) -> _Format:
    encode = partial(_encode_av, format=format, codec=codec)
    return _Format(decode=_decode_av, encode=encode, channels=2, rates=rates)


_FORMATS: Mapping[str, _Format] = {
    ".wav": _soundfile_format("WAV", subtype="PCM_16", rates=range(1000, 384_001)),
    ".flac": _soundfile_format("FLAC", subtype="PCM_16", rates=range(1000, 384_001)),
    ".ogg": _soundfile_format("OGG", subtype="VORBIS", rates=range(8000, 192_001)),
    ".mp3": _av_format("mp3", codec="libmp3lame", rates=_MP3_RATES),
    ".m4a": _av_format("ipod", codec="aac", rates=_AAC_RATES),
    ".opus": _Format(decode=_decode_av, encode=_encode_opus, channels=2, rates=range(1000, 384_001)),
}
EXTENSIONS: Sequence[str] = tuple(_FORMATS)
