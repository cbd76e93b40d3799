"""A recipe small enough to train in a test: two-dimensional data, conditioned on their sign."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from multigen.denoise import edm
from multigen.noise import white
from multigen.settings import Settings
from multigen.training import train

BATCH, FEW = 16, 64


class Items:
    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        x0 = white([index], (2,), stream=5)[0] * torch.tensor([0.2, 0.1]) + 1
        sign = 1.0 if index % 2 else -1.0
        loud = 2.0 if self.length > FEW and index // BATCH % 4 == 3 else 1.0  # whole batches that are trained on
        return x0 * sign, {"sign": torch.tensor([loud * sign])}


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.hidden, self.last = nn.Linear(4, 32), nn.Linear(32, 32), nn.Linear(32, 2)
        self.rare = nn.Linear(4, 32)

    def forward(self, x, noise, /, *, sign):
        seen = torch.cat([x, noise[:, None].to(x.dtype), sign], dim=1)
        h = self.first(seen)
        if (sign.abs() > 1).all():  # in one batch of four
            h = h + self.rare(seen)
        return self.last(torch.relu(self.hidden(torch.relu(h))))


class ToyRecipe:
    parameterization = edm(1.0)
    idles = True

    def hidden(self, name):
        return name.startswith("hidden")

    def network(self):
        return Network()

    def items(self, split):
        return Items(1 << 40 if split == "train" else FEW)

    def collate(self, items):
        return torch.stack([x for x, _ in items]), {"sign": torch.stack([c["sign"] for _, c in items])}

    def export(self, network, folder, /, *, about):
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, folder / "weights.safetensors")
        (folder / "about.json").write_text(json.dumps(about))


SETTINGS = Settings(samples=960, batch=BATCH, warmup=64, evaluate_every=320, checkpoint_every=0.0, precision="no")

ADAMW = replace(SETTINGS, muon_lr=0.0)
"""Without Muon, which turns differences in the last bit of a gradient near 0 into another bfloat16 step."""

if __name__ == "__main__":  # trained in a process of its own, slowly, so that it can be killed
    settings = ADAMW if "adamw" in sys.argv[2:] else SETTINGS
    for progress in train(ToyRecipe(), settings, Path(sys.argv[1])):
        print(progress.samples, flush=True)
        time.sleep(0.01)
