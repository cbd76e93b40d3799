"""Audio files: what is written is read back by another library, and what cannot be read or written says so."""

import errno
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest
import soundfile
import torch

from multigen.errors import UsageError
from multigen_audio import files
from multigen_audio.files import EXTENSIONS, check_writable, read, read_tags, write

LOSSLESS = (".wav", ".flac")
RATE = 32000
TAGS = {
    "multigen": json.dumps({"prompt": "дождь 雨 = ; \n", "sigmas": [0.1] * 2000}, ensure_ascii=False),
    "title": "rain on a tin roof; 雨",
    "comment": "AI-generated\0by multigen",
    "software": "multigen 0.1.0",
}


def chirp(channels: int = 1, t: int = 33333, *, sample_rate: int = RATE) -> torch.Tensor:
    """(channels, t): a rising tone in the band that every codec keeps, and its polarity alternating by channel."""
    seconds = torch.arange(t) / sample_rate
    wave = 0.5 * torch.sin(2 * math.pi * (300 + 400 * seconds) * seconds)
    return torch.stack([wave * (-1) ** channel for channel in range(channels)])


def decoded_by_another_library(path: Path) -> tuple[np.ndarray, int]:
    """(channels, t) and rate, by libsndfile where FFmpeg wrote (it cannot read m4a), by FFmpeg for the rest."""
    if path.suffix in (".mp3", ".opus"):
        samples, sample_rate = soundfile.read(path, dtype="float32", always_2d=True)
        return samples.T, sample_rate
    with av.open(path) as container:
        convert = av.AudioResampler(format="fltp")
        frames = [out for frame in container.decode(audio=0) for out in convert.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), frames[0].sample_rate


def seen_by_ffmpeg(path: Path) -> dict[str, str]:
    """What ffprobe shows: the tags of the container and, in Ogg, of the stream."""
    with av.open(path) as container:
        tags = {**container.metadata, **container.streams.audio[0].metadata}
    return {key.lower(): value for key, value in tags.items()}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_length_rate_and_sound_survive(tmp_path: Path, extension: str, channels: int) -> None:
    sample_rate = 48000 if extension == ".opus" else RATE
    wave = chirp(channels, sample_rate=sample_rate)
    path = tmp_path / f"clip{extension}"
    write(path, wave, sample_rate, tags=TAGS)
    other, other_rate = decoded_by_another_library(path)
    ours, our_rate = read(path)
    assert our_rate == other_rate == sample_rate
    assert ours.shape == wave.shape
    assert ours.dtype == torch.float32
    # FFmpeg does not end where an m4a or an ogg says it ends, but with a whole block of the codec.
    slack = {".m4a": 1024, ".ogg": 2048}.get(extension, 1)
    assert other.shape[0] == channels
    assert abs(other.shape[1] - wave.shape[1]) < slack
    shorter = min(other.shape[1], wave.shape[1])
    limit = 0.5 / 2**15 if extension in LOSSLESS else 0.03
    edge = 1024  # lossy codecs ring at the cuts
    for samples in (ours, torch.from_numpy(other)):
        error = (samples[:, :shorter] - wave[:, :shorter]).abs()
        assert (error if extension in LOSSLESS else error[:, edge:-edge]).max() <= limit


