"""The embedded models, called as diffusers' pipelines are."""

import numpy as np
import pytest
import torch

from multigen.diffusers_style import MultigenPipeline
from multigen.errors import UsageError
from multigen.job import generate
from multigen.loading import Loading

SHORT = {"duration": 0.5, "num_inference_steps": 2}
CPU = Loading(device="cpu")


@pytest.fixture(scope="module")
def pipe():
    return MultigenPipeline.from_pretrained("audio-small", loading=CPU)


def test_a_call_makes_what_the_command_does(pipe):
    made = pipe("rain", generator=torch.Generator().manual_seed(7), guidance_scale=2.0, negative_prompt="wind", **SHORT)
    (sample,) = generate(
        "audio", "rain", seed=7, guidance="2", negative_prompt="wind", steps=2, duration=0.5, device="cpu"
    )
    np.testing.assert_array_equal(made.audios[0], sample["wave"].numpy())
    assert made.sampling_rate == sample["sample_rate"]


def test_prompts_have_seeds_of_their_own(pipe):
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 9)]
    both = pipe(["rain", "rain"], generator=generators, **SHORT).audios
    (second,) = pipe("rain", generator=generators[1], **SHORT).audios
    np.testing.assert_array_equal(both[1], second)
    assert not np.array_equal(both[0], both[1])
    with pytest.raises(UsageError, match="2 generators for 1 prompts"):
        pipe(["rain"], generator=generators, **SHORT)


def test_what_is_saved_is_loaded_again_with_its_card(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "README.md").read_text().startswith("---\n")
    again = MultigenPipeline.from_pretrained(str(tmp_path / "copy"), loading=CPU)
    np.testing.assert_array_equal(pipe("rain", **SHORT).audios[0], again("rain", **SHORT).audios[0])


def test_the_network_is_a_diffusers_model(pipe, tmp_path):
    kind = type(pipe.model.network)
    pipe.model.network.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    first, second = pipe.model.network.state_dict(), again.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name].float(), second[name].float()) for name in first)


def test_the_card_goes_to_the_hub_with_the_weights(pipe, monkeypatch):
    from huggingface_hub import HfApi

    told = {}
    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, **options: told.update(name=name, **options))

    def upload(self, **options):
        told.update(options)
        return type("Commit", (), {"commit_url": "https://hub/commit"})

    monkeypatch.setattr(HfApi, "upload_folder", upload)
    assert pipe.push_to_hub("me/audio", private=True) == "https://hub/commit"
    assert (told["name"], told["private"], told["repo_id"]) == ("me/audio", True, "me/audio")
    assert (told["folder_path"] / "README.md").is_file()
    assert {"*.safetensors", "*.md", "*.json"} <= set(told["allow_patterns"])


def test_a_name_that_is_nowhere(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="neither in the zoo nor a folder"):
        MultigenPipeline.from_pretrained("nobody/nothing", loading=CPU)
