"""What the core can do with a model of a hub, from the command line too: here tiny ones from a folder."""

import json

import pytest
import soundfile
import tiny_audio
import tiny_video
import torch
from hub_agreement import CPU, off_by, opened, options_of, theirs

from multigen import registry
from multigen.cli import main
from multigen.errors import UsageError
from multigen.job import generate, prepare, ready
from multigen.likelihood import log_likelihood
from multigen.noise import white
from multigen.request import Request
from multigen.testing import check_model
from multigen.whole import WholeJob
from multigen_models.hub import source

PROMPTS = ("rain", "dogs")
WAVE = {"wave": (0.1 * white([0], (1, 8000)))[0].clamp(-1, 1), "sample_rate": 16_000}
CLIP = {"frames": torch.linspace(0, 255, 4 * 3 * 16 * 24).view(4, 3, 16, 24).to(torch.uint8), "fps": 8.0}
SOUND = {"duration": 0.5, "loudness": -23.0}


@pytest.fixture(scope="session")
def audio_folder(tmp_path_factory):
    return tiny_audio.stable_audio(tmp_path_factory.mktemp("hub_models"))


@pytest.fixture(scope="session")
def audio(audio_folder):
    return opened(audio_folder)


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return opened(tiny_video.text_to_video(tmp_path_factory.mktemp("film")))


def test_a_sound_model_meets_the_checks(audio):
    check_model(audio, options_of(audio, duration=0.5), WAVE, prompts=PROMPTS)


def test_a_film_model_meets_the_checks(film):
    check_model(film, options_of(film, size="24x16", frames=4), CLIP, prompts=PROMPTS)


@pytest.mark.parametrize("sampler", ["heun", "unipc", "dpmpp_3m_sde"])
@pytest.mark.parametrize("guidance", ["apg:scale=4", "cfg:scale=1"])
def test_samplers_and_guidance_reach_it(audio, sampler, guidance):
    request = Request("audio", "rain", options=SOUND, model="m", steps=3, sampler=sampler, guidance=guidance)
    sample = prepare(request, model=audio).run(0)
    assert sample["wave"].shape == (2, 8000)
    assert bool(sample["wave"].isfinite().all())


def test_another_schedule_than_its_own(audio):
    own = prepare(Request("audio", "rain", options=SOUND, steps=4), model=audio).pipeline.schedule(4)
    other = prepare(Request("audio", "rain", options=SOUND, steps=4, schedule="karras"), model=audio)
    assert own == audio.schedule(4, None)
    assert own[0] == pytest.approx(500)
    assert list(other.pipeline.schedule(4)) != own
    with pytest.raises(UsageError, match="unknown schedule 'own'"):
        prepare(Request("audio", "rain", options=SOUND, schedule="own", model="audio-small"), device="cpu")


def test_its_likelihood_is_computed(audio):
    options = options_of(audio, duration=0.5)
    denoise = audio.denoiser(audio.condition(["rain"]), options)
    found = log_likelihood(
        denoise, audio.encode(WAVE, options)[None], seeds=[0], sigma_min=0.3, sigma_max=500.0, steps=2
    )
    assert bool(found.nats.isfinite().all())


def test_what_is_kept_of_a_film_is_kept(film):
    """A region in time and one in space: the state outside the mask is that of the encoded film."""
    options = options_of(film, size="24x16", frames=4)
    known = film.encode(CLIP, options)
    for region in ({"time": (0.5, 1.0)}, {"width": (0.5, 1.0), "height": (0.0, 0.5)}):
        mask = film.mask(region, CLIP, options)
        assert 0 < float(mask.mean()) < 1
        assert mask.shape == known.shape
    (half,) = {tuple(film.mask({"time": (0.5, 1.0)}, CLIP, options)[0, :, 0, 0].tolist())}
    assert half == (0.0, 0.0, 1.0, 1.0)


def test_options_that_it_was_trained_for_are_taken_where_none_are_typed(film):
    job = prepare(Request("video", "rain", options={"fps": 4.0}), model=film)
    assert job.request.options == {"fps": 4.0, "size": "256x256", "duration": 2.0}


