"""The settings of a training run, apart from the training so that ``multigen train --help`` is quick."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from multigen.options import option


@dataclass(frozen=True)
class Settings:
    """How long and how to train; every field is a flag of ``multigen train``."""

    samples: int = option(300_000, "samples to see in all", low=1)
    batch: int = option(16, "samples per optimizer step, over all processes", low=1)
    lr: float = option(2e-3, "peak learning rate of AdamW", low=0, high=1)
    muon_lr: float = option(
        0.02, "peak learning rate of Muon, for the recipe's hidden matrices; 0 is AdamW for all", low=0, high=1
    )
    weight_decay: float = option(0.01, "weight decay of matrices and kernels", low=0, high=1)
    beta2: float = option(0.95, "second-moment decay of AdamW", low=0, high=1)
    warmup: int = option(8_000, "samples of linear learning-rate warm-up", low=0)
    decay: float = option(0.2, "share of the run, at its end, in which the learning rate falls to 0", low=0, high=1)
    clip: float = option(1.0, "largest gradient norm", low=0)
    t_mean: float = option(0.8, "mean of logit t of the noise times t = sigma / (1 + sigma)", low=-10, high=10)
    t_sd: float = option(0.9, "standard deviation of logit t", low=0.01, high=10)
    ema: tuple[float, ...] = option((0.05, 0.1), "relative lengths of the weight averages (EDM2)")
    seed: int = option(0, "seed of everything random", low=0)
    precision: str = option("bf16", "forward and backward precision", choices=("no", "bf16", "fp16"))
    compile: bool = option(False, "compile the network: the first step takes minutes, the others less time")
    workers: int = option(0, "data-loading processes", unit="processes", low=0, high=64)
    checkpoint_every: float = option(180.0, "seconds between checkpoints", unit="s", low=0)
    evaluate_every: int = option(20_000, "samples between evaluations and exports", low=1)
    validation_batch: int = option(16, "samples per forward pass of the evaluation", low=1)


RANK = 8
"""Of a LoRA, unless it is told otherwise."""
LORA: Mapping[str, Any] = {
    "samples": 4_000,
    "batch": 8,
    "lr": 1e-3,
    "muon_lr": 0.0,
    "warmup": 320,
    "ema": (0.1,),
    "evaluate_every": 1_000,
}
"""Defaults of ``multigen train --lora``, whatever those of the recipe are: little data, few parameters."""
