"""The video modality's contract: options, inputs and what they imply, finishing, keeping; that it is light."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from multigen import modality
from multigen.errors import UsageError
from multigen.options import make
from multigen.testing import check_modality
from multigen_video import Video, VideoOptions, rate

VIDEO = Video()


def clip(t: int = 16, *, size: tuple[int, int] = (160, 96), fps: float = 8.0, seed: int = 0) -> dict:
    """Smooth random colours that move."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, max(2, t // 4), 4, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (t, size[1], size[0]), mode="trilinear")[0]
    return {"frames": (255 * fine).round().byte().transpose(0, 1).contiguous(), "fps": fps}


def levels(t: int, *, fps: float = 8.0, size: tuple[int, int] = (32, 16)) -> dict:
    """Frame k is grey k everywhere."""
    frames = torch.arange(t, dtype=torch.uint8)[:, None, None, None].expand(t, 3, size[1], size[0]).contiguous()
    return {"frames": frames, "fps": fps}


def shown(sample: dict) -> list[int]:
    """Which frames of `levels` a sample consists of."""
    assert bool((sample["frames"] == sample["frames"][:, :1, :1, :1]).all())
    return sample["frames"][:, 0, 0, 0].tolist()


def options(**given: object) -> VideoOptions:
    return make(VideoOptions, given)


# --- the contract -----------------------------------------------------------------------------------------------------


def test_it_meets_the_conformance_checks() -> None:
    check_modality(VIDEO, clip(), extensions=(".mp4", ".webm", ".gif"))
    check_modality(VIDEO, clip(1), extensions=(".png",))


def test_it_has_the_optional_abilities() -> None:
    abilities = ("Finishes", "Checks", "Keeps", "Shows", "Timed", "Masks")
    assert [name for name in abilities if not isinstance(VIDEO, getattr(modality, name))] == []


