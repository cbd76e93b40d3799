"""Muon for the hidden matrices and kernels of a network, beside AdamW for the rest."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al., 2024; Liu et al., arXiv 2502.16982, section 2.1).

    For parameters of two or more dimensions; a convolution kernel (out, in, ...) counts as the matrix (out, in * ...).
    The update of an (m, n) matrix is scaled by sqrt(max(1, m / n)), so that `lr` is the spectral size of a step.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], /, *, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                average = state["momentum"]
                average.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(average, group["momentum"]).flatten(1)  # Nesterov's
                scale = max(1.0, ahead.shape[0] / ahead.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(orthogonalised(ahead).view_as(p), alpha=-group["lr"] * scale)
        return loss


def orthogonalised(matrix: Tensor, /, *, iterations: int = 5) -> Tensor:
    """Nearly the orthogonal factor U V^T of an (m, n) matrix, its singular values between about 0.7 and 1.2.

    The quintic Newton-Schulz iteration of Muon (Jordan et al., 2024), in bfloat16.
    """
    x = matrix.to(torch.bfloat16)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    factor: Tensor = x if wide else x.T
    return factor.to(matrix.dtype)


def optimizers(
    network: nn.Module,
    hidden: Callable[[str], bool],
    /,
    *,
    lr: float,
    muon_lr: float,
    weight_decay: float,
    beta2: float,
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the parameters of two or more dimensions whose name is `hidden`; muon_lr 0 is AdamW for all.

    Each remembers its peak learning rate as ``group["peak"]``. Weight decay spares vectors.
    """
    matrices: list[nn.Parameter] = []
    kernels: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, p in network.named_parameters():
        if p.requires_grad:
            place = vectors if p.ndim < 2 else matrices if muon_lr > 0 and hidden(name) else kernels
            place.append(p)
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": weight_decay, "peak": lr},
        {"params": vectors, "weight_decay": 0.0, "peak": lr},
    ]
    chosen: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=lr, betas=(0.9, beta2))]
    if matrices:
        muon = Muon(matrices, lr=muon_lr, weight_decay=weight_decay)
        muon.param_groups[0]["peak"] = muon_lr
        chosen.append(muon)
    return chosen
