"""Training a LoRA: the factors alone change and are kept, a killed run goes on exactly, and others read the file."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from killing import killed
from lora_files import random_factors
from lora_networks import NETWORKS
from lora_toy import LORA_SETTINGS, RANK, Carrier, base, low_rank
from safetensors import safe_open
from safetensors.torch import load_file
from toy_recipe import ToyRecipe

from multigen import train_verb
from multigen.cli import main
from multigen.errors import UsageError
from multigen.lora import added, read_loras, with_loras
from multigen.lora_files import FILE, LAYERS, read_lora
from multigen.lora_training import in_scale_of, with_factors, write_lora
from multigen.objective import Couples
from multigen.training import Average, held_out, objective, train, trained
from multigen_models.audio.data import Clip, split_by_recording


def call(network):
    generator = torch.Generator().manual_seed(1)
    x, noise, sign = (torch.randn(5, n, generator=generator) for n in (2, 1, 1))
    with torch.no_grad():
        return network(x, noise[:, 0], sign=sign)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run, its steps, and the model it is for."""
    folder, model = tmp_path_factory.mktemp("whole"), base()
    return folder, list(train(low_rank(model), LORA_SETTINGS, folder)), model


def test_it_learns(whole):
    _, steps, model = whole
    errors = [step.held_out["mean"] for step in steps if step.held_out is not None]
    before = held_out(ToyRecipe(), model.network, LORA_SETTINGS, device=torch.device("cpu"))["mean"]
    assert len(errors) == 3
    assert errors[-1] < min(0.5 * before, errors[0])


def test_a_killed_run_goes_on_exactly(whole, tmp_path):
    killed("lora_toy.py", tmp_path, at=480)
    rest = list(train(low_rank(base()), LORA_SETTINGS, tmp_path))
    assert 400 < rest[0].samples < 960
    folder, _, _ = whole
    for name in ("checkpoint.safetensors", f"model/{FILE}", f"model-ema-0.1/{FILE}"):
        expected, resumed = load_file(folder / name), load_file(tmp_path / name)
        assert expected.keys() == resumed.keys()
        assert all(torch.equal(expected[key], resumed[key]) for key in expected), name


def test_a_run_killed_in_its_last_evaluation_is_exported(whole, tmp_path):
    folder, steps, model = whole
    shutil.copy(folder / "checkpoint.safetensors", tmp_path)
    (again,) = train(low_rank(model), LORA_SETTINGS, tmp_path)
    assert (again.samples, again.held_out) == (960, steps[-1].held_out)
    expected, exported = (load_file(path / "model" / FILE) for path in (folder, tmp_path))
    assert all(torch.equal(expected[key], exported[key]) for key in expected)


def test_a_run_rests_on_its_model_and_rank(whole, tmp_path):
    folder, _, model = whole
    others = (
        low_rank(model, rank=RANK + 1),
        low_rank(dataclasses.replace(model, fingerprint="another")),
        ToyRecipe(),
    )
    for other in others:
        with pytest.raises(UsageError, match="other settings"):
            next(train(other, LORA_SETTINGS, folder))


def test_only_factors_are_trained_and_kept(whole):
    folder, _, model = whole
    layers = [name for name, layer in model.network.named_modules() if isinstance(layer, LAYERS)]
    factors = {f"{name}.lora_{letter}.default.weight" for name in layers for letter in "AB"}
    kept = load_file(folder / "checkpoint.safetensors")
    assert {key.removeprefix("network.") for key in kept if key.startswith("network.")} == factors
    assert {key.removeprefix("average.0.05.") for key in kept if key.startswith("average.0.05.")} == factors
    assert sum(key.endswith("exp_avg") for key in kept) == len(factors)
    for name, p in model.network.named_parameters():
        assert torch.equal(p, base().network.get_parameter(name)), name
        assert not p.requires_grad


