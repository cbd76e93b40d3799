"""Pipelines of diffusers beside our way through the same parts: ``python benchmarks/hub_overhead.py [NAME ...]``.

The same network, latents, guidance, levels and steps, from prompt embeddings to latents; networks of some ten million
random weights, so that a step takes as long as a small model's. Every pair is timed in turn, A B A B.
"""

import dataclasses
import functools
from typing import Any

import torch
from timing import main, pairs, row
from torch import Tensor

from multigen.denoise import Cond, bind
from multigen.edit import Plan
from multigen.guidance import AnyGuidance, cfg, on_grid, within
from multigen.noise import Brownian, white
from multigen.samplers import euler
from multigen_models.hub.levels import Levels, read_levels
from multigen_models.hub.opened import Anatomy
from multigen_models.hub.video import text_to_video, wan

STEPS, SCALE, WIDTH, TOKENS = 8, 5.0, 256, 64


@dataclasses.dataclass(frozen=True)
class Case:
    """A pipeline without text encoders, its network, and two prompts as embeddings (1, tokens, width)."""

    pipe: Any
    anatomy: Anatomy
    network: Any
    shape: tuple[int, ...]
    said: dict[str, int]
    prompts: tuple[Tensor, Tensor]

    @functools.cached_property
    def levels(self) -> Levels:
        return read_levels(self.pipe.scheduler)

    def ours(self, guidance: AnyGuidance, /) -> Tensor:
        sigmas = self.levels.of(num_inference_steps=STEPS)
        wanted, unwanted = (self._denoiser(text) for text in self.prompts)
        plan = Plan(
            denoise=on_grid(guidance, sigmas)(wanted, unwanted),
            sampler=euler,
            sigmas=sigmas,
            origin=torch.zeros(1, *self.shape),
            unit=white([0], self.shape),
            noise=Brownian([0], self.shape),
        )
        with torch.no_grad():
            return plan.result()

    def _denoiser(self, text: Tensor) -> Any:
        def network(x: Tensor, noise: Tensor, /, **cond: Tensor) -> Tensor:
            return self.anatomy.predict(self.network, x, noise, cond, {})

        cond: Cond = {"encoder_hidden_states": text}
        return bind(network, self.levels.parameterization, cond, rows=1)

    def theirs(self) -> Tensor:
        wanted, unwanted = self.prompts
        # What the network is shown of pure noise, where its first level is not infinite.
        highest = torch.tensor(self.levels.of(num_inference_steps=STEPS)[0])
        shown = float(highest * self.levels.parameterization.into(highest))
        made: Tensor = self.pipe(
            prompt_embeds=wanted,
            negative_prompt_embeds=unwanted,
            num_inference_steps=STEPS,
            guidance_scale=SCALE,
            latents=shown * white([0], self.shape),
            output_type="latent",
            **self.said,
        )[0]
        return made


def compared(name: str, case: Case, /) -> None:
    """Two rows: guidance at every step, and in the middle half of them."""
    case.pipe.set_progress_bar_config(disable=True)
    everywhere = functools.partial(case.ours, cfg(SCALE))
    off = float((everywhere() - case.theirs()).abs().max() / case.theirs().abs().max())
    mine, peer, ratio = pairs(everywhere, case.theirs)
    row(f"{name}, {STEPS} steps (apart by {off:.0e})", f"{mine:.2f} s", f"its pipeline {peer:.2f} s", f"{ratio:.3f}")
    sigmas = case.levels.of(num_inference_steps=STEPS)
    part = within(cfg(SCALE), sigmas[3 * STEPS // 4], sigmas[STEPS // 4])
    mine, peer, ratio = pairs(functools.partial(case.ours, part), case.theirs)
    row(f"{name}, guidance within half of the steps", f"{mine:.2f} s", f"its pipeline {peer:.2f} s", f"{ratio:.3f}")


def flow() -> None:
    """A transformer in the manner of Wan."""
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel

    network = WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=64, text_dim=WIDTH, freq_dim=64, ffn_dim=1024, num_layers=4
    ).eval()
    pipe = WanPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=AutoencoderKLWan(base_dim=4, num_res_blocks=1).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        transformer=network,
    )
    said = {"height": 128, "width": 128, "num_frames": 9}
    compared("Wan's transformer", Case(pipe, wan(pipe), network, (16, 3, 16, 16), said, _prompts()))


def noise() -> None:
    """A U-Net over frames in the manner of ModelScope's."""
    from diffusers import AutoencoderKL, DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel

    network = UNet3DConditionModel(
        block_out_channels=(64, 128),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=32,
    ).eval()
    pipe = TextToVideoSDPipeline(
        vae=AutoencoderKL(
            block_out_channels=(32,) * 4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
        ).eval(),
        text_encoder=None,
        tokenizer=None,
        unet=network,
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
        ),
    )
    said = {"height": 128, "width": 128, "num_frames": 8}
    compared("ModelScope's U-Net", Case(pipe, text_to_video(pipe), network, (4, 8, 16, 16), said, _prompts()))


def _prompts() -> tuple[Tensor, Tensor]:
    wanted, unwanted = white([1, 2], (TOKENS, WIDTH)).split(1)
    return wanted, unwanted


if __name__ == "__main__":
    main({"flow": flow, "noise": noise})
