"""LoRA at generation: the weights that come out, every layout, sums, an untouched base, and files that do not fit."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import ALPHA, LAYOUTS, RANK, diffusers, kohya, old, peft, random_factors, write
from lora_networks import NETWORKS
from safetensors.torch import load_file, save_file

import multigen
from multigen.cli import main
from multigen.errors import UsageError
from multigen.job import prepare
from multigen.loaders import load
from multigen.lora import added, path_and_scale, read_loras, what_changed, with_loras
from multigen.lora_files import FILE, LAYERS, factors, read_lora
from multigen.model import Adapts
from multigen.provenance import digest
from multigen.request import Request

QUICK = {"steps": 1, "guidance": "1", "options": {"duration": 0.5}}


@dataclass(frozen=True)
class Carrier:
    """As much of a model as a LoRA sees."""

    network: Any
    fingerprint: str = "base"
    name: str = "carrier"

    def with_network(self, network, /, *, fingerprint):
        return replace(self, network=network, fingerprint=fingerprint)


@pytest.fixture(scope="module", params=NETWORKS)
def kind(request):
    """A network, a call of it, and factors for all of its layers."""
    network, call = NETWORKS[request.param]()
    return network, call, random_factors(network)


@pytest.fixture(scope="module")
def small():
    network, _ = NETWORKS["spectrogram"]()
    return network, random_factors(network)


def weights(network):
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# --- the numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 0.7, -2.0])
def test_weights_are_those_of_the_paper(kind, scale):
    """W + scale alpha / r B A, in float64 and with the kernel's axes written out; everything else is as it was."""
    network, _, changes = kind
    before, after = weights(network), weights(added(network, changes, scale=scale))
    assert len(changes) > 5
    assert {name for name in before if not torch.equal(before[name], after[name])} == {f"{n}.weight" for n in changes}
    for name, change in changes.items():
        b, a = change.up.double().flatten(1), change.down.double()
        expected = before[f"{name}.weight"].double() + scale * ALPHA / RANK * torch.einsum("or,r...->o...", b, a)
        torch.testing.assert_close(after[f"{name}.weight"].double(), expected, rtol=0, atol=1e-6)


