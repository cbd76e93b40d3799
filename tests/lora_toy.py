"""A LoRA of the toy network, small enough to train in a test."""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from toy_recipe import SETTINGS, Network, ToyRecipe

from multigen.lora_training import LowRank
from multigen.settings import LORA
from multigen.training import train

LORA_SETTINGS = replace(SETTINGS, muon_lr=LORA["muon_lr"], lr=1e-2)
RANK = 2


@dataclass(frozen=True)
class Carrier:
    """As much of a model as a LoRA sees."""

    network: Any
    fingerprint: str = "base"
    name: str = "carrier"

    def with_network(self, network, /, *, fingerprint):
        return replace(self, network=network, fingerprint=fingerprint)


def base():
    """A network as it was published: always the same, frozen."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return Carrier(Network().eval().requires_grad_(False))


def low_rank(model, *, rank=RANK, settings=LORA_SETTINGS):
    return LowRank(ToyRecipe(), model, settings, name=model.name, rank=rank)


if __name__ == "__main__":  # trained in a process of its own, slowly, so that it can be killed
    for progress in train(low_rank(base()), LORA_SETTINGS, Path(sys.argv[1])):
        print(progress.samples, flush=True)
        time.sleep(0.01)
