"""Tiny pipelines of diffusers' own classes with random weights, saved to folders as the published ones are.

Widths are a few channels, so that one runs in a fraction of a second; everything else is the real class.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def silently(make: Any, /, *arguments: Any, **options: Any) -> Any:
    """Without what the libraries say of their own ways of doing things."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*arguments, **options)


def seeded(make: Any, /, *arguments: Any, seed: int = 0, **options: Any) -> Any:
    """A network with random weights that depend on nothing else, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return silently(make, *arguments, **options).eval()


def saved(folder: Path, pipeline: Any, /, **components: Any) -> Path:
    """A pipeline of a class of diffusers and its components in a folder."""
    silently(lambda: pipeline(**components).save_pretrained(folder, safe_serialization=True))
    components["scheduler"].save_pretrained(folder / "scheduler")  # an optional one is left out by the line above
    return folder


# --- tokenizers and text encoders -------------------------------------------------------------------------------------


def t5_tokenizer(length: int = 12) -> Any:
    from transformers import T5Tokenizer

    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    return T5Tokenizer(vocab=[*words, *((letter, -3.0) for letter in LETTERS)], extra_ids=0, model_max_length=length)


def t5_encoder(width: int = 16) -> Any:
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=40, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return seeded(T5EncoderModel, config)


def umt5_encoder(width: int = 16) -> Any:
    from transformers import UMT5Config, UMT5EncoderModel

    config = UMT5Config(vocab_size=40, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return seeded(UMT5EncoderModel, config)


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    pieces = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], model_max_length=12)


def clip_config(width: int = 16, *, positions: int = 12) -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=60,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=positions,
        projection_dim=width,
        bos_token_id=0,
        eos_token_id=1,
    )


def roberta_tokenizer() -> Any:
    from transformers import RobertaTokenizer

    pieces = ["<pad>", "<unk>", "<s>", "</s>", "<mask>", "\u0120", *LETTERS]
    return RobertaTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], model_max_length=12)


def clap(width: int = 8) -> Any:
    from transformers import ClapAudioConfig, ClapConfig, ClapModel, ClapTextConfig

    text = ClapTextConfig(
        vocab_size=40,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        projection_dim=width,
        pad_token_id=0,
    )
    audio = ClapAudioConfig(
        spec_size=8,
        window_size=2,
        patch_size=2,
        patch_stride=2,
        patch_embeds_hidden_size=8,
        depths=[1, 1],
        num_attention_heads=[1, 1],
        num_hidden_layers=2,
        hidden_size=16,
        projection_dim=width,
        num_mel_bins=8,
    )
    return seeded(ClapModel, ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=width))


# --- schedulers -------------------------------------------------------------------------------------------------------

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def ddim(**config: Any) -> Any:
    """Ends at a level of 0, as our schedules do; the published pipelines end at the lowest level of the betas."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(**{**BETAS, "clip_sample": False, "set_alpha_to_one": True, "steps_offset": 1, **config})


# --- audio ------------------------------------------------------------------------------------------------------------


def mel_codec() -> tuple[Any, Any]:
    """The autoencoder of mel spectrograms of 16 bins, and the vocoder to waves of 16 kHz, 160 samples a frame."""
    from diffusers import AutoencoderKL
    from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

    vae = seeded(
        AutoencoderKL,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.9,
    )
    config = SpeechT5HifiGanConfig(
        model_in_dim=16,
        sampling_rate=16_000,
        upsample_initial_channel=8,
        upsample_rates=[10, 16],
        upsample_kernel_sizes=[20, 32],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        normalize_before=False,
    )
    return vae, seeded(SpeechT5HifiGan, config)


def audioldm2(folder: Path) -> Path:
    """Predicts the noise."""
    from diffusers import AudioLDM2Pipeline, AudioLDM2ProjectionModel, AudioLDM2UNet2DConditionModel
    from transformers import ClapFeatureExtractor, GPT2Config, GPT2LMHeadModel

    vae, vocoder = mel_codec()
    unet = seeded(
        AudioLDM2UNet2DConditionModel,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=[[None, 8, 16], [None, 8, 16]],
    )
    gpt = GPT2Config(vocab_size=8, n_positions=32, n_embd=8, n_layer=1, n_head=2, max_new_tokens=4)
    return saved(
        folder,
        AudioLDM2Pipeline,
        vae=vae,
        text_encoder=clap(),
        text_encoder_2=t5_encoder(),
        projection_model=seeded(
            AudioLDM2ProjectionModel, text_encoder_dim=8, text_encoder_1_dim=16, langauge_model_dim=8
        ),
        language_model=seeded(GPT2LMHeadModel, gpt),
        tokenizer=roberta_tokenizer(),
        tokenizer_2=t5_tokenizer(),
        feature_extractor=ClapFeatureExtractor(feature_size=8),
        unet=unet,
        scheduler=ddim(),
        vocoder=vocoder,
    )


def class_unet() -> Any:
    """A U-Net that is told a vector of 8 in the place of a class."""
    from diffusers import UNet2DConditionModel

    return seeded(
        UNet2DConditionModel,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=(8, 16),
        class_embed_type="simple_projection",
        projection_class_embeddings_input_dim=8,
        class_embeddings_concat=True,
    )


