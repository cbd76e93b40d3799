"""How a model is loaded: where and how precisely it computes. Nothing here changes what is made but for rounding."""

import copy
import dataclasses
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multigen.errors import UsageError
from multigen.options import option

if TYPE_CHECKING:
    from multigen.model import Model

_LOGGER = logging.getLogger(__name__)
SPARE = 0.75
"""The share of a GPU's free memory that weights may take; the rest is for what is computed."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Loading:
    """Every field is a flag. Empty means the automatic choice, `choose`."""

    device: str = option("", "where to compute", choices=("cpu", "cuda", "mps"), unset="the best there is")
    dtype: str = option(
        "",
        "network precision",
        choices=("float32", "bfloat16", "float16"),
        unset="float32, and 16 bits for hub models on a GPU",
    )
    offload: str = option(
        "",
        "what waits in main memory until the GPU needs it: the text encoders, network and codec in turn (model), or "
        "their layers (group)",
        choices=("none", "model", "group"),
        unset="what fits",
    )
    compile: bool = option(False, "compile the network: the first step takes minutes, the others less time")
    quantize: str = option(
        "", "keep the weights of the network's linear layers in 8 bits (pip install torchao)", choices=("int8",)
    )
    trust_remote_code: bool = option(
        False, "run the code that a hub model comes with, and open weights that are pickles; look at them first"
    )


AUTOMATIC = Loading()
"""Everything as this machine allows."""


def choose(asked: Loading, /, *, sizes: tuple[int, ...] = ()) -> Loading:
    """`asked` with every empty field filled in for this machine.

    sizes: how many weights each part of a pipeline has; empty for a small model, which is kept in float32.

    Raises UsageError for a device that is not there.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = asked.device or next(name for name, usable in there.items() if usable)
    if not there[device]:
        usable = " or ".join(name for name, yes in there.items() if yes)
        raise UsageError(f"--device {device} is not there: this machine has {usable}")
    dtype = asked.dtype or _dtype(device, bool(sizes))
    offload = asked.offload or "none"
    if not asked.offload and device == "cuda" and sizes:
        free, _ = torch.cuda.mem_get_info()
        offload = _offload([size * BYTES[dtype] for size in sizes], SPARE * free)
    if offload != "none" and device == "cpu":
        raise UsageError(f"--offload {offload} frees a GPU's memory, and there is none in use: leave it out")
    chosen = dataclasses.replace(asked, device=device, dtype=dtype, offload=offload)
    _LOGGER.info("%s", told(chosen))
    return chosen


def told(loading: Loading, /) -> str:
    """What was chosen, in a line."""
    parts = [f"{field.name} {getattr(loading, field.name)}" for field in dataclasses.fields(loading)]
    return ", ".join(part for part in parts if not part.endswith((" ", " False")))


def tuned(model: "Model", loading: Loading, /) -> "Model":
    """The model with its network in 8 bits or compiled, where that is asked for. Raises UsageError."""
    from multigen.model import Adapts

    if not (loading.quantize or loading.compile):
        return model
    if not isinstance(model, Adapts):
        raise UsageError(f"the model {model.name!r} cannot be changed: leave out --quantize and --compile")
    network = shared_copy(model.network)
    if loading.quantize:
        quantize(network)
    if loading.compile:
        compile_inside(network)
    return model.with_network(network, fingerprint=model.fingerprint)


def shared_copy(network: Any, /) -> Any:
    """Other modules around the same numbers: layers and parameters can be exchanged in it, and moved elsewhere.

    Raises UsageError where diffusers brings the layers to the GPU one by one.
    """
    from torch.nn import Parameter

    if any(hasattr(layer, "_diffusers_hook") for layer in network.modules()):
        raise UsageError(
            "layers that wait in main memory (--offload group) take no LoRA: add --offload model or --offload none"
        )
    kept: dict[int, Any] = {id(buffer): buffer for buffer in network.buffers()}
    # accelerate's hook (--offload model) holds the other parts of the pipeline, which are not copied.
    kept |= {id(hook): hook for layer in network.modules() if (hook := getattr(layer, "_hf_hook", None))}
    kept |= {id(p): Parameter(p.detach(), requires_grad=p.requires_grad) for p in network.parameters()}
    return copy.deepcopy(network, kept)


def quantize(network: Any, /) -> None:
    """Bring the weights of a network's linear layers to 8-bit integers, with one scale for each row (torchao).

    Raises UsageError where torchao is not installed.
    """
    from torch.nn import Parameter

    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError:
        raise UsageError(
            "--quantize int8 needs torchao 0.9 or later: pip install -U torchao, or leave it out"
        ) from None
    quantize_(network, Int8WeightOnlyConfig())
    sizes = [(p.numel(), type(p) is not Parameter) for p in network.parameters()]
    share = sum(size for size, changed in sizes if changed) / max(1, sum(size for size, _ in sizes))
    _LOGGER.info("%.0f %% of the network's weights, those of its linear layers, in 8 bits", 100 * share)


def compile_inside(network: Any, /) -> None:
    """Let a network be compiled at its first call, and again where a size changes: then for any.

    It stays what it is to those who look at it: diffusers asks its networks for more than torch's wrapper answers.

    Raises UsageError where there is nothing to compile with.
    """
    _check_compiler(next(network.parameters()).device)
    _LOGGER.info("the network is compiled at its first step")
    network.compile(dynamic=None)


def _check_compiler(device: Any) -> None:
    """Compile a sum: what is missing is found before anything is sampled."""
    import torch

    try:
        torch.compile(lambda x: x + 1)(torch.ones(2, device=device))
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"--compile needs a C++ compiler and Python's headers ({reason}): install them (on Debian: apt install "
            "g++ python3-dev), or leave it out"
        ) from None


def _dtype(device: str, big: bool) -> str:
    """Half precision where it is fast and there is much to compute; bfloat16 has float32's range."""
    import torch

    if not big or device == "cpu":
        return "float32"
    return "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float16"


def _offload(sizes: list[int], room: float) -> str:
    """What must leave a GPU with room for so many bytes while it is not needed."""
    if sum(sizes) <= room:
        return "none"
    return "model" if max(sizes) <= room else "group"
