"""Shapes on a page, to be turned by hand: packed geometry that a script of a hundred lines draws with WebGL."""

from __future__ import annotations

import base64
import zlib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from multigen.errors import UsageError
from multigen.modality import Sample

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

LEVELS = 65535


def embed(sample: Sample, title: str, /) -> str:
    """An HTML canvas that needs nothing beside it but `script`, with the mesh or the points in it.

    Raises UsageError where there is nothing to draw, or a coordinate is not finite.
    """
    vertices = sample["vertices" if "faces" in sample else "points"]
    if not len(vertices) or not bool(vertices.isfinite().all()):
        raise UsageError("there is nothing to draw: the shape has no points, or some that are not finite")
    faces = sample["faces"] if "faces" in sample else vertices.new_empty(0, 3)
    low, high = vertices.amin(0), vertices.amax(0)
    radius = (vertices - (low + high) / 2).norm(dim=1).amax().clamp(min=1e-12)
    extent = ",".join(f"{side:.6g}" for side in ((high - low) / radius).tolist())
    content = base64.b64encode(zlib.compress(pack(vertices, faces, sample["colors"]), 9)).decode()
    return (
        f'<canvas class="multigen-shape" tabindex="0" role="img" aria-label="{escape(title)}" title="{escape(title)}" '
        f'data-points="{len(vertices)}" data-corners="{faces.numel()}" data-extent="{extent}" data-packed="{content}">'
        "</canvas>"
    )


def pack(vertices: Tensor, faces: Tensor, colors: Tensor, /) -> bytes:
    """Corners (3f) as uint32; x, y and z of all vertices as uint16 in their box; red, green and blue as bytes.

    All are differences to the value before, modulo their range, which compress better; little-endian.
    """
    import numpy as np

    low, high = vertices.amin(0), vertices.amax(0)
    shares = (vertices - low) / (high - low).clamp(min=1e-12)
    places = np.rint(shares.T.cpu().double().numpy() * LEVELS).astype("<u2")
    bytes_ = np.rint(colors.T.cpu().double().numpy().clip(0, 1) * 255).astype("u1")
    corners = faces.cpu().numpy().astype("<u4")
    return b"".join(_differences(array.reshape(-1)).tobytes() for array in (corners, places, bytes_))


def script() -> str:
    """What draws and turns the shapes of a page, JavaScript."""
    return Path(__file__).with_name("embed.js").read_text(encoding="utf-8")


def _differences(values: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.diff(values, prepend=values.dtype.type(0))
