"""How loud a sound is where it is loud: its pauses do not count."""

import torch.nn.functional as F
from torch import Tensor


def loud_rms(wave: Tensor, sample_rate: int, /) -> Tensor:
    """RMS of the loudest 30 % of the 50 ms frames of a wave (t,): a scalar tensor."""
    hop = sample_rate // 20
    power = F.pad(wave, (0, -len(wave) % hop)).view(-1, hop).square().mean(1)
    return power[power >= power.quantile(0.7)].mean().sqrt()
