"""Shap-E, taken apart: equal to its pipeline, and its meshes with their colours."""

from types import SimpleNamespace

import pytest
import tiny_3d
import torch
from hub_agreement import off_by, opened, options_of, start_and_end, theirs
from safetensors.torch import load_file

from multigen.errors import GenerationError, UsageError
from multigen.loaders import load
from multigen.loading import Loading
from multigen.samplers import heun


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return opened(tiny_3d.shap_e(tmp_path_factory.mktemp("shap_e")))


@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_it_predicts_the_clean_state_and_equals_its_pipeline(model, scale):
    options = options_of(model)
    start, end = start_and_end(model, "a chair", options, steps=4, scale=scale, sampler=heun)
    said = {"num_inference_steps": 4, "guidance_scale": scale, "latents": start.flatten(1), "output_type": "latent"}
    assert off_by(end, theirs(model, "a chair", **said)) < 5e-5


def test_a_mesh_stands_on_the_ground_with_its_colours(model, monkeypatch):
    """Its z axis is up, ours is y: what was turned is still right-handed."""
    mesh = SimpleNamespace(
        verts=torch.eye(3),
        faces=torch.tensor([[0, 1, 2]]),
        vertex_channels={
            "R": torch.tensor([1.2, 0, 0]),
            "G": torch.tensor([0, 1.0, 0]),
            "B": torch.tensor([0, 0, 0.5]),
        },
    )
    latents = []

    def decoded(latent, device):
        latents.append(latent)
        return mesh

    monkeypatch.setattr(model.anatomy.pipe.shap_e_renderer, "decode_to_mesh", decoded)
    state = torch.rand(16, 8)
    sample = model.decode(state, options_of(model))
    assert torch.equal(latents[0], state[None])
    assert sample["vertices"].tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert float(torch.linalg.det(sample["vertices"])) == pytest.approx(1)
    assert torch.equal(sample["colors"], torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 0.5]]))
    mesh.faces = torch.zeros(0, 3)
    with pytest.raises(GenerationError, match="another --seed"):
        model.decode(state, options_of(model))


def test_its_weights_may_be_pickles_where_that_is_said(model, tmp_path):
    """As those of openai/shap-e are: one part is a pickle, another is there in 16 bits alone."""
    folder = tiny_3d.shap_e(tmp_path / "pickled")
    weights = folder / "shap_e_renderer" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    halved = folder / "prior" / "diffusion_pytorch_model.safetensors"
    halved.rename(halved.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(UsageError, match="add --trust-remote-code"):
        opened(folder)
    trusted = load(str(folder), modality="3d", loading=Loading(device="cpu", trust_remote_code=True))
    for name in ("prior", "shap_e_renderer"):
        expected, read = (getattr(m.anatomy.pipe, name).state_dict() for m in (model, trusted))
        assert expected.keys() == read.keys()
        assert all(torch.equal(value, expected[key]) for key, value in read.items())


def test_it_cannot_read_a_shape(model):
    with pytest.raises(UsageError, match="leave out --init"):
        model.encode({}, options_of(model))
