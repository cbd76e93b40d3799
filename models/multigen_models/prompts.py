"""Prompts as the condition of the embedded models."""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from multigen.denoise import Cond
from multigen_models.text import TextEncoder

TOKENS = 64


@functools.lru_cache
def text_encoder() -> TextEncoder:
    """The frozen text encoder, loaded once."""
    return TextEncoder.load()


@functools.lru_cache(maxsize=100_000)
def embed(prompt: str, /) -> Cond:
    """A prompt's token states (64, 384), mask (64,) and pooled vector (384,), whatever else is in a batch."""
    cond = {key: value[0] for key, value in text_encoder().encode([prompt]).items()}
    text, mask = cond["text"][:TOKENS], cond["mask"][:TOKENS]
    missing = TOKENS - len(mask)
    return {"text": F.pad(text, (0, 0, 0, missing)), "mask": F.pad(mask, (0, missing)), "pooled": cond["pooled"]}


def stacked(rows: Sequence[Cond], /, *, device: str = "cpu") -> Cond:
    """The conditions of single samples as that of a batch."""
    return {key: torch.stack([row[key] for row in rows]).to(device) for key in rows[0]}
