"""The command line: what it makes, and one clear sentence, the right exit code and no half-written file for the
rest."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multigen.cli import main, seed_list
from multigen.errors import UsageError

QUICK = ["--steps", "1", "--guidance", "1", "--duration", "0.5"]


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *words):
    code = main(list(words))
    out = capsys.readouterr()
    return code, out.out, out.err


def wav(path, seconds=1.0, rate=24_000, channels=1):
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate, subtype="PCM_16")
    return str(path)


# --- what it makes ----------------------------------------------------------------------------------------------------


def test_a_prompt_becomes_a_file_named_after_it(capsys):
    code, out, err = run(capsys, "audio", "Rain on a tin roof!", *QUICK)
    assert (code, out.strip(), err) == (0, "rain-on-a-tin-roof.wav", "")
    wave, rate = soundfile.read("rain-on-a-tin-roof.wav")
    assert (len(wave), rate) == (12_000, 24_000)
    assert run(capsys, "audio", "Rain on a tin roof!", *QUICK)[1].strip() == "rain-on-a-tin-roof-2.wav"


def test_several_seeds_go_to_a_folder_and_each_is_the_same_alone(capsys):
    code, out, _ = run(capsys, "audio", "rain", "--seeds", "3,5", "-o", "some/", "--json", *QUICK)
    assert code == 0
    assert [row["seed"] for row in json.loads(out)] == [3, 5]
    run(capsys, "audio", "rain", "--seed", "5", "-o", "alone.wav", "-q", *QUICK)
    together, alone = soundfile.read("some/seed-5.wav")[0], soundfile.read("alone.wav")[0]
    assert np.array_equal(together, alone)
    assert not np.array_equal(together, soundfile.read("some/seed-3.wav")[0])


def test_a_file_of_prompts(capsys):
    Path("p.txt").write_text("rain\n\na dog\n")
    code, out, _ = run(capsys, "audio", "--prompts", "p.txt", "-o", "many/", *QUICK)
    assert (code, out.split()) == (0, ["many/000-rain-seed-0.wav", "many/001-a-dog-seed-0.wav"])


@pytest.mark.parametrize("extension", [".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus"])
def test_every_container_says_how_it_was_made_and_can_be_replayed(capsys, extension):
    assert run(capsys, "audio", "rain", "-o", f"r{extension}", "-q", *QUICK)[0] == 0
    code, out, err = run(capsys, "replay", f"r{extension}", "-o", f"again{extension}")
    assert (code, out.strip()) == (0, "bit-exact"), err
    assert Path(f"r{extension}").stat().st_size == pytest.approx(Path(f"again{extension}").stat().st_size, rel=0.01)


def test_no_metadata_means_none(capsys):
    run(capsys, "audio", "rain", "-o", "r.wav", "--no-metadata", *QUICK)
    assert b"multigen" not in Path("r.wav").read_bytes()
    code, _, err = run(capsys, "replay", "r.wav")
    assert code == 2
    assert "does not say how it was made" in err


def test_a_spectrogram_is_drawn(capsys):
    assert run(capsys, "audio", "rain", "-o", "r.wav", "--spectrogram", "r.png", *QUICK)[0] == 0
    assert Path("r.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "flags",
    [
        ["--strength", "0.5"],
        ["--mask", "0.2:0.5"],
        ["--extend", "0.5"],
        ["--mask", "0.2:0.5", "--resample", "2"],
    ],
)
def test_editing_an_input_of_96_khz_and_8_channels(capsys, flags):
    given = wav("in.wav", seconds=0.8, rate=96_000, channels=8)
    code, _, err = run(
        capsys, "audio", "rain", "--init", given, *flags, "-o", "out.wav", "--steps", "2", "--guidance", "1"
    )
    assert code == 0, err
    made, rate = soundfile.read("out.wav")
    assert rate == 24_000
    assert len(made) == round((1.3 if "--extend" in flags else 0.8) * rate)
    if "--mask" in flags:
        old, _ = soundfile.read(given)
        kept = made[: int(0.19 * rate)]
        from scipy.signal import resample_poly

        expected = resample_poly(old.mean(1), 1, 4)[: len(kept)]
        assert np.corrcoef(kept, expected)[0, 1] > 0.97  # the two resamplers differ near half the rate


def test_a_loop_has_no_seam(capsys):
    code, _, err = run(capsys, "audio", "rain", "--loop", "--duration", "2", "-o", "l.wav", "--steps", "4")
    assert code == 0, err
    wave, rate = soundfile.read("l.wav")
    assert len(wave) == 2 * rate
    joint = abs(wave[0] - wave[-1])
    steps = np.abs(np.diff(wave))
    assert joint <= np.quantile(steps, 0.999)


# --- bad input --------------------------------------------------------------------------------------------------------

BAD = [
    (["audio", ""], "prompt is empty"),
    (["audio"], "prompt is empty"),
    (["audio", "x" * 10_000], "10000 characters"),
    (["audio", "rain AND NOT dog"], "empty part"),
    (["audoi", "rain"], "did you mean 'audio'"),
    (["audio", "rain", "--sampler", "hean"], "did you mean 'heun'"),
    (["audio", "rain", "--sampler", "heun:chrun=3"], "its options are churn"),
    (["audio", "rain", "--sampler", "heun:churn=x"], "is no number"),
    (["audio", "rain", "--schedule", "karas"], "did you mean 'karras'"),
    (["audio", "rain", "--schedule", "flow:shift=-1"], "shift > 0"),
    (["audio", "rain", "--guidance", "apg"], "apg:scale=3"),
    (["audio", "rain", "--guidance", "cgf:scale=3"], "did you mean 'cfg'"),
    (["audio", "rain", "--model", "audio-smal"], "did you mean 'audio-small'"),
    (["audio", "rain", "--model", "weights.ckpt"], "pickle"),
    (["audio", "rain", "-o", "rain.txt"], ".wav, .flac"),
    (["audio", "rain", "-o", "rain"], ".wav, .flac"),
    (["audio", "rain", "-n", "3", "-o", "wet/rain.wav"], "give a folder, such as -o wet/rain/"),
    (["audio", "rain", "-n", "0"], "at least 1"),
    (["audio", "rain", "--seeds", "5-1"], "0-3,7"),
    (["audio", "rain", "--seed", "-1"], "from 0"),
    (["audio", "rain", "--duration", "-3"], "0.5 to 600"),
    (["audio", "rain", "--duration", "1e9"], "0.5 to 600"),
    (["audio", "rain", "--duration", "nan"], "0.5 to 600"),
    (["audio", "rain", "--steps", "0"], "1 to 1000"),
    (["audio", "rain", "--steps", "100000"], "1 to 1000"),
    (["audio", "rain", "--steps", "many"], "invalid int"),
    (["audio", "rain", "--guidance", "1e6"], "-100 to 100"),
    (["audio", "rain", "--guidance", "nan"], "-100 to 100"),
    (["audio", "rain", "--guidance-interval", "5:1"], "START:END"),
    (["audio", "rain", "--sample-rate", "7"], "8000"),
    (["audio", "rain", "--sample-rate", "192000", "-o", "x.mp3"], "192000"),
    (["audio", "rain", "--mask", "1:2"], "add --init"),
    (["audio", "rain", "--strength", "0.5"], "add --init"),
    (["audio", "rain", "--init", "missing.wav", "--strength", "0.5"], "missing.wav"),
    (["audio", "rain", "--prompts", "missing.txt"], "not both"),
    (["audio", "--prompts", "missing.txt"], "cannot be read"),
    (["audio", "rain", "--spectrogram", "x.jpg"], ".png"),
    (["audio", "rain", "--unknown"], "--help"),
    (["replay", "missing.wav"], "is not there"),
    (["train", "audio-smal", "--data", "."], "did you mean 'audio-small'"),
    (["train", "audio-small"], "--data"),
    (["train", "audio-small", "--data", "missing"], "no folder"),
    (["info", "karas"], "did you mean 'karras'"),
]


@pytest.mark.parametrize(("words", "says"), BAD, ids=[" ".join(words)[:60] for words, _ in BAD])
def test_bad_input_gets_one_sentence_and_code_2(capsys, words, says):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert err.startswith("multigen: error: ")
    assert not list(Path().iterdir())


def silent():
    soundfile.write("in.wav", np.zeros(24_000), 24_000)


def corrupted():
    soundfile.write("in.wav", np.zeros(24_000), 24_000)
    Path("in.wav").write_bytes(b"RIFF" + os.urandom(1000))


def text():
    Path("in.wav").write_text("this is not a sound")


def empty():
    Path("in.wav").write_bytes(b"")


@pytest.mark.parametrize("spoil", [corrupted, text, empty])
def test_an_input_that_is_no_sound_is_refused(capsys, spoil):
    spoil()
    code, _, err = run(capsys, "audio", "rain", "--init", "in.wav", "--strength", "0.5", "-o", "out.wav")
    assert code == 2
    assert "in.wav" in err
    assert not Path("out.wav").exists()


def test_a_silent_input_can_be_varied(capsys):
    silent()
    code, _, err = run(capsys, "audio", "rain", "--init", "in.wav", "--strength", "1", "-o", "o.wav", "--steps", "2")
    assert code == 0, err
    assert np.isfinite(soundfile.read("o.wav")[0]).all()


def test_a_mask_outside_the_clip(capsys):
    code, _, err = run(capsys, "audio", "rain", "--init", wav("in.wav"), "--mask", "0.5:1.5", "-o", "out.wav")
    assert code == 2
    assert "lasts 1.00 s" in err


def test_a_truncated_model_is_refused(capsys):
    from multigen_models.weights import ABOUT, WEIGHTS, ZOO

    folder = Path("model")
    folder.mkdir()
    for name in ("config.json", ABOUT, WEIGHTS):
        data = (ZOO / "audio-small" / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2] if name == WEIGHTS else data)
    code, _, err = run(capsys, "audio", "rain", "--model", "model", "-o", "out.wav")
    assert code == 2
    assert "missing or damaged" in err
    assert not Path("out.wav").exists()


def test_a_folder_that_is_no_model_is_refused(capsys):
    Path("model").mkdir()
    code, _, err = run(capsys, "audio", "rain", "--model", "model")
    assert code == 2
    assert "multigen.json" in err


def test_the_early_weights_are_no_pickle(capsys):
    Path("model.pt").write_bytes(b"\x80\x04.")
    code, _, err = run(capsys, "audio", "rain", "--model", "model.pt")
    assert code == 2
    assert "safetensors" in err


def test_an_unwritable_folder_fails_before_anything_is_made(capsys):
    Path("file").write_text("")
    code, _, err = run(capsys, "audio", "rain", "-o", "file/out.wav", *QUICK)
    assert code == 1
    assert "file" in err
    if os.geteuid():  # root may write anywhere
        Path("locked").mkdir()
        Path("locked").chmod(stat.S_IRUSR | stat.S_IXUSR)
        assert run(capsys, "audio", "rain", "-o", "locked/out.wav", *QUICK)[0] == 1


def test_a_full_disk_leaves_nothing(capsys, monkeypatch):
    from multigen_audio import files

    def full(*_):
        raise OSError(28, "No space left on device", "out.wav")

    monkeypatch.setattr(files, "replace_file", full)
    code, _, err = run(capsys, "audio", "rain", "-o", "out.wav", *QUICK)
    assert code == 1
    assert "No space left on device" in err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_what_is_finished_and_nothing_else(kind):
    words = ["audio", "rain", "-n", "50", "-o", "out/", "--steps", "2", "--guidance", "1", "--duration", "0.5"]
    process = subprocess.Popen(
        [sys.executable, "-m", "multigen", *words],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    for _ in range(600):
        if Path("out").exists() and len(list(Path("out").iterdir())) >= 2:
            break
        time.sleep(0.1)
    process.send_signal(kind)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("multigen: interrupted")
    for path in Path("out").iterdir():
        assert path.suffix == ".wav"
        assert len(soundfile.read(path)[0]) == 12_000


def test_a_plugin_that_raises_at_import_names_its_distribution(tmp_path):
    site = tmp_path / "site"
    (site / "broken_plugin-1.0.dist-info").mkdir(parents=True)
    (site / "broken_plugin.py").write_text("raise RuntimeError('no luck')")
    (site / "broken_plugin-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n"
    )
    (site / "broken_plugin-1.0.dist-info" / "entry_points.txt").write_text(
        "[multigen.modalities]\nsmell = broken_plugin:Smell\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def call(*words):
        command = [sys.executable, "-m", "multigen", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    broken = call("smell", "roses")
    assert broken.returncode == 2
    assert "broken-plugin" in broken.stderr
    assert "no luck" in broken.stderr
    assert len(broken.stderr.splitlines()) == 1
    assert call("list").returncode == 0


# --- parts ------------------------------------------------------------------------------------------------------------


def test_seed_lists():
    assert seed_list("0-3,7") == (0, 1, 2, 3, 7)
    for bad in ("", "a", "3-1", "-1", "1,,2", "0-99999999", "1.5"):
        with pytest.raises(UsageError):
            seed_list(bad)


@pytest.mark.parametrize("verb", [["audio"], ["list"], ["info"], ["train"], ["replay"], ["cite"]])
def test_help_of_every_verb(capsys, verb):
    with pytest.raises(SystemExit) as stopped:
        main([*verb, "--help"])
    assert stopped.value.code == 0
    assert "usage: multigen" in capsys.readouterr().out


def test_listing_and_citing(capsys):
    code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    assert {"audio"} <= set(json.loads(out)["modalities"])
    assert run(capsys, "cite", "dpmpp_2m")[1].split() == ["https://arxiv.org/abs/2211.01095"]
    code, out, _ = run(capsys, "info", "karras", "--steps", "3")
    assert [line.split()[0] for line in out.splitlines()[-4:]] == ["0", "1", "2", "3"]


def test_a_recipe_file_names_its_recipe(capsys):
    Path("run.toml").write_text('data = "missing"\n')
    code, _, err = run(capsys, "train", "run.toml")
    assert (code, "names no recipe" in err) == (2, True)
    Path("run.toml").write_text('recipe = "audio-small"\ndata = "missing"\n')
    assert "--data missing is no folder" in run(capsys, "train", "run.toml")[2]
    assert "--data typed is no folder" in run(capsys, "train", "run.toml", "--data", "typed")[2]
    assert "cannot be read as TOML" in run(capsys, "train", "none.toml")[2]
