"""Tiny pipelines of sounds."""

from pathlib import Path
from typing import Any

from tiny_parts import clap, ddim, roberta_tokenizer, saved, seeded, t5_encoder, t5_tokenizer, umt5_encoder


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