def test_the_output_is_that_of_pefts_layers(kind):
    """PEFT adds the product to what a layer puts out, not to its weight."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict

    network, call, changes = kind
    made = added(network, changes, scale=1.0)
    theirs = added(network, {}, scale=1.0)  # a copy for PEFT to change
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[*changes])
    inject_adapter_in_model(config, theirs)
    tensors = {f"{name}.lora_A.weight": change.down for name, change in changes.items()}
    tensors |= {f"{name}.lora_B.weight": change.up for name, change in changes.items()}
    assert not set_peft_model_state_dict(theirs, tensors).unexpected_keys
    with torch.no_grad():
        expected, base = call(theirs.eval()), call(network)
        got = call(made)
    assert (expected - base).abs().max() > 0.01 * base.abs().max()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_base_is_untouched(kind):
    network, call, changes = kind
    before, needs = weights(network), [p.requires_grad for p in network.parameters()]
    with torch.no_grad():
        output = call(network)
        made = added(network, changes, scale=1.0)
        call(made)
        made.to(torch.float64)  # wherever the copy goes, the base stays
        assert torch.equal(call(network), output)
    assert same(weights(network), before)
    assert [p.requires_grad for p in network.parameters()] == needs
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_only_changed_weights_take_memory(small):
    network, changes = small
    chosen = dict([*changes.items()][:2])
    made = added(network, chosen, scale=1.0)
    copied = {
        name
        for (name, before), after in zip(network.named_parameters(), made.parameters(), strict=True)
        if before.data_ptr() != after.data_ptr()
    }
    assert copied == {f"{name}.weight" for name in chosen}


def test_weights_keep_dtype_and_memory_format(small):
    network, changes = small
    for dtype in (torch.float32, torch.bfloat16):
        base = added(network, {}, scale=1).to(dtype)
        made = added(base, changes, scale=1.0)
        for name in changes:
            before, after = (n.get_submodule(name).weight for n in (base, made))
            assert (after.dtype, after.stride()) == (dtype, before.stride())
    exact = added(network, {}, scale=1).to(torch.bfloat16).float()
    for name in changes:
        rounded, wide = (n.get_submodule(name).weight for n in (made, added(exact, changes, scale=1.0)))
        assert torch.equal(rounded, wide.to(torch.bfloat16))  # rounded once, at the end


def test_scale_is_linear_and_zero_is_the_base(small, tmp_path):
    network, changes = small
    base = weights(network)
    half, whole = (weights(added(network, changes, scale=scale)) for scale in (0.5, 1.0))
    for name, weight in base.items():
        torch.testing.assert_close(half[name], (weight + whole[name]) / 2, rtol=0, atol=1e-6)
    file = write(tmp_path / "a.safetensors", changes)
    model = with_loras(Carrier(network), read_loras([f"{file}:0"]))
    assert model.network is network
    assert model.fingerprint != "base"


def test_two_add_up_in_any_order(small, tmp_path):
    network, changes = small
    other = random_factors(network, seed=1, rank=2, alpha=5.0)
    files = [write(tmp_path / f"{name}.safetensors", f) for name, f in (("a", changes), ("b", other))]
    texts = [f"{files[0]}:0.5", f"{files[1]}:-1.5"]
    one, reverse = (with_loras(Carrier(network), read_loras(order)) for order in (texts, texts[::-1]))
    base = weights(network)
    a, b = weights(added(network, changes, scale=0.5)), weights(added(network, other, scale=-1.5))
    for name, weight in base.items():
        for model in (one, reverse):
            expected = a[name].double() + b[name].double() - weight.double()
            torch.testing.assert_close(model.network.get_parameter(name).double(), expected, rtol=0, atol=1e-6)
    assert one.fingerprint == "+".join(["base", *(read_lora(file).fingerprint for file in files)])


# --- layouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_means_the_same(kind, layout, tmp_path):
    network, _, changes = kind
    lora = read_lora(write(tmp_path / "a.safetensors", changes, layout=layout))
    read = factors(lora, lora.tensors, network)
    assert read.keys() == changes.keys()
    for name, change in changes.items():
        torch.testing.assert_close(read[name].product(), change.product(), rtol=1e-6, atol=1e-7)


def test_diffusers_itself_reads_the_same(tmp_path):
    network, call = NETWORKS["unet"]()
    changes = random_factors(network)
    file = write(tmp_path / FILE, changes, layout=diffusers)
    model = with_loras(Carrier(network), read_loras([str(file)]))
    theirs, _ = NETWORKS["unet"]()
    theirs.load_lora_adapter(load_file(file), prefix="unet")
    with torch.no_grad():
        torch.testing.assert_close(call(model.network), call(theirs), rtol=1e-4, atol=1e-4)


def test_old_attention_processors(tmp_path):
    """The first layout of diffusers, with the factors in the attention's processor."""
    network, _ = NETWORKS["unet"]()
    changes = {
        name: f for name, f in random_factors(network).items() if name.endswith(("attn1.to_q", "attn1.to_out.0"))
    }
    assert len(changes) >= 2

    def processors(found):
        tensors = {}
        for name, f in found.items():
            attention, _, layer = name.replace(".to_out.0", ".to_out").rpartition(".")
            tensors[f"unet.{attention}.processor.{layer}_lora.down.weight"] = f.down
            tensors[f"unet.{attention}.processor.{layer}_lora.up.weight"] = f.up
        return tensors

    lora = read_lora(write(tmp_path / "a.safetensors", changes, layout=processors))
    read = factors(lora, lora.tensors, network)
    assert read.keys() == changes.keys()
    assert all(torch.equal(read[name].up, f.up) and read[name].alpha == RANK for name, f in changes.items())


def test_a_1x1_kernel_is_a_matrix_and_the_other_way_round(tmp_path):
    network, _ = NETWORKS["unet"]()
    name = next(n for n, layer in network.named_modules() if n.endswith("proj_in") and isinstance(layer, LAYERS))
    change = random_factors(network)[name]
    turned = replace(change, down=change.down.flatten(1), up=change.up.flatten(1))
    if change.down.ndim == 2:
        turned = replace(change, down=change.down[..., None, None], up=change.up[..., None, None])
    lora = read_lora(write(tmp_path / "a.safetensors", {name: turned}))
    made = added(network, factors(lora, lora.tensors, network), scale=1.0)
    assert torch.equal(
        made.get_submodule(name).weight, added(network, {name: change}, scale=1.0).get_submodule(name).weight
    )


