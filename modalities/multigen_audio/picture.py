"""Spectrograms as PNG files."""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from multigen.atomic import replace_file

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor

_N_FFT = 2048
_HOP = _N_FFT // 4
_RANGE_DB = 80
_FLOOR_DB = -120
_LOWEST_HERTZ = 50
_TICKS_HERTZ = (100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000)
# More columns than a picture has pixels would only cost time.
_MAX_COLUMNS = 1000
_DPI = 100


def spectrogram_png(wave: Tensor, sample_rate: int, path: str | os.PathLike[str], /, *, title: str) -> None:
    """Draw the spectrogram of (channels, t), t > 0, as a PNG of 1000 x 400 pixels.

    Time in s, frequency in kHz on a logarithmic axis from 50 Hz up, level in dB relative to a full-scale sine,
    80 dB down from the loudest cell. The power of the channels is averaged. The file is written whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    replace_file(path, _png([(title, wave, sample_rate)], columns=1, cell=(10.0, 4.0)))


def sheet_png(samples: Sequence[tuple[str, Tensor, int]], path: str | os.PathLike[str], /, *, columns: int = 4) -> None:
    """Draw one or more (title, wave, sample_rate) in a grid that is filled row by row, with one level scale for all.

    A cell is 400 x 260 pixels; the rest is as in `spectrogram_png`.

    Raises:
        OSError: the file cannot be written.
    """
    replace_file(path, _png(samples, columns=min(columns, len(samples)), cell=(4.0, 2.6)))


def _png(samples: Sequence[tuple[str, Tensor, int]], *, columns: int, cell: tuple[float, float]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(len(samples) / columns)
    width, height = cell
    figure = Figure(figsize=(columns * width, rows * height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure, samples, rows=rows, columns=columns, title_width=round(width * 11))
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A prompt may be in any script; characters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png")
    return file.getvalue()


def _draw(
    figure: Figure, samples: Sequence[tuple[str, Tensor, int]], *, rows: int, columns: int, title_width: int
) -> None:
    import librosa.display
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    levels = [_level(wave) for _, wave, _ in samples]
    top = max(float(level.max()) for level, _ in levels)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(samples) :]:
        ax.set_axis_off()
    image: Any = None
    for index, (title, wave, sample_rate) in enumerate(samples):
        ax, (level, hop) = axes.flat[index], levels[index]
        image = librosa.display.specshow(
            level,
            sr=sample_rate,
            hop_length=hop,
            n_fft=_N_FFT,
            x_axis="s",
            y_axis="log",
            ax=ax,
            cmap="magma",
            vmin=top - _RANGE_DB,
            vmax=top,
            rasterized=True,
        )
        ax.set_xlim(0, wave.shape[-1] / sample_rate)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
        ax.set_ylim(_LOWEST_HERTZ, sample_rate / 2)
        ax.yaxis.set_major_locator(FixedLocator([hertz for hertz in _TICKS_HERTZ if hertz <= sample_rate / 2]))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda hertz, _: f"{hertz / 1000:g}"))
        ax.set_title(_short(title, width=title_width), fontsize="medium", parse_math=False)
        last_of_column = index + columns >= len(samples)
        ax.set_xlabel("time (s)" if last_of_column else "")
        ax.set_ylabel("frequency (kHz)" if index % columns == 0 else "")
    figure.colorbar(image, ax=axes, format="%+.0f dB", aspect=20 * rows)


def _short(title: str, *, width: int) -> str:
    text = " ".join(title.split())
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def _level(wave: Tensor) -> tuple[np.ndarray, int]:
    """(1 + n_fft / 2, columns) in dB relative to a full-scale sine, and the number of samples between columns."""
    import torch

    wave = wave.detach().float().cpu()
    wave = torch.nn.functional.pad(wave, (0, max(0, _N_FFT - wave.shape[-1])))
    window = torch.hann_window(_N_FFT)
    spectrum = torch.stft(wave, _N_FFT, hop_length=_HOP, window=window, pad_mode="constant", return_complex=True)
    # A sine of amplitude 1 has half of it at its positive frequency.
    power = (spectrum.abs() / (window.sum() / 2)).square().mean(0)
    pool = math.ceil(power.shape[-1] / _MAX_COLUMNS)
    power = torch.nn.functional.avg_pool1d(power, pool, ceil_mode=True)
    level: np.ndarray = 10 * power.clamp(min=10 ** (_FLOOR_DB / 10)).log10().numpy()
    return level, _HOP * pool
