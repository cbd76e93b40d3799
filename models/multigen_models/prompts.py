"""Prompts as the condition of the embedded models."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from multigen.denoise import Cond
from multigen_models.text import TextEncoder

TOKENS = 64


@functools.lru_cache
def text_encoder() -> TextEncoder:
    """The frozen text encoder, loaded once."""
    return TextEncoder.load()


def embed(prompt: str, /) -> Cond:
    """A prompt's token states (64, 384), mask (64,) and pooled vector (384,), whatever else is in a batch."""
    return padded(*_remembered(prompt))


def encoded(prompt: str, /) -> tuple[Tensor, Tensor]:
    """The states (n, 384) of its n <= 64 tokens alone, a fifth of what they take when padded, and the pooled vector."""
    cond = text_encoder().encode([prompt])
    return cond["text"][0, :TOKENS].clone(), cond["pooled"][0]


_remembered = functools.lru_cache(maxsize=100_000)(encoded)


def embedded(prompts: Sequence[str], /) -> Cond:
    """The condition of a batch of prompts, (b, 64, 384), (b, 64) and (b, 384), in one pass of the encoder.

    For training: it takes a fraction of the time of one prompt after another, and a prompt's states depend, by their
    rounding, on what else is in the batch.
    """
    cond = text_encoder().encode(prompts)
    text, mask = cond["text"][:, :TOKENS], cond["mask"][:, :TOKENS]
    missing = TOKENS - text.shape[1]
    return {"text": F.pad(text, (0, 0, 0, missing)), "mask": F.pad(mask, (0, missing)), "pooled": cond["pooled"]}


def padded(text: Tensor, pooled: Tensor, /) -> Cond:
    """What `encoded` returns as what `embed` does."""
    mask = torch.arange(TOKENS) < len(text)
    return {"text": F.pad(text, (0, 0, 0, TOKENS - len(text))), "mask": mask, "pooled": pooled}


def stacked(rows: Sequence[Cond], /, *, device: str = "cpu") -> Cond:
    """The conditions of single samples as that of a batch."""
    return {key: torch.stack([row[key] for row in rows]).to(device) for key in rows[0]}
