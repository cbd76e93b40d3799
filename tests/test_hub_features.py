"""Extractors with networks of transformers: tiny ones of the real classes, saved and loaded as any other."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from multigen.errors import UsageError
from multigen.evaluation import Reads, extractors
from multigen.noise import white
from multigen_models import hub_features
from multigen_models.hub_features import pooled, pretrained

WORDS = ("<s>", "</s>", "<pad>", "<unk>", "a", "dog", "barking", "rain", "red", "car")
PROMPTS = ("a dog barking", "rain", "a red car")


def tokenizer(folder):
    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    known.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    kept = transformers.PreTrainedTokenizerFast(
        tokenizer_object=known, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_max_length=16,
    )  # fmt: skip
    kept.save_pretrained(folder)
    return kept


def text(**own):
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    return {"vocab_size": len(WORDS), "max_position_embeddings": 20, "projection_dim": 12, **layers, **marks, **own}


def save_clap(folder):
    torch.manual_seed(0)
    audio = {
        "spec_size": 64, "num_mel_bins": 16, "patch_embeds_hidden_size": 8, "depths": [1, 1], "hidden_size": 16,
        "num_attention_heads": [1, 2], "patch_size": 4, "patch_stride": [4, 4], "window_size": 4,
        "num_hidden_layers": 2,
    }  # fmt: skip
    config = transformers.ClapConfig(text_config=text(), audio_config=audio, projection_dim=12)
    network = transformers.ClapModel(config).eval()
    network.save_pretrained(folder)
    prepare = transformers.ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=160, max_length_s=1, fft_window_size=256, frequency_max=4000,
        truncation="rand_trunc",
    )  # fmt: skip
    prepare.save_pretrained(folder)
    return network, prepare


def save_clip(folder):
    torch.manual_seed(0)
    picture = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 16, "patch_size": 8, "projection_dim": 12,
    }  # fmt: skip
    config = transformers.CLIPConfig(text_config=text(), vision_config=picture, projection_dim=12)
    network = transformers.CLIPModel(config).eval()
    network.save_pretrained(folder)
    prepare = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 16},
               "crop_size": {"height": 16, "width": 16}}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))
    return network


def save_videomae(folder):
    torch.manual_seed(0)
    config = transformers.VideoMAEConfig(
        image_size=16, patch_size=8, num_frames=4, tubelet_size=2, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16,
    )  # fmt: skip
    transformers.VideoMAEModel(config).save_pretrained(folder)
    prepare = {"image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 16},
               "crop_size": {"height": 16, "width": 16}}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(prepare))


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    return (*save_clap(folder), tokenizer(folder), folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    return save_clip(folder), tokenizer(folder), folder


@pytest.fixture(scope="module")
def videomae(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videomae")
    save_videomae(folder)
    return folder


def sound(seconds, rate=16_000):
    return {"wave": 0.1 * white([1], (2, round(seconds * rate)))[0], "sample_rate": rate}


def film(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(256, (count, 3, 20, 24), generator=generator, dtype=torch.uint8)
    return {"frames": frames, "fps": 8.0}


def test_sounds_have_the_features_of_clap(clap):
    network, prepare, words, folder = clap
    found = pretrained(str(folder))
    assert isinstance(found, Reads)
    assert (found.modality, found.name, len(found.fingerprint)) == ("audio", str(folder), 16)
    wave = {"wave": 0.1 * white([1], (1, 6000))[0], "sample_rate": 8000}
    seen = prepare(wave["wave"][0].numpy(), sampling_rate=8000, return_tensors="pt")
    with torch.no_grad():
        assert torch.allclose(found(wave), pooled(network.get_audio_features(**seen))[0], atol=1e-6)
        tokens = words(list(PROMPTS), padding=True, return_tensors="pt")
        told = pooled(network.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]))
    assert torch.allclose(found.text(PROMPTS), told, atol=1e-6)
    assert found.text(PROMPTS).shape[1] == len(found(wave)) == 12


def test_a_long_sound_always_has_the_same_features(clap):
    found = pretrained(str(clap[-1]))
    long = sound(3.0)
    assert torch.equal(found(long), found(long))
    assert not torch.equal(found(long), found(sound(0.5)))


def test_films_have_the_mean_of_their_frames(clip):
    network, _, folder = clip
    found = pretrained(str(folder))
    assert isinstance(found, Reads)
    still = {"frames": film(1)["frames"].expand(5, -1, -1, -1), "fps": 8.0}
    seen = found.prepare([film(1)["frames"][0].movedim(0, -1).numpy()], return_tensors="pt")
    with torch.no_grad():
        one = torch.nn.functional.normalize(pooled(network.get_image_features(**seen)), dim=1)[0]
    assert torch.allclose(found(still), one, atol=1e-5)
    assert not torch.allclose(found(film(5)), one, atol=1e-3)
    assert found.text(PROMPTS).shape == (3, 12)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_films_of_any_length_have_features_of_videomae(videomae, count):
    found = pretrained(str(videomae))
    assert not isinstance(found, Reads)
    assert found(film(count)).shape == (16,)
    assert not torch.equal(found(film(count)), found(film(count, seed=1)))


def test_the_core_finds_them_and_refuses_those_of_another_modality(clap, clip):
    from multigen_audio import Audio

    assert extractors.find(str(clap[-1]), Audio(), ()).name == str(clap[-1])
    with pytest.raises(UsageError, match="sees video, not audio"):
        extractors.find(str(clip[-1]), Audio(), ())


def test_what_cannot_be_loaded_is_refused_in_a_sentence(tmp_path, clap, monkeypatch):
    with pytest.raises(UsageError, match="does not say which network it is"):
        pretrained(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="'bert', of which no features are known here: give one of clap, clip"):
        pretrained(str(tmp_path))
    (tmp_path / "config.json").write_text((clap[-1] / "config.json").read_text())
    with pytest.raises(UsageError, match=r"no \.safetensors weights"):
        pretrained(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UsageError, match="a pickle, which can run any code"):
        pretrained(str(tmp_path))
    whole = (clap[-1] / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="is cut off"):
        pretrained(str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="cannot be fetched"):
        pretrained("laion/clap-htsat-unfused")


def test_without_transformers_the_reason_is_given(monkeypatch, clap):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UsageError, match="needs transformers: pip install transformers"):
        hub_features.pretrained(str(clap[-1]))
