"""Videos and images that others wrote: timestamps, turns, colours, alpha; what cannot be read says why."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import mutagen.id3
import mutagen.mp3
import numpy as np
import pytest
import torch
from PIL import Image

from multigen.errors import UsageError
from multigen_video import Video, clip, containers
from multigen_video.files import read, read_tags
from multigen_video.rate import constant_rate, length, shown

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)
WIDTH, HEIGHT = 160, 96


def quarters() -> np.ndarray:
    """(HEIGHT, WIDTH, 3): red, green / blue, grey."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[: HEIGHT // 2, : WIDTH // 2], picture[: HEIGHT // 2, WIDTH // 2 :] = RED, GREEN
    picture[HEIGHT // 2 :, : WIDTH // 2], picture[HEIGHT // 2 :, WIDTH // 2 :] = BLUE, GREY
    return picture


def levels(t: int) -> list[np.ndarray]:
    """Frame k has the level 16 + 8 k."""
    return [np.full((HEIGHT, WIDTH, 3), 16 + 8 * k, np.uint8) for k in range(t)]


def yuv(picture: np.ndarray, matrix: int, levels: int) -> av.VideoFrame:
    """Recommendation ITU-T H.273, equations 24 to 41, in 4:4:4 with 8 bits: matrix coefficients and a range."""
    red_share, blue_share = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    red, green, blue = np.moveaxis(picture.astype(np.float64) / 255, 2, 0)
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma = [(blue - luma) / (2 - 2 * blue_share), (red - luma) / (2 - 2 * red_share)]
    if levels == 1:
        planes = [16 + 219 * luma, *(128 + 224 * c for c in chroma)]
    else:
        planes = [255 * luma, *(128 + 255 * c for c in chroma)]
    stacked = np.concatenate([np.rint(plane).clip(0, 255).astype(np.uint8) for plane in planes])
    return av.VideoFrame.from_ndarray(stacked.reshape(3, *picture.shape[:2]), format="yuv444p")


def film(
    pictures: Sequence[np.ndarray],
    *,
    rate: Fraction | int = 10,
    ticks: Sequence[int] | None = None,
    container: str = "mp4",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    matrix: int = 1,
    table: int | None = None,
    levels: int = 1,
    aspect: Fraction | None = None,
    **context: int,
) -> bytes:
    """A video whose frame k begins at ticks[k] / rate.

    matrix: what the file says (ITU-T H.273; 2 is nothing). table: what is true, where it is another.
    """
    file = io.BytesIO()
    height, width, channels = pictures[0].shape
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, options={"crf": "8"} if codec == "libx264" else {})
        target = stream.codec_context
        target.width, target.height, target.pix_fmt = width, height, pix_fmt
        if aspect:
            target.sample_aspect_ratio = aspect
        if pix_fmt.startswith("yuv"):
            target.colorspace, target.color_range = matrix, levels
        for name, value in context.items():
            setattr(target, name, value)
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if channels == 3 else "rgba")
            if channels == 3 and pix_fmt.startswith("yuv"):
                frame = yuv(picture[..., :3], table or (matrix if matrix != 2 else 5), levels).reformat(format=pix_fmt)
            frame.pts, frame.time_base = (ticks or range(len(pictures)))[k], Fraction(1) / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def saved(folder: Path, data: bytes, name: str = "clip.mp4") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def order(sample: dict) -> list[int]:
    """Which frames of `levels` a sample consists of."""
    middle = sample["frames"][:, :, HEIGHT // 2, WIDTH // 2].float().mean(1)
    return ((middle - 16) / 8).round().int().tolist()


def corners(sample: dict) -> list[tuple[int, int, int]]:
    """The colours of the first frame's quarters, row by row."""
    *_, h, w = sample["frames"].shape
    frame = sample["frames"][0]
    return [tuple(frame[:, y, x].tolist()) for y in (h // 4, h * 3 // 4) for x in (w // 4, w * 3 // 4)]


def close(found: Sequence[tuple[int, ...]], expected: Sequence[tuple[int, ...]], *, within: int = 5) -> bool:
    return bool(np.abs(np.array(found) - np.array(expected)).max() <= within)


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8, 25, Fraction(30000, 1001), Fraction(25, 3)])
@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("matroska", "libx264"),
        ("avi", "libx264"),
        ("h264", "libx264"),
        ("mpegts", "libx264"),
        ("mov", "mpeg4"),
        ("avi", "ffv1"),
    ],
)
def test_a_constant_rate_is_kept_frame_by_frame(tmp_path: Path, container: str, codec: str, rate: Fraction) -> None:
    """The H.264 ones have frames that are stored out of order."""
    data = film(levels(16), rate=rate, container=container, codec=codec)
    sample = read(saved(tmp_path, data))
    assert order(sample) == list(range(16))
    if container != "h264":  # which has no clock
        assert sample["fps"] == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_a_rate_that_varies_becomes_that_of_most_frames(tmp_path: Path, container: str) -> None:
    sample = read(saved(tmp_path, film(levels(6), ticks=[0, 1, 2, 5, 6, 10], container=container)))
    assert sample["fps"] == pytest.approx(10, rel=0.02)
    assert order(sample)[:11] == [0, 1, 2, 2, 2, 3, 4, 4, 4, 4, 5]


