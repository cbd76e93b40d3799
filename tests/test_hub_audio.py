"""Pipelines for sound of diffusers, taken apart: equal to themselves, with all that the core can do."""

import pytest
import tiny_audio
import torch
from hub_agreement import off_by, opened, options_of, start_and_end, theirs

from multigen.errors import UsageError
from multigen.samplers import dpmpp_2m_sde

PROMPT, NEGATIVE = "rain", "dogs"  # both have as many tokens: see multigen_models.hub.audio.audioldm2_words
SECONDS = 0.5


@pytest.fixture(scope="session")
def audioldm2(tmp_path_factory):
    return opened(tiny_audio.audioldm2(tmp_path_factory.mktemp("audioldm2")))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_audioldm2_predicts_noise_and_equals_its_pipeline(audioldm2, scale):
    options = options_of(audioldm2, duration=SECONDS)
    start, end = start_and_end(audioldm2, PROMPT, options, steps=4, scale=scale, negative=NEGATIVE)
    said = {
        "num_inference_steps": 4,
        "guidance_scale": scale,
        "audio_length_in_s": SECONDS,
        "negative_prompt": NEGATIVE,
        "latents": start,
    }
    assert off_by(end, theirs(audioldm2, PROMPT, output_type="latent", **said)) < 1e-5
    wave = torch.from_numpy(theirs(audioldm2, PROMPT, **said))
    made = audioldm2.decode(end[0], options)
    assert made["sample_rate"] == 16_000
    assert off_by(made["wave"], wave.clamp(-1, 1)) < 1e-4


@pytest.fixture(scope="session")
def musicldm(tmp_path_factory):
    return opened(tiny_audio.musicldm(tmp_path_factory.mktemp("musicldm")))


def test_musicldm_equals_its_pipeline_which_is_given_the_prompts(musicldm):
    """Its own way to read a prompt does not work under transformers 5."""
    options = options_of(musicldm, duration=SECONDS)
    start, end = start_and_end(musicldm, PROMPT, options, steps=4, scale=3.0, negative=NEGATIVE)
    wanted, unwanted = (musicldm.condition([text])["class_labels"] for text in (PROMPT, NEGATIVE))
    said = {
        "num_inference_steps": 4,
        "guidance_scale": 3.0,
        "audio_length_in_s": SECONDS,
        "prompt_embeds": wanted,
        "negative_prompt_embeds": unwanted,
        "latents": start,
    }
    assert off_by(end, theirs(musicldm, None, output_type="latent", **said)) < 1e-5


@pytest.fixture(scope="session")
def audioldm(tmp_path_factory):
    return opened(tiny_audio.audioldm(tmp_path_factory.mktemp("audioldm")))


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_audioldm_predicts_noise_and_equals_its_pipeline(audioldm, scale):
    options = options_of(audioldm, duration=SECONDS)
    assert audioldm.shape(options) == (4, 13, 4)  # of 50 frames and 16 bins, 4 each in a cell
    start, end = start_and_end(audioldm, PROMPT, options, steps=4, scale=scale, negative=NEGATIVE)
    states = []
    said = {
        "num_inference_steps": 4,
        "guidance_scale": scale,
        "audio_length_in_s": SECONDS,
        "negative_prompt": NEGATIVE,
        "latents": start,
        "callback": lambda step, time, latents: states.append(latents),
    }
    wave = torch.from_numpy(theirs(audioldm, PROMPT, **said))
    assert off_by(end, states[-1]) < 1e-5
    made = audioldm.decode(end[0], options)
    assert made["sample_rate"] == 16_000
    assert off_by(made["wave"], wave.clamp(-1, 1)) < 1e-4


@pytest.fixture(scope="session")
def stable_audio(tmp_path_factory):
    return opened(tiny_audio.stable_audio(tmp_path_factory.mktemp("stable_audio")))


