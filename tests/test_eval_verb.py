"""``multigen eval``: reports on folders and on a model's samples, and bad input."""

import json
import math

import pytest
import torch

from multigen import registry
from multigen.cli import main
from multigen.errors import GenerationError
from multigen.evaluation import making
from multigen.noise import white
from multigen_audio import Audio
from multigen_models.prompts import embed, stacked
from multigen_video import Video

RATE = 24_000


def write_tones(folder, count, *, first=0, noise=0.0, captions=True):
    folder.mkdir()
    rows = ["file_name,caption,source"]
    for i in range(first, first + count):
        generator = torch.Generator().manual_seed(i)
        t = torch.arange(RATE) / RATE
        pitch = 200 * 2 ** (4 * torch.rand((), generator=generator))
        wave = 0.3 * torch.sin(2 * math.pi * pitch * t) + noise * torch.randn(len(t), generator=generator)
        Audio().write({"wave": wave[None], "sample_rate": RATE}, folder / f"{i}.wav", tags={})
        rows.append(f"{i}.wav,a tone,{i}")
    if captions:
        (folder / "metadata.csv").write_text("\n".join(rows))
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tones")
    return {
        "real": write_tones(root / "real", 24),
        "good": write_tones(root / "good", 20, first=100, captions=False),
        "noisy": write_tones(root / "noisy", 20, first=200, noise=0.1, captions=False),
    }


def report_of(capsys, *arguments):
    assert main(["eval", *arguments, "--json", "--repeats", "50"]) == 0
    return json.loads(capsys.readouterr().out)


def values(report):
    return {r["metric"]: r["interval"] and r["interval"]["value"] for r in report["results"]}


def test_a_folder_is_measured_against_real_samples(folders, capsys, tmp_path):
    good, noisy = (
        report_of(capsys, "audio", "--made", folders[name], "--against", folders["real"], "-o", str(tmp_path / name))
        for name in ("good", "noisy")
    )
    assert values(noisy)["kad"] > values(good)["kad"] + 1
    assert values(noisy)["1-nna"] > 0.9 > values(good)["1-nna"]
    assert values(good)["nearest-training"] is None
    told = {r["metric"]: r for r in good["results"]}
    assert told["nearest-training"]["note"] == "needs training samples, --training"
    assert told["kad"]["floor"]["low"] <= told["kad"]["floor"]["high"]
    assert told["kad"]["extractor"] == "audio-statistics 1"
    assert (good["made"]["samples"], good["real"]["samples"], good["real"]["clusters"]) == (20, 24, 24)
    assert (
        good["versions"]["torch"] == torch.__version__.split("+")[0] or good["versions"]["torch"] == torch.__version__
    )
    assert json.loads((tmp_path / "good" / "report.json").read_text()) == good


def test_metrics_and_extractors_can_be_chosen(folders, capsys):
    report = report_of(
        capsys, "audio", "--made", folders["good"], "--against", folders["real"],
        "--metrics", "kad,dc", "--extractor", "audio-random-network",
    )  # fmt: skip
    assert list(values(report)) == ["kad", "dc"]
    assert report["extractor"]["name"] == "audio-random-network"


def test_silence_is_named_and_not_averaged(folders, capsys, tmp_path):
    folder = tmp_path / "mixed"
    write_tones(folder, 12, captions=False)
    Audio().write({"wave": torch.zeros(1, RATE), "sample_rate": RATE}, folder / "nothing.wav", tags={})
    assert main(["eval", "audio", "--made", str(folder), "--against", folders["real"], "--repeats", "50"]) == 0
    assert "1 made samples were left out: nothing.wav (silent)" in capsys.readouterr().out


