"""Pipelines of diffusers that make films, taken apart: what is different from one family to another."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from multigen.denoise import Cond
from multigen.errors import UsageError
from multigen_models.hub.film import Film, Style


def first_of(pipe: Any, prompt: str, /, *names: str) -> Cond:
    """The first results of a pipeline's `encode_prompt`, those of the prompt itself, by the names that are given."""
    made = pipe.encode_prompt(prompt, do_classifier_free_guidance=False, device=pipe._execution_device)
    return dict(zip(names, made, strict=False))


def plain(steps: int, /) -> Mapping[str, Any]:
    return {"num_inference_steps": steps}


# --- U-Nets over the latents of single frames ------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class UNetStyle:
    """TextToVideoSD (ModelScope, arXiv 2308.06571) and AnimateDiff (arXiv 2307.04725).

    repeats: whether the network takes the prompt once for every frame.
    """

    repeats: bool
    rate: float | None = 8.0

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        return 1, pipe.vae_scale_factor, 1, 1

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        text, _ = pipe.encode_prompt(prompt, pipe._execution_device, 1, False)
        return {"encoder_hidden_states": text}

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        return {}

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        text = cond["encoder_hidden_states"]
        text = text.repeat_interleave(x.shape[2], dim=0) if self.repeats else text
        out: Tensor = network(x, noise, encoder_hidden_states=text, return_dict=False)[0]
        return out

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        return plain(steps)


# --- transformers -----------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Wan:
    """Wan 2.1 and 2.2 (arXiv 2503.20314), text to video.

    Of the two experts of 2.2 A14B the second has the low noise. The same guidance is for both, as the pipeline's second
    scale is by default, and LoRAs are for the first, as those that the pipeline loads.
    """

    rate: float | None

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        patch = pipe.transformer.config.patch_size
        return pipe.vae_scale_factor_temporal, pipe.vae_scale_factor_spatial, patch[0], patch[1]

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        made = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=512, device=pipe._execution_device
        )
        return {"encoder_hidden_states": made[0]}

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        return {}

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        share = pipe.config.boundary_ratio
        if share is None:
            return _told(network, x, noise, cond)
        late = noise < share * pipe.scheduler.config.num_train_timesteps
        out = torch.empty_like(x)
        for expert, rows in ((network, ~late), (pipe.transformer_2, late)):
            if bool(rows.any()):
                own = {key: value[rows] for key, value in cond.items()}
                out[rows] = _told(expert, x[rows], noise[rows], own)
        return out

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        return plain(steps)


def _told(network: Any, x: Tensor, noise: Tensor, cond: Cond) -> Tensor:
    """The pipeline of 2.2 5B tells the level of every patch, and each the same: once says as much."""
    out: Tensor = network(hidden_states=x, timestep=noise, **cond, return_dict=False)[0]
    return out


@final
@dataclass(frozen=True)
class CogVideoX:
    """CogVideoX (arXiv 2408.06072), 1.0 and 1.5. The state has channels before time, the network time before channels.

    The pipeline's guidance that changes from step to step (`use_dynamic_cfg`) is none of the core's.
    """

    rate: float | None

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        config = pipe.transformer.config
        return (
            pipe.vae_scale_factor_temporal,
            pipe.vae_scale_factor_spatial,
            config.patch_size_t or 1,
            config.patch_size,
        )

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        length = pipe.transformer.config.max_text_seq_length
        made = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=length, device=pipe._execution_device
        )
        return {"encoder_hidden_states": made[0]}

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        if not pipe.transformer.config.use_rotary_positional_embeddings:
            return {"image_rotary_emb": None}
        side = pipe.vae_scale_factor_spatial
        _, time, height, width = shape
        places = pipe._prepare_rotary_positional_embeddings(
            height * side, width * side, time, device=pipe._execution_device
        )
        return {"image_rotary_emb": places}

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        out: Tensor = network(hidden_states=x.transpose(1, 2), timestep=noise, **cond, **inputs, return_dict=False)[0]
        return out.transpose(1, 2)

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        return plain(steps)