@pytest.mark.filterwarnings("ignore:Should have")  # torchsde, of steps that end where its Brownian path does
@pytest.mark.parametrize(("scale", "negative"), [(1.0, ""), (3.0, ""), (3.0, "dogs")])
def test_stable_audio_predicts_a_velocity_and_equals_its_pipeline_in_its_own_noise(stable_audio, scale, negative):
    from diffusers.schedulers.scheduling_dpmsolver_sde import BrownianTreeNoiseSampler

    options = options_of(stable_audio, duration=SECONDS)
    path = BrownianTreeNoiseSampler(
        torch.zeros(1, *stable_audio.shape(options)), sigma_min=0.3, sigma_max=500.0, seed=[5]
    )
    start, end = start_and_end(
        stable_audio,
        "rain",
        options,
        steps=5,
        scale=scale,
        negative=negative,
        sampler=dpmpp_2m_sde,
        noise=lambda s, t: path(torch.tensor(s), torch.tensor(t)),
    )
    said = {
        "num_inference_steps": 5,
        "guidance_scale": scale,
        "negative_prompt": negative or None,
        "audio_end_in_s": SECONDS,
        "latents": start,
        "generator": [torch.Generator().manual_seed(5)],
    }
    assert off_by(end, theirs(stable_audio, "rain", output_type="latent", **said)) < 1e-4
    (wave,) = theirs(stable_audio, "rain", output_type="pt", **said)
    assert off_by(stable_audio.decode(end[0], options)["wave"], wave.clamp(-1, 1)) < 1e-3


@pytest.fixture(scope="session")
def longcat(tmp_path_factory):
    return opened(tiny_audio.longcat(tmp_path_factory.mktemp("longcat")))


@pytest.mark.parametrize(("scale", "negative"), [(1.0, NEGATIVE), (3.0, NEGATIVE), (3.0, "a loud dog")])
def test_longcat_predicts_a_flow_and_equals_its_pipeline(longcat, scale, negative):
    options = options_of(longcat, duration=SECONDS)
    start, end = start_and_end(longcat, PROMPT, options, steps=4, scale=scale, negative=negative)
    said = {
        "num_inference_steps": 4,
        "guidance_scale": scale,
        "audio_duration_s": SECONDS,
        "negative_prompt": negative,
        "latents": start,
    }
    assert off_by(end, theirs(longcat, PROMPT, output_type="latent", **said)) < 1e-4
    (wave,) = theirs(longcat, PROMPT, output_type="pt", **said)
    assert off_by(longcat.decode(end[0], options)["wave"], wave.clamp(-1, 1)) < 1e-3


@torch.no_grad()
def test_texts_of_several_lengths_in_a_batch_of_longcat_do_not_meet(longcat):
    options = options_of(longcat, duration=SECONDS)
    x = torch.randn(3, *longcat.shape(options), generator=torch.Generator().manual_seed(0))
    noise = torch.full((3,), 500.0)

    def predicted(prompts, rows):
        cond = longcat.condition(prompts)
        return longcat.anatomy.predict(longcat.network, x[rows], noise[rows], cond, {})

    together = predicted(["rain", "a loud dog", "dogs"], slice(None))
    for i, prompt in enumerate(["rain", "a loud dog", "dogs"]):
        torch.testing.assert_close(together[i : i + 1], predicted([prompt], slice(i, i + 1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["audioldm2", "musicldm", "audioldm", "stable_audio", "longcat"])
def test_sound_is_as_long_as_asked_to_the_sample_and_a_state_comes_from_any_wave(request, name):
    model = request.getfixturevalue(name)
    options = options_of(model, duration=0.537)
    state = model.encode({"wave": torch.zeros(1, 3000), "sample_rate": 12_000}, options)
    assert tuple(state.shape) == model.shape(options)
    made = model.decode(state, options)
    assert made["wave"].shape[1] == round(0.537 * made["sample_rate"])


def test_what_is_longer_than_a_model_can_make_is_refused(stable_audio, longcat):
    for model in (stable_audio, longcat):
        with pytest.raises(UsageError, match="at most"):
            model.shape(options_of(model, duration=60.0))
