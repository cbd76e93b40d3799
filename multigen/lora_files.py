"""LoRA files: low-rank factors of layers (arXiv 2106.09685), in the layouts of PEFT, diffusers and kohya.

A layer's name in a file is the network's own after a prefix, such as ``base_model.model.`` (PEFT), ``unet.`` or
``transformer.`` (diffusers); kohya joins its parts by underscores after ``lora_unet_``. Its two factors are called
``lora_A`` and ``lora_B``, ``lora.down`` and ``lora.up``, or ``lora_down`` and ``lora_up``.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from multigen.errors import UsageError

FILE = "pytorch_lora_weights.safetensors"
FILES = (FILE, "adapter_model.safetensors")
"""What a LoRA is called in its folder: by diffusers, and by PEFT."""
CONFIG = "adapter_config.json"
PEFT_KEY, ABOUT_KEY = "lora_adapter_metadata", "multigen"
"""Entries of a file's header: PEFT's configuration, as diffusers writes it, and how the LoRA was trained."""
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
COMPONENTS = ("unet.", "transformer.")
PREFIXES = ("base_model.model.", *COMPONENTS, "diffusion_model.", "model.", "lora_unet_", "lora_transformer_")
_DOWN, _UP = ("lora_A", "lora_down", "lora.down"), ("lora_B", "lora_up", "lora.up")
_FACTOR = re.compile(rf"(.+)\.({'|'.join(map(re.escape, _DOWN + _UP))})(?:\.default)?\.weight")
_ALPHA = re.compile(r"(.+?)(?:\.lora(?:\.down\.weight)?)?\.alpha")
_PROCESSOR = re.compile(r"\.(to_[qkv]|to_out)_lora\.(down|up)\.")
"""How the first layout of diffusers tells of an attention's layers."""


@dataclass(frozen=True)
class Factors:
    """What is added to one layer's weight. down: (r, in, ...); up: (out, r, ...)."""

    down: Tensor
    up: Tensor
    alpha: float

    def product(self) -> Tensor:
        """alpha / r * up @ down, in float32: (out, in * ...)."""
        return self.alpha / len(self.down) * (self.up.flatten(1).float() @ self.down.flatten(1).float())


