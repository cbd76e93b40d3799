"""Video files that are written: rate, count, colours, tags, faststart; whole or not at all."""

import errno
import json
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import mutagen.mp4
import numpy as np
import pytest
import torch
from PIL import Image

from multigen.errors import UsageError
from multigen_video import containers
from multigen_video.files import EXTENSIONS, read, read_tags, write

TAGS = {
    "multigen": json.dumps({"prompt": "дождь 雨 = ; \n", "sigmas": [0.1] * 2000}, ensure_ascii=False),
    "title": "a fox galloping; 雨",
    "comment": "AI-generated\0by multigen",
}
NAMES = (*EXTENSIONS[:3], "/%04d.png")
FLAT = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 50, 100))


def flat(t: int = 16, *, size: tuple[int, int] = (160, 96), fps: float = 8.0) -> dict:
    """Frame k has one colour, the k-th of `FLAT`."""
    colors = torch.tensor(FLAT, dtype=torch.uint8)[torch.arange(t) % len(FLAT)]
    return {"frames": colors[:, :, None, None].expand(t, 3, size[1], size[0]).contiguous(), "fps": fps}


def smooth(t: int = 8, *, size: tuple[int, int] = (160, 96)) -> dict:
    coarse = torch.rand(1, 3, 2, 4, 6, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, (t, size[1], size[0]), mode="trilinear")[0]
    return {"frames": (255 * fine).round().byte().transpose(0, 1).contiguous(), "fps": 8.0}


def target(folder: Path, name: str) -> Path:
    path = folder / f"clip{name}"
    path.parent.mkdir(exist_ok=True)
    return path


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(10 * torch.log10(255**2 / (a.float() - b.float()).square().mean()))


def boxes(data: bytes) -> dict[str, bytes]:
    """The boxes of an MP4 at its top, in order."""
    found, at = {}, 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found[data[at + 4 : at + 8].decode("latin-1")] = data[at : at + size]
        at += size
    return found


def test_names_are_those_of_the_modality() -> None:
    from multigen_video import Video

    assert tuple(Video.extensions) == tuple(EXTENSIONS)


@pytest.mark.parametrize("t", [1, 2, 16])
@pytest.mark.parametrize("fps", [1.0, 8.0, 12.5, 24.0, 30000 / 1001, 50.0])
@pytest.mark.parametrize("name", NAMES)
def test_every_frame_comes_back_in_order_at_its_rate(tmp_path: Path, name: str, fps: float, t: int) -> None:
    path, sample = target(tmp_path, name), flat(t, size=(32, 16), fps=fps)
    write(path, sample, tags={})
    back = read(path)
    assert back["frames"].shape == sample["frames"].shape
    assert (back["frames"].int() - sample["frames"].int()).abs().max() <= (0 if name.endswith(".png") else 4)
    if name == ".gif" and t == 1:  # an image
        assert back["fps"] == 8
    elif name in (".mp4", "/%04d.png") or (t > 2 and fps in (1.0, 8.0, 24.0)):
        assert back["fps"] == pytest.approx(fps, rel=1e-9)
    else:  # a GIF counts hundredths of a second, a WebM thousandths
        clock = 0.01 if name == ".gif" else 0.001
        assert t / back["fps"] == pytest.approx(t / fps, abs=clock)


@pytest.mark.parametrize("fps", [8.0, 24.0, 30.0, 50.0])
def test_the_duration_is_what_the_headers_say(tmp_path: Path, fps: float) -> None:
    sample = flat(16, size=(32, 16), fps=fps)
    write(tmp_path / "clip.mp4", sample, tags=TAGS)
    moov = boxes((tmp_path / "clip.mp4").read_bytes())["moov"]
    for name, at in (("mvhd", 12), ("mdhd", 12)):  # the film's and the track's own timescale and duration
        start = moov.index(name.encode()) + 4 + at
        timescale, duration = struct.unpack(">II", moov[start : start + 8])
        assert Fraction(duration, timescale) == Fraction(16) / Fraction(fps)
    write(tmp_path / "clip.gif", sample, tags=TAGS)
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 16
        assert image.info["loop"] == 0  # for ever
        delays = []
        for n in range(16):
            image.seek(n)
            delays.append(image.info["duration"])
    assert sum(delays) == pytest.approx(1000 * 16 / fps, abs=5)
    assert max(delays) - min(delays) <= 10


def test_frames_that_are_alike_are_all_there(tmp_path: Path) -> None:
    sample = flat(1, size=(32, 16))
    still = {"frames": sample["frames"].expand(16, -1, -1, -1), "fps": 8.0}
    for name in NAMES:
        write(target(tmp_path, name), still, tags={})
        assert len(read(target(tmp_path, name))["frames"]) == 16


