"""What is different in later checkpoints of families of films: Wan 2.2, and CogVideoX 1.5."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import tiny_video
import torch
from hub_agreement import off_by, opened, options_of, start_and_end, theirs
from lora_files import random_factors, transformer, write

from multigen.errors import UsageError
from multigen.loading import Loading
from multigen.lora import read_loras, with_loras
from multigen_models.hub import pipelines
from multigen_models.hub.source import source

PROMPT, NEGATIVE = "a red kite", "rain"
FILM = {"size": "48x32", "fps": 16.0, "frames": 5}


@pytest.fixture(scope="session")
def experts_folder(tmp_path_factory):
    return tiny_video.wan_experts(tmp_path_factory.mktemp("wan_experts"))


@pytest.fixture
def experts(experts_folder):
    """Anew for every test, which may change its pipeline."""
    return opened(experts_folder)


@pytest.fixture(scope="session")
def cogvideox(tmp_path_factory):
    return opened(tiny_video.cogvideox_15(tmp_path_factory.mktemp("cogvideox_15")))


# --- Wan 2.2 ----------------------------------------------------------------------------------------------------------


def said(options, steps, scale, start):
    width, height = options.resolution
    return {
        "num_inference_steps": steps,
        "guidance_scale": scale,
        "num_frames": options.count,
        "width": width,
        "height": height,
        "negative_prompt": NEGATIVE,
        "latents": start,
    }


def listen(pipe):
    """The experts that are asked from now on, and at what level: a list that grows."""
    asked = []
    for name in ("transformer", "transformer_2"):
        getattr(pipe, name).register_forward_pre_hook(
            lambda _, __, told, name=name: asked.append((name, float(told["timestep"].flatten()[0]))), with_kwargs=True
        )
    return asked


def test_each_level_is_its_experts(experts):
    """The same one at the same levels as in the pipeline, whose first one, t = 1000, is sigma = 1e5 here."""
    options = options_of(experts, **FILM)
    asked = listen(experts.anatomy.pipe)
    start, _ = start_and_end(experts, PROMPT, options, steps=6, scale=1.0, negative=NEGATIVE)
    ours = asked.copy()
    asked.clear()
    theirs(experts, PROMPT, output_type="latent", **said(options, 6, 1.0, start))
    assert [name for name, _ in ours] == [name for name, _ in asked]
    assert [level for _, level in ours] == pytest.approx([level for _, level in asked], abs=0.02)
    assert {name for name, _ in ours} == {"transformer", "transformer_2"}


def test_the_boundary_itself_belongs_to_the_high_noise(experts):
    asked, x = listen(experts.anatomy.pipe), torch.zeros(1, *experts.shape(options := options_of(experts, **FILM)))
    denoise = experts.denoiser(experts.condition([PROMPT]), options)
    for sigma in (7.0, 6.999):  # t = sigma / (1 + sigma), and 7 / 8 is 0.875
        denoise(x, sigma)
    assert [name for name, _ in asked] == ["transformer", "transformer_2"]


def test_levels_of_both_experts_in_one_batch(experts):
    """As in training and in likelihoods: every row as it is alone, and gradients reach it."""
    options = options_of(experts, **FILM)
    cond, shape = experts.condition([PROMPT, "rain", "dogs"]), experts.shape(options)
    anatomy, x = experts.anatomy, torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    noise = torch.tensor([990.0, 200.0, 875.0])

    def predict(rows):
        own = {key: value[rows] for key, value in cond.items()}
        return anatomy.predict(experts.network, x[rows], noise[rows], own, {})

    whole, alone = predict(slice(None)), torch.cat([predict(slice(i, i + 1)) for i in range(3)])
    assert off_by(whole, alone) < 1e-6
    x.requires_grad_()
    predict(slice(None)).square().sum().backward()
    assert bool((x.grad.flatten(1).abs().amax(1) > 0).all())


def test_a_lora_is_for_the_first_expert_as_in_the_pipeline(experts, tmp_path):
    options = options_of(experts, **FILM)
    file = write(tmp_path / "a.safetensors", random_factors(experts.network), layout=transformer)
    changed = with_loras(experts, read_loras([str(file)]))
    start, state = start_and_end(changed, PROMPT, options, steps=4, scale=3.0, negative=NEGATIVE)
    _, plain = start_and_end(experts, PROMPT, options, steps=4, scale=3.0, negative=NEGATIVE)
    experts.anatomy.pipe.load_lora_weights(tmp_path, weight_name=file.name)
    latents = theirs(experts, PROMPT, output_type="latent", **said(options, 4, 3.0, start))
    assert off_by(state, latents) < 1e-4
    assert off_by(plain, latents) > 1e-2


@pytest.mark.parametrize("lora", [False, True])
def test_parts_take_turns(experts, tmp_path, lora):
    """As with --offload model; on a CPU nothing moves, but what would leave before a part begins is the same."""
    pipe, options = experts.anatomy.pipe, options_of(experts, **FILM)
    pipe.enable_model_cpu_offload(device=torch.device("cpu"))
    file = write(tmp_path / "a.safetensors", random_factors(experts.network))
    model = with_loras(experts, read_loras([str(file)])) if lora else experts
    _, state = start_and_end(model, PROMPT, options, steps=4, scale=3.0)
    assert bool(model.decode(state[0], options)["frames"].any())
    parts = (pipe.text_encoder, model.network, pipe.transformer_2, pipe.vae)
    for leaves, begins in pairwise(parts):
        assert begins._hf_hook.prev_module_hook.model is leaves


def test_both_experts_are_quantized(experts_folder, monkeypatch):
    found = []
    monkeypatch.setattr(pipelines, "quantize", found.append)
    loading = Loading(device="cpu", quantize="int8")
    pipe = source.load(str(experts_folder), modality=None, revision="", loading=loading).anatomy.pipe
    assert len(found) == 2
    assert found[0] is pipe.transformer
    assert found[1] is pipe.transformer_2


def test_an_expert_that_is_missing_is_refused(experts_folder, tmp_path):
    for part in experts_folder.iterdir():
        if part.name != "model_index.json":
            (tmp_path / part.name).symlink_to(part)
    index = json.loads((experts_folder / "model_index.json").read_text())
    for lost, needs in (("transformer_2", "needs transformer and transformer_2"), ("transformer", "needs transformer")):
        (tmp_path / "model_index.json").write_text(json.dumps({**index, lost: [None, None]}))
        with pytest.raises(UsageError, match=needs):
            opened(tmp_path)


def test_without_a_boundary_the_first_expert_has_all_levels(tmp_path):
    model = opened(tiny_video.wan_experts(tmp_path, boundary_ratio=None))
    options = options_of(model, **FILM)
    asked = listen(model.anatomy.pipe)
    start, state = start_and_end(model, PROMPT, options, steps=4, scale=1.0)
    latents = theirs(model, PROMPT, output_type="latent", **said(options, 4, 1.0, start))
    assert off_by(state, latents) < 1e-4
    assert {name for name, _ in asked} == {"transformer"}


# --- CogVideoX 1.5 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "latent", "lead"), [(1, 2, 1), (5, 2, 0), (9, 4, 1), (13, 4, 0)])
def test_latent_frames_come_in_pairs(cogvideox, frames, latent, lead):
    options = options_of(cogvideox, size="48x32", fps=16.0, frames=frames)
    assert cogvideox.shape(options)[1] == latent
    assert cogvideox.anatomy.lead(options) == lead


def test_what_is_before_the_film_is_its_beginning_and_is_not_shown(cogvideox):
    options = options_of(cogvideox, size="48x32", fps=16.0, frames=9)
    pictures = torch.randint(256, (9, 3, 32, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    clip = {"frames": pictures, "fps": 16.0}
    state = cogvideox.encode(clip, options)
    assert torch.equal(state[:, 0], state[:, 1])
    alone = replace(cogvideox.anatomy, front=False).decode(state[:, 1:], options)
    state[:, 0] = 100.0
    assert torch.equal(cogvideox.decode(state, options)["frames"], alone["frames"])


def test_more_cells_than_there_are_places_for_are_refused(cogvideox):
    assert cogvideox.shape(options_of(cogvideox, size="64x64"))[2:] == (8, 8)
    for size in ("80x64", "64x72"):
        with pytest.raises(UsageError, match=f"--size {size} is not possible with this model: at most 64x64"):
            cogvideox.shape(options_of(cogvideox, size=size))