def test_options_and_refusals_need_no_torch() -> None:
    code = """
import sys
from pathlib import Path
from multigen_video import Video, VideoOptions, rate
video = Video()
video.implied(Path("x.png"))
video.check(Path("x.mp4"), VideoOptions(), "")
heavy = {"torch", "av", "PIL", "mutagen", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "resolution"),
    [("160x96", (160, 96)), ("96X160", (96, 160)), (" 64 × 32 ", (64, 32)), ("256", (256, 256)), (16, (16, 16))],  # noqa: RUF001
)
def test_a_size_is_a_pair_or_one_number(size: object, resolution: tuple[int, int]) -> None:
    assert options(size=size).resolution == resolution


@pytest.mark.parametrize(
    "size", ["127x128", "128x127", "14x16", "2050x16", "0", "-128", "", "x", "128x", "x128", "1e2", "12.5", "3x4x5"]
)
def test_a_size_that_is_none_names_those_that_are(size: str) -> None:
    with pytest.raises(UsageError, match=r"even numbers from 16 to 2048, such as --size 160x96") as caught:
        options(size=size)
    assert size in str(caught.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"fps": 0}, "--fps 0 is not possible.*1 to 60"),
        ({"fps": 61}, "--fps 61 is not possible.*1 to 60"),
        ({"fps": math.nan}, "--fps nan is not possible"),
        ({"duration": 0.1}, "--duration 0.1 is not possible.*0.25 to 60"),
        ({"duration": 61}, "--duration 61 is not possible.*0.25 to 60"),
        ({"duration": math.inf}, "--duration inf is not possible"),
        ({"frames": -1}, "--frames -1 is not possible.*0 to 3600"),
        ({"frames": 481}, "--frames 481 at --fps 8 last 60.1 s: at most 60 s are possible, so lower --frames"),
        ({"duration": 60, "fps": 60, "size": "2048"}, "take 45.3 GB.*at most 4.3 GB.*lower --size, --fps or"),
    ],
)
def test_what_cannot_be_made_is_one_sentence(given: dict, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        options(**given)


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, 16), ({"duration": 3.0, "fps": 29.97}, 90), ({"frames": 5}, 5), ({"duration": 0.25, "fps": 1}, 1)],
)
def test_the_count_follows_duration_and_rate_unless_frames_are_given(given: dict, count: int) -> None:
    made = options(**given)
    assert made.count == count
    assert made.seconds == count / made.fps


# --- inputs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "implied"),
    [("x.png", {"frames": 1}), ("X.PNG", {"frames": 1}), ("50%.png", {"frames": 1}), ("x/%04d.png", {}), ("x.mp4", {})],
)
def test_a_plain_png_is_one_frame(name: str, implied: dict) -> None:
    assert VIDEO.implied(Path(name)) == implied


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((128, 128), "128x128"),
        ((1920, 1080), "160x96"),
        ((1080, 1920), "96x160"),
        ((640, 480), "160x96"),
        ((33, 31), "128x128"),
        ((4000, 100), "800x64"),
    ],
)
def test_an_input_implies_its_shape_in_about_as_many_pixels(size: tuple[int, int], fitted: str) -> None:
    frames = torch.zeros(1, 3, 1, 1, dtype=torch.uint8).expand(4, 3, size[1], size[0])
    implied = VIDEO.fit({"frames": frames, "fps": 8.0}, {})
    assert implied == {"size": fitted, "duration": 0.5, "fps": 8.0}
    assert options(**implied).resolution == tuple(map(int, fitted.split("x")))


def test_what_is_given_is_not_implied() -> None:
    sample = clip(24)
    assert VIDEO.fit(sample, {}) == {"duration": 3.0, "fps": 8.0, "size": "160x96"}
    assert VIDEO.fit({**sample, "fps": 30.0}, {"duration": 1.0}) == {"fps": 30.0, "size": "160x96"}
    assert VIDEO.fit(sample, {"duration": 1.0, "fps": 4}) == {"size": "160x96"}
    assert VIDEO.fit(sample, {"size": "64"}) == {"duration": 3.0, "fps": 8.0}
    assert VIDEO.fit(sample, {"frames": 1}) == {"size": "160x96"}
    assert VIDEO.fit(sample, {"frames": 0}) == {"size": "160x96", "duration": 3.0, "fps": 8.0}
    with pytest.raises(UsageError, match="leave out --frames 9, or use --extend"):
        VIDEO.fit(sample, {"frames": 9})
    assert VIDEO.fit(clip(1), {}) == {"size": "160x96"}


@pytest.mark.parametrize(("t", "fps", "duration"), [(2, 30.0, 0.25), (1802, 30.0, 60.0)])
def test_an_implied_duration_is_one_that_is_possible(t: int, fps: float, duration: float) -> None:
    frames = torch.zeros(1, 3, 16, 16, dtype=torch.uint8).expand(t, 3, 16, 16)
    assert VIDEO.fit({"frames": frames, "fps": fps}, {})["duration"] == duration


def test_a_region_is_seconds() -> None:
    sample = clip(16)
    assert VIDEO.region("0.5:1.5", sample) == {"time": (0.25, 0.75)}
    assert VIDEO.region("1:2.0", sample) == {"time": (0.5, 1.0)}
    # 2.002 s are shown as 2.00, 2.0067 as 2.01
    assert VIDEO.region("1:2.01", clip(301, size=(16, 16), fps=150.0))["time"][1] == 1.0


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        ("1:2.1", r"--mask 1:2.1 lies outside the input, which lasts 2.00 s: give seconds from 0 to 2.00"),
        ("3:4", "outside the input"),
        ("1:1", "START below END"),
        ("x", "START:END"),
    ],
)
def test_a_region_that_is_none_is_one_sentence(mask: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        VIDEO.region(mask, clip(16))


def test_a_box_is_pixels_of_the_file() -> None:
    expected = {"width": (0.25, 0.5), "height": (0.5, 1.0)}
    assert VIDEO.box("40,48,40,48", clip(1, size=(160, 96))) == expected
    smaller = {**clip(1, size=(160, 96)), "original_size": (1600, 960)}
    assert VIDEO.box(" 400, 480, 400, 480 ", smaller) == expected
    assert VIDEO.box("0,0,160,96", clip(1)) == {"width": (0.0, 1.0), "height": (0.0, 1.0)}


def test_an_input_is_cropped_to_the_shape_that_is_made() -> None:
    whole = {**clip(2, size=(160, 96)), "original_size": (320, 192)}
    square = VIDEO.crop(whole, options(size="64"))
    assert torch.equal(square["frames"], whole["frames"][..., 32:128])
    assert square["cropped"] == (64, 0, 192, 192)
    assert VIDEO.crop(whole, options(size="80x48")) is whole
    tall = VIDEO.crop(clip(1, size=(160, 96)), options(size="160x48"))
    assert torch.equal(tall["frames"], clip(1, size=(160, 96))["frames"][..., 24:72, :])
    # A box is pixels of the file, whatever is cut off it.
    assert VIDEO.box("64,0,96,48", square) == {"width": (0.0, 0.5), "height": (0.0, 0.25)}
    assert VIDEO.box("0,0,160,192", square) == {"width": (0.0, 0.5), "height": (0.0, 1.0)}
    with pytest.raises(UsageError, match=r"only 192 x 192 pixels from 64,0 on are left, so give a box there"):
        VIDEO.box("0,0,64,48", square)
    with pytest.raises(UsageError, match="reaches outside the input, which has 320 x 192"):
        VIDEO.box("300,0,64,48", square)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("121,0,40,48", "--box 121,0,40,48 reaches outside the input, which has 160 x 96 pixels: give X from 0"),
        ("0,49,40,48", "reaches outside"),
        ("-1,0,40,48", "reaches outside"),
        ("0,-1,40,48", "reaches outside"),
        ("0,0,0,48", "is empty"),
        ("0,0,40,-1", "is empty"),
        ("0,0,40", "is no box: give X,Y,WIDTH,HEIGHT"),
        ("a,b,c,d", "is no box"),
        ("0.5,0,40,48", "is no box"),
        ("", "is no box"),
    ],
)
def test_a_box_that_is_none_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        VIDEO.box(text, clip(1))


@pytest.mark.parametrize(
    ("name", "given", "reason"),
    [
        ("x.avi", {}, r"x.avi: .avi is not a video format that is supported; use .mp4, .webm, .gif, .png"),
        ("x", {}, "no file extension; use .mp4"),
        ("x.png", {}, r"holds one frame, and there are 16: use --frames 1 .*, x/%04d.png for a folder .* or x.mp4"),
        ("x.gif", {"fps": 60}, "plays at most 50 frames a second, not 60"),
        ("x.png", {"frames": 1, "loop": True}, r"x.png is an image: leave out --duration, --loop .*-o x\.mp4"),
        ("x.png", {"frames": 1, "duration": 3.0}, "is an image"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(name: str, given: dict, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        VIDEO.check(Path(name), options(**given), "")


@pytest.mark.parametrize(("name", "given"), [("x.png", {"frames": 1}), ("x/%03d.png", {}), ("x.gif", {"fps": 50})])
def test_what_can_be_written_is_not_refused(name: str, given: dict) -> None:
    VIDEO.check(Path(name), options(**given), "")


# --- finishing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"fps": 8.0, "duration": 1.0}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"fps": 16.0, "duration": 0.5}, [0, 0, 1, 1, 2, 2, 3, 3]),
        ({"fps": 4.0, "duration": 1.0}, [0, 2, 4, 6]),
        ({"fps": 12.0, "duration": 0.5}, [0, 0, 1, 2, 2, 3]),
        ({"fps": 8.0, "frames": 3}, [0, 1, 2]),
        ({"fps": 8.0, "duration": 1.5}, [0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7]),
        ({"fps": 8.0, "frames": 1}, [0]),
    ],
)
def test_a_rate_is_reached_by_repeating_and_dropping(given: dict, expected: list[int]) -> None:
    finished = VIDEO.finish(levels(8), options(**given, size="32x16"))
    assert finished["fps"] == given["fps"]
    assert shown(finished) == expected


@pytest.mark.parametrize("fps", [23.976, 7.0, 59.94])
def test_half_of_an_odd_rate_drops_every_second_frame(fps: float) -> None:
    finished = VIDEO.finish(levels(100, fps=fps), options(fps=fps / 2, frames=50, size="32x16"))
    assert shown(finished) == list(range(0, 100, 2))


def test_a_size_is_reached_without_aliases() -> None:
    """Single-pixel stripes become grey when they are made smaller, and edges stay where they are."""
    frames = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    frames[..., ::2] = 255
    frames[:, 0, :32] = 0
    finished = VIDEO.finish({"frames": frames, "fps": 8.0}, options(frames=2, size="20x32"))["frames"]
    assert finished.shape == (2, 3, 32, 20)
    assert finished.dtype == torch.uint8
    assert (finished[:, 1:, :, 2:-2].int() - 128).abs().max() <= 12
    assert finished[:, 0, :14].max() <= 8
    assert finished[:, 0, 18:, 2:-2].min() >= 100


def test_a_finished_sample_stays_as_it_is() -> None:
    sample = clip(16)
    before = sample["frames"].clone()
    finished = VIDEO.finish(sample, options(size="160x96"))
    assert torch.equal(finished["frames"], before)
    VIDEO.finish(sample, options(size="16", loop=True, frames=10))
    assert torch.equal(sample["frames"], before)


def test_a_loop_fades_what_is_beyond_into_its_start() -> None:
    """The first frame is the one after the last; without --loop it is the first."""
    sample = levels(20)
    looped = shown(VIDEO.finish(sample, options(size="32x16", loop=True)))
    assert looped == [16, 13, 10, 7, *range(4, 16)]
    assert shown(VIDEO.finish(sample, options(size="32x16"))) == list(range(16))
    assert shown(VIDEO.finish(levels(16), options(size="32x16", loop=True))) == list(range(16))


def test_a_loop_of_more_than_it_has_is_refused() -> None:
    with pytest.raises(UsageError, match="a loop of 40 frames can fade 20 of them into its start, not 24"):
        VIDEO.finish(levels(40), options(size="32x16", loop=True))


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_outside_a_region_in_time_the_input_is_kept_exactly() -> None:
    made, given = clip(16), clip(16, seed=1)
    kept = VIDEO.keep(made, given, {"time": (0.25, 0.75)})["frames"]
    assert torch.equal(kept[:4], given["frames"][:4])
    assert torch.equal(kept[12:], given["frames"][12:])
    assert torch.equal(kept[6:10], made["frames"][6:10])
    for k, share in ((4, 1 / 3), (5, 2 / 3), (10, 2 / 3), (11, 1 / 3)):
        blend = share * made["frames"][k] + (1 - share) * given["frames"][k]
        assert (kept[k] - blend).abs().max() <= 0.5 + 1e-3


def test_outside_a_box_the_input_is_kept_exactly() -> None:
    made, given = clip(4), clip(4, seed=1)
    kept = VIDEO.keep(made, given, {"width": (0.25, 0.75), "height": (0.5, 1.0)})["frames"]
    outside = torch.ones(96, 160, dtype=torch.bool)
    outside[48:, 40:120] = False
    assert torch.equal(kept[..., outside], given["frames"][..., outside])
    inside = (slice(None), slice(None), slice(48 + 6, None), slice(40 + 10, 120 - 10))
    assert torch.equal(kept[inside], made["frames"][inside])  # to the lower edge, where the frame ends
    share = torch.arange(1, 11) / 11
    row = share * made["frames"][:, :, 90, 40:50] + (1 - share) * given["frames"][:, :, 90, 40:50]
    assert (kept[:, :, 90, 40:50] - row).abs().max() <= 0.5 + 1e-3


def test_a_box_and_a_time_are_one_region() -> None:
    made, given = clip(16), clip(16, seed=1)
    kept = VIDEO.keep(made, given, {"time": (0.5, 1.0), "width": (0.0, 0.5)})["frames"]
    assert torch.equal(kept[:8], given["frames"][:8])
    assert torch.equal(kept[..., 80:], given["frames"][..., 80:])
    assert torch.equal(kept[10:, :, :, :70], made["frames"][10:, :, :, :70])


@pytest.mark.parametrize(("region", "changed"), [((0.5, 0.51), [8]), ((0.5, 0.6), [8, 9]), ((0.49, 0.5), [7])])
def test_a_short_region_is_made_all_the_same(region: tuple[float, float], changed: list[int]) -> None:
    made, given = clip(16), clip(16, seed=1)
    kept = VIDEO.keep(made, given, {"time": region})["frames"]
    assert [k for k in range(16) if not torch.equal(kept[k], given["frames"][k])] == changed
    assert any(torch.equal(kept[k], made["frames"][k]) for k in changed)


def test_an_input_is_kept_at_the_rate_and_size_that_was_made() -> None:
    kept = VIDEO.keep(levels(16), levels(60, fps=30.0, size=(64, 64)), {"time": (0.5, 1.0)})
    assert kept["fps"] == 8.0
    # the middles of frames of 1/8 s, in frames of 1/30 s
    assert shown(kept)[:8] == [1, 5, 9, 13, 16, 20, 24, 28]
    assert kept["frames"].shape == (16, 3, 16, 32)


def test_an_extension_goes_on_from_the_input_without_its_ghost() -> None:
    made, given = clip(16), clip(8, seed=1)
    kept = VIDEO.keep(made, given, {"time": (0.5, 1.0)})["frames"]
    assert torch.equal(kept[:8], given["frames"])
    assert torch.equal(kept[8:], made["frames"][8:])


def test_a_still_outside_a_box_stays_still() -> None:
    made, given = clip(16), clip(1, seed=1)
    kept = VIDEO.keep(made, given, {"width": (0.5, 1.0)})["frames"]
    assert torch.equal(kept[..., :80], given["frames"][..., :80].expand(16, -1, -1, -1))
    assert torch.equal(kept[..., 90:], made["frames"][..., 90:])


def test_a_large_still_is_held_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each frame is resized once, before it is repeated."""
    resized = []
    resize = rate.resize

    def counted(frames: torch.Tensor, size: tuple[int, int], /) -> torch.Tensor:
        resized.append(len(frames))
        return resize(frames, size)

    monkeypatch.setattr(rate, "resize", counted)
    VIDEO.keep(clip(16), clip(1, size=(640, 480)), {"width": (0.5, 1.0)})
    VIDEO.keep(clip(16), clip(60, fps=30.0), {"width": (0.5, 1.0)})
    VIDEO.finish(clip(8), options(fps=60, size="256"))
    assert resized == [1, 16, 8]


