"""Denoisers of networks on a device and in a precision of their own, for states of any."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from multigen.denoise import Bound, Cond, Parameterization, bind


def place(network: Any, parameterization: Parameterization, cond: Cond, /, *, device: str, dtype: torch.dtype) -> Bound:
    """A denoiser of a network that is on `device` in `dtype`; what it returns is where x was, as x was.

    On a CPU it takes a sample at a time, so that a sample is bit-exact whatever batch it is part of.
    """
    there = {key: value.to(device, dtype if value.is_floating_point() else value.dtype) for key, value in cond.items()}
    return bind(_Placed(network, device, dtype), parameterization, there, rows=1 if device == "cpu" else None)


@final
@dataclass(frozen=True)
class _Placed:
    """A `multigen.denoise.Network`; two of the same network are equal."""

    network: Any
    device: str
    dtype: torch.dtype

    def __call__(self, x: Tensor, noise: Tensor, /, **cond: Tensor) -> Tensor:
        out: Tensor = self.network(x.to(self.device, self.dtype), noise.to(self.device), **cond)
        return out.to(x.device, x.dtype)
