"""Training data of the audio model: decoding, the split, windows, and captions that follow the signal."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multigen.errors import UsageError
from multigen_models.audio import augment
from multigen_models.audio.augment import MATERIALS, SAMPLE_RATE
from multigen_models.audio.captions import captions, sound_class
from multigen_models.audio.data import Clip, Recordings, load_recordings, sampling_weights, split_by_recording
from multigen_models.audio.scenes import AS_RECORDED, SCENES, Part, SoundWindows, Source, counted_barks, in_a_room

LABELS = ("dog", "rain", "sea waves", "seagulls", "crackling fire", "crickets", "helicopter")
SAMPLES = 48_000


def write_folder(folder: Path, *, groups: int = 6, per_group: int = 2) -> Path:
    """Clips of 16 kHz stereo: a burst of noise between two seconds of silence; two clips share an address."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    rows = []
    for label in LABELS:
        for group in range(groups):
            for part in range(per_group):
                wave = np.zeros((16_000 * 5, 2), np.float32)
                wave[32_000:48_000] = 0.02 * rng.standard_normal((16_000, 2))
                name = f"{label}-{group}-{part}.wav".replace(" ", "-")
                soundfile.write(folder / name, wave, 16_000)
                rows.append((name, f"a {label}, my file", label, f"http://host/{label}/{group}"))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "caption", "label", "url"), *rows])
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "audio")


@pytest.fixture(scope="module")
def recordings(folder: Path) -> Recordings:
    return load_recordings(folder, cache=folder / "cache")


def test_clips_are_trimmed_resampled_and_equally_loud(recordings: Recordings) -> None:
    assert len(recordings.clips) == len(LABELS) * 12
    for clip in recordings.clips:
        assert 1.0 <= clip.seconds < 1.15
        assert augment.rms(recordings.wave(clip)) == pytest.approx(0.1, rel=0.1)
    assert recordings.clips[0].captions[0] == "a dog barking"


def test_the_cache_is_read_and_gives_the_same(folder: Path, recordings: Recordings, tmp_path: Path) -> None:
    stamps = {p: p.stat().st_mtime_ns for p in (folder / "cache").rglob("*")}
    again = load_recordings(folder, cache=folder / "cache")
    assert again.clips == recordings.clips
    assert {p: p.stat().st_mtime_ns for p in (folder / "cache").rglob("*")} == stamps
    anew = load_recordings(folder, cache=tmp_path)
    assert np.array_equal(anew.waves, recordings.waves)


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "metadata.csv cannot be read"), ("file_name,words\na.wav,x\n", "no caption"), ("", "no caption")],
)
def test_a_folder_without_metadata_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        load_recordings(tmp_path, cache=tmp_path / "cache")


