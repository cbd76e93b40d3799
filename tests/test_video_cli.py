"""`multigen video` at the command line, with a tiny model: files, edits, replay, one sentence for all that is wrong."""

import errno
import re
from pathlib import Path

import av
import pytest
import soundfile
import torch
from PIL import Image
from tiny_video import video_small

from multigen.cli import main
from multigen_video import Video

VIDEO = Video()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return video_small(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys, folder):
    def command(*words):
        code = main(["video", "a fox", "--model", str(folder), "--steps", "1", "--guidance", "1", "-q", *words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return command


def clip(name, *, count=8, fps=8.0, size=(64, 64)):
    noise = torch.rand(count, 3, size[1] // 8, size[0] // 8, generator=torch.Generator().manual_seed(0))
    frames = torch.nn.functional.interpolate(255 * noise, size[::-1], mode="bilinear").to(torch.uint8)
    VIDEO.write({"frames": frames, "fps": fps}, Path(name), tags={})
    return name


def shape_and_rate(name):
    sample = VIDEO.read(Path(name))
    return tuple(sample["frames"].shape), sample["fps"]


@pytest.mark.parametrize("name", ["x.mp4", "x.webm", "x.gif", "x.png", "frames/%04d.png"])
def test_every_file_says_how_it_was_made_and_can_be_replayed(run, capsys, name):
    code, out, err = run("-o", name, "--size", "64", *([] if name == "x.png" else ["--duration", "0.5"]))
    assert (code, out.strip(), err) == (0, "", "")
    assert shape_and_rate(name) == ((1 if name == "x.png" else 4, 3, 64, 64), 8.0)
    assert main(["replay", name]) == 0
    assert capsys.readouterr().out.strip() == "bit-exact"


def test_a_sheet_shows_every_seed(run):
    assert run("-n", "2", "-o", "many/", "--size", "64", "--duration", "0.5", "--sheet", "sheet.png")[0] == 0
    assert sorted(path.name for path in Path("many").iterdir()) == ["seed-0.mp4", "seed-1.mp4"]
    with Image.open("sheet.png") as sheet:
        assert sheet.height > 2 * 64


@pytest.mark.parametrize(
    ("edit", "count", "fps"),
    [
        (["--strength", "0.5"], 8, 8.0),
        (["--mask", "0.5:1"], 8, 8.0),
        (["--box", "0,0,32,32"], 8, 8.0),
        (["--extend", "0.5"], 12, 8.0),
        (["--interpolate", "2"], 16, 16.0),
        (["--strength", "0.5", "--loop"], 8, 8.0),
    ],
)
def test_edits_of_a_clip(run, edit, count, fps):
    code, _, err = run("--init", clip("clip.mp4"), "--size", "64", "-o", "x.mp4", *edit)
    assert (code, err) == (0, "")
    assert shape_and_rate("x.mp4") == ((count, 3, 64, 64), fps)


def test_a_still_with_alpha_is_set_in_motion(run):
    Image.new("RGBA", (64, 64), (200, 40, 40, 128)).save("still.png")
    assert run("--init", "still.png", "--size", "64", "--duration", "0.5", "-o", "x.mp4")[0] == 0
    frames = VIDEO.read(Path("x.mp4"))["frames"]
    assert len(frames) == 4
    assert (frames[0].float().mean((1, 2)) - torch.tensor([227.0, 147.0, 147.0])).abs().max() < 6


def broken(name):
    Path(name).write_bytes(b"\0\0\0 ftypisom" + bytes(200))
    return name


def sound(name):
    soundfile.write(name, [0.0] * 2400, 24_000)
    return name


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--size", "65x64"], r"--size 65x64 is not possible: give WIDTHxHEIGHT"),
        (["--fps", "0"], r"--fps 0 is not possible"),
        (["--duration", "1000"], r"--duration 1000 is not possible"),
        (["--duration", "0"], r"--duration 0 is not possible"),
        (["-o", "x.avi"], r"x.avi has no extension of video: choose from .mp4"),
        (["-o", "x.png", "--frames", "4"], r"holds one frame, and there are 4"),
        (["-n", "2", "-o", "many/%04d.png"], r"give a folder, such as -o many/$"),
        (["-o", "x.png", "--loop"], r"x\.png is an image: leave out"),
        (["--init", "nowhere.mp4", "--strength", "0.5"], r"nowhere\.mp4"),
        (["--init", "broken.mp4", "--strength", "0.5"], r"broken\.mp4"),
        (["--init", "sound.wav", "--strength", "0.5"], r"sound\.wav"),
        (["--init", "clip.mp4"], r"--init needs to know what to change"),
        (["--init", "clip.mp4", "--box", "40,40,32,32"], r"reaches outside the input, which has 64 x 64 pixels"),
        (["--init", "clip.mp4", "--mask", "0.5:3"], r"lies outside the input, which lasts 1\.00 s"),
        (["--init", "clip.mp4", "--strength", "0.5", "--duration", "3"], r"leave out --duration"),
        (["--init", "clip.mp4", "--extend", "90"], r"--extend up to 59\.00"),
        (["--init", "clip.mp4", "--mask", "0.5:1", "--frames", "4"], r"leave out --frames 4"),
        (["--init", "still.png", "--extend", "1"], r"still\.png is a still"),
        (["--init", "clip.mp4", "--extend", "1", "-o", "x.png"], r"clip\.mp4: what is made is a single step of time"),
        (["--init", "clip.mp4", "--mask", "0.5:1", "-o", "x.png"], r"make more of it, or vary all with --strength"),
        (["--strength", "0.5"], r"--init"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_leaves_nothing(run, words, reason):
    clip("clip.mp4"), clip("still.png", count=1), broken("broken.mp4"), sound("sound.wav")
    there = set(Path().iterdir())
    code, out, err = run(*words, *([] if "-o" in words else ["-o", "x.mp4"]))
    assert (code, out) == (2, "")
    assert re.search(reason, err)
    assert len(err.strip().splitlines()) == 1
    assert set(Path().iterdir()) == there


def test_the_beginning_of_a_single_pair_of_frames_is_made_anew(run):
    clip("short.mp4", count=2)
    code, _, err = run("--init", "short.mp4", "--mask", "0:0.125", "-o", "x.mp4")
    assert (code, err) == (0, "")
    assert shape_and_rate("x.mp4") == ((2, 3, 128, 128), 8.0)


def test_a_full_disk_leaves_nothing(run, monkeypatch):
    from multigen_video import files

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "x.mp4")

    monkeypatch.setattr(files, "replace_file", full)
    code, _, err = run("--size", "64", "--duration", "0.5", "-o", "x.mp4")
    assert code == 1
    assert "No space left on device" in err
    assert not list(Path().iterdir())


def test_ctrl_c_leaves_nothing(run, monkeypatch):
    from multigen_models.video.small import VideoSmall

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoSmall, "decode", interrupted)
    code, _, err = run("--size", "64", "--duration", "0.5", "-o", "x.mp4")
    assert code == 130
    assert err.startswith("multigen: interrupted")
    assert not list(Path().iterdir())


def test_an_mp4_plays_at_once(run):
    """The index stands before the pictures, and pixels are as browsers take them."""
    assert run("--size", "64", "--duration", "0.5", "-o", "x.mp4")[0] == 0
    data = Path("x.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open("x.mp4") as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, float(stream.duration * stream.time_base)) == (4, 0.5)
