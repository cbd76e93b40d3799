"""Tiny pipelines of films, and a tiny model as `multigen train` exports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tiny_parts import clip_config, clip_tokenizer, ddim, saved, seeded, t5_encoder, t5_tokenizer, umt5_encoder


def small_codec() -> Any:
    from multigen_models.video.pair_autoencoder import PairAutoencoder

    return _nudged(PairAutoencoder(encoder_channels=(16, 16), decoder_channels=(16, 16), decoder_blocks=1))


def video_small(folder: Path) -> Path:
    """The embedded model's network and codec, random."""
    from multigen_models.scale import Scale
    from multigen_models.video.pair_autoencoder import LATENT
    from multigen_models.video.unet import VideoUNet
    from multigen_models.weights import write_folder

    torch.manual_seed(0)
    write_folder(folder / "codec", small_codec(), {})
    about = {"loader": "video-small", **Scale(torch.zeros(LATENT), torch.full((LATENT,), 0.5)).write()}
    network = _nudged(VideoUNet(channels=(16, 16, 16), heads=(2, 2, 2), embedding=16))
    write_folder(folder / "model", network, about, inside={"codec": folder / "codec"})
    return folder / "model"


def _nudged(network: Any) -> Any:
    """Away from the zeros that layers begin with."""
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval().requires_grad_(False)


def picture_codec() -> Any:
    """The autoencoder of single frames, 2 pixels a cell."""
    from diffusers import AutoencoderKL

    return seeded(
        AutoencoderKL,
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.7,
    )


def text_to_video(folder: Path) -> Path:
    """Predicts the noise."""
    from diffusers import TextToVideoSDPipeline, UNet3DConditionModel
    from transformers import CLIPTextModel

    return saved(
        folder,
        TextToVideoSDPipeline,
        vae=picture_codec(),
        text_encoder=seeded(CLIPTextModel, clip_config()),
        tokenizer=clip_tokenizer(),
        unet=seeded(
            UNet3DConditionModel,
            sample_size=8,
            block_out_channels=(4, 8),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=16,
            attention_head_dim=4,
            norm_num_groups=2,
        ),
        scheduler=ddim(),
    )


def cogvideox(folder: Path, /, *, shift: float = 3.0, **others: Any) -> Path:
    """Predicts a velocity, from a level without any signal on. others: what its transformer is told beside."""
    from diffusers import (
        AutoencoderKLCogVideoX,
        CogVideoXDDIMScheduler,
        CogVideoXPipeline,
        CogVideoXTransformer3DModel,
    )

    return saved(
        folder,
        CogVideoXPipeline,
        tokenizer=t5_tokenizer(),
        text_encoder=t5_encoder(),
        vae=seeded(
            AutoencoderKLCogVideoX,
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(4, 4, 4, 4),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
            temporal_compression_ratio=4,
        ),
        transformer=seeded(
            CogVideoXTransformer3DModel,
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=4,
            text_embed_dim=16,
            num_layers=1,
            sample_frames=9,
            max_text_seq_length=226,
            use_rotary_positional_embeddings=True,
            **{"sample_width": 4, "sample_height": 4, **others},
        ),
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            snr_shift_scale=shift,
            timestep_spacing="trailing",
            clip_sample=False,
        ),
    )


def cogvideox_15(folder: Path) -> Path:
    """As CogVideoX 1.5: patches of two latent frames, their places cut from a grid of the largest size."""
    return cogvideox(folder, shift=1.0, patch_size_t=2, patch_bias=False, sample_width=8, sample_height=8)


def wan_transformer(*, seed: int = 0, channels: int = 4) -> Any:
    from diffusers import WanTransformer3DModel

    return seeded(
        WanTransformer3DModel,
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=channels,
        out_channels=channels,
        text_dim=16,
        freq_dim=16,
        ffn_dim=16,
        num_layers=1,
        rope_max_seq_len=32,
        seed=seed,
    )


