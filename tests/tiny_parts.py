"""What tiny pipelines of diffusers' own classes share: random weights, saved to folders as the published ones are.

Widths are a few channels, so that one runs in a fraction of a second; everything else is the real class.
"""

import warnings
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
    """A network with random weights that depend on nothing else, in evaluation mode.

    Matrices and kernels that begin as zeros, so that what they close does nothing, are random as well.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = silently(make, *arguments, **options).eval()
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
        return network


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
