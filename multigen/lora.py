"""LoRA: low-rank changes of a network's weights (arXiv 2106.09685), added to a model's own without touching them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from multigen.errors import UsageError
from multigen.loading import shared_copy
from multigen.lora_files import Factors, LoraFile, factors, read_lora
from multigen.model import Adapts, Model, Translates
from multigen.request import number

MOST = 100.0
"""The largest scale, to either side."""


def read_loras(texts: Sequence[str], /) -> list[tuple[LoraFile, float]]:
    """Files and scales from ``PATH[:SCALE]``. Raises UsageError."""
    return [(read_lora(path), scale) for path, scale in map(path_and_scale, texts)]


def path_and_scale(text: str, /) -> tuple[Path, float]:
    """``mine.safetensors:0.8`` as two; the scale is 1 where none is given. Raises UsageError for one that is none."""
    path, colon, tail = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), 1.0
    scale = number(tail)
    if scale is None and not Path(path).exists():
        return Path(text), 1.0
    if scale is None or not -MOST <= scale <= MOST:
        raise UsageError(
            f"--lora {text}: {tail!r} is no scale from {-MOST:g} to {MOST:g}: type it as --lora {path}:0.8"
        )
    return Path(path), scale


def with_loras(model: Model, loras: Sequence[tuple[LoraFile, float]], /) -> Model:
    """The model with LoRAs added up, each as often as its scale says; the one that is given stays as it is.

    Its fingerprint tells theirs as well, see `what_changed`.

    Raises UsageError for a model without layers to change, and for a LoRA that does not fit it.
    """
    for lora, scale in loras:
        if not isinstance(model, Adapts):
            raise UsageError(f"the model {model.name!r} takes no --lora: leave it out, or choose another --model")
        found = _factors(model, lora)
        network = added(model.network, found, scale=scale) if scale else model.network
        model = model.with_network(network, fingerprint=f"{model.fingerprint}+{lora.fingerprint}")
    return model


def _factors(model: Adapts, lora: LoraFile) -> dict[str, Factors]:
    try:
        return factors(lora, lora.tensors, model.network)
    except UsageError as misfit:
        if not isinstance(model, Translates):
            raise
        try:
            tensors = model.translate(lora.tensors)
        except Exception:  # whatever the converters of diffusers fail with, it is no layout of theirs
            raise misfit from None
    return factors(lora, tensors, model.network)


def added(network: nn.Module, changes: dict[str, Factors], /, *, scale: float) -> nn.Module:
    """The network with weights W + scale * alpha / r * up @ down in the layers that are named.

    It shares all other weights with the one that is given, which stays as it is.
    """
    made: nn.Module = shared_copy(network)
    for name, change in changes.items():
        layer = made.get_submodule(name)
        layer.weight = nn.Parameter(_sum(layer.get_parameter("weight"), change, scale), requires_grad=False)
    return made


@torch.no_grad()
def _sum(weight: Tensor, change: Factors, scale: float) -> Tensor:
    there = Factors(change.down.to(weight.device), change.up.to(weight.device), change.alpha)
    # Added in float32, so that what a weight of few bits cannot hold is rounded once; in the weight's memory format.
    return torch.empty_like(weight).copy_(weight.float() + scale * there.product().view(weight.shape))


def what_changed(before: str, now: str, /) -> str:
    """What differs between two fingerprints: "the model", "a LoRA", or nothing."""
    if before == now:
        return ""
    return "a LoRA" if before.split("+")[0] == now.split("+")[0] else "the model"
