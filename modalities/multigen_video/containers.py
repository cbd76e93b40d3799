"""Writers of MP4, WebM, GIF and PNG: frames and tags to the bytes of a file, in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from multigen_video.tags import encodable, gif_tags, mp4_tags, png_info

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

# ITU-T H.273; limited range. Players take sRGB and BT.709's curve for the same.
_BT709 = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
_LARGEST_DENOMINATOR = 1001  # of 30000/1001 and its like

_H264 = {"crf": "18"}
_VP9 = {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "2", "row-mt": "1"}

_GIF_CLOCK = 100  # per second


def mp4(frames: Tensor, fps: float, /, *, tags: Mapping[str, str]) -> bytes:
    """H.264 in 4:2:0 with the index before the pictures, as the web needs it.

    frames: (t, 3, h, w) uint8, h and w even. fps: in Hz.
    """
    rate = _rate(fps)
    options = {
        # Room for the index is left at the start, so that the file need not be written and read again.
        "moov_size": str(4096 + 32 * len(frames)),
        "movie_timescale": str(rate.numerator),
        "fflags": "+bitexact",
    }
    return mp4_tags(_film(frames, rate, container="mp4", codec="libx264", options=options, quality=_H264), tags)


def webm(frames: Tensor, fps: float, /, *, tags: Mapping[str, str]) -> bytes:
    """VP9 in 4:2:0. Times are rounded to whole milliseconds. frames: (t, 3, h, w) uint8. fps: in Hz."""
    texts = {key: encodable(text) for key, text in tags.items()}
    options = {"fflags": "+bitexact"}
    return _film(
        frames, _rate(fps), container="webm", codec="libvpx-vp9", options=options, quality=_VP9, metadata=texts
    )


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR)


def _film(
    frames: Tensor,
    rate: Fraction,
    *,
    container: str,
    codec: str,
    options: Mapping[str, str],
    quality: Mapping[str, str],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    import av
    from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

    file = io.BytesIO()
    _, _, height, width = frames.shape
    with av.open(file, "w", format=container, options=dict(options)) as output:
        output.metadata.update(metadata or {})
        stream: Any = output.add_stream(codec, rate=rate, options=dict(quality))
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.thread_count = 1  # x264's bytes depend on the number of its threads, and so on the machine's cores
        for name, code in _BT709.items():
            setattr(context, name, code)
        # One for all frames: a frame's own would work out its tables again.
        converter = VideoReformatter()
        for n, pixels in enumerate(_pictures(frames)):
            frame = converter.reformat(
                av.VideoFrame.from_ndarray(pixels, format="rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                interpolation=Interpolation.BICUBIC,
            )
            frame.pts, frame.time_base = n, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _pictures(frames: Tensor) -> Iterator[np.ndarray]:
    """(h, w, 3) each."""
    yield from frames.permute(0, 2, 3, 1).contiguous().numpy()


def gif(frames: Tensor, fps: float, /, *, tags: Mapping[str, str]) -> bytes:
    """An endless GIF with one palette for all frames, so that still parts do not flicker.

    Times are rounded to whole hundredths of a second, without adding up. frames: (t, 3, h, w) uint8. fps: in Hz.
    """
    import av

    rate = _rate(fps)
    starts = [round(n * _GIF_CLOCK / rate) for n in range(len(frames) + 1)]
    options = {"fflags": "+bitexact", "final_delay": str(starts[-1] - starts[-2])}
    file = io.BytesIO()
    _, _, height, width = frames.shape
    with av.open(file, "w", format="gif", options=options) as output:
        stream: Any = output.add_stream("gif", rate=rate)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "pal8"
        context.time_base = Fraction(1, _GIF_CLOCK)
        for start, frame in zip(starts, _with_palette(frames, rate), strict=False):
            frame.pts, frame.time_base = start, context.time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return gif_tags(file.getvalue(), tags)


def _with_palette(frames: Tensor, rate: Fraction) -> Iterator[Any]:
    """Frames of 256 colours (median cut over the clip), the error spread only where a frame changes."""
    import av

    _, _, height, width = frames.shape
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / rate)
    split, collect = graph.add("split"), graph.add("palettegen", "stats_mode=full:reserve_transparent=0")
    use, sink = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(collect, 0, 0)
    split.link_to(use, 1, 0)
    collect.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for n, pixels in enumerate(_pictures(frames)):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = n, 1 / rate
        graph.push(frame)
    graph.push(None)
    for _ in range(len(frames)):
        yield graph.pull()


def png(frame: Tensor, /, *, tags: Mapping[str, str]) -> bytes:
    """One frame (3, h, w) uint8, without loss."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(next(_pictures(frame[None]))).save(file, format="png", pnginfo=png_info(tags))
    return file.getvalue()