def test_frames_that_come_a_little_early_or_late_are_all_kept_once(tmp_path: Path) -> None:
    ticks = [0, 39, 81, 118, 160, 203, 240, 279]  # in ms, near 25 Hz
    sample = read(saved(tmp_path, film(levels(8), rate=1000, ticks=ticks, container="matroska")))
    assert order(sample) == list(range(8))
    assert sample["fps"] == pytest.approx(25, rel=0.03)


def test_a_start_that_is_not_zero_adds_nothing(tmp_path: Path) -> None:
    sample = read(saved(tmp_path, film(levels(6), ticks=range(50, 56), container="matroska")))
    assert (order(sample), sample["fps"]) == (list(range(6)), 10)


def test_more_than_60_frames_a_second_become_60(tmp_path: Path) -> None:
    sample = read(saved(tmp_path, film(levels(24), rate=120)))
    assert sample["fps"] == 60
    assert order(sample) == list(range(0, 24, 2))


def test_a_rate_is_chosen_by_what_explains_every_timestamp() -> None:
    def rate(times: Sequence[float], end: float, *declared: float, clock: float = 0.001) -> float:
        return constant_rate(np.array(times), end, declared=declared, clock=clock)

    assert rate([0], 0.04, 1000.0, 25.0) == 25
    assert rate([0.0, 0.33, 0.67], 1.0) == pytest.approx(3)
    assert rate([0, 0.08, 0.16], 0.24) == 12.5
    assert rate([0, 0.04, 0.08, 0.13], 0.17, clock=0.01) == 24
    assert rate([0, 1, 2, 7, 8], 9, 5 / 9) == 1
    assert rate([0, 0.1, 0.2], 2.2, 10.0) == pytest.approx(10)
    assert rate([0, 0.039, 0.081, 0.118], 0.119) == pytest.approx(25.4, abs=0.05)
    assert rate([0, 0.033, 0.067, 0.1, 0.5, 0.533], 0.567, 30.0) == pytest.approx(30, rel=0.02)
    assert length(np.array([0, 0.1, 0.2]), 2.2, 10.0) == 22
    assert length(np.array([0, 0.1, 0.2]), 0.201, 10.0) == 3
    assert shown(np.array([0, 0.5, 0.9]), 4.0, count=6).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("ticks", "container"), [(range(0, 1240, 20), "mp4"), (range(0, 1240, 20), "matroska")])
def test_more_than_a_minute_is_refused(tmp_path: Path, ticks: range, container: str) -> None:
    path = saved(tmp_path, film([quarters()] * 62, rate=20, ticks=ticks, container=container))
    with pytest.raises(UsageError, match=r"clip.mp4 lasts 6\d s or more: at most 60 s are read; cut it .* -t 60"):
        read(path)


def test_a_minute_is_read_and_a_raw_stream_of_more_is_not(tmp_path: Path) -> None:
    small = [picture[:16, :16] for picture in levels(2)]
    data = film([small[0]] * 60, rate=1, ticks=range(60))
    sample = read(saved(tmp_path, data))
    assert Video().seconds(sample) == 60
    data = film([small[0]] * 1600, rate=25, container="h264")
    with pytest.raises(UsageError, match="at most 60 s"):
        read(saved(tmp_path, data))


