"""What the core needs to know about video. Light to import: torch and the rest come with the first call."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from multigen.errors import UsageError
from multigen.modality import Region, Sample
from multigen.options import limits_of, option
from multigen.request import span

if TYPE_CHECKING:
    from multigen.evaluation.contract import Extractor, Metric

LONGEST_SECONDS = 60
SIDES = range(16, 2049, 2)
MOST_BYTES = 4 << 30
"""Of the frames that are asked for, three bytes a pixel."""


@dataclass(frozen=True)
class VideoOptions:
    """The flags of ``multigen video`` beside the shared ones."""

    duration: float = option(2.0, "length", unit="s", low=0.25, high=LONGEST_SECONDS)
    fps: float = option(8.0, "frames per second of the file", low=1, high=60)
    size: str = option(
        "128x128",
        f"WIDTHxHEIGHT, or one number for a square; even numbers from {SIDES[0]} to {SIDES[-1]}",
        unit="pixels",
    )
    frames: int = option(
        0, "frames of the file in place of --duration; 1 is an image, 0 is what --duration asks for", low=0, high=3600
    )
    interpolate: int = option(
        1, "times as many frames per second: the model makes those between the others", low=1, high=8
    )
    loop: bool = option(False, "make the end join the start without a seam")

    def __post_init__(self) -> None:
        width, height = self.resolution
        if self.seconds > LONGEST_SECONDS:
            raise UsageError(
                f"--frames {self.frames} at --fps {self.fps:g} last {self.seconds:.1f} s: "
                f"at most {LONGEST_SECONDS} s are possible, so lower --frames or raise --fps"
            )
        size = 3 * self.count * width * height
        if size > MOST_BYTES:
            raise UsageError(
                f"{self.count} frames of {width} x {height} pixels take {size / 1e9:.1f} GB of memory: "
                f"at most {MOST_BYTES / 1e9:.1f} GB are possible, so lower --size, --fps or --duration"
            )

    @property
    def resolution(self) -> tuple[int, int]:
        """Width and height in pixels. Raises UsageError where `size` is no size that is possible."""
        match = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX×]\s*(\d{1,5}))?\s*", str(self.size), re.ASCII)  # noqa: RUF001
        sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not all(side in SIDES for side in sides):
            raise UsageError(
                f"--size {self.size} is not possible: give WIDTHxHEIGHT in pixels, even numbers from {SIDES[0]} to "
                f"{SIDES[-1]}, such as --size 160x96, or one number for a square, such as --size 128"
            )
        return sides

    @property
    def rate(self) -> float:
        """Frames per second of the file."""
        return self.fps * self.interpolate

    @property
    def count(self) -> int:
        """How many frames the file has."""
        return self.frames or max(1, round(self.duration * self.fps)) * self.interpolate

    @property
    def seconds(self) -> float:
        """How long the file lasts."""
        return self.count / self.rate


@final
class Video:
    """Samples are {"frames": (t, 3, h, w) uint8 in sRGB, "fps": float}; an image is one frame.

    A sample from a file that was made smaller on reading has {"original_size": (width, height)} too, and one that was
    cropped {"cropped": (x, y, width, height)}, what is left of that size.
    """

    name: ClassVar[str] = "video"
    Options: ClassVar[type] = VideoOptions
    extensions: ClassVar[Sequence[str]] = (".mp4", ".webm", ".gif", ".png")
    default_model: ClassVar[str] = "video-small"
    show_flag: ClassVar[str] = "sheet"
    show_extensions: ClassVar[Sequence[str]] = (".png",)
    resampler: ClassVar[str] = "frames are chosen, evenly spaced; pictures are scaled bilinearly, with antialiasing"
    mask_help: ClassVar[str] = "START:END, the seconds of --init to make anew; the rest is kept"
    box_help: ClassVar[str] = (
        "X,Y,WIDTH,HEIGHT, the pixels of --init to make anew, from its top left corner; the rest is kept"
    )

    def read(self, path: Path, /) -> Sample:
        from multigen_video.files import read

        return read(path)

    def write(self, sample: Sample, path: Path, /, *, tags: Mapping[str, str]) -> None:
        from multigen_video.files import write

        write(path, sample, tags=tags)

    def check(self, path: Path, options: VideoOptions, kind: str, /) -> None:
        from multigen_video.files import check_writable

        usual = VideoOptions.duration
        if options.count == 1 and (options.loop or options.interpolate > 1 or options.duration != usual):
            raise UsageError(
                f"{path} is an image: leave out --duration, --loop and --interpolate, or write a film, such as "
                f"-o {path.stem}.mp4"
            )
        check_writable(path, count=options.count, size=options.resolution, fps=options.rate)

    def read_tags(self, path: Path, /) -> Mapping[str, str]:
        from multigen_video.files import read_tags

        return read_tags(path)

    def implied(self, path: Path, /) -> Mapping[str, Any]:
        """The options that a file's name implies unless they are given: a .png is an image."""
        from multigen_video.numbered import is_numbered

        return {"frames": 1} if path.suffix.lower() == ".png" and not is_numbered(path) else {}

    def seconds(self, sample: Sample, /) -> float:
        """Length in seconds."""
        return float(len(sample["frames"]) / sample["fps"])

    def fit(self, sample: Sample, options: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The options that an input implies where `options` do not give them: its duration, its rate and its shape.

        The size has about the input's aspect and as many pixels as 128 x 128, in multiples of 32 from 64 on. A still
        image implies no duration and no rate. Raises UsageError for a number of frames where the input has its own.
        """
        from multigen_video.picture import like

        t, _, h, w = sample["frames"].shape
        width, height = like(w, h)
        implied: dict[str, Any] = {"size": f"{width}x{height}"}
        frames = options.get("frames", 0)
        if t > 1 and frames > 1:
            raise UsageError(f"an edit keeps how long the input lasts: leave out --frames {frames}, or use --extend")
        if t > 1 and not frames:
            allowed = limits_of(VideoOptions)
            for name, value in (("duration", self.seconds(sample)), ("fps", sample["fps"])):
                implied[name] = min(max(value, allowed[name].low), allowed[name].high)
        return {name: value for name, value in implied.items() if name not in options}

    def crop(self, sample: Sample, options: VideoOptions, /) -> Sample:
        """The middle of an input, of the aspect of what is made."""
        from multigen_video.picture import inside

        *_, h, w = sample["frames"].shape
        x, y, width, height = inside(w, h, aspect=options.resolution)
        if (width, height) == (w, h):
            return sample
        full_width, full_height = sample.get("original_size", (w, h))
        across, down = full_width / w, full_height / h
        return {
            **sample,
            "frames": sample["frames"][..., y : y + height, x : x + width],
            "original_size": (full_width, full_height),
            "cropped": (x * across, y * down, width * across, height * down),
        }

    def still(self, sample: Sample, /) -> bool:
        return len(sample["frames"]) == 1

    def beginning(self, sample: Sample, options: VideoOptions, /) -> Region:
        """All but the first frame. Raises UsageError where there is no other."""
        if options.count == 1:
            raise UsageError("an image is not set in motion by one frame: write a film, such as -o x.mp4 --duration 2")
        return {"time": (1 / options.count, 1.0)}

    def region(self, mask: str, sample: Sample, /) -> Region:
        """Seconds, as ``0.5:1.5``. Raises UsageError beyond the end of the sample."""
        start, stop = span(mask, "--mask", "0.5:1.5")
        seconds = self.seconds(sample)
        if start >= seconds or stop > seconds + 0.005:  # what is shown of the length has two digits
            raise UsageError(
                f"--mask {mask} lies outside the input, which lasts {seconds:.2f} s: give seconds from 0 to "
                f"{seconds:.2f}"
            )
        return {"time": (start / seconds, min(1.0, stop / seconds))}

    def box(self, text: str, sample: Sample, /) -> Region:
        """Pixels of the file that was read, as ``40,20,64,48``: x, y, width, height.

        Raises UsageError for what is no such text, and for a box that is empty, reaches outside the frame, or lies in
        what was cut off.
        """
        match = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(-?\d+)\s*", text, re.ASCII)
        if not match:
            raise UsageError(
                f"--box {text!r} is no box: give X,Y,WIDTH,HEIGHT in pixels of the input, such as --box 40,20,64,48"
            )
        x, y, width, height = (int(number) for number in match.groups())
        if width < 1 or height < 1:
            raise UsageError(f"--box {text} is empty: WIDTH and HEIGHT must be at least 1, such as --box 40,20,64,48")
        *_, h, w = sample["frames"].shape
        full_width, full_height = sample.get("original_size", (w, h))
        if x < 0 or y < 0 or x + width > full_width or y + height > full_height:
            raise UsageError(
                f"--box {text} reaches outside the input, which has {full_width} x {full_height} pixels: give X from 0 "
                f"and X + WIDTH up to {full_width}, Y from 0 and Y + HEIGHT up to {full_height}"
            )
        left, top, wide, high = sample.get("cropped", (0, 0, full_width, full_height))
        across, down = (
            (max(start - first, 0) / length, min(start + size - first, length) / length)
            for start, size, first, length in ((x, width, left, wide), (y, height, top, high))
        )
        if across[0] >= across[1] or down[0] >= down[1]:
            raise UsageError(
                f"--box {text} lies in what --size cuts off the input: only {wide:.0f} x {high:.0f} pixels from "
                f"{left:.0f},{top:.0f} on are left, so give a box there, or a --size of the input's shape"
            )
        return {"width": across, "height": down}

    def finish(self, sample: Sample, options: VideoOptions, /) -> Sample:
        """The rate by repeating or dropping frames, the exact number of frames, and the exact size.

        For a loop what the model made beyond the duration is faded into the start.
        """
        from multigen_video.rate import at_rate, loop

        frames, fps = sample["frames"], sample["fps"]
        if options.loop:
            frames = loop(frames, beyond=len(frames) - max(1, round(options.seconds * fps)))
        frames = at_rate(frames, fps, options.rate, count=options.count, size=options.resolution)
        return {"frames": frames, "fps": options.rate}

    def coarse(self, options: VideoOptions, /) -> VideoOptions | None:
        """The options without interpolation; None where there is none."""
        if options.interpolate == 1:
            return None
        return dataclasses.replace(options, interpolate=1, frames=-(-options.frames // options.interpolate))

    def between(self, sample: Sample, options: VideoOptions, /) -> Sample:
        """More frames by cross-fading."""
        from multigen_video.rate import crossfaded

        frames = crossfaded(sample["frames"], options.interpolate, around=options.loop)
        return {"frames": frames[: options.count], "fps": options.rate}

    def join(self, made: Sample, sample: Sample, options: VideoOptions, /) -> Sample:
        """Every `interpolate`-th frame is that of `sample`."""
        frames = made["frames"].clone()
        frames[:: options.interpolate] = sample["frames"][: -(-len(frames) // options.interpolate)]
        return {"frames": frames, "fps": made["fps"]}

    def keep(self, made: Sample, given: Sample, region: Region, /) -> Sample:
        """`given` at made's rate and size outside the region, `made` inside, blended at the edges within the region.

        A still image, or a clip that is shorter, is held; but of a region in time only what is there is kept.
        """
        from multigen_video.rate import at_rate
        from multigen_video.splice import splice

        frames, fps = made["frames"], made["fps"]
        t, _, h, w = frames.shape
        there = min(t, max(1, round(self.seconds(given) * fps)))
        old = at_rate(given["frames"], given["fps"], fps, count=there if "time" in region else t, size=(w, h))
        return {"frames": splice(frames, old, region), "fps": fps}

    def show(self, samples: Sequence[tuple[str, Sample]], path: Path, /) -> None:
        """A contact sheet: a row of evenly spaced frames for each sample, under its title."""
        from multigen_video.sheet import sheet_png

        sheet_png([(title, sample["frames"]) for title, sample in samples], path)

    def extractors(self) -> Sequence[Extractor]:
        from multigen_video.measures import extractors

        return extractors()

    def metrics(self) -> Sequence[Metric]:
        from multigen_video.measures import metrics

        return metrics()

    def faults(self, sample: Sample, /) -> Sequence[str]:
        """Why a sample cannot be measured; empty where it can be."""
        from multigen_video.measures import faults

        return faults(sample)

    def rates(self, sample: Sample, /) -> Mapping[str, float]:
        """Frames a second; a picture has none."""
        return {"fps": float(sample["fps"])} if len(sample["frames"]) > 1 else {}

    def sizes(self, sample: Sample, /) -> Mapping[str, float]:
        frames, _, height, width = sample["frames"].shape
        return {"frames": float(frames), "width": float(width), "height": float(height)}

    def embed(self, sample: Sample, title: str, /) -> str:
        """The sample on a page."""
        from multigen_video.embed import embed

        return embed(sample, title)

    def embed_script(self) -> str:
        """What the samples of a page share, JavaScript."""
        from multigen_video.embed import script

        return script()
