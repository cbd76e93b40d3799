"""What the tests of hub models share: our way through a pipeline's parts beside the pipeline's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_parts import silently
from torch import Tensor

from multigen import registry
from multigen.guidance import cfg
from multigen.loading import Loading
from multigen.options import make
from multigen.pipeline import Pipeline
from multigen.samplers import euler
from multigen_models.hub.source import source

CPU = Loading(device="cpu")


def opened(folder: Path) -> Any:
    return source.load(str(folder), modality=None, revision="", loading=CPU)


def options_of(model: Any, **typed: Any) -> Any:
    return make(registry.modalities[model.modality].Options, typed)


def start_and_end(
    model: Any,
    prompt: str,
    options: Any,
    *,
    steps: int,
    scale: float,
    negative: str = "",
    sampler: Any = euler,
    noise: Any = None,
) -> tuple[Tensor, Tensor]:
    """The `latents` that a pipeline begins the same run with, and the state that ours ends with."""
    pipeline = Pipeline(
        modality=registry.modalities[model.modality](),
        model=model,
        sampler=sampler,
        schedule=lambda n: model.schedule(n, options),
        guidance=cfg(scale),
        steps=steps,
    )
    with torch.no_grad():
        plan = pipeline.plan(prompt, seeds=[3], options=options, negative_prompt=negative)
        plan = plan if noise is None else replace(plan, noise=noise)
        return begun(model, plan.sigmas[0]) * plan.unit, plan.result()


def begun(model: Any, sigma: float) -> float:
    """By how much the unit noise of a run from `sigma` is multiplied to be a pipeline's `latents`.

    A scheduler whose own states are x = x0 + sigma n multiplies them by about sigma itself.
    """
    scheduler = model.anatomy.pipe.scheduler
    if float(scheduler.init_noise_sigma if hasattr(scheduler, "init_noise_sigma") else 1.0) != 1.0:
        return sigma / float(scheduler.init_noise_sigma)
    return sigma * float(model.levels.parameterization.into(torch.tensor(sigma, dtype=torch.float64)))


def theirs(model: Any, prompt: str, /, **said: Any) -> Any:
    """What a model's pipeline makes by itself, whatever its library warns of."""
    return silently(model.anatomy.pipe, prompt, **said)[0]


def off_by(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    assert ours.shape == theirs.shape
    return float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