# --- shape ------------------------------------------------------------------------------------------------------------

MATRICES = {  # a b c d of x' = a x + c y, y' = b x + d y
    "as it is": ((1, 0, 0, 1), (RED, GREEN, BLUE, GREY)),
    "90 clockwise": ((0, 1, -1, 0), (BLUE, RED, GREY, GREEN)),
    "180": ((-1, 0, 0, -1), (GREY, BLUE, GREEN, RED)),
    "90 counter-clockwise": ((0, -1, 1, 0), (GREEN, GREY, RED, BLUE)),
    "mirrored": ((-1, 0, 0, 1), (GREEN, RED, GREY, BLUE)),
    "transposed": ((0, 1, 1, 0), (RED, BLUE, GREEN, GREY)),
}


@pytest.mark.parametrize("turn", MATRICES)
def test_what_a_phone_held_sideways_wrote_is_upright(tmp_path: Path, turn: str) -> None:
    (a, b, c, d), expected = MATRICES[turn]
    data = bytearray(film([quarters()] * 3))
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    sample = read(saved(tmp_path, bytes(data)))
    w, h = (HEIGHT, WIDTH) if a == 0 else (WIDTH, HEIGHT)
    assert sample["frames"].shape == (3, 3, h, w)
    assert close(corners(sample), expected)
    assert "original_size" not in sample


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(2, 1), 320), (Fraction(1, 2), 80), (Fraction(16, 15), 171)])
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, width: int) -> None:
    sample = read(saved(tmp_path, film([quarters()], aspect=aspect)))
    assert sample["frames"].shape == (1, 3, HEIGHT, width)
    assert close(corners(sample), (RED, GREEN, BLUE, GREY))


def test_the_largest_stream_is_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        streams = [output.add_stream("libx264", rate=10) for _ in range(2)]
        for factor, stream in enumerate(streams, start=1):
            stream.width, stream.height, stream.pix_fmt = factor * WIDTH, factor * HEIGHT, "yuv420p"
        for factor, stream in enumerate(streams, start=1):
            for picture in levels(3):
                frame = av.VideoFrame.from_ndarray(np.tile(picture, (factor, factor, 1)), format="rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    assert read(saved(tmp_path, file.getvalue()))["frames"].shape == (3, 3, 2 * HEIGHT, 2 * WIDTH)


def test_an_odd_size_is_read(tmp_path: Path) -> None:
    data = film([np.ascontiguousarray(picture[:95, :159]) for picture in levels(2)], codec="ffv1", container="matroska")
    assert read(saved(tmp_path, data))["frames"].shape == (2, 3, 95, 159)


def test_a_size_that_changes_on_the_way_becomes_that_of_the_first_frame(tmp_path: Path) -> None:
    small, large = ([np.tile(picture, (factor, factor, 1)) for picture in levels(3)] for factor in (1, 2))
    sample = read(saved(tmp_path, film(small, container="h264") + film(large, container="h264")))
    assert sample["frames"].shape == (6, 3, HEIGHT, WIDTH)
    assert order(sample) == [0, 1, 2, 0, 1, 2]


def test_what_does_not_fit_into_memory_is_made_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "MOST_BYTES", 4 * 3 * 80 * 48)
    picture = Image.fromarray(quarters())
    picture.save(tmp_path / "still.png")
    picture.save(tmp_path / "clip.gif", save_all=True, append_images=[picture.rotate(180)] * 3, duration=100)
    (tmp_path / "folder").mkdir()
    for k in range(4):
        picture.save(tmp_path / "folder" / f"{k}.png")
    saved(tmp_path, film([quarters()] * 4))
    for name in ("clip.mp4", "folder"):
        sample = read(tmp_path / name)
        assert sample["frames"].shape == (4, 3, 48, 80)
        assert sample["original_size"] == (WIDTH, HEIGHT)
        assert close(corners(sample), (RED, GREEN, BLUE, GREY))
        assert Video().box("80,0,80,48", sample) == {"width": (0.5, 1.0), "height": (0.0, 0.5)}
    assert read(tmp_path / "clip.gif")["original_size"] == (WIDTH, HEIGHT)
    assert read(tmp_path / "still.png")["frames"].shape == (1, 3, HEIGHT, WIDTH)