@dataclass(frozen=True)
class LoraFile:
    """A file as it was read.

    tensors: by the names in the file. config: PEFT's, empty where there is none. about: how ``multigen train`` made
    it, empty where something else did. fingerprint: a hash of the file.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    about: Mapping[str, Any]
    fingerprint: str


# --- reading ----------------------------------------------------------------------------------------------------------


def read_lora(path: Path, /) -> LoraFile:
    """A LoRA from a file, or from the folder that diffusers, PEFT or ``multigen train --lora`` wrote.

    Raises UsageError where there is none, and for a file that is damaged or no safetensors.
    """
    from safetensors import SafetensorError, safe_open

    file = _weights(path)
    try:
        with safe_open(file, "pt") as opened:
            header = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        config = json.loads(header.get(PEFT_KEY, "{}"))
        if file.with_name(CONFIG).is_file():
            config = json.loads(file.with_name(CONFIG).read_text(encoding="utf-8"))
        about = json.loads(header.get(ABOUT_KEY, "{}"))
        fingerprint = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except (OSError, ValueError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UsageError(f"--lora {path} is damaged ({reason}): copy or train it again") from None
    for component in COMPONENTS:  # a pipeline's file tells the configuration of each of its networks
        if f"{component}lora_alpha" in config:
            config = {k.removeprefix(component): v for k, v in config.items() if k.startswith(component)}
    return LoraFile(path, tensors, config, about, fingerprint)


def _weights(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in FILES if (path / name).is_file()]
        if not found:
            raise UsageError(f"--lora {path} is a folder without {' or '.join(FILES)}: give one that holds a LoRA")
        return found[0]
    if not path.is_file():
        raise UsageError(f"--lora {path} is not there: give a .safetensors file, or a folder with {FILE}")
    if path.suffix != ".safetensors":
        raise UsageError(
            f"--lora {path} is no .safetensors file: others can be pickles, which run any code when they are opened"
        )
    return path


# --- layouts ----------------------------------------------------------------------------------------------------------


def factors(lora: LoraFile, tensors: Mapping[str, Tensor], network: nn.Module, /) -> dict[str, Factors]:
    """The factors of a LoRA by the names of the network's layers.

    tensors: those of the file, or a translation of them.

    Raises UsageError for a tensor that belongs to no layer, is no factor, or is not of its layer's shape.
    """
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, LAYERS)}
    names = {name.replace(".", "_"): name for name in layers} | {name: name for name in layers}
    found: dict[str, dict[str, Any]] = {}
    for key, tensor in tensors.items():
        name = _renamed(key)
        factor, alpha = _FACTOR.fullmatch(name), _ALPHA.fullmatch(name)
        if factor is None and alpha is None:
            raise UsageError(
                f"--lora {lora.path} holds {key!r}, which is no factor of a plain LoRA: give one of that kind"
            )
        layer = _layer(factor[1] if factor else alpha[1] if alpha else "", names)
        if layer is None:
            raise UsageError(
                f"--lora {lora.path} does not fit: the {type(network).__name__} has no layer for {key!r}"
                f"{_made_for(lora)}"
            )
        role = "alpha" if factor is None else "down" if factor[2] in _DOWN else "up"
        found.setdefault(layer, {})[role] = tensor
    if not found:
        raise UsageError(f"--lora {lora.path} is empty: give a LoRA that was trained")
    return {name: _checked(lora, name, layers[name], parts) for name, parts in found.items()}


def _renamed(key: str) -> str:
    """A key without the attention's processor, which once held the factors."""
    layers = {"to_out": "to_out.0"}
    key = key.replace(".processor.", ".")
    return _PROCESSOR.sub(lambda found: f".{layers.get(found[1], found[1])}.lora.{found[2]}.", key)


def _layer(name: str, names: Mapping[str, str]) -> str | None:
    """The layer that is meant by a name, with or without prefixes."""
    if name in names:
        return names[name]
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return _layer(name.removeprefix(prefix), names)
    return None


def _checked(lora: LoraFile, name: str, layer: nn.Module, parts: Mapping[str, Tensor]) -> Factors:
    if not {"down", "up"} <= parts.keys():
        raise UsageError(f"--lora {lora.path} has only one of the two factors of {name}: copy or train it again")
    down, up, weight = parts["down"], parts["up"], layer.get_parameter("weight")
    rank, fits = len(down), min(down.ndim, up.ndim) >= 2
    if not fits or (up.flatten(1).shape, down.flatten(1).shape) != ((len(weight), rank), (rank, weight[0].numel())):
        raise UsageError(
            f"--lora {lora.path} does not fit: the weight of {name} is {tuple(weight.shape)}, "
            f"and its factors are {tuple(up.shape)} and {tuple(down.shape)}{_made_for(lora)}"
        )
    alpha = float(parts["alpha"]) if "alpha" in parts else _alpha(lora.config, name, rank)
    if not (math.isfinite(alpha) and bool(down.isfinite().all()) and bool(up.isfinite().all())):
        raise UsageError(f"--lora {lora.path} holds values that are not finite, for {name}: train it again")
    return Factors(down, up, alpha)


def _alpha(config: Mapping[str, Any], name: str, rank: int) -> float:
    """What PEFT's configuration says of a layer; the rank, with which factors count as they are, if it says nothing."""
    alpha = config.get("lora_alpha", rank)
    for pattern, value in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", name):
            alpha = value
            break
    return float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0)


def _made_for(lora: LoraFile) -> str:
    model = lora.about.get("model")
    return f"; it was trained for {model}" if model else ": give the --model that it was trained for"