def test_a_broken_file_is_named_and_leaves_no_cache(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,caption\nbroken.wav,a thing\n")
    (tmp_path / "broken.wav").write_bytes(b"not audio")
    with pytest.raises(UsageError, match=r"broken\.wav cannot be read"):
        load_recordings(tmp_path, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_recording_is_on_both_sides(recordings: Recordings) -> None:
    training, validation = split_by_recording(recordings.clips, fraction=0.17)

    def sources(clips: Sequence[Clip]) -> set[str]:
        """The addresses in the metadata: a file is named class-group-part."""
        return {clip.file_name.rsplit("-", 1)[0] for clip in clips}

    assert not sources(training) & sources(validation)
    assert sorted((*training, *validation), key=repr) == sorted(recordings.clips, key=repr)
    assert {label: sum(c.label == label for c in validation) for label in LABELS} == dict.fromkeys(LABELS, 2)
    shuffled = tuple(reversed(recordings.clips))
    assert set(split_by_recording(shuffled, fraction=0.17)[1]) == set(validation)


def test_the_well_covered_count_more_than_their_share(recordings: Recordings) -> None:
    clips = [c for c in recordings.clips if c.label == "dog"] + [c for c in recordings.clips if c.label == "rain"][:3]
    weights = sampling_weights(clips)
    assert weights.sum() == pytest.approx(1)
    assert weights[:12].sum() / weights[12:].sum() == pytest.approx(4**1.5)


def test_windows_depend_on_seed_and_index_alone(recordings: Recordings) -> None:
    def windows(seed: int) -> SoundWindows:
        return SoundWindows(recordings, recordings.clips, samples=SAMPLES, length=200, seed=seed)

    forwards = [windows(1)[i] for i in range(40)]
    one = windows(1)
    for i in reversed(range(40)):
        wave, caption = one[i]
        assert caption == forwards[i][1]
        assert wave.equal(forwards[i][0])
        assert wave.shape == (SAMPLES,)
        assert wave.abs().max() <= 0.951
        assert wave.abs().max() > 0.005
    assert [windows(2)[i][1] for i in range(40)] != [caption for _, caption in forwards]
    assert len({wave.numpy().tobytes() for wave, _ in forwards}) == 40
    with pytest.raises(IndexError):
        one[200]


@pytest.mark.parametrize("part", SCENES, ids=lambda part: part.scene.__name__)
def test_every_scene_gives_sound_and_words(recordings: Recordings, part: Part) -> None:
    source = Source(recordings, recordings.clips, SAMPLES)
    for seed in range(5):
        wave, caption = part.scene(source, np.random.default_rng(seed))
        assert wave.shape == (SAMPLES,)
        assert wave.dtype == np.float32
        assert np.isfinite(wave).all()
        assert augment.rms(wave) > 1e-3
        assert caption == " ".join(caption.split()) != ""


def test_scenes_without_their_classes_are_left_out(recordings: Recordings) -> None:
    dogs = [clip for clip in recordings.clips if clip.label == "dog"]
    windows = SoundWindows(recordings, dogs, samples=SAMPLES, length=300, seed=0)
    said = " ".join(windows[i][1] for i in range(300))
    assert "dog" in said
    assert not [word for word in ("rain", "seagulls", "night", "helicopter") if word in said]


def test_plain_windows_begin_early_and_keep_the_caption(recordings: Recordings) -> None:
    windows = SoundWindows(recordings, recordings.clips, samples=SAMPLES, length=30, seed=0, parts=AS_RECORDED)
    known = {caption for clip in recordings.clips for caption in clip.captions}
    for i in range(30):
        wave, caption = windows[i]
        assert caption in known
        assert wave.abs().gt(1e-3).nonzero()[0] <= 0.35 * SAMPLE_RATE


def test_the_number_of_barks_is_the_number_said(recordings: Recordings) -> None:
    source = Source(recordings, recordings.clips, 5 * SAMPLE_RATE)
    counts = {"once": 1, "twice": 2, "three times": 3, "four times": 4}
    for seed in range(8):
        wave, caption = counted_barks(source, np.random.default_rng(seed))
        frames = np.abs(wave).reshape(-1, 480).max(axis=1) > 0.05
        assert np.sum(np.diff(frames.astype(int)) == 1) == counts[caption.removeprefix("a dog barks ")]


def test_a_room_rings_on_and_a_larger_one_for_longer() -> None:
    click = np.zeros(SAMPLES, np.float32)
    click[1000] = 1

    def time_to_fall(decay: float) -> float:
        """Seconds until the backward-integrated energy (Schroeder, 1965) of the reverberation has fallen by 30 dB."""
        heard = augment.reverberate(click, np.random.default_rng(0), decay=decay, direct=0.5)[1001:]
        energy = np.cumsum(heard[::-1] ** 2)[::-1]
        return float(np.argmax(energy < 1e-3 * energy[0]) / SAMPLE_RATE)

    assert time_to_fall(0.4) == pytest.approx(0.2, rel=0.2)
    assert time_to_fall(1.2) == pytest.approx(0.6, rel=0.2)


def test_rooms_are_said(recordings: Recordings) -> None:
    dogs = Source(recordings, [clip for clip in recordings.clips if clip.label == "dog"], SAMPLES)
    rain = Source(recordings, [clip for clip in recordings.clips if clip.label == "rain"], SAMPLES)
    for seed in range(5):
        assert " in a " in in_a_room(dogs, np.random.default_rng(seed))[1]
        assert " in a " not in in_a_room(rain, np.random.default_rng(seed))[1]


def test_far_away_is_softer_and_duller() -> None:
    rng = np.random.default_rng(0)
    near = rng.standard_normal(SAMPLES).astype(np.float32)
    far = augment.far_away(near, rng)

    def treble(wave: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wave)) ** 2
        return float(power[len(power) // 2 :].sum() / power.sum())

    assert augment.rms(far) < 0.45 * augment.rms(near)
    assert treble(far) < 0.1 * treble(near)


def test_what_passes_by_is_loudest_at_its_closest_and_falls_in_pitch() -> None:
    t = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 1000 * t).astype(np.float32)
    moved = augment.pass_by(tone, np.random.default_rng(0), closest=0.5)
    loud = [augment.rms(part) for part in np.array_split(moved, 5)]
    assert np.argmax(loud) == 2

    def pitch(part: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(part * np.hanning(len(part)))).argmax() * SAMPLE_RATE / len(part))

    assert pitch(moved[:SAMPLE_RATE]) > 1005 > 995 > pitch(moved[-SAMPLE_RATE:])


def test_convolution_is_numpys() -> None:
    rng = np.random.default_rng(0)
    wave, response = rng.standard_normal(500).astype(np.float32), rng.standard_normal(80).astype(np.float32)
    np.testing.assert_allclose(augment.convolve(wave, response), np.convolve(wave, response)[:500], atol=1e-4)


def test_materials_ring_where_and_as_long_as_they_should() -> None:
    def centre(name: str) -> float:
        spectra = [np.abs(np.fft.rfft(blow, 16384)) ** 2 for blow in augment.strikes(MATERIALS[name])]
        power = np.mean(spectra, axis=0)
        return float((power * np.fft.rfftfreq(16384, 1 / SAMPLE_RATE)).sum() / power.sum())

    assert centre("glass") > centre("plastic") > centre("canvas")
    assert centre("tin") > centre("wood")
    for material in MATERIALS.values():
        for blow in augment.strikes(material):
            assert np.sum(blow**2) == pytest.approx(1, rel=1e-3)


def test_drops_come_at_their_rate() -> None:
    train = augment.drops(100 * SAMPLE_RATE, np.random.default_rng(0), rate=20)
    assert np.count_nonzero(train) == pytest.approx(2000, abs=4 * 2000**0.5)


@pytest.mark.parametrize(
    ("given", "label", "wanted"),
    [
        ("a person sneezing, keyboard sneeze", "sneezing", "a person sneezing"),
        ("rain falling, louisiana rain", "rain", "rain"),
        ("the sound of elephant trumpet", "elephant trumpet", "the trumpet of an elephant"),
        ("the sound of yak", "yak", "a yak"),
        ("opening a door door", "open door", "opening a door"),
        ("snowing weather ambience", "snowing", "snowing weather"),
        ("a monster melee melee hit", "monster melee hit", "a blow in a fight"),
        ("a 5-second recording of surf, take two", "", "a 5-second recording of surf"),
    ],
)
def test_captions_are_tidied(given: str, label: str, wanted: str) -> None:
    assert captions(given, label)[0] == wanted


def test_two_names_of_one_sound_are_one_class() -> None:
    assert sound_class("watch tick") == sound_class("clock tick") == "clock tick"
    assert captions("the sound of watch tick", "watch tick") == captions("a clock ticking", "clock tick")
