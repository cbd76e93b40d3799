"""Networks in 8 bits, compiled, and in main memory: what they make is what they make as they are."""

import logging
from dataclasses import replace

import pytest
import tiny_3d
import tiny_audio
import tiny_video
import torch
from hub_agreement import CPU, off_by, opened
from lora_files import peft, random_factors
from safetensors.torch import save_file

from multigen.errors import UsageError
from multigen.job import prepare, ready
from multigen.loading import Loading, compile_inside, quantize, shared_copy
from multigen.request import Request
from multigen_models.hub import pipelines, source

OPTIONS = {"audio": {"duration": 0.5}, "video": {"size": "32x32", "frames": 5}, "3d": {}}
INT8 = replace(CPU, quantize="int8")


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    makers = {"audio": tiny_audio.stable_audio, "video": tiny_video.wan, "3d": tiny_3d.shap_e}
    return {modality: str(make(tmp_path_factory.mktemp(modality))) for modality, make in makers.items()}


def made(modality, model, loading=CPU, *, steps=3, lora=(), **options):
    """A job and the state that it ends with."""
    chosen = {**OPTIONS[modality], **options}
    request = Request(modality, "rain", options=chosen, model=model, steps=steps, lora=lora)
    job = prepare(request, loading=loading)
    return job, job.plan(0).result()


# --- 8 bits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("modality", "most"), [("audio", 0.02), ("video", 0.02), ("3d", 0.05)])
def test_a_network_in_8_bits_makes_nearly_the_same(folders, modality, most):
    pytest.importorskip("torchao")
    job, plain = made(modality, folders[modality])
    job8, made8 = made(modality, folders[modality], INT8)
    assert 0 < float((made8 - plain).norm() / plain.norm()) < most
    layers = [layer for layer in job8.model.network.modules() if isinstance(layer, torch.nn.Linear)]
    assert all(type(layer.weight) is not torch.nn.Parameter for layer in layers)
    assert job8.request.fingerprint == job.request.fingerprint


def test_a_lora_is_added_before_the_8_bits(folders, tmp_path, caplog):
    pytest.importorskip("torchao")
    job, plain = made("video", folders["video"])
    path = tmp_path / "lora.safetensors"
    save_file({key: x.contiguous() for key, x in peft(random_factors(job.model.network)).items()}, path)
    _, changed = made("video", folders["video"], lora=(str(path),))
    with caplog.at_level(logging.INFO, logger="multigen"):
        _, changed8 = made("video", folders["video"], INT8, lora=(str(path),))
    assert off_by(changed8, changed) < 0.02 < off_by(changed, plain)
    assert "in 8 bits" in caplog.text


def test_the_share_of_8_bits_is_said(caplog):
    """Of 4 * 4 + 4 and 4 * 4 + 4 weights the 16 of the linear layer."""
    pytest.importorskip("torchao")
    with caplog.at_level(logging.INFO, logger="multigen"):
        quantize(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Conv1d(4, 4, 1)))
    assert caplog.messages == ["40 % of the network's weights, those of its linear layers, in 8 bits"]


# --- compiled ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["audio", "video", "3d"])
def test_a_network_is_compiled_once_for_all_steps(folders, graphs, modality):
    """Both sides of the guidance and every step share one whole graph."""
    _, plain = made(modality, folders[modality], steps=4)
    job = prepare(
        Request(modality, "rain", options=OPTIONS[modality], model=folders[modality], steps=4),
        loading=replace(CPU, compile=True),
    )
    graphs.clear()  # of the check that there is a compiler
    assert torch.equal(job.plan(0).result(), plain)
    assert len(graphs) == 1


def test_another_length_is_compiled_once_more_and_then_any(folders, graphs):
    model = prepare(
        Request("video", "rain", options=OPTIONS["video"], model=folders["video"], steps=2),
        loading=replace(CPU, compile=True),
    ).model
    counts = []
    for frames in (5, 9, 13, 17):
        graphs.clear()
        request = Request("video", "rain", options={**OPTIONS["video"], "frames": frames}, steps=2)
        prepare(request, model=model).plan(0).result()
        counts.append(len(graphs))
    assert counts == [1, 1, 0, 0]


def test_an_embedded_network_is_compiled_once_for_prompts_of_any_length(graphs):
    """A prompt and none have other numbers of tokens."""
    request = Request("audio", "rain on a tin roof", options={"duration": 2.0}, steps=2)
    plain = prepare(request, loading=CPU).plan(0).result()
    job = prepare(request, loading=replace(CPU, compile=True))
    graphs.clear()
    assert off_by(job.plan(0).result(), plain) < 1e-4
    assert len(graphs) == 1


def test_a_family_that_runs_as_a_whole_is_compiled(folders, graphs, monkeypatch):
    whole = replace(source.family_of("StableAudioPipeline"), opened="")
    monkeypatch.setattr(source, "family_of", lambda name: whole)
    request = Request("audio", "rain", options=OPTIONS["audio"], model=folders["audio"], steps=2)
    job = ready(request, loading=replace(CPU, compile=True))
    graphs.clear()
    assert job.run(0)["wave"].shape == (2, 8000)
    assert len(graphs) == 1


def test_a_machine_without_a_compiler(monkeypatch):
    def without(function, **options):
        def fails(*inputs):
            raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nSet ...")

        return fails

    monkeypatch.setattr(torch, "compile", without)
    with pytest.raises(UsageError, match=r"^--compile needs .* \(InvalidCxxCompiler: No .* found\): install .* out$"):
        compile_inside(torch.nn.Linear(2, 2))


@pytest.mark.parametrize("flag", [{"quantize": "int8"}, {"compile": True}])
def test_a_family_whose_network_is_not_known(folders, monkeypatch, flag):
    monkeypatch.setattr(source, "family_of", lambda name: None)
    with pytest.raises(UsageError, match=r"StableAudioPipeline is not known here.*leave out --quantize and --compile"):
        source.source.load(folders["audio"], modality="audio", revision="", loading=replace(CPU, **flag))


# --- in main memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_layers_that_come_one_by_one(folders, monkeypatch, modality):
    """From a CPU to a CPU. The autoencoder of Stable Audio is one of those that cannot."""
    job, plain = made(modality, folders[modality])
    chosen = Loading(device="cpu", dtype="float32", offload="group")
    monkeypatch.setattr(pipelines, "choose", lambda asked, *, sizes: chosen)
    model = opened(folders[modality])
    assert any(hasattr(layer, "_diffusers_hook") for layer in model.network.modules())
    with pytest.raises(UsageError, match="add --offload model or --offload none"):
        shared_copy(model.network)
    assert torch.equal(prepare(job.request, model=model).plan(0).result(), plain)
    sample = job.model.decode(plain[0], job.options)
    again = model.decode(plain[0], job.options)
    (key,) = {"wave", "frames"} & set(sample)
    assert torch.equal(again[key], sample[key])