def test_keeping_writes_into_no_argument() -> None:
    made, given = clip(16), clip(16, seed=1)
    before = made["frames"].clone(), given["frames"].clone()
    VIDEO.keep(made, given, {"time": (0.25, 0.75)})
    assert torch.equal(made["frames"], before[0])
    assert torch.equal(given["frames"], before[1])


# --- showing ----------------------------------------------------------------------------------------------------------


def test_a_sheet_has_a_row_for_each_sample_under_its_title(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    red, blue = torch.zeros(20, 3, 96, 160, dtype=torch.uint8), torch.zeros(3, 3, 400, 200, dtype=torch.uint8)
    red[:, 0] = torch.arange(100, 200, 5, dtype=torch.uint8)[:, None, None]
    blue[:, 2] = 255
    long = "a fox galloping to the left through deep snow " * 20
    rows = [(long, {"frames": red, "fps": 8.0}), ("雨", {"frames": blue, "fps": 8.0})]
    VIDEO.show(rows, tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(int)
    assert sheet.shape[1] == 8 * (160 + 4) + 4
    first = sheet[80]  # through the upper row
    assert [first[4 + k * 164 + 80].tolist() for k in range(8)] == [
        [100 + 5 * round(k * 19 / 7), 0, 0] for k in range(8)
    ]
    pure_blue = (sheet == [0, 0, 255]).all(-1)
    assert pure_blue.sum() == 3 * 96 * 192  # made smaller, side by side
    assert not pure_blue[:, 3 * 100 + 4 :].any()
    title = sheet[:20, :, 0]
    assert (title < 128).sum() > 100
    assert (title[:, -4:] == 255).all()


def test_a_sheet_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sample to draw"):
        VIDEO.show([], tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())