def test_a_frame_that_is_held_for_long_takes_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "MOST_BYTES", 100 * 3 * 80 * 48)
    pictures = [Image.fromarray(quarters()), Image.fromarray(quarters()).rotate(180)]
    pictures[0].save(tmp_path / "x.gif", save_all=True, append_images=pictures[1:], duration=[50, 4950])
    sample = read(tmp_path / "x.gif")
    assert (sample["frames"].shape, round(sample["fps"], 9)) == ((100, 3, 48, 80), 20)
    assert sample["original_size"] == (WIDTH, HEIGHT)
    assert close(corners(sample), (RED, GREEN, BLUE, GREY))


@pytest.mark.parametrize("name", ["clip.mp4", "still.png", "folder"])
def test_frames_that_are_too_large_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(clip, "MOST_PIXELS", 10_000)
    (tmp_path / "folder").mkdir()
    Image.fromarray(quarters()).save(tmp_path / "still.png")
    Image.fromarray(quarters()).save(tmp_path / "folder" / "1.png")
    saved(tmp_path, film([quarters()]))
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UsageError, match=rf"{name} has frames of 160 x 96 pixels: at most .* make it smaller first"):
        read(tmp_path / name)


def test_a_picture_with_a_billion_pixels_is_refused(tmp_path: Path) -> None:
    """An image that says so in its header, and is small itself."""
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, format="png")
    data = bytearray(file.getvalue())
    for size, reason in ((10_500, "10500 x 10500 pixels: at most 100 million pixels"), (60_000, "far too many pixels")):
        data[16:24] = struct.pack(">II", size, size)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        with pytest.raises(UsageError, match=f"{reason}.*make it smaller first"):
            read(saved(tmp_path, bytes(data), "still.png"))


# --- colour -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("matrix", [1, 2, 5, 6, 9])
def test_colours_follow_the_matrix_and_the_range(tmp_path: Path, matrix: int, level: int, pix_fmt: str) -> None:
    sample = read(saved(tmp_path, film([quarters()], matrix=matrix, levels=level, pix_fmt=pix_fmt)))
    assert close(corners(sample), (RED, GREEN, BLUE, GREY), within=4)


@pytest.mark.parametrize(("lines", "table"), [(96, 5), (704, 5), (720, 1), (1080, 1)])
def test_a_matrix_that_is_not_named_is_that_of_hd_from_720_lines_on(tmp_path: Path, lines: int, table: int) -> None:
    picture = np.asarray(Image.fromarray(quarters()).resize((64, lines), Image.Resampling.NEAREST))
    path = saved(tmp_path, film([picture], matrix=2, table=table))
    with av.open(path) as container:
        assert int(container.streams.video[0].codec_context.colorspace) == 2
    assert close(corners(read(path)), (RED, GREEN, BLUE, GREY))