def musicldm(folder: Path) -> Path:
    """Predicts the noise."""
    from diffusers import MusicLDMPipeline
    from transformers import ClapFeatureExtractor

    vae, vocoder = mel_codec()
    return saved(
        folder,
        MusicLDMPipeline,
        vae=vae,
        text_encoder=clap(),
        tokenizer=roberta_tokenizer(),
        feature_extractor=ClapFeatureExtractor(feature_size=8),
        unet=class_unet(),
        scheduler=ddim(),
        vocoder=vocoder,
    )


def audioldm(folder: Path) -> Path:
    """Predicts the noise. Its text encoder is CLAP's half for text."""
    from diffusers import AudioLDMPipeline
    from transformers import ClapTextModelWithProjection

    vae, vocoder = mel_codec()
    return saved(
        folder,
        AudioLDMPipeline,
        vae=vae,
        text_encoder=seeded(ClapTextModelWithProjection, clap().config.text_config),
        tokenizer=roberta_tokenizer(),
        unet=class_unet(),
        scheduler=ddim(),
        vocoder=vocoder,
    )


def stable_audio(folder: Path) -> Path:
    """Predicts a velocity, of 2 channels at 16 kHz, 16 samples a frame."""
    from diffusers import (
        AutoencoderOobleck,
        CosineDPMSolverMultistepScheduler,
        StableAudioDiTModel,
        StableAudioPipeline,
        StableAudioProjectionModel,
    )

    return saved(
        folder,
        StableAudioPipeline,
        vae=seeded(
            AutoencoderOobleck,
            encoder_hidden_size=8,
            downsampling_ratios=[4, 4],
            decoder_channels=2,
            decoder_input_channels=4,
            audio_channels=2,
            channel_multiples=[1, 2],
            sampling_rate=16_000,
        ),
        text_encoder=t5_encoder(),
        projection_model=seeded(
            StableAudioProjectionModel, text_encoder_dim=16, conditioning_dim=8, min_value=0, max_value=32
        ),
        tokenizer=t5_tokenizer(),
        transformer=seeded(
            StableAudioDiTModel,
            sample_size=1024,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            num_key_value_attention_heads=1,
            out_channels=4,
            cross_attention_dim=8,
            time_proj_dim=8,
            global_states_input_dim=16,
            cross_attention_input_dim=8,
        ),
        scheduler=CosineDPMSolverMultistepScheduler(sigma_max=500.0, sigma_min=0.3),
    )


def longcat(folder: Path) -> Path:
    """Predicts a flow whose time runs the other way, of 1 channel at 24 kHz, 16 samples a frame."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        LongCatAudioDiTPipeline,
        LongCatAudioDiTTransformer,
        LongCatAudioDiTVae,
    )

    return saved(
        folder,
        LongCatAudioDiTPipeline,
        vae=seeded(
            LongCatAudioDiTVae,
            channels=8,
            c_mults=[1, 2],
            strides=[4, 4],
            latent_dim=4,
            encoder_latent_dim=8,
            downsampling_ratio=16,
        ),
        text_encoder=umt5_encoder(),
        tokenizer=t5_tokenizer(),
        transformer=seeded(
            LongCatAudioDiTTransformer, dit_dim=16, dit_depth=1, dit_heads=2, dit_text_dim=16, latent_dim=4
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0, invert_sigmas=True),
    )


# --- video ------------------------------------------------------------------------------------------------------------


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


# --- 3D ---------------------------------------------------------------------------------------------------------------


def shap_e(folder: Path) -> Path:
    """Predicts the clean state."""
    from diffusers import HeunDiscreteScheduler, PriorTransformer, ShapEPipeline
    from diffusers.pipelines.shap_e import ShapERenderer
    from transformers import CLIPTextModelWithProjection

    renderer = seeded(
        ShapERenderer,
        param_shapes=((4, 93), (4, 4), (4, 4), (4, 4)),
        d_latent=8,
        d_hidden=4,
        n_output=12,
        n_hidden_layers=5,
        insert_direction_at=3,
        background=(0.1, 0.1, 0.1),
    )
    return saved(
        folder,
        ShapEPipeline,
        prior=seeded(
            PriorTransformer,
            num_attention_heads=2,
            attention_head_dim=8,
            embedding_dim=8,
            num_embeddings=16,
            embedding_proj_dim=16,
            time_embed_dim=16,
            num_layers=1,
            clip_embed_dim=16,
            additional_embeddings=0,
            time_embed_act_fn="gelu",
            norm_in_type="layer",
            encoder_hid_proj_type=None,
            added_emb_type=None,
        ),
        text_encoder=seeded(CLIPTextModelWithProjection, clip_config()),
        tokenizer=clip_tokenizer(),
        scheduler=silently(
            HeunDiscreteScheduler,
            beta_schedule="exp",
            num_train_timesteps=1024,
            prediction_type="sample",
            use_karras_sigmas=True,
            clip_sample=True,
            clip_sample_range=1.0,
        ),
        shap_e_renderer=renderer,
    )