@pytest.mark.parametrize(("name", "least"), [(".mp4", 38), (".webm", 38), (".gif", 25), ("/%04d.png", 1000)])
def test_pictures_survive(tmp_path: Path, name: str, least: float) -> None:
    sample = smooth()
    write(target(tmp_path, name), sample, tags={})
    assert psnr(read(target(tmp_path, name))["frames"], sample["frames"]) >= least


def test_chroma_is_not_taken_from_the_nearest_sample(tmp_path: Path) -> None:
    """The nearest samples cost a smooth picture 4.7 dB."""
    sample = smooth()
    write(tmp_path / "clip.mp4", sample, tags={})
    assert psnr(read(tmp_path / "clip.mp4")["frames"], sample["frames"]) >= 42


def test_an_mp4_is_what_browsers_play_and_has_its_index_first(tmp_path: Path) -> None:
    import av

    for t in (1, 16, 2000):
        write(tmp_path / "clip.mp4", flat(t, size=(16, 16)) if t > 16 else flat(t), tags=TAGS)
        order = list(boxes((tmp_path / "clip.mp4").read_bytes()))
        assert order.index("moov") < order.index("mdat")
    write(tmp_path / "clip.mp4", flat(), tags=TAGS)
    with av.open(tmp_path / "clip.mp4") as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert [int(context.color_primaries), int(context.color_trc), int(context.colorspace)] == [1, 1, 1]
        assert int(context.color_range) == 1
        assert (stream.frames, float(stream.duration * stream.time_base)) == (16, 2.0)


def test_a_webm_is_vp9(tmp_path: Path) -> None:
    import av

    write(tmp_path / "clip.webm", flat(size=(33, 17)), tags=TAGS)
    with av.open(tmp_path / "clip.webm") as container:
        assert container.streams.video[0].codec_context.name in ("vp9", "libvpx-vp9")
        assert container.duration == 2_000_000
    assert read(tmp_path / "clip.webm")["frames"].shape == (16, 3, 17, 33)


@pytest.mark.parametrize("name", NAMES)
def test_tags_come_back_and_leave_the_pictures_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    sample = smooth()
    tagged, plain = target(tmp_path / "with", name), target(tmp_path / "without", name)
    write(tagged, sample, tags=TAGS)
    write(plain, sample, tags={})
    expected = (
        TAGS if name == ".gif" else {key: text.replace("\0", "\N{REPLACEMENT CHARACTER}") for key, text in TAGS.items()}
    )
    assert read_tags(tagged).items() >= expected.items()
    assert not {"multigen", "title", "comment"} & set(read_tags(plain))
    assert torch.equal(read(tagged)["frames"], read(plain)["frames"])


def test_tags_are_where_other_programs_look(tmp_path: Path) -> None:
    sample = flat(2, size=(32, 16))
    write(tmp_path / "clip.mp4", sample, tags=TAGS)
    assert mutagen.mp4.MP4(tmp_path / "clip.mp4").tags["\xa9nam"] == [TAGS["title"]]
    write(tmp_path / "clip.png", flat(1), tags=TAGS)
    with Image.open(tmp_path / "clip.png") as image:
        assert image.text["Title"] == TAGS["title"]
    write(tmp_path / "clip.gif", sample, tags=TAGS)
    with Image.open(tmp_path / "clip.gif") as image:
        assert json.loads(image.info["comment"]) == TAGS


def test_a_gif_of_others_with_a_comment_has_no_tags(tmp_path: Path) -> None:
    for comment in (b"made by hand", b"[1]", b'{"a": 1}'):
        Image.new("RGB", (8, 8)).save(tmp_path / "clip.gif", comment=comment)
        assert read_tags(tmp_path / "clip.gif") == {}


def test_a_lone_surrogate_and_capitals_are_no_obstacle(tmp_path: Path) -> None:
    for name in ("CLIP.MP4", "CLIP.WEBM", "CLIP.GIF", "CLIP.PNG"):
        write(tmp_path / name, flat(1), tags={"title": "a\udcff b"})
        assert read_tags(tmp_path / name)["title"].startswith("a")
        assert read(tmp_path / name)["frames"].shape == (1, 3, 96, 160)


def test_the_same_frames_make_the_same_file(tmp_path: Path) -> None:
    sample = smooth()
    for encode in (containers.mp4, containers.webm, containers.gif):
        assert encode(sample["frames"], 8.0, tags=TAGS) == encode(sample["frames"], 8.0, tags=TAGS)


def test_the_bytes_of_h264_do_not_depend_on_the_number_of_cores() -> None:
    frames = flat(2, size=(128, 128))["frames"]
    assert b" threads=1 " in containers.mp4(frames, 8.0, tags=TAGS)  # x264 writes its settings down