@pytest.mark.parametrize(
    ("container", "codec", "pix_fmt"),
    [("mov", "qtrle", "argb"), ("matroska", "ffv1", "yuva420p"), ("mov", "png", "rgba"), ("nut", "ffv1", "bgra")],
)
def test_what_is_transparent_lies_on_white(tmp_path: Path, container: str, codec: str, pix_fmt: str) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[: HEIGHT // 2, : WIDTH // 2] = 0
    alpha[HEIGHT // 2 :, : WIDTH // 2] = 51
    picture = np.concatenate([quarters(), alpha], axis=2)
    data = film([picture] * 2, container=container, codec=codec, pix_fmt=pix_fmt, matrix=2)
    sample = read(saved(tmp_path, data, "clip.mov"))
    assert close(corners(sample), ((255, 255, 255), GREEN, (204, 204, 255), GREY), within=5)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_with_what_to_type(tmp_path: Path, transfer: int, name: str) -> None:
    path = saved(tmp_path, film([quarters()] * 2, color_trc=transfer, pix_fmt="yuv420p10le", matrix=9))
    with pytest.raises(UsageError, match=rf"clip.mp4 is HDR \({name}\), and only SDR is read; .*ffmpeg -i .*tonemap"):
        read(path)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.bmp", "x.tif", "x.gif", "misnamed.mp4"])
def test_an_image_is_one_frame(tmp_path: Path, name: str) -> None:
    formats = {".jpg": "jpeg", ".tif": "tiff", ".mp4": "png"}
    suffix = Path(name).suffix
    Image.fromarray(quarters()).save(tmp_path / name, format=formats.get(suffix, suffix[1:]))
    sample = read(tmp_path / name)
    assert (sample["frames"].shape, sample["fps"]) == ((1, 3, HEIGHT, WIDTH), 8.0)
    assert sample["frames"].dtype == torch.uint8
    assert close(corners(sample), (RED, GREEN, BLUE, GREY), within=6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_an_image_with_alpha_lies_on_white(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", (WIDTH, HEIGHT), 100)
    alpha = Image.new("L", (WIDTH, HEIGHT), 255)
    alpha.paste(0, (0, 0, WIDTH // 2, HEIGHT))
    alpha.paste(102, (0, 0, WIDTH // 2, HEIGHT // 2))
    picture = Image.merge("LA", (grey, alpha))
    if mode == "P":
        picture = Image.new("P", (WIDTH, HEIGHT), 1)
        picture.putpalette([0, 0, 0, 100, 100, 100, 9, 9, 9])
        picture.paste(2, (0, 0, WIDTH // 2, HEIGHT))
        picture.save(tmp_path / "x.png", transparency=bytes([0, 255, 0]))
        expected = (255, 100, 255, 100)
    else:
        picture.convert(mode if mode != "PA" else "RGBA").save(tmp_path / "x.png")
        expected = (193, 100, 255, 100)  # 0.4 x 100 + 0.6 x 255
    assert corners(read(tmp_path / "x.png")) == [(level,) * 3 for level in expected]


def test_sixteen_bits_and_four_inks_are_read(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp).save(tmp_path / "x.png")
    assert torch.equal(read(tmp_path / "x.png")["frames"][0, 1], torch.from_numpy((ramp >> 8).astype(np.uint8)))
    Image.fromarray(quarters()).convert("CMYK").save(tmp_path / "x.jpg", quality=95)
    assert close(corners(read(tmp_path / "x.jpg")), (RED, GREEN, BLUE, GREY), within=8)


def test_an_image_is_turned_as_exif_says(tmp_path: Path) -> None:
    picture = Image.fromarray(quarters())
    exif = picture.getexif()
    exif[0x0112] = 6  # to be turned clockwise
    picture.save(tmp_path / "x.png", exif=exif)
    sample = read(tmp_path / "x.png")
    assert sample["frames"].shape == (1, 3, WIDTH, HEIGHT)
    assert corners(sample) == [BLUE, RED, GREY, GREEN]
    assert "original_size" not in sample


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp"])
def test_an_animated_image_keeps_its_time(tmp_path: Path, name: str) -> None:
    pictures = [Image.fromarray(picture) for picture in levels(5)]
    delays = [100, 100, 300, 100, 200]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=delays, lossless=True)
    sample = read(tmp_path / name)
    assert sample["fps"] == pytest.approx(10)
    assert order(sample) == [0, 1, 2, 2, 2, 3, 4, 4]


def test_a_gif_without_delays_plays_as_in_browsers(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in levels(5)]
    pictures[0].save(tmp_path / "x.gif", save_all=True, append_images=pictures[1:], duration=0)
    sample = read(tmp_path / "x.gif")
    assert (order(sample), sample["fps"]) == ([0, 1, 2, 3, 4], 10)


def test_a_gif_of_more_than_a_minute_is_refused(tmp_path: Path) -> None:
    pictures = [Image.fromarray(picture) for picture in levels(4)]
    pictures[0].save(tmp_path / "x.gif", save_all=True, append_images=pictures[1:], duration=20_000)
    with pytest.raises(UsageError, match=r"x.gif lasts 80 s or more: at most 60 s are read"):
        read(tmp_path / "x.gif")


def test_numbered_images_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for k, picture in enumerate(levels(12)):
        Image.fromarray(picture).save(tmp_path / f"a{k}.png")
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "a%d.png", tmp_path / "a%02d.png"):
        sample = read(path)
        assert (order(sample), sample["fps"]) == (list(range(12)), 8.0)


def test_a_folder_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no PNG frames: give a folder or a name such as clip/%04d.png"):
        read(tmp_path)
    with pytest.raises(UsageError, match="holds no PNG frames"):
        read(tmp_path / "missing" / "%04d.png")
    Image.fromarray(quarters()).save(tmp_path / "1.png")
    Image.fromarray(quarters()[:50]).save(tmp_path / "2.png")
    with pytest.raises(UsageError, match=r"different sizes, 160 x 96 and in 2.png 160 x 50 pixels: give frames of one"):
        read(tmp_path)
    (tmp_path / "2.png").write_text("shopping list")
    with pytest.raises(UsageError, match=r"is damaged or no video \(2.png is no image\)"):
        read(tmp_path)


# --- what cannot be read ----------------------------------------------------------------------------------------------


def image_bytes(kind: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(file, format=kind)
    return file.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


BAD: Mapping[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"this is a shopping list\n" * 100,
    "zeros": lambda: bytes(5000),
    "noise": lambda: np.random.default_rng(0).bytes(100_000),
    "list of files": lambda: b"ffconcat version 1.0\nfile secret.mp4\n",
    "playlist": lambda: b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "half an mp4": lambda: half(film(levels(16))),
    "half an mp4 with its index first": lambda: half(containers.mp4(torch.ones(9, 3, 64, 64).byte(), 8.0, tags={})),
    "half a webm": lambda: half(film(levels(30), container="webm", codec="libvpx-vp9")),
    "half a png": lambda: half(image_bytes("png")),
    "half a jpeg": lambda: half(image_bytes("jpeg")),
    "half a gif": lambda: half(image_bytes("gif")),
}


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.png"])
@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_video_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kind: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, film([quarters()]), "secret.mp4")
    with pytest.raises(UsageError, match=rf"{name} is (damaged or no video|empty).*; give ") as caught:
        read(saved(tmp_path, BAD[kind](), name))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_film_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    """Between two frames, where no decoder can notice, and within the last one, which decoders make up."""
    noise = torch.randint(256, (9, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data = containers.mp4(noise, 4.0, tags={})
    with av.open(io.BytesIO(data)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    assert [packet.pos for packet in packets] == sorted(packet.pos for packet in packets)
    with pytest.raises(UsageError, match=r"is damaged or no video \(it ends after 1\.\d of 2\.2 s\)"):
        read(saved(tmp_path, data[: packets[5].pos]))
    with pytest.raises(UsageError, match=r"is damaged or no video \(it is cut off\)"):
        read(saved(tmp_path, data[:-10]))


def test_damage_in_the_middle_is_noticed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    data = bytearray(film([noise.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(8)]))
    middle = len(data) // 2
    data[middle : middle + 20_000] = bytes(20_000)
    with pytest.raises(UsageError, match="damaged"):
        read(saved(tmp_path, bytes(data)))


def tone(container: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=44100, layout="mono")
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, k * 1152
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("name", "container", "codec"), [("x.m4a", "mp4", "aac"), ("x.mp3", "mp3", "libmp3lame")])
def test_sound_alone_is_refused_with_its_cover_too(tmp_path: Path, name: str, container: str, codec: str) -> None:
    path = saved(tmp_path, tone(container, codec), name)
    if name == "x.mp3":
        song = mutagen.mp3.MP3(path)
        song.tags.add(mutagen.id3.APIC(mime="image/png", type=3, data=image_bytes("png")))
        song.save()
    with pytest.raises(UsageError, match=rf"{name} holds only sound: give a video or an image"):
        read(path)


def test_what_is_missing_or_no_file_is_refused(tmp_path: Path) -> None:
    for action in (read, read_tags):
        with pytest.raises(UsageError, match=r"missing.mp4 cannot be read: No such file or directory; give a video"):
            action(tmp_path / "missing.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match=r"pipe.mp4 is no file; give a video"):
        read(tmp_path / "pipe.mp4")