def without_alpha(found):
    return {key: tensor for key, tensor in old(found).items() if not key.endswith(".alpha")}


@pytest.mark.parametrize("where", ["beside", "header", "pipeline's header"])
def test_alpha_of_pefts_configuration(small, where, tmp_path):
    network, changes = small
    first, *rest = changes
    pattern = first.replace(".", r"\.")
    config = {"r": RANK, "lora_alpha": 6, "alpha_pattern": {f"^{pattern}": 12}}
    metadata = {"header": config, "pipeline's header": {f"unet.{key}": value for key, value in config.items()}}
    told = {"lora_adapter_metadata": metadata[where]} if where in metadata else None
    file = write(tmp_path / "adapter_model.safetensors", changes, layout=without_alpha, metadata=told)
    if where == "beside":
        (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    lora = read_lora(tmp_path)
    read = factors(lora, lora.tensors, network)
    assert lora.fingerprint == read_lora(file).fingerprint
    assert read[first].alpha == 12
    assert {read[name].alpha for name in rest} == {6}
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_rslora": True}))
    lora = read_lora(tmp_path)
    assert factors(lora, lora.tensors, network)[first].alpha == pytest.approx(12 * RANK**0.5)


def test_a_model_may_know_other_names(small, tmp_path):
    network, changes = small
    foreign = write(tmp_path / "a.safetensors", {f"theirs.{name}": f for name, f in changes.items()}, layout=peft)

    class Knows(Carrier):
        def translate(self, tensors, /):
            return {key.replace("theirs.", ""): tensor for key, tensor in tensors.items()}

    class KnowsNothing(Carrier):
        def translate(self, tensors, /):
            raise ValueError("unknown")

    read = read_loras([str(foreign)])
    made = with_loras(Knows(network), read).network
    assert same(weights(made), weights(with_loras(Carrier(network), [(_native(tmp_path, changes), 1.0)]).network))
    for model in (Carrier(network), KnowsNothing(network)):
        with pytest.raises(UsageError, match=r"has no layer for 'base_model\.model\.theirs"):
            with_loras(model, read)


def test_wans_own_names(tmp_path):
    """LoRAs of Wan that were trained with its own code name its layers otherwise; its pipeline knows how."""
    from types import SimpleNamespace

    from diffusers import WanPipeline

    from multigen_models.hub.opened import Opened

    theirs = {"attn1.to_q": "self_attn.q", "attn2.to_out.0": "cross_attn.o", "ffn.net.0.proj": "ffn.0"}
    network, _ = NETWORKS["dit"]()
    changes = {name: f for name, f in random_factors(network).items() if name.endswith(tuple(theirs))}
    assert len(changes) == 6

    def named(found):
        names = {
            f"blocks.{i}.{ours}": f"diffusion_model.blocks.{i}.{own}" for i in (0, 1) for ours, own in theirs.items()
        }
        pairs = {f"{names[name]}.lora_A.weight": f.down for name, f in found.items()}
        return pairs | {f"{names[name]}.lora_B.weight": f.up for name, f in found.items()}

    class Wan(Carrier):
        anatomy = SimpleNamespace(pipe=WanPipeline)
        translate = Opened.translate

    read = read_loras([str(write(tmp_path / "a.safetensors", changes, layout=named))])
    made = with_loras(Wan(network), read).network
    ones = {name: replace(f, alpha=float(RANK)) for name, f in changes.items()}
    assert same(weights(made), weights(added(network, ones, scale=1.0)))


def test_kohyas_names_of_another_unet(tmp_path):
    """SDXL's kohya files name the blocks of its own network; diffusers' pipelines translate them, and their alphas."""
    from types import SimpleNamespace

    from diffusers import StableDiffusionPipeline

    from multigen_models.hub.opened import Opened

    network, _ = NETWORKS["unet"]()
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    changes = {name: random_factors(network)[name]}

    def named(found):
        other = "lora_unet_middle_block_attentions_0_transformer_blocks_0_attn1_to_q"
        (f,) = found.values()
        factors = {f"{other}.lora_down.weight": f.down, f"{other}.lora_up.weight": f.up}
        return {**factors, f"{other}.alpha": torch.tensor(f.alpha)}

    class Stable(Carrier):
        anatomy = SimpleNamespace(pipe=StableDiffusionPipeline)
        translate = Opened.translate

    read = read_loras([str(write(tmp_path / "a.safetensors", changes, layout=named))])
    assert same(weights(with_loras(Stable(network), read).network), weights(added(network, changes, scale=1.0)))


def _native(folder, changes):
    return read_lora(write(folder / "native.safetensors", changes, layout=peft))


# --- what is asked ----------------------------------------------------------------------------------------------------


def test_paths_and_scales(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("odd:0.5").touch()
    assert path_and_scale("a.safetensors") == (Path("a.safetensors"), 1.0)
    assert path_and_scale("a.safetensors:0.8") == (Path("a.safetensors"), 0.8)
    assert path_and_scale("a.safetensors:-1e-1") == (Path("a.safetensors"), -0.1)
    assert path_and_scale("odd:0.5") == (Path("odd:0.5"), 1.0)
    assert path_and_scale("odd:0.5:2") == (Path("odd:0.5"), 2.0)
    assert Request("audio", "rain", lora="a:1").lora == ("a:1",)
    assert Request("audio", "rain", lora=["a", "b"]).lora == ("a", "b")


def test_what_changed():
    assert what_changed("a+b", "a+b") == ""
    assert what_changed("a+b", "a+c") == what_changed("a", "a+c") == "a LoRA"
    assert what_changed("a+b", "c+b") == what_changed("a", "c") == "the model"


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """The embedded audio model and a LoRA for it."""
    model = load("audio-small", device="cpu")
    return model, write(tmp_path_factory.mktemp("lora") / "mine.safetensors", random_factors(model.network))


@pytest.mark.parametrize("name", ["audio-small"])
def test_published_models_adapt(name):
    assert isinstance(load(name, device="cpu"), Adapts)


def test_a_model_in_memory_serves_again(audio):
    model, file = audio
    plain = prepare(Request("audio", "rain", **QUICK), model=model)
    first = digest(plain.run(0))
    changed, silent = (
        prepare(Request("audio", "rain", lora=f"{file}:{scale}", **QUICK), model=model) for scale in (1, 0)
    )
    assert digest(changed.run(0)) != first
    assert digest(silent.run(0)) == first == digest(plain.run(0))
    assert changed.request.fingerprint == f"{model.fingerprint}+{read_lora(file).fingerprint}"
    (sample,) = multigen.generate("audio", "rain", lora=str(file), steps=1, guidance="1", duration=0.5, device="cpu")
    assert digest(sample) == digest(changed.run(0))


def run(capsys, *words):
    code = main(list(words))
    out = capsys.readouterr()
    return code, out.out, out.err


def test_the_command_records_loras_and_replays(audio, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, file = audio
    shutil.copy(file, "a.safetensors")
    other = random_factors(model.network, seed=2)
    write(Path("b/" + FILE), other, layout=kohya)
    words = ["--steps", "1", "--guidance", "1", "--duration", "0.5", "--device", "cpu"]
    assert run(capsys, "audio", "rain", "-o", "r.wav", "--lora", "a.safetensors:0.5", "--lora", "b", *words)[0] == 0
    assert run(capsys, "replay", "r.wav")[:2] == (0, "bit-exact\n")
    write(Path("b/" + FILE), random_factors(model.network, seed=3), layout=kohya)
    code, out, _ = run(capsys, "replay", "r.wav")
    assert (code, out) == (1, "not bit-exact: a LoRA has changed since\n")
    shutil.rmtree("b")
    code, _, err = run(capsys, "replay", "r.wav")
    assert (code, err.count("\n")) == (2, 1)
    assert "--lora b is not there" in err


# --- what does not fit ------------------------------------------------------------------------------------------------


def _broken(folder, model):
    """Files with one fault each, and what is said of it."""
    changes = random_factors(model.network)
    name = next(iter(changes))
    one = {name: changes[name]}
    wide = replace(changes[name], down=torch.zeros(RANK, 5))
    tall = replace(changes[name], up=torch.zeros(7, RANK))
    bad = replace(changes[name], up=torch.full_like(changes[name].up, float("nan")))

    def half(found):
        return {key: tensor for key, tensor in old(found).items() if "down" in key}

    def magnitudes(found):
        return {**old(found), f"unet.{name}.lora_magnitude_vector": torch.ones(3)}

    write(folder / "foreign.safetensors", {"no.such.layer": changes[name]})
    write(folder / "wide.safetensors", {name: wide})
    write(folder / "tall.safetensors", {name: tall})
    write(folder / "nan.safetensors", {name: bad})
    write(folder / "half.safetensors", one, layout=half)
    write(folder / "dora.safetensors", one, layout=magnitudes)
    write(folder / "fine.safetensors", one)
    write(folder / "empty.safetensors", {})
    save_file({"fold.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    (folder / "truncated.safetensors").write_bytes((folder / "fine.safetensors").read_bytes()[:-20])
    (folder / "text.safetensors").write_text("this is no safetensors file")
    torch.save({}, folder / "pickle.bin")
    (folder / "folder").mkdir()
    write(folder / "json" / "adapter_model.safetensors", one)
    (folder / "json" / "adapter_config.json").write_text("{")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foreign.safetensors", "does not fit: the SpectrogramUNet has no layer for"),
        ("wide.safetensors", "does not fit: the weight of"),
        ("tall.safetensors", "does not fit: the weight of"),
        ("nan.safetensors", "not finite"),
        ("half.safetensors", "only one of the two factors"),
        ("dora.safetensors", "no factor of a plain LoRA"),
        ("model.safetensors", "no factor of a plain LoRA"),
        ("empty.safetensors", "is empty"),
        ("truncated.safetensors", "is damaged"),
        ("text.safetensors", "is damaged"),
        ("json", "is damaged"),
        ("pickle.bin", "pickles"),
        ("missing.safetensors", "is not there"),
        ("missing.safetensors:0.5", "is not there"),
        ("folder", "is a folder without"),
        ("fine.safetensors:loud", "'loud' is no scale"),
        ("fine.safetensors:", "'' is no scale"),
        ("fine.safetensors:nan", "'nan' is no scale"),
        ("fine.safetensors:inf", "'inf' is no scale"),
        ("fine.safetensors:101", "'101' is no scale"),
    ],
)
def test_what_does_not_fit_gets_one_sentence(audio, text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model, _ = audio
    _broken(tmp_path, model)
    with pytest.raises(UsageError) as caught:
        prepare(Request("audio", "rain", lora=text, **QUICK), model=model)
    assert said in str(caught.value)
    if text in ("foreign.safetensors", "pickle.bin", "truncated.safetensors", "fine.safetensors:loud"):
        code, out, err = run(capsys, "audio", "rain", "-o", "r.wav", "--lora", text, "--duration", "0.5")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err
        assert not Path("r.wav").exists()


def test_a_lora_is_no_model(audio, tmp_path):
    model, _ = audio
    write(tmp_path / FILE, random_factors(model.network))
    with pytest.raises(UsageError, match="is a LoRA and no model"):
        load(str(tmp_path))


def test_a_model_without_a_network_takes_none(small, tmp_path):
    _, changes = small

    class Plain:
        name = "plain"

    with pytest.raises(UsageError, match="'plain' takes no --lora"):
        with_loras(Plain(), read_loras([str(write(tmp_path / "a.safetensors", changes))]))


def test_peft_is_imported_by_training_alone():
    program = "import sys, multigen, multigen.cli, multigen.lora, multigen.job\nmultigen.cli.main(['audio', '--help'])"
    code = f"try:\n    exec({program!r})\nexcept SystemExit:\n    pass\nimport sys; sys.exit('peft' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "--lora" in done.stdout