# --- what cannot be written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sample", "reason"),
    [
        ("clip.mp4", flat(2, size=(33, 16)), r".mp4 needs even sides, not 33 x 16; use another size, or .webm or .gif"),
        ("clip.png", flat(2), r"holds one frame, and there are 2: use .*clip/%04d.png"),
        ("clip.gif", flat(2, fps=51.0), "plays at most 50 frames a second, not 51"),
        ("clip.avi", flat(2), r".avi is not a video format that is supported; use .mp4, .webm, .gif, .png"),
        ("clip", flat(2), "no file extension"),
        ("clip.mp4", flat(0), r"frames must be \(t, 3, h, w\) uint8 with at least one frame, not 0 x 3 x 96 x 160"),
        ("clip.mp4", {"frames": torch.rand(2, 3, 16, 16), "fps": 8.0}, r"uint8 .* not 2 x 3 x 16 x 16 torch.float32"),
        ("clip.mp4", {"frames": flat(2)["frames"][:, :2], "fps": 8.0}, "not 2 x 2 x 96 x 160"),
        ("clip.mp4", flat(2, fps=0.0), "0 frames a second are not possible"),
        ("clip.mp4", flat(2, fps=float("nan")), "nan frames a second"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, sample: dict, reason: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(UsageError, match=reason):
        write(tmp_path / name, sample, tags=TAGS)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"old")]


def test_numbered_frames_do_not_mix_with_old_ones(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write(tmp_path / "%04d.png", flat(3), tags={})
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"notes.txt", "0001.png", "0002.png", "0003.png"}
    with pytest.raises(UsageError, match=r"would mix new frames with 3 .*, such as 0001.png: .*-2/%04d.png"):
        write(tmp_path / "%04d.png", flat(2), tags={})
    write(tmp_path / "b-%d.png", flat(11), tags={})
    assert torch.equal(read(tmp_path / "b-%d.png")["frames"], flat(11)["frames"])
    assert torch.equal(read(tmp_path / "%04d.png")["frames"], flat(3)["frames"])


def failing_replace(error: BaseException, *, after: int):
    calls = []

    def replace(self: Path, to: Path) -> Path:
        calls.append(to)
        if len(calls) > after:
            raise error
        self.rename(to)
        return Path(to)

    return replace


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.png"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException
) -> None:
    path = tmp_path / name
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", failing_replace(error, after=0))
    with pytest.raises(type(error)):
        write(path, flat(1), tags=TAGS)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [(name, b"old")]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_numbered_frames_are_written_all_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing_replace(error, after=2))
        with pytest.raises(type(error)):
            write(tmp_path / "%04d.png", flat(5), tags=TAGS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    encode = containers.png
    made = []

    def interrupted(frame: torch.Tensor, /, *, tags: dict) -> bytes:
        made.append(frame)
        if len(made) == 3:
            raise error
        return encode(frame, tags=tags)

    with monkeypatch.context() as patch:
        patch.setattr(containers, "png", interrupted)
        with pytest.raises(type(error)):
            write(tmp_path / "%04d.png", flat(5), tags=TAGS)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.gif", "clip.png", "%04d.png"])
def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    code = f"""
import resource, signal, torch
from multigen_video.files import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
count = 1 if {name!r} == "clip.png" else 3
frames = torch.randint(256, (count, 3, 64, 64), dtype=torch.uint8)
try:
    write({str(tmp_path / name)!r}, {{"frames": frames, "fps": 8.0}}, tags={{}})
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_or_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    for name in ("clip.mp4", "%04d.png"):
        with pytest.raises(FileNotFoundError):
            write(tmp_path / "missing" / name, flat(2), tags={})
    (tmp_path / "clip.mp4").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "clip.mp4", flat(2), tags={})
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_writing_does_not_touch_the_frames(tmp_path: Path) -> None:
    sample = smooth(2)
    before = sample["frames"].clone()
    for name in NAMES:
        write(target(tmp_path, name), sample, tags=TAGS)
    assert torch.equal(sample["frames"], before)


def test_numbered_frames_tell_their_rate_and_hold_their_tags_each(tmp_path: Path) -> None:
    write(tmp_path / "%02d.png", flat(3, fps=12.5), tags=TAGS)
    for n in (1, 2, 3):
        assert read_tags(tmp_path / f"{n:02d}.png")["multigen"] == TAGS["multigen"]
    assert read(tmp_path)["fps"] == read(tmp_path / "%02d.png")["fps"] == 12.5
    picture = np.asarray(Image.open(tmp_path / "02.png"))
    assert picture.shape == (96, 160, 3)
    assert (picture == FLAT[1]).all()