def test_samples_are_made_from_the_captions_and_kept(folders, capsys, tmp_path):
    report = report_of(
        capsys, "audio", "--against", folders["real"], "--most", "12", "-n", "2", "--seed", "5", "--steps", "2",
        "--duration", "1", "-o", str(tmp_path / "out"),
    )  # fmt: skip
    made = report["made"]
    assert made["samples"] == 2
    assert made["seeds"] == {"first": 5, "last": 6, "n": 2}
    assert made["evaluations"] == 4  # two rows a step: guidance is on
    assert made["request"]["steps"] == 2
    assert made["request"]["fingerprint"]
    assert report["real"]["samples"] == 12
    files = sorted((tmp_path / "out" / "samples").iterdir())
    assert [path.name for path in files] == ["00000.wav", "00001.wav"]
    told = {r["metric"]: r["note"] for r in report["results"]}
    assert "too few samples: 2" in told["kad"]
    again = report_of(capsys, "audio", "--made", str(tmp_path / "out" / "samples"))
    assert again["made"]["clusters"] == 1  # the files say themselves that they have one prompt


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["smell"], "unknown modality"),
        (["audio", "--made", "none"], "none is no folder"),
        (["audio"], "there is nothing to prompt with: add --prompts FILE"),
        (["audio", "--metrics", "kid"], "unknown metric 'kid'"),
        (["audio", "--extractor", "clip"], "unknown extractor 'clip'"),
        (["audio", "-n", "0"], "-n 0 is not possible"),
        (["audio", "--repeats", "1"], "--repeats 1 is not possible"),
        (["audio", "--duration", "0"], "--duration 0"),
        (["audio", "--prompts", "none.txt"], "none.txt cannot be read"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, capsys):
    if arguments[-2:] == ["--duration", "0"]:
        arguments = [*arguments, "--prompts", __file__]
    assert main(["eval", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_an_evaluation_goes_on_where_it_was_left(capsys, tmp_path):
    (tmp_path / "prompts.txt").write_text("rain\na dog barking\n")
    words = ["audio", "--prompts", str(tmp_path / "prompts.txt"), "--steps", "2", "--duration", "1", "-o",
             str(tmp_path / "out"), "--metrics", "prompt-accuracy,retrieval-r1,text-similarity,dc"]  # fmt: skip
    first = report_of(capsys, *words, "-n", "3")
    kept = sorted((tmp_path / "out" / "records").iterdir())
    assert [path.stem for path in kept] == ["00000", "00001", "00002"]
    kept[1].unlink()
    before = {path: path.stat().st_mtime_ns for path in (kept[0], kept[2])}
    again = report_of(capsys, *words, "-n", "4")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (first["made"]["samples"], again["made"]["samples"]) == (3, 4)
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 4
    told = {r["metric"]: r for r in again["results"]}
    assert told["prompt-accuracy"]["chance"] == 0.5
    assert told["prompt-accuracy"]["extractor"].startswith("audio-encoder ")
    assert again["reader"]["name"] == "audio-encoder"
    assert -1 <= told["text-similarity"]["interval"]["low"] <= told["text-similarity"]["interval"]["high"] <= 1
    assert main(["eval", *words[:4], "3", *words[5:]]) == 2
    assert "holds another evaluation" in capsys.readouterr().err


class Halves:
    """A recipe in little, whose dataset is a folder of tones: the first half for training."""

    def __init__(self, data, cache, /, *, seed, warm_start):
        self._files = sorted(data.glob("*.wav"))

    def real(self, split, /, *, most):
        half = len(self._files) // 2
        for path in self._files[:half] if split == "train" else self._files[half:]:
            yield path.name, Audio().read(path), "a tone", path.name

    def items(self, split, /):
        return [(white([i], (1, 384, 256))[0], embed("a tone")) for i in range(3)]

    def collate(self, items, /):
        return torch.stack([x for x, _ in items]), stacked([cond for _, cond in items])


def test_a_dataset_gives_what_was_held_out_and_what_was_not(folders, capsys, monkeypatch):
    find = registry.Registry.__getitem__
    monkeypatch.setattr(
        registry.Registry, "__getitem__", lambda group, name: Halves if group.noun == "recipe" else find(group, name)
    )
    report = report_of(capsys, "audio", "--made", folders["good"], "--data", folders["real"])
    assert (report["real"]["samples"], report["training"]["samples"]) == (12, 12)
    assert values(report)["nearest-training"] is not None
    assert {values(report)[name] for name in ("held-out-error", "bits/dim")} == {None}  # no model is measured
    named = report_of(
        capsys, "audio", "--made", folders["good"], "--data", folders["real"], "--model", "audio-small",
        "--metrics", "held-out-error,held-out-error-0.97",
    )  # fmt: skip
    mean, high = (values(named)[name] for name in ("held-out-error", "held-out-error-0.97"))
    assert 0 < mean < high < 1.5  # white noise can be predicted by its mean, no better
    assert [r["n"] for r in named["results"]] == [3, 3]
    assert main(["eval", "audio", "--made", folders["good"], "--data", folders["real"], "--against", "x"]) == 2
    assert "--data has both parts" in capsys.readouterr().err
    assert main(["eval", "audio", "--made", folders["good"], "--data", folders["real"], "--model", "mine"]) == 2
    assert "'mine' has none" in capsys.readouterr().err


def test_sounds_of_another_rate_are_left_out(folders, capsys, tmp_path):
    folder = tmp_path / "slow"
    folder.mkdir()
    for i in range(12):
        wave = 0.3 * torch.sin(2 * math.pi * 200 * (1 + i / 7) * torch.arange(8000) / 8000)[None]
        Audio().write({"wave": wave, "sample_rate": 8000}, folder / f"{i}.wav", tags={})
    words = ["eval", "audio", "--made", folders["good"], "--against", str(folder), "--metrics", "kad"]
    assert main([*words, "--repeats", "50", "-o", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "12 real samples were left out: 0.wav (8000 Hz, not 24000)" in out
    assert "and 4 more" in out
    assert "kad: too few samples: 0" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["made"]["rates"], report["real"]["rates"]) == ({"Hz": [24000]}, {"Hz": [8000]})
    assert report["made"]["sizes"]["seconds"] == [1, 1]
    assert report["resampler"].startswith("soxr")
    assert report["real"]["prompts"]["different"] == 0


def test_films_have_the_rate_of_their_frames_and_pictures_none():
    frames = torch.zeros(8, 3, 32, 48, dtype=torch.uint8)
    assert Video().rates({"frames": frames, "fps": 12.5}) == {"fps": 12.5}
    assert Video().rates({"frames": frames[:1], "fps": 8.0}) == {}
    assert Video().sizes({"frames": frames, "fps": 12.5}) == {"frames": 8, "width": 48, "height": 32}


def test_a_sample_that_fails_is_left_out_and_kept(capsys, tmp_path, monkeypatch):
    whole = making.make

    def fail(job, seed, /):
        if seed == 1:
            raise GenerationError("seed 1 gave values that are not finite")
        return whole(job, seed)

    monkeypatch.setattr(making, "make", fail)
    (tmp_path / "prompts.txt").write_text("rain\n")
    report = report_of(
        capsys, "audio", "--prompts", str(tmp_path / "prompts.txt"), "-n", "2", "--steps", "1", "--duration", "1",
        "-o", str(tmp_path / "out"), "--metrics", "vendi",
    )  # fmt: skip
    assert report["made"]["samples"] == 1
    assert report["made"]["faulty"] == {"00001": ["seed 1 gave values that are not finite"]}
    assert len(list((tmp_path / "out" / "records").iterdir())) == 2


def test_folders_are_looked_for_before_anything_is_measured(folders, capsys, monkeypatch):
    monkeypatch.setattr("multigen.evaluation.collection.Recorder.__call__", None)
    assert main(["eval", "audio", "--made", folders["good"], "--training", "nowhere"]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err
