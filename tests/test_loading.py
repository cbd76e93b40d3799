"""What is chosen for a machine, and what is asked of it in vain."""

import sys
from dataclasses import dataclass, replace

import pytest
import torch

from multigen import loading
from multigen.errors import UsageError
from multigen.loading import Loading, choose, told, tuned


@pytest.fixture
def cuda(monkeypatch):
    """A GPU of 10 GB, as far as choosing goes."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10_000_000_000, 10_000_000_000))


@pytest.fixture
def bare(monkeypatch):
    """No GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_cpu_computes_in_float32(bare):
    chosen = choose(Loading(), sizes=(10**9,))
    assert (chosen.device, chosen.dtype, chosen.offload) == ("cpu", "float32", "none")


def test_mps_comes_before_the_cpu_and_takes_half_precision_for_big_models(bare, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    chosen = choose(Loading(), sizes=(10**9,))
    assert (chosen.device, chosen.dtype, chosen.offload) == ("mps", "float16", "none")
    assert choose(Loading()).dtype == "float32"


@pytest.mark.parametrize(
    ("sizes", "offload"),
    [((3_700_000_000,), "none"), ((2_000_000_000, 2_000_000_000), "model"), ((3_800_000_000,), "group")],
)
def test_a_gpu_offloads_what_does_not_fit(cuda, sizes, offload):
    """7.5 of the 10 GB are for weights of two bytes each."""
    chosen = choose(Loading(), sizes=sizes)
    assert (chosen.device, chosen.dtype, chosen.offload) == ("cuda", "bfloat16", offload)


def test_what_is_typed_stays(cuda):
    asked = Loading(device="cuda", dtype="float32", offload="none")
    assert choose(asked, sizes=(10**12,)) == asked
    assert choose(replace(asked, device="cpu", offload="")).device == "cpu"


def test_a_device_that_is_not_there(bare):
    with pytest.raises(UsageError, match="this machine has cpu"):
        choose(Loading(device="cuda"))


def test_offloading_from_a_cpu(bare):
    with pytest.raises(UsageError, match="leave it out"):
        choose(Loading(offload="model"))


def test_what_was_chosen_in_a_line():
    assert told(Loading(device="cpu", dtype="float32", offload="none", compile=True)) == (
        "device cpu, dtype float32, offload none, compile True"
    )


@dataclass(frozen=True)
class Toy:
    network: torch.nn.Module
    fingerprint: str = "abc"
    name: str = "toy"

    def with_network(self, network, /, *, fingerprint):
        return Toy(network, fingerprint)


def test_quantizing_without_torchao_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(UsageError, match="pip install -U torchao"):
        tuned(Toy(torch.nn.Linear(2, 2)), Loading(quantize="int8"))


def test_quantizing_and_compiling_change_the_network_alone(monkeypatch):
    done = []
    monkeypatch.setattr(loading, "quantize", lambda network: done.append(("8 bits", network)))
    monkeypatch.setattr(loading, "compile_inside", lambda network: done.append(("compiled", network)))
    network = torch.nn.Linear(2, 2)
    tuned_toy = tuned(Toy(network), Loading(quantize="int8", compile=True))
    assert done == [("8 bits", tuned_toy.network), ("compiled", tuned_toy.network)]
    assert tuned_toy.network is not network
    assert torch.equal(tuned_toy.network.weight, network.weight)
    assert tuned_toy.fingerprint == "abc"
    toy = Toy(network)
    assert tuned(toy, Loading()) is toy


def test_a_model_whose_network_cannot_be_exchanged():
    @dataclass(frozen=True)
    class Fixed:
        name: str = "fixed"

    with pytest.raises(UsageError, match="'fixed' cannot be changed"):
        tuned(Fixed(), Loading(compile=True))
