"""Standardisation of a state: mean and deviation of each of its parts over the training data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class Scale:
    """mean, std: of a shape that broadcasts to the state's, such as (bins, 1)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def read(cls, about: Mapping[str, Any], /, *, axes: int) -> "Scale":
        """From the lists that `write` made, for a part on the first of `axes` axes."""
        return cls(*(torch.tensor(about[key]).view(-1, *[1] * (axes - 1)) for key in ("mean", "std")))

    def write(self) -> dict[str, list[float]]:
        """Both as lists, rounded to four digits after the point."""
        pairs = (("mean", self.mean), ("std", self.std))
        return {key: [round(v, 4) for v in value.flatten().tolist()] for key, value in pairs}

    def apply(self, x: Tensor, /) -> Tensor:
        return (x - self.mean) / self.std

    def undo(self, x: Tensor, /) -> Tensor:
        return x * self.std + self.mean
