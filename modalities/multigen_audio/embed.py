"""Sounds on a page: a spectrogram that is played from where it is touched, and the browser's own player below it."""

from __future__ import annotations

import base64
import io
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from multigen.modality import Sample

if TYPE_CHECKING:
    from torch import Tensor


def embed(sample: Sample, title: str, /) -> str:
    """HTML that needs nothing beside it but `script`; the sound is 16-bit FLAC."""
    from multigen_audio.files import write

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.flac"
        write(path, sample["wave"], sample["sample_rate"], tags={})
        sound = _uri(path.read_bytes(), "audio/flac")
    picture = _uri(_spectrogram(sample["wave"], sample["sample_rate"]), "image/png")
    name = escape(title)
    return (
        f'<div class="multigen-sound"><div><img src="{picture}" alt="mel spectrogram of {name}"/><i></i></div>'
        f'<audio controls="" preload="metadata" src="{sound}" title="{name}"></audio></div>'
    )


def script() -> str:
    """What the sounds of a page share, JavaScript."""
    return Path(__file__).with_name("embed.js").read_text(encoding="utf-8")


def _spectrogram(wave: Tensor, sample_rate: int) -> bytes:
    """A PNG of the log-mel spectrogram, 64 bands up to 12 kHz by 10 ms, 60 dB below its loudest cell dark."""
    import matplotlib
    import numpy as np
    from PIL import Image

    from multigen_audio.features import RANGE, SAMPLE_RATE, log_mel
    from multigen_audio.signal import resample

    mel = log_mel(resample(wave.mean(0, keepdim=True), sample_rate, SAMPLE_RATE))[0]
    level = ((mel / RANGE + 1) * 255).round().byte().flip(0).numpy()
    picture = Image.fromarray(level).convert("P")
    colors = matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3]
    picture.putpalette(colors.tobytes())
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()


def _uri(content: bytes, mime: str) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
