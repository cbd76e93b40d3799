"""Pipelines for films of diffusers, taken apart: equal to themselves, with all that the core can do."""

from dataclasses import replace

import pytest
import tiny_video
import torch
from hub_agreement import CPU, off_by, opened, options_of, start_and_end, theirs

from multigen.errors import UsageError
from multigen_models.hub import pipelines

PROMPT, NEGATIVE = "a red kite", "rain"

KINDS = {
    "text_to_video": {"size": "24x16", "fps": 8.0, "frames": 3},
    "cogvideox": {"size": "48x32", "fps": 8.0, "frames": 9},
    "cogvideox_15": {"size": "48x32", "fps": 16.0, "frames": 9},
    "wan": {"size": "48x32", "fps": 16.0, "frames": 5},
    "wan_experts": {"size": "48x32", "fps": 16.0, "frames": 5},
    "wan_5b": {"size": "64x32", "fps": 24.0, "frames": 5},
    "animatediff": {"size": "24x16", "fps": 8.0, "frames": 3},
    "ltx": {"size": "96x64", "fps": 25.0, "frames": 9},
    "mochi": {"size": "48x32", "fps": 30.0, "frames": 7},
    "hunyuan": {"size": "48x32", "fps": 24.0, "frames": 5},
}
"""A film for each that its pipeline can make as well: in whole cells."""
CLOSE = 1e-4
"""Where the first level has no signal at all, ours is sigma = 1e5."""


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return {name: opened(getattr(tiny_video, name)(tmp_path_factory.mktemp(name))) for name in KINDS}


def in_a_row(model, x):
    """LTX's own order of the latents."""
    return model.anatomy.pipe._pack_latents(x)


@pytest.mark.filterwarnings("ignore:In CPU autocast")  # Mochi, of its own way to compute places in float32
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("name", list(KINDS))
def test_it_equals_its_pipeline(models, name, scale):
    model, film = models[name], KINDS[name]
    options = options_of(model, **film)
    start, state = start_and_end(model, PROMPT, options, steps=4, scale=scale, negative=NEGATIVE)
    width, height = options.resolution
    swapped = name.startswith("cogvideox")
    said = {
        "num_inference_steps": 4,
        "true_cfg_scale" if name == "hunyuan" else "guidance_scale": scale,
        "num_frames": film["frames"],
        "width": width,
        "height": height,
        "negative_prompt": NEGATIVE,
        "latents": start.transpose(1, 2) if swapped else in_a_row(model, start) if name == "ltx" else start,
    }
    said |= {"frame_rate": film["fps"]} if name == "ltx" else {}
    latents = theirs(model, PROMPT, output_type="latent", **said)
    end = in_a_row(model, state) if name == "ltx" else state
    assert off_by(end, latents.transpose(1, 2) if swapped else latents) < CLOSE
    shown = torch.from_numpy(theirs(model, PROMPT, output_type="np", **said)[0])
    made = model.decode(state[0], options)
    assert made["fps"] == film["fps"]
    assert made["frames"].shape == (film["frames"], 3, height, width)
    assert (
        float((made["frames"].permute(0, 2, 3, 1) / 255 - shown).abs().max()) <= 0.55 / 255
    )  # half a step of 8 bits, and CLOSE


@pytest.mark.filterwarnings("ignore:In CPU autocast")
@pytest.mark.parametrize("name", list(KINDS))
def test_a_film_of_any_size_is_encoded_and_comes_back_as_long_and_large_as_asked(models, name):
    model = models[name]
    clip = {"frames": torch.linspace(0, 255, 9 * 3 * 20 * 30).view(9, 3, 20, 30).to(torch.uint8), "fps": 8.0}
    options = options_of(model, size="50x34", frames=4, fps=KINDS[name]["fps"])
    state = model.encode(clip, options)
    assert tuple(state.shape) == model.shape(options)
    assert model.decode(state, options)["frames"].shape == (4, 3, 34, 50)


@pytest.mark.parametrize("name", list(KINDS))
def test_a_still_at_the_beginning_keeps_the_first_latent_frame_alone(models, name):
    model = models[name]
    options = options_of(model, **KINDS[name])
    first = 2 if name == "cogvideox_15" else 1  # with the one before it, which stands for nothing
    mask = model.mask({"time": (1 / options.count, 1.0)}, {}, options)
    assert not bool(mask[:, :first].any())
    assert bool(mask[:, first:].all())


def test_frames_are_made_at_the_rate_of_the_network(models):
    options = options_of(models["wan"], size="48x32", fps=8.0, duration=1.0)
    assert models["wan"].shape(options)[1] == 5  # of 16 frames, 4 a latent frame after the first
    assert models["ltx"].shape(options)[1] == 2  # of 8 frames, 8 a latent frame


def test_a_loop_is_refused(models):
    with pytest.raises(UsageError, match="--loop is not possible"):
        models["wan"].shape(options_of(models["wan"], loop=True))


@pytest.mark.parametrize("name", ["wan", "ltx", "hunyuan", "cogvideox", "mochi"])
@pytest.mark.parametrize("offload", ["model", "none"])
def test_where_memory_is_short_large_films_are_decoded_tile_by_tile(tmp_path, monkeypatch, name, offload):
    loading = replace(CPU, dtype="float32", offload=offload)
    monkeypatch.setattr(pipelines, "choose", lambda asked, *, sizes: loading)  # a CPU has nothing to offload
    model = opened(getattr(tiny_video, name)(tmp_path))
    vae = model.anatomy.pipe.vae
    assert vae.use_tiling is (offload == "model")
    if name == "wan" and offload == "model":
        options = options_of(model, size="96x64", fps=16.0, frames=5)
        x = torch.randn(model.shape(options), generator=torch.Generator().manual_seed(0))
        whole = model.decode(x, options)["frames"].float()
        vae.enable_tiling(48, 48, 32, 32)
        tiled = model.decode(x, options)["frames"].float()
        assert tiled.shape == whole.shape == (5, 3, 64, 96)
        assert 0 < float((tiled - whole).abs().mean() / whole.std()) < 0.2