def test_the_command_makes_a_file_and_makes_it_again(audio_folder, tmp_path, capsys):
    path = tmp_path / "x.wav"
    words = ["audio", "rain", "--model", str(audio_folder), "--device", "cpu", "--steps", "2", "--duration", "0.5"]
    assert main([*words, "-o", str(path), "-v"]) == 0
    assert "device cpu, dtype float32, offload none" in capsys.readouterr().err
    wave, rate = soundfile.read(path)
    assert (wave.shape, rate) == ((8000, 2), 16_000)
    assert main(["replay", str(path), "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "bit-exact\n"


def test_info_reads_no_weights(audio_folder, monkeypatch, capsys):
    monkeypatch.setattr(source.Diffusers, "load", None)
    (audio_folder / "README.md").write_text("# A card\n")
    assert main(["info", str(audio_folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["modality"], told["card"], told["whole"]) == ("audio", "# A card\n", False)
    assert "default 10.0" in told["inputs"]["--duration"]
    assert main(["info", "audio-small"]) == 0
    assert "--loop" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["smooth=1", "[1]"])
def test_a_card_that_suggests_no_options_is_refused_in_a_sentence(text, tmp_path, capsys):
    (tmp_path / "multigen.json").write_text('{"loader": "points-small"}')
    (tmp_path / "README.md").write_text(f"---\nsuggested: {text}\n---\n# A card\n")
    assert main(["info", str(tmp_path)]) == 2
    assert f"says suggested: {text}: write an object, such as" in capsys.readouterr().err


def test_the_list_of_models_has_licences(capsys):
    assert main(["list", "models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(registry.models.names()) <= set(rows)
    assert rows["openai/shap-e"]["licence"] == "MIT"
    assert rows["audio-small"]["licence"] == "apache-2.0"
    assert all(row["modality"] in registry.modalities for row in rows.values())


# --- as a whole -------------------------------------------------------------------------------------------------------


@pytest.fixture
def unknown(monkeypatch):
    """As if the table did not know the family."""
    monkeypatch.setattr(source, "family_of", lambda name: None)


def test_an_unknown_family_runs_by_its_signature(audio, audio_folder, unknown):
    request = Request("audio", "rain", options=SOUND, model=str(audio_folder), steps=2, sampler="heun", guidance="2")
    job = ready(request, loading=CPU)
    assert isinstance(job, WholeJob)
    assert job.ignored == ("--sampler",)
    made = job.run(5)
    generator = torch.Generator().manual_seed(5)
    said = {"num_inference_steps": 2, "guidance_scale": 2.0, "audio_end_in_s": 0.5, "generator": generator}
    wave = theirs(audio, "rain", output_type="pt", **said)[0]
    raw = job.model.make(job.request, job.options, None, 5)
    assert off_by(raw["wave"], wave.clamp(-1, 1)) < 1e-6
    assert made["wave"].shape == (2, 8000)
    with pytest.raises(UsageError, match="runs only as a whole"):
        prepare(request, loading=CPU)


def test_what_does_not_reach_it_is_said(audio_folder, unknown, tmp_path, capsys):
    words = ["audio", "rain", "--model", str(audio_folder), "--device", "cpu", "--steps", "2", "--duration", "0.5"]
    assert main([*words, "--schedule", "karras", "--guidance", "apg:scale=2", "-o", str(tmp_path / "x.wav")]) == 0
    said = capsys.readouterr().err
    assert "runs as a whole and ignores --schedule, --guidance apg" in said


def test_an_unknown_family_of_something_else(audio_folder, unknown):
    with pytest.raises(UsageError, match="is a StableAudioPipeline, which is not known here and takes no --frames"):
        source.source.load(str(audio_folder), modality="video", revision="", loading=CPU)


def test_a_scheduler_that_stands_for_no_process_of_the_core(audio_folder, tmp_path):
    from diffusers import LCMScheduler

    for part in audio_folder.iterdir():
        if part.name != "scheduler":
            (tmp_path / part.name).symlink_to(part)
    LCMScheduler().save_pretrained(tmp_path / "scheduler")
    index = json.loads((audio_folder / "model_index.json").read_text())
    (tmp_path / "model_index.json").unlink()
    for kind, whole in (("LCMScheduler", True), ("NoSuchScheduler", None)):
        (tmp_path / "model_index.json").write_text(json.dumps({**index, "scheduler": ["diffusers", kind]}))
        if whole is None:
            with pytest.raises(UsageError, match="its scheduler is NoSuchScheduler, which this version of diffusers"):
                opened(tmp_path)
        else:
            assert not hasattr(opened(tmp_path), "denoiser")


def test_generate_takes_a_folder(audio_folder):
    (sample,) = generate("audio", "rain", model=str(audio_folder), steps=2, loading=CPU, **SOUND)
    assert sample["wave"].shape == (2, 8000)
