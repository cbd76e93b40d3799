"""Reading what FFmpeg (PyAV) knows as video: of any rate, also a varying one, rotated, anamorphic, with alpha."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from multigen_video.clip import Clip, DecodeError, RefusedError, check_length, fitted
from multigen_video.convert import Converter, Turn

if TYPE_CHECKING:
    import numpy as np

# To FFmpeg a list of files or addresses is a video too, and opens what it names.
_DEMUXERS = (
    "3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,swf,tta,voc,w64,wav,webm,wv,yuv4mpegpipe"
)

# ITU-T H.273, transfer characteristics.
_HDR = {16: "PQ", 18: "HLG"}

_UNKNOWN_RATE = 25.0

# Containers that tell their duration, where others let FFmpeg guess; and how much may be missing from it.
_TIMED = ("mov", "matroska")
_MISSING_SECONDS = 0.5


def film(file: BinaryIO, /) -> Clip:
    """The largest video stream of a file, upright, with square pixels, on white where it is transparent.

    Raises:
        DecodeError: it is damaged or no video.
        RefusedError: it is too long, too large, HDR, or has no pictures.
    """
    with _decoding():
        count, spacing = _surveyed(file)
        file.seek(0)
        return _decoded(file, count=count, spacing=spacing)


def metadata(file: BinaryIO, /) -> dict[str, str]:
    """The texts in a file's headers, with lower-case keys. Raises DecodeError and RefusedError as `film` does."""
    with _decoding(), _open(file) as container:
        _stream(container)
        return {key.lower(): text for key, text in container.metadata.items()}


@contextmanager
def _decoding() -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise DecodeError(getattr(error, "strerror", None) or error) from error


def _open(file: BinaryIO) -> Any:
    import av

    return av.open(file, options={"format_whitelist": _DEMUXERS}, metadata_errors="replace")


def _stream(container: Any) -> Any:
    """The largest video stream; an album's cover is none."""
    from av.stream import Disposition

    films = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not films:
        what = "only sound" if container.streams.audio else "no pictures"
        raise RefusedError(f"holds {what}: give a video or an image")
    return max(films, key=lambda stream: stream.codec_context.width * stream.codec_context.height)


def _rates(stream: Any) -> list[float]:
    """What the file says that its frames per second are."""
    return [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]


def _surveyed(file: BinaryIO) -> tuple[int, float]:
    """The most frames that the stream can have, and how long the last one lasts in s; nothing is decoded."""
    import av

    with _open(file) as container:
        stream = _stream(container)
        _check_kind(stream)
        spacing = 1 / (_rates(stream) or [_UNKNOWN_RATE])[0]
        count, start, end, last = 0, 0.0, 0.0, 0.0
        for packet in container.demux():
            if not packet.size:
                continue
            if packet.is_corrupt:
                raise DecodeError("it is cut off")
            time = None if packet.pts is None else float(packet.pts * packet.time_base)
            seconds = float((packet.duration or 0) * packet.time_base)
            end = max(end, (time or 0.0) + seconds)
            if packet.stream.index != stream.index or packet.is_discard:
                continue
            if count == 0:
                start = time or 0.0
            if time is not None and time >= last:
                last, spacing = time, seconds or spacing
            count += 1
            check_length(count * spacing if time is None else time - start)
        if not count:
            raise DecodeError("it holds no frames")
        declared = (container.duration or 0) / av.time_base
        if container.format.name.startswith(_TIMED) and end + _MISSING_SECONDS < declared:
            raise DecodeError(f"it ends after {end:.1f} of {declared:.1f} s")
        return count, spacing


def _check_kind(stream: Any) -> None:
    """Raise RefusedError for what is not read, from the headers alone."""
    context = stream.codec_context
    if int(context.color_trc) in _HDR:
        raise RefusedError(
            f"is HDR ({_HDR[int(context.color_trc)]}), and only SDR is read; convert it first, such as by ffmpeg -i "
            "INPUT -vf zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p OUTPUT"
        )
    fitted((context.width, context.height), count=1)
    check_length(float((stream.duration or 0) * (stream.time_base or 0)))


def _decoded(file: BinaryIO, *, count: int, spacing: float) -> Clip:
    import numpy as np

    with _open(file) as container:
        stream = _stream(container)
        stream.thread_type = "AUTO"
        rates, clock = _rates(stream), float(stream.time_base)
        frames: Any = None
        ticks: list[tuple[int | None, int | None]] = []
        for n, frame in enumerate(_intact(container.decode(stream), most=count)):
            if frames is None:
                aspect = float(stream.sample_aspect_ratio or 1)
                size = max(1, round(frame.width * aspect)), frame.height
                turn = Turn.of(frame)
                converter = Converter(fitted(size, count=count))
                width, height = turn.size(converter.size)
                frames = np.empty((count, 3, height, width), np.uint8)
            frames[n] = turn(converter(frame))
            ticks.append((frame.pts, frame.dts))
        if frames is None:
            raise DecodeError("none of its frames can be decoded")
    times = _times(ticks, clock, rate=(rates or [_UNKNOWN_RATE])[0])
    return Clip(frames[: len(times)], times, float(times[-1]) + spacing, rates, clock, turn.size(size))


def _intact(frames: Iterator[Any], *, most: int) -> Iterator[Any]:
    """The frames from the first whole one on, for a recording may begin between two that stand alone."""
    n = 0
    for frame in frames:
        if frame.is_corrupt and n:
            raise DecodeError("some of its frames are damaged")
        if not frame.is_corrupt and n < most:
            n += 1
            yield frame


def _times(ticks: Sequence[tuple[int | None, int | None]], clock: float, *, rate: float) -> np.ndarray:
    """(n,) in s from 0: times of presentation, or of decoding where they do not rise (AVI), or none (raw streams)."""
    import numpy as np

    for column in zip(*ticks, strict=True):
        known = np.array([tick for tick in column if tick is not None], np.float64)
        if len(known) == len(ticks) and np.all(np.diff(known) > 0):
            times: np.ndarray = (known - known[0]) * clock
            return times
    return np.arange(len(ticks)) / rate
