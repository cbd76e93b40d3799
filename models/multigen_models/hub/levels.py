"""What a diffusers scheduler says about its network: what it predicts, and how it is told the level of noise.

Its steps are not used: the levels and the prediction are brought into the core's terms, x = x0 + sigma n, and any
sampler of the core goes on from there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from multigen import denoise
from multigen.denoise import Parameterization
from multigen_models.hub.quiet import quiet

HIGHEST = 1e5
"""Stands for a level without any signal left, where sigma is infinite: flow's t = 1, and betas with zero terminal
SNR."""
BETAS = frozenset(
    {
        "CogVideoXDDIMScheduler",
        "CogVideoXDPMScheduler",
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSDEScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)
FLOWS = frozenset({"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"})
COSINE = "CosineDPMSolverMultistepScheduler"
PREDICTIONS = {"epsilon": denoise.eps, "v_prediction": denoise.v, "sample": denoise.x0}


class UnknownLevelsError(ValueError):
    """A scheduler of diffusers that stands for no process of the core, such as one of a distilled model."""


@final
@dataclass(frozen=True)
class Levels:
    """How a network of diffusers is driven."""

    parameterization: Parameterization
    sigma_min: float
    sigma_max: float
    bound: float
    """x0 is cut to [-bound, bound] after guidance; infinite where it is not."""
    of: Callable[..., list[float]]
    """The scheduler's own levels from the arguments of its `set_timesteps`: n + 1 falling ones, the last one 0."""


def read_levels(scheduler: Any, /) -> Levels:
    """Of a scheduler object. Raises UnknownLevelsError."""
    name, config = type(scheduler).__name__, scheduler.config
    prediction = config.get("prediction_type", "flow_prediction" if name in FLOWS else "epsilon")
    if name in FLOWS or (name in BETAS and (config.get("use_flow_sigmas") or prediction == "flow_prediction")):
        return _flow(scheduler)
    if name == COSINE and prediction == "v_prediction":
        return _cosine(scheduler)
    if name in BETAS and prediction in PREDICTIONS:
        return _betas(scheduler, PREDICTIONS[prediction])
    raise UnknownLevelsError(f"{name} with the prediction type {prediction!r}")


def _flow(scheduler: Any) -> Levels:
    """Rectified flow, t = sigma / (1 + sigma) counted in the scheduler's training steps.

    Where its levels are inverted, the network is told 1 - t and predicts x0 - n.
    """
    steps, inverted = scheduler.config.num_train_timesteps, bool(scheduler.config.get("invert_sigmas"))
    told = replace(denoise.flow, noise=lambda s: steps * s / (1 + s))
    if inverted:
        told = replace(denoise.flow, out=lambda s: s / (1 + s), noise=lambda s: steps / (1 + s))

    def own(**arguments: Any) -> list[float]:
        times = _set(scheduler, arguments).sigmas.double()
        times = 1 - times if inverted else times
        return _falling((times / (1 - times)).tolist())

    return Levels(told, 1 / steps, HIGHEST, math.inf, own)


def _cosine(scheduler: Any) -> Levels:
    """A velocity of data of standard deviation sigma_data, and the level told as atan(sigma) 2 / pi."""
    data = scheduler.config.sigma_data
    told = Parameterization(
        skip=lambda s: data**2 / (s * s + data**2),
        out=lambda s: -s * data * (s * s + data**2).rsqrt(),
        into=lambda s: (s * s + data**2).rsqrt(),
        noise=lambda s: s.atan() * (2 / math.pi),
    )

    def own(**arguments: Any) -> list[float]:
        return _falling(_set(scheduler, arguments).sigmas.tolist())

    return Levels(told, scheduler.config.sigma_min, scheduler.config.sigma_max, math.inf, own)


def _betas(scheduler: Any, prediction: Parameterization) -> Levels:
    """Discrete betas: the level is told as its index in their table, between two of them in proportion to log sigma."""
    table = _sigmas(scheduler.alphas_cumprod)
    logs = np.log(table)

    def index(sigma: Tensor) -> Tensor:
        return torch.from_numpy(np.interp(sigma.log().numpy(), logs, np.arange(len(logs), dtype=np.float64)))

    def own(**arguments: Any) -> list[float]:
        ready = _set(scheduler, arguments)
        if hasattr(ready, "sigmas"):
            return _falling(ready.sigmas.tolist())
        return _falling(np.interp(ready.timesteps.numpy(), np.arange(len(table)), table).tolist())

    clipped = scheduler.config.get("clip_sample")
    bound = scheduler.config.get("clip_sample_range", 1.0) if clipped else math.inf
    return Levels(replace(prediction, noise=index), float(table[0]), float(table[-1]), bound, own)


def _sigmas(abar: Tensor) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The rising levels of a falling table of signal fractions."""
    signal = abar.double().numpy()
    with np.errstate(divide="ignore"):
        return np.minimum(np.sqrt((1 - signal) / signal), HIGHEST)


def _set(scheduler: Any, arguments: Mapping[str, Any]) -> Any:
    """Another scheduler of the same kind with its steps set: the pipeline's own stays as it is."""
    with quiet():
        fresh = type(scheduler).from_config(scheduler.config)
        fresh.set_timesteps(**arguments)
    return fresh


def _falling(sigmas: Sequence[float]) -> list[float]:
    """Each positive level once, the highest first, and 0 at the end."""
    return [*sorted({min(s, HIGHEST) for s in sigmas if s > 0}, reverse=True), 0.0]
