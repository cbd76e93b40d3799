"""Speed of the command, the core and training, each beside a peer: ``python benchmarks/speed.py [NAME ...]``.

Every pair is timed in turn, A B A B, and the ratio is the median of the pairs' ratios.
"""

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from timing import commands, main, pairs, row, seconds, training

from multigen import samplers, schedules
from multigen.job import Job, prepare
from multigen.loaders import load
from multigen.noise import white
from multigen.request import Request

PROMPT = "rain on a tin roof"


def cold() -> None:
    """Whole processes: the help, and a 5-second clip at the default steps."""
    commands(
        {
            "multigen --help": ["--help"],
            "multigen audio --help": ["audio", "--help"],
            "a 5 s clip, cold process": ["audio", PROMPT, "-o", "x.wav"],
        }
    )


def overhead() -> None:
    """A step of the sampler without its network: the whole loop less the time inside the network."""
    job = prepare(Request("audio", PROMPT))
    model = job.pipeline.model
    inside = 0.0
    network = model.network

    def timed(*args: object, **cond: object) -> object:
        nonlocal inside
        began = time.perf_counter()
        result = network(*args, **cond)
        inside += time.perf_counter() - began
        return result

    object.__setattr__(model, "network", _Standing(timed, network))
    for name in ("dpmpp_2m", "dpmpp_2m_sde", "unipc"):
        _loop(job, getattr(samplers, name))
        shares = []
        for _ in range(5):
            plan = replace(job.plan(0), sampler=getattr(samplers, name))
            inside = 0.0
            with torch.no_grad():
                whole = seconds(plan.result)
            shares.append((whole - inside) / whole)
        row(f"share of a step outside the network, {name}", f"{100 * statistics.median(shares):.2f} %", "", "")
    object.__setattr__(model, "network", network)


class _Standing:
    """A network that is called through a timer and otherwise itself."""

    def __init__(self, call: Callable[..., object], network: object) -> None:
        self._call, self._network = call, network

    def __call__(self, *args: object, **cond: object) -> object:
        return self._call(*args, **cond)

    def __getattr__(self, name: str) -> object:
        return getattr(self._network, name)


def _loop(job: Job, sampler: samplers.Sampler) -> None:
    plan = replace(job.plan(0), sampler=sampler)
    with torch.no_grad():
        plan.result()


def loop() -> None:
    """Our sampling loop and diffusers', with the same network, windows, guidance, levels and steps."""
    from diffusers import DPMSolverMultistepScheduler

    job = prepare(Request("audio", PROMPT, options={"duration": 2.0}))
    model, d = job.pipeline.model, job.pipeline.model.defaults
    levels = torch.tensor(schedules.karras(d.sigma_min, d.sigma_max)(d.steps)[:-1])
    wanted, unwanted = (model.denoiser(model.condition([text]), job.options) for text in (PROMPT, ""))
    shape = model.shape(job.options)

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        scheduler = DPMSolverMultistepScheduler(
            algorithm_type="dpmsolver++", prediction_type="sample", use_karras_sigmas=False, final_sigmas_type="zero"
        )
        scheduler.set_timesteps(d.steps)
        scheduler.sigmas = torch.cat([levels, torch.zeros(1)])
        x = white([0], shape) * levels[0] / (1 + levels[0] ** 2).sqrt()
        for sigma, t in zip(levels.tolist(), scheduler.timesteps, strict=True):
            at = x * (1 + sigma**2) ** 0.5
            plain = unwanted(at, sigma)
            guided = plain + 3 * (wanted(at, sigma) - plain)
            x = scheduler.step(guided, t, x).prev_sample
        return x

    ours, peer, ratio = pairs(functools.partial(_loop, job, samplers.dpmpp_2m), theirs, runs=5)
    row("sampling loop, 2 s clip", f"{ours:.2f} s", f"diffusers DPMSolverMultistep {peer:.2f} s", f"{ratio:.3f}")


def learning() -> None:
    """Our network and a UNet2DConditionModel of like FLOPs."""
    from diffusers import UNet2DConditionModel

    ours = load("audio-small", modality="audio").network.train().requires_grad_(True)
    peer = UNet2DConditionModel(
        sample_size=(48, 32),
        in_channels=64,
        out_channels=64,
        block_out_channels=(32, 64, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=384,
        attention_head_dim=32,
        norm_num_groups=8,
    ).to(memory_format=torch.channels_last)
    b = 8
    x, folded = torch.randn(b, 1, 384, 256), torch.randn(b, 64, 48, 32).to(memory_format=torch.channels_last)
    text, mask, pooled = torch.randn(b, 64, 384), torch.ones(b, 64, dtype=torch.bool), torch.randn(b, 384)
    noise = torch.randn(b)
    training(
        "UNet2DConditionModel",
        (ours, lambda: ours(x, noise, text=text, mask=mask, pooled=pooled)),
        (peer, lambda: peer(folded, noise, encoder_hidden_states=text).sample),
        batch=b,
    )


if __name__ == "__main__":
    main({"cold": cold, "overhead": overhead, "loop": loop, "learning": learning})