@pytest.mark.parametrize("t", [1, 47, 1023, 1024, 1025, 100_001])
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_any_length_is_exact(tmp_path: Path, extension: str, t: int) -> None:
    path = tmp_path / f"clip{extension}"
    sample_rate = 48000
    write(path, chirp(1, t, sample_rate=sample_rate), sample_rate, tags={})
    assert read(path)[0].shape == (1, max(t, 47) if extension == ".mp3" else t)
    if extension != ".mp3":
        # What the file declares, for an m4a with the encoder's delay that the edit list cuts. mp3s count whole frames.
        declared = t + 1024 if extension == ".m4a" else t
        assert round(mutagen.File(path).info.length * sample_rate) == declared


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_tags_are_read_back_by_mutagen_and_seen_by_ffmpeg(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"clip{extension}"
    write(path, chirp(), RATE, tags=TAGS)
    expected = {key: value.replace("\0", "\N{REPLACEMENT CHARACTER}") for key, value in TAGS.items()}
    assert read_tags(path).items() >= expected.items()
    seen = seen_by_ffmpeg(path)
    assert seen.items() >= {key: expected[key] for key in ("multigen", "title", "comment")}.items()
    assert "multigen 0.1.0" in (seen.get("software"), seen.get("encoder"))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_tags_leave_the_audio_exactly_as_it_is(tmp_path: Path, extension: str) -> None:
    with_tags, without = tmp_path / f"with{extension}", tmp_path / f"without{extension}"
    wave = chirp(2)
    write(with_tags, wave, RATE, tags=TAGS)
    write(without, wave, RATE, tags={})
    assert "multigen" not in read_tags(without)
    assert torch.equal(read(with_tags)[0], read(without)[0])
    assert np.array_equal(decoded_by_another_library(with_tags)[0], decoded_by_another_library(without)[0])


def test_a_lone_surrogate_and_other_capitals_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "CLIP.WAV"
    write(path, chirp(), RATE, tags={"title": "a\udcff b"})
    assert read_tags(path)["title"].startswith("a\N{REPLACEMENT CHARACTER}")
    assert read(path)[1] == RATE


@pytest.mark.parametrize("extension", LOSSLESS)
def test_reading_and_writing_again_changes_no_sample(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"clip{extension}"
    steps = torch.arange(-(2**15), 2**15, dtype=torch.float32)[None] / 2**15
    write(path, steps, RATE, tags={})
    assert torch.equal(read(path)[0], steps)


def test_full_scale_and_minutes_of_vorbis(tmp_path: Path) -> None:
    wave = torch.ones(1, 3_000_000)
    wave[:, ::2] = -1
    write(tmp_path / "clip.ogg", wave, 48000, tags={})
    assert soundfile.info(tmp_path / "clip.ogg").frames == 3_000_000
    write(tmp_path / "clip.wav", wave[:, :10], 48000, tags={})
    assert soundfile.read(tmp_path / "clip.wav", dtype="int16")[0].tolist() == [-32768, 32767] * 5


def test_opus_is_resampled_to_its_only_rate(tmp_path: Path) -> None:
    path = tmp_path / "clip.opus"
    write(path, chirp(1, RATE), RATE, tags={})
    wave, sample_rate = read(path)
    assert (wave.shape, sample_rate) == ((1, 48000), 48000)
    assert (wave - chirp(1, 48000, sample_rate=48000)).abs()[:, 1024:-1024].max() < 0.02


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_sample_format_rate_and_channel_count_is_read(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    wave = chirp(8, 960, sample_rate=96000)
    soundfile.write(path, wave.T.numpy(), 96000, subtype=subtype)
    ours, sample_rate = read(path)
    assert sample_rate == 96000
    assert ours.shape == (8, 960)
    assert (ours - wave).abs().max() <= (1 / 2**7 if subtype == "PCM_U8" else 1 / 2**23)


def bad_bytes() -> dict[str, bytes]:
    return {
        "empty": b"",
        "text": b"this is a shopping list\n" * 100,
        "zeros": bytes(5000),
        "noise": np.random.default_rng(0).bytes(100_000),
        "list of files": b"ffconcat version 1.0\nfile secret.mp3\n",
    }


@pytest.mark.parametrize("kind", bad_bytes())
@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_is_no_audio_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "secret.mp3", chirp(), RATE, tags={})
    path = tmp_path / f"clip{extension}"
    path.write_bytes(bad_bytes()[kind])
    for action in (read, read_tags):
        with pytest.raises(UsageError, match=f"clip{extension} is .*; give ") as caught:
            action(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extension", [".flac", ".m4a", ".mp3"])
def test_damage_in_the_middle_is_noticed(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"clip{extension}"
    write(path, torch.rand(1, 64000, generator=torch.Generator().manual_seed(0)) - 0.5, RATE, tags={})
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(0).bytes(2000)
    path.write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        read(path)


@pytest.mark.parametrize("extension", [".flac", ".m4a", ".ogg", ".opus"])
def test_half_a_file_is_refused(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"clip{extension}"
    write(path, chirp(), RATE, tags=TAGS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(UsageError, match=r"damaged|no samples"):
        read(path)


def test_missing_folder_zero_length_and_nan(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.wav cannot be read: No such file"):
        read(tmp_path / "missing.wav")
    (tmp_path / "folder.mp3").mkdir()
    for action in (read, read_tags):
        with pytest.raises(UsageError, match="cannot be read: Is a directory"):
            action(tmp_path / "folder.mp3")
    soundfile.write(tmp_path / "zero.wav", np.zeros((0, 1)), RATE)
    with pytest.raises(UsageError, match="no samples"):
        read(tmp_path / "zero.wav")
    for value in (np.nan, np.inf):
        soundfile.write(tmp_path / "bad.wav", np.array([0, value]), RATE, subtype="FLOAT")
        with pytest.raises(UsageError, match="NaN or infinite"):
            read(tmp_path / "bad.wav")


@pytest.mark.parametrize("name", ["clip.aiff", "clip", "clip.wav.bak"])
def test_an_unknown_extension_names_the_allowed_ones(tmp_path: Path, name: str) -> None:
    allowed = r"use \.wav, \.flac, \.ogg, \.mp3, \.m4a, \.opus"
    with pytest.raises(UsageError, match=allowed):
        read(tmp_path / name)
    with pytest.raises(UsageError, match=allowed):
        write(tmp_path / name, chirp(), RATE, tags={})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "wave", "sample_rate", "reason"),
    [
        ("clip.mp3", chirp(), 96000, "no sample rate of 96000 Hz; use one of 8000, .*, 48000 Hz"),
        ("clip.ogg", chirp(), 4000, "no sample rate of 4000 Hz; use 8000 to 192000 Hz"),
        ("clip.m4a", chirp(3), RATE, "1 to 2 channels, not 3"),
        ("clip.wav", chirp(9), RATE, "1 to 8 channels, not 9"),
        ("clip.wav", chirp()[:, :0], RATE, "no samples"),
        ("clip.wav", 3 * chirp(), RATE, r"peaks at 1\.\d+; samples must be in \[-1, 1\]"),
        ("clip.wav", chirp() * math.nan, RATE, "peaks at nan"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, name: str, wave: torch.Tensor, sample_rate: int, reason: str
) -> None:
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(UsageError, match=reason):
        write(tmp_path / name, wave, sample_rate, tags=TAGS)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, b"old")]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_rate_that_is_allowed_is_encoded(tmp_path: Path, extension: str) -> None:
    form = files._FORMATS[extension]
    rates = (form.rates[0], 22050, form.rates[-1]) if isinstance(form.rates, range) else form.rates
    for sample_rate in rates:
        path = tmp_path / f"clip{extension}"
        check_writable(path, channels=form.channels, sample_rate=sample_rate)
        write(path, chirp(form.channels, 3000, sample_rate=sample_rate), sample_rate, tags={})
        wave, read_rate = read(path)
        expected = 48000 if extension == ".opus" else sample_rate
        assert read_rate == expected
        assert wave.shape == (form.channels, round(3000 * expected / sample_rate))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.wav"
    write(path, chirp(), RATE, tags={})
    old = path.read_bytes()
    for error in (OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()):

        def fail(*_: object, error: BaseException = error) -> None:
            assert len(list(tmp_path.iterdir())) == 2  # the new bytes are there, under a temporary name
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            with pytest.raises(type(error)):
                write(path, chirp(2), RATE, tags=TAGS)
        assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("clip.wav", old)]


def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import resource, signal, torch
from multigen_audio.files import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write({str(tmp_path / "clip.wav")!r}, torch.zeros(1, 32000), 32000, tags={{}})
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(errno.EFBIG)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing_or_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "missing" / "clip.wav", chirp(), RATE, tags={})
    (tmp_path / "clip.wav").mkdir()
    with pytest.raises(IsADirectoryError):
        write(tmp_path / "clip.wav", chirp(), RATE, tags={})
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


def test_a_link_stays_a_link_and_a_new_file_obeys_the_umask(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(b"old")
    (tmp_path / "link.wav").symlink_to("real.wav")
    old = os.umask(0o027)
    try:
        write(tmp_path / "link.wav", chirp(), RATE, tags={})
    finally:
        os.umask(old)
    assert (tmp_path / "link.wav").is_symlink()
    assert soundfile.info(tmp_path / "real.wav").frames == 33333
    assert (tmp_path / "real.wav").stat().st_mode & 0o777 == 0o640


def test_writing_does_not_touch_the_wave(tmp_path: Path) -> None:
    wave = chirp(2)
    before = wave.clone()
    for extension in EXTENSIONS:
        write(tmp_path / f"clip{extension}", wave, RATE, tags=TAGS)
    assert torch.equal(wave, before)
