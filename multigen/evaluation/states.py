"""Features for a modality that names none: its model's own states."""

from typing import Any, final

import torch
from torch import Tensor

from multigen.modality import Sample
from multigen.model import Model

WIDTH = 256


@final
class StateFeatures:
    """A count sketch of the encoded state: (256,), in which distances are about those of the states.

    Every cell is added, with a random sign, to a random one of 256 sums (Charikar, Chen, Farach-Colton, "Finding
    frequent items in data streams", 2004).
    """

    def __init__(self, model: Model, options: Any, /) -> None:
        self.name = f"state-of-{model.name}"
        self.fingerprint = model.fingerprint
        self._model, self._options = model, options
        generator = torch.Generator().manual_seed(0)
        cells = int(torch.tensor(model.shape(options)).prod())
        self._place = torch.randint(WIDTH, (cells,), generator=generator)
        self._sign = 2.0 * torch.randint(2, (cells,), generator=generator) - 1

    @torch.no_grad()
    def __call__(self, sample: Sample, /) -> Tensor:
        state = self._model.encode(sample, self._options).detach().float().cpu().flatten()
        return torch.zeros(WIDTH).index_add_(0, self._place, state * self._sign)