def test_what_is_exported_is_the_average(whole):
    """The file gives the output of PEFT's layers with the averaged factors, which differ from the last ones."""
    folder, _, model = whole
    kept = load_file(folder / "checkpoint.safetensors")
    layers = with_factors(model.network, RANK)
    outputs = {}
    for which in ("average.0.05.", "network."):
        with torch.no_grad():
            for name, p in trained(layers).items():
                p.copy_(kept[which + name])
        outputs[which] = call(layers.eval())
    made = with_loras(model, read_loras([str(folder / "model")])).network
    torch.testing.assert_close(call(made), outputs["average.0.05."], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(call(made), outputs["network."], rtol=1e-3, atol=1e-3)
    assert not torch.allclose(call(made), call(model.network), rtol=1e-1, atol=1e-1)


def test_the_file_says_what_it_is_for(whole):
    folder, _, _ = whole
    about = read_lora(folder / "model").about
    assert (about["model"], about["fingerprint"], about["rank"]) == ("carrier", "base", RANK)
    assert about["training"]["samples"] == 960
    assert about["training"]["held_out"].keys() > {"mean"}
    with safe_open(folder / "model" / FILE, "pt") as file:
        config = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (config["r"], config["lora_alpha"]) == (RANK, RANK)
    assert sorted(path.name for path in (folder / "model").iterdir()) == [FILE]


def test_a_lora_for_another_model_is_told_apart(whole):
    folder, _, _ = whole
    network, _ = NETWORKS["points"]()
    with pytest.raises(UsageError, match="it was trained for carrier"):
        with_loras(Carrier(network), read_loras([str(folder / "model")]))


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_network_gets_factors_of_no_effect_that_learn(kind):
    network, forward = NETWORKS[kind]()
    made = with_factors(network, 2)
    assert set(trained(made)) == {
        f"{name}.lora_{letter}.default.weight"
        for name, layer in network.named_modules() if isinstance(layer, LAYERS) for letter in "AB"
    }  # fmt: skip
    with torch.no_grad():
        expected = forward(network)
    out = forward(made)
    torch.testing.assert_close(out.detach(), expected, rtol=1e-5, atol=1e-5)
    out.square().mean().backward()
    ups = {name: p.grad for name, p in trained(made).items() if "lora_B" in name}
    assert all(grad is not None and bool(grad.isfinite().all()) for grad in ups.values())
    assert sum(bool(grad.any()) for grad in ups.values()) > 0.9 * len(ups)
    assert [p.requires_grad for p in network.parameters()] == [False] * len(list(network.parameters()))


def test_diffusers_reads_what_is_written(tmp_path):
    network, forward = NETWORKS["unet"]()
    made = with_factors(network, 2)
    with torch.no_grad():
        for p in trained(made).values():
            p.copy_(0.2 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    write_lora(made, tmp_path, about={})
    theirs, _ = NETWORKS["unet"]()
    theirs.load_lora_adapter(tmp_path, prefix=None, use_safetensors=True)
    ours = with_loras(Carrier(network), read_loras([str(tmp_path)])).network
    with torch.no_grad():
        torch.testing.assert_close(forward(ours), forward(theirs), rtol=1e-3, atol=1e-3)
        assert not torch.allclose(forward(ours), forward(network), rtol=1e-2, atol=1e-2)


def test_odd_layers_are_left_alone():
    odd = torch.nn.ModuleDict(
        {
            "plain": torch.nn.Conv1d(4, 4, 3),
            "dilated": torch.nn.Conv1d(4, 4, 3, dilation=2),
            "grouped": torch.nn.Conv1d(4, 4, 3, groups=2),
            "circular": torch.nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
            "transposed": torch.nn.ConvTranspose1d(4, 4, 3),
        }
    )
    assert {name.split(".")[0] for name in trained(with_factors(odd, 2))} == {"plain"}
    with pytest.raises(UsageError, match="no layer that a LoRA can be trained for"):
        with_factors(torch.nn.Sequential(torch.nn.LayerNorm(4)), 2)


def test_averages_are_of_what_is_trained():
    made = with_factors(base().network, 2)
    assert Average(made, 0.1).weights.keys() == trained(made).keys()


def test_the_scale_is_the_models():
    class Scaled(ToyRecipe):
        scale = "of the dataset"

    model = dataclasses.make_dataclass("Model", [("scale", str)])("of the model")
    recipe = Scaled()
    assert in_scale_of(model, recipe).scale == "of the model"
    assert recipe.scale == "of the dataset"
    assert in_scale_of(base(), recipe) is recipe
    plain = ToyRecipe()
    assert in_scale_of(model, plain) is plain


def test_a_recipes_own_pairing_is_kept():
    seen = []

    class Coupled(ToyRecipe):
        def couple(self, x0, unit, /):
            seen.append(unit)
            return x0

    recipe = Coupled()
    assert isinstance(recipe, Couples)
    made = low_rank(base())
    made._goal = objective(recipe, LORA_SETTINGS)
    x0, cond = recipe.collate([recipe.items("train")[i] for i in range(2)])
    made.loss(base().network, x0, cond, seeds=[0, 1])
    assert len(seen) == 1


# --- few clips --------------------------------------------------------------------------------------------------------


def clip(group, label="x", part=0):
    return Clip(f"{group}-{part}", ("x",), label, group, 0, 24_000, 1.0)


@pytest.mark.parametrize(
    ("few", "held"),
    [
        ([clip(f"g{i}", label=f"{i}") for i in range(20)], 2),  # as many classes as clips
        ([clip(f"g{i}", label=f"{i % 4}") for i in range(20)], 2),  # four small classes
        ([clip(f"g{i}") for i in range(3)], 1),
        ([clip(f"g{i}", part=p) for i in range(5) for p in range(4)], 4),  # whole groups only
    ],
)
def test_some_of_few_clips_are_held_out(few, held):
    training, validation = split_by_recording(few)
    assert len(validation) == held
    assert not {c.group for c in training} & {c.group for c in validation}
    assert sorted((*training, *validation), key=repr) == sorted(few, key=repr)
    assert set(split_by_recording(few[::-1])[1]) == set(validation)


def test_a_single_recording_cannot_be_split():
    with pytest.raises(UsageError, match="of one recording"):
        split_by_recording([clip("g", part=i) for i in range(3)])


# --- the command ------------------------------------------------------------------------------------------------------


def clips(folder, count=20, captions=None):
    """Tones of one's own in the audiofolder layout, without labels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = [("file_name", "caption")]
    for i in range(count):
        wave = 0.1 * np.sin(np.arange(24_000) * rng.uniform(0.05, 0.06))
        soundfile.write(folder / f"{i}.wav", wave + 0.001 * rng.standard_normal(24_000), 24_000)
        rows.append((f"{i}.wav", captions[i] if captions else "a zorblax"))
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture
def brief(monkeypatch):
    """Measured on two windows, standardised by two."""
    from multigen_models.audio import recipe as audio_recipe

    monkeypatch.setattr(audio_recipe, "VALIDATION_WINDOWS", 2)
    monkeypatch.setattr(audio_recipe, "STATISTICS_WINDOWS", 2)
    monkeypatch.setattr(train_verb, "OWN", 1)


@pytest.mark.parametrize("captions", [None, [f"zorblax number {i}" for i in range(20)]], ids=["one", "many"])
def test_twenty_clips_are_enough(brief, captions, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clips(tmp_path / "clips", captions=captions)
    words = ["--samples", "4", "--batch", "2", "--warmup", "0", "--sheet-steps", "0" if captions else "1"]
    assert main(["train", "--lora", "audio-small", "--data", "clips", "-o", "mine", *words, "--precision", "no"]) == 0
    assert capsys.readouterr().out == "mine/model\n"
    assert read_lora(Path("mine/model")).about["model"] == "audio-small"
    if not captions:
        assert sorted(p.name for p in Path("mine/sheets/00000004").iterdir()) == ["00.wav", "01.wav", "sheet.png"]
        quick = ["--steps", "1", "--guidance", "1", "--duration", "0.5", "-o", "z.wav", "-q"]
        assert main(["audio", "a zorblax", "--lora", "mine/model:0.5", *quick]) == 0
        assert main(["replay", "z.wav"]) == 0
        assert capsys.readouterr().out == "bit-exact\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audio-small", "--lora", "--rank", "0"], "--rank 0 is not possible"),
        (["audio-small", "--rank", "4"], "add --lora"),
        (["video-codec", "--lora"], "unknown model 'video-codec'"),
        (["audio-small", "--lora", "--warm-start", "nowhere"], "unknown model 'nowhere'"),
    ],
)
def test_what_cannot_be_trained_gets_one_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert main(["train", *words, "--data", "data"]) == 2
    out = capsys.readouterr()
    assert said in out.err
    assert (out.out, out.err.count("\n")) == ("", 1)


def test_the_help_says_the_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--lora" in text
    assert "--muon-lr 0" in text


def test_two_are_added_to_what_was_trained(whole):
    """A trained LoRA and a drawn one, on one model."""
    folder, _, model = whole
    once = with_loras(model, read_loras([str(folder / "model")])).network
    both = added(once, random_factors(model.network, rank=1, alpha=1.0), scale=0.5)
    assert not torch.allclose(call(both), call(once), rtol=1e-3, atol=1e-3)
