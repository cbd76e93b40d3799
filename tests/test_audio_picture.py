"""Spectrogram pictures: what is loud where is bright there, at the promised size, without global state."""

import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.image import imread

from multigen_audio import picture
from multigen_audio.picture import sheet_png, spectrogram_png

RATE = 32000


def tone(hertz: float, seconds: float = 1.0) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)[None]


def brightness(path: Path) -> np.ndarray:
    return imread(path)[..., :3].mean(-1)


def test_a_tone_is_a_bright_line_at_its_height(tmp_path: Path) -> None:
    rows = []
    for hertz in (200, 2000, 10000):
        spectrogram_png(tone(hertz), RATE, tmp_path / "tone.png", title="tone")
        image = brightness(tmp_path / "tone.png")
        assert image.shape == (400, 1000)
        inside = image[30:340, 200:700].mean(1)  # within the axes, away from the tone's on- and offset
        assert inside.max() > 0.5
        assert np.median(inside) < 0.1
        rows.append(int(inside.argmax()))
    assert rows[0] > rows[1] > rows[2]
    # On a logarithmic axis the heights are as log 10 to log 5.
    assert (rows[0] - rows[1]) / (rows[1] - rows[2]) == pytest.approx(math.log(10) / math.log(5), rel=0.05)


def test_time_runs_to_the_right(tmp_path: Path) -> None:
    wave = torch.cat(
        [torch.zeros(1, 3 * RATE), 0.3 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))], 1
    )
    spectrogram_png(wave, RATE, tmp_path / "late.png", title="late")
    columns = brightness(tmp_path / "late.png")[30:340, 60:870].mean(0)
    bright = np.flatnonzero(columns > 0.25)
    assert bright.min() / len(columns) == pytest.approx(0.75, abs=0.02)


def test_levels_are_relative_to_a_full_scale_sine() -> None:
    level, hop = picture._level(tone(1000) * 2)
    assert hop == 512
    assert level.max() == pytest.approx(0, abs=0.1)
    assert level[:, 10].argmax() == 64  # 1000 Hz of 2048 bins at 32 kHz
    quiet, _ = picture._level(torch.zeros(2, 10))
    assert quiet.shape[0] == 1025
    assert np.unique(quiet).tolist() == [-120]


def test_channels_of_opposite_sign_do_not_cancel() -> None:
    stereo, _ = picture._level(torch.cat([tone(1000), -tone(1000)]))
    mono, _ = picture._level(tone(1000))
    assert np.abs(stereo - mono).max() < 1e-3
    one_of_two, _ = picture._level(torch.cat([tone(1000), torch.zeros(1, RATE)]))
    assert mono.max() - one_of_two.max() == pytest.approx(10 * math.log10(2), abs=1e-3)


def test_minutes_are_pooled_into_the_columns_of_the_picture() -> None:
    level, hop = picture._level(tone(1000, 90))
    assert level.shape[1] <= 1000
    assert abs(level.shape[1] * hop / RATE - 90) < 0.5
    assert level[64].min() > -12


def test_a_sheet_has_a_cell_for_each_and_one_scale(tmp_path: Path) -> None:
    samples = [("loud", tone(1000), RATE), ("quiet", tone(1000) / 1000, RATE), ("silent", torch.zeros(2, 50), 8000)]
    sheet_png(samples, tmp_path / "sheet.png", columns=2)
    image = brightness(tmp_path / "sheet.png")
    assert image.shape == (520, 800)
    loud, quiet, silent = image[40:200, 80:300], image[40:200, 440:650], image[300:450, 80:300]
    assert loud.max() > 0.6 > quiet.max()
    assert quiet.max() > 0.15 > silent.max()
    assert image[300:, 420:690].min() == 1  # the empty cell is white


@pytest.mark.parametrize("title", ["x", "$x_{ $ \\frac", "雨の音 🌧 \n\t line", "x" * 500, "word " * 100])
def test_any_prompt_can_be_a_title(tmp_path: Path, title: str) -> None:
    spectrogram_png(torch.zeros(1, 1), RATE, tmp_path / "clip.png", title=title)
    image = brightness(tmp_path / "clip.png")
    assert image.shape == (400, 1000)
    assert image[:12, :20].min() == image[:12, -20:].min() == 1, "the title ran out of the picture"
    assert image[:12].min() < 0.5


def test_global_state_stays_as_it_was(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    spectrogram_png(tone(1000), RATE, tmp_path / "clip.png", title="clip")
    from matplotlib import pyplot

    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clip.png").mkdir()
    with pytest.raises(IsADirectoryError):
        spectrogram_png(tone(1000), RATE, tmp_path / "clip.png", title="clip")
    assert [path.name for path in tmp_path.iterdir()] == ["clip.png"]
