"""Videos on a page: those that are together play as one when one of them is touched."""

from __future__ import annotations

import base64
import tempfile
from html import escape
from pathlib import Path

from multigen.modality import Sample


def embed(sample: Sample, title: str, /) -> str:
    """HTML that needs nothing beside it but `script`: H.264, or PNG for one frame."""
    from multigen_video.files import write

    still = len(sample["frames"]) == 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("still.png" if still else "film.mp4")
        write(path, sample, tags={})
        content = base64.b64encode(path.read_bytes()).decode()
    name = escape(title)
    if still:
        return f'<img src="data:image/png;base64,{content}" alt="{name}" title="{name}"/>'
    return (
        f'<div class="multigen-film"><video loop="" muted="" playsinline="" preload="metadata" tabindex="0" '
        f'src="data:video/mp4;base64,{content}" title="{name}"></video></div>'
    )


def script() -> str:
    """What the videos of a page share, JavaScript."""
    return Path(__file__).with_name("embed.js").read_text(encoding="utf-8")