def wan(folder: Path, /, *, channels: int = 4, codec: Mapping[str, Any] | None = None, **others: Any) -> Path:
    """Predicts a flow. codec, others: what its autoencoder and its pipeline are told beside."""
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline

    return saved(
        folder,
        WanPipeline,
        tokenizer=t5_tokenizer(),
        text_encoder=umt5_encoder(),
        vae=seeded(
            AutoencoderKLWan,
            base_dim=4,
            z_dim=channels,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, -0.2, 0.3, 0.0] * (channels // 4),
            latents_std=[1.1, 0.9, 1.3, 2.0] * (channels // 4),
            **(codec or {}),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        **{"transformer": wan_transformer(channels=channels), **others},
    )


def wan_experts(folder: Path, /, **others: Any) -> Path:
    """As Wan 2.2 A14B: one network for high noise, another one for low."""
    return wan(folder, **{"transformer_2": wan_transformer(seed=1), "boundary_ratio": 0.875, **others})


def wan_5b(folder: Path) -> Path:
    """As Wan 2.2 5B: told the level of every patch, with an autoencoder of patches, 16 pixels a cell."""
    codec = {"patch_size": 2, "in_channels": 12, "out_channels": 12, "is_residual": True, "scale_factor_spatial": 16}
    return wan(folder, channels=8, codec=codec, expand_timesteps=True)


def animatediff(folder: Path) -> Path:
    """Predicts the noise."""
    from diffusers import AnimateDiffPipeline, MotionAdapter, UNet2DConditionModel
    from transformers import CLIPTextModel

    return saved(
        folder,
        AnimateDiffPipeline,
        vae=picture_codec(),
        text_encoder=seeded(CLIPTextModel, clip_config()),
        tokenizer=clip_tokenizer(),
        unet=seeded(
            UNet2DConditionModel,
            block_out_channels=(4, 8),
            layers_per_block=1,
            sample_size=8,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=16,
            norm_num_groups=2,
            attention_head_dim=4,
        ),
        motion_adapter=seeded(
            MotionAdapter,
            block_out_channels=(4, 8),
            motion_layers_per_block=1,
            motion_norm_num_groups=2,
            motion_num_attention_heads=2,
        ),
        scheduler=ddim(),
    )


def ltx(folder: Path) -> Path:
    """Predicts a flow whose levels depend on the size of the film."""
    from diffusers import (
        AutoencoderKLLTXVideo,
        FlowMatchEulerDiscreteScheduler,
        LTXPipeline,
        LTXVideoTransformer3DModel,
    )

    return saved(
        folder,
        LTXPipeline,
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, base_image_seq_len=16, max_image_seq_len=64
        ),
        vae=seeded(
            AutoencoderKLLTXVideo,
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        ),
        text_encoder=t5_encoder(),
        tokenizer=t5_tokenizer(),
        transformer=seeded(
            LTXVideoTransformer3DModel,
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            num_layers=1,
            caption_channels=16,
        ),
    )


def mochi(folder: Path) -> Path:
    """Predicts a flow whose time runs the other way."""
    from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiPipeline, MochiTransformer3DModel

    return saved(
        folder,
        MochiPipeline,
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        vae=seeded(
            AutoencoderKLMochi,
            latent_channels=12,
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        text_encoder=t5_encoder(),
        tokenizer=t5_tokenizer(256),
        transformer=seeded(
            MochiTransformer3DModel,
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            in_channels=12,
            text_embed_dim=16,
            time_embed_dim=4,
        ),
    )


def hunyuan(folder: Path) -> Path:
    """Predicts a flow; guidance is told to it."""
    from diffusers import (
        AutoencoderKLHunyuanVideo,
        FlowMatchEulerDiscreteScheduler,
        HunyuanVideoPipeline,
        HunyuanVideoTransformer3DModel,
    )
    from transformers import CLIPTextModel, LlamaConfig, LlamaModel

    llama = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=1024,
    )
    return saved(
        folder,
        HunyuanVideoPipeline,
        text_encoder=seeded(LlamaModel, llama),
        tokenizer=t5_tokenizer(1024),
        transformer=seeded(
            HunyuanVideoTransformer3DModel,
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            guidance_embeds=True,
            text_embed_dim=16,
            pooled_projection_dim=16,
            rope_axes_dim=(2, 4, 4),
        ),
        vae=seeded(
            AutoencoderKLHunyuanVideo,
            latent_channels=4,
            down_block_types=("HunyuanVideoDownBlock3D",) * 4,
            up_block_types=("HunyuanVideoUpBlock3D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=4,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=seeded(CLIPTextModel, clip_config(positions=77)),
        tokenizer_2=clip_tokenizer(),
    )
