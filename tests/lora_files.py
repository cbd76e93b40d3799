"""LoRAs to test with: random factors of a network's layers, written in every layout."""

import json

import torch
from safetensors.torch import save_file
from torch import nn

from multigen.lora_files import LAYERS, Factors

RANK, ALPHA = 3, 2.0


def random_factors(network, *, seed=0, rank=RANK, alpha=ALPHA):
    """Factors of every layer that can have them, their products about a tenth of its weights."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, layer in network.named_modules():
        if isinstance(layer, LAYERS):
            out, *rest = layer.weight.shape
            down = torch.randn(rank, *rest, generator=generator)
            up = 0.02 * torch.randn(out, rank, *[1] * (len(rest) - 1), generator=generator)
            made[name] = Factors(down, up, alpha)
    return made


def _scaled(factors):
    """Factors without an alpha of their own: it is in the first of them."""
    return {name: Factors(f.alpha / len(f.down) * f.down, f.up, len(f.down)) for name, f in factors.items()}


def peft(factors):
    pairs = {f"base_model.model.{name}.lora_A.weight": f.down for name, f in _scaled(factors).items()}
    return pairs | {f"base_model.model.{name}.lora_B.weight": f.up for name, f in factors.items()}


def diffusers(factors, prefix="unet."):
    pairs = {f"{prefix}{name}.lora_A.weight": f.down for name, f in _scaled(factors).items()}
    return pairs | {f"{prefix}{name}.lora_B.weight": f.up for name, f in factors.items()}


def transformer(factors):
    return diffusers(factors, "transformer.")


def old(factors):
    pairs = {f"unet.{name}.lora.down.weight": f.down for name, f in factors.items()}
    pairs |= {f"unet.{name}.lora.up.weight": f.up for name, f in factors.items()}
    return pairs | {f"unet.{name}.alpha": torch.tensor(f.alpha) for name, f in factors.items()}


def kohya(factors):
    names = {name: f"lora_unet_{name.replace('.', '_')}" for name in factors}
    pairs = {f"{names[name]}.lora_down.weight": f.down for name, f in factors.items()}
    pairs |= {f"{names[name]}.lora_up.weight": f.up for name, f in factors.items()}
    return pairs | {f"{names[name]}.alpha": torch.tensor(f.alpha) for name, f in factors.items()}


LAYOUTS = (peft, diffusers, transformer, old, kohya)


def write(path, factors, *, layout=old, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: tensor.contiguous() for key, tensor in layout(factors).items()}
    save_file(tensors, path, {key: json.dumps(value) for key, value in metadata.items()} if metadata else None)
    return path


def randomise(network: nn.Module):
    """Weights of which none is zero, so that every layer matters."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in network.parameters():
            drawn = torch.randn(p.shape, generator=generator)
            p.copy_(drawn / p[0].numel() ** 0.5 if p.ndim > 1 else 1 + 0.1 * drawn)
    return network.eval().requires_grad_(False)