@final
@dataclass(frozen=True)
class LTX:
    """LTX-Video (arXiv 2501.00103). The network takes its cells in a row, and is told the frames a second."""

    rate: float | None = None

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        return (
            pipe.vae_temporal_compression_ratio,
            pipe.vae_spatial_compression_ratio,
            pipe.transformer_temporal_patch_size,
            pipe.transformer_spatial_patch_size,
        )

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        return first_of(pipe, prompt, "encoder_hidden_states", "encoder_attention_mask")

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        period, side, times, cells = self.factors(pipe)
        _, time, height, width = shape
        return {
            "num_frames": time // times,
            "height": height // cells,
            "width": width // cells,
            "rope_interpolation_scale": (period / rate, side, side),
        }

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        _, _, times, cells = self.factors(pipe)
        row = pipe._pack_latents(x, cells, times)
        out = network(hidden_states=row, timestep=noise, **cond, **inputs, return_dict=False)[0]
        unpacked: Tensor = pipe._unpack_latents(
            out, inputs["num_frames"], inputs["height"], inputs["width"], cells, times
        )
        return unpacked

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        """More cells begin at more noise; what is said of it is in the scheduler's configuration."""
        from diffusers.pipelines.ltx.pipeline_ltx import calculate_shift

        config = pipe.scheduler.config
        known = {
            name: config[key]
            for name, key in (
                ("base_seq_len", "base_image_seq_len"),
                ("max_seq_len", "max_image_seq_len"),
                ("base_shift", "base_shift"),
                ("max_shift", "max_shift"),
            )
            if key in config
        }
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), "mu": calculate_shift(math.prod(shape[1:]), **known)}


@final
@dataclass(frozen=True)
class HunyuanVideo:
    """HunyuanVideo (arXiv 2412.03603). Guidance is distilled into the network: it is told a scale of its own."""

    rate: float | None = 24.0
    told: float = 6.0

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        config = pipe.transformer.config
        return pipe.vae_scale_factor_temporal, pipe.vae_scale_factor_spatial, config.patch_size_t, config.patch_size

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        text, pooled, mask = pipe.encode_prompt(prompt, device=pipe._execution_device)
        return {"encoder_hidden_states": text, "pooled_projections": pooled, "encoder_attention_mask": mask}

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        return {}

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        mask = cond["encoder_attention_mask"].to(x.dtype)
        told = {**cond, "encoder_attention_mask": mask, "guidance": x.new_full((len(x),), 1000 * self.told)}
        out: Tensor = network(hidden_states=x, timestep=noise.to(x.dtype), **told, return_dict=False)[0]
        return out

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        return {"sigmas": np.linspace(1.0, 0.0, steps + 1)[:-1]}


@final
@dataclass(frozen=True)
class Mochi:
    """Mochi 1 (Genmo, 2024). Its time runs from noise at 0 to the film at 1."""

    rate: float | None = 30.0

    def factors(self, pipe: Any, /) -> tuple[int, int, int, int]:
        return pipe.vae_temporal_scale_factor, pipe.vae_spatial_scale_factor, 1, pipe.patch_size

    def condition(self, pipe: Any, prompt: str, /) -> Cond:
        return first_of(pipe, prompt, "encoder_hidden_states", "encoder_attention_mask")

    def inputs(self, pipe: Any, shape: tuple[int, ...], rate: float, /) -> Mapping[str, Any]:
        return {}

    def predict(
        self, pipe: Any, network: Any, x: Tensor, noise: Tensor, cond: Cond, inputs: Mapping[str, Any], /
    ) -> Tensor:
        out: Tensor = network(hidden_states=x, timestep=noise.to(x.dtype), **cond, return_dict=False)[0]
        return out

    def timetable(self, pipe: Any, steps: int, shape: tuple[int, ...], /) -> Mapping[str, Any]:
        from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule

        return {"sigmas": np.array(linear_quadratic_schedule(steps, 0.025))}


def _film(style: Style) -> Callable[[Any], Film]:
    return lambda pipe: Film(pipe, style)


def wan(pipe: Any, /) -> Film:
    """Raises UsageError for a pipeline that lacks an expert."""
    two = pipe.config.boundary_ratio is not None
    if pipe.transformer is None or (two and pipe.transformer_2 is None):
        needs = "transformer and transformer_2" if two else "transformer"
        raise UsageError(f"this WanPipeline needs {needs}, and not all is there: copy the model again")
    return Film(pipe, Wan(rate=24.0 if pipe.config.expand_timesteps else 16.0))


def cogvideox(pipe: Any, /) -> Film:
    """1.5 takes latent frames two by two, and has a grid of places that ends."""
    config = pipe.transformer.config
    if config.patch_size_t is None:
        return Film(pipe, CogVideoX(rate=8.0))
    return Film(pipe, CogVideoX(rate=16.0), front=True, most=(config.sample_height, config.sample_width))


text_to_video = _film(UNetStyle(repeats=False))
animatediff = _film(UNetStyle(repeats=True))
ltx = _film(LTX())
hunyuan = _film(HunyuanVideo())
mochi = _film(Mochi())
