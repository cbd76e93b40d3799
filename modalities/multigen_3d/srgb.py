"""Colours between linear light and sRGB (IEC 61966-2-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def to_linear(srgb: np.ndarray, /) -> np.ndarray:
    """sRGB in [0, 1] as linear light in [0, 1]."""
    import numpy as np

    linear: np.ndarray = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear


def to_srgb(linear: np.ndarray, /) -> np.ndarray:
    """The inverse of `to_linear`; light outside [0, 1] is clipped."""
    import numpy as np

    light = np.clip(linear, 0, 1)
    srgb: np.ndarray = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return srgb
