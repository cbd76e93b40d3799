"""Rates, loudness, loops and edges against closed forms and the standard's own figures."""

import itertools
import logging
import math
from fractions import Fraction

import av
import librosa
import numpy as np
import pytest
import torch

from multigen.errors import UsageError
from multigen_audio.signal import crossfade_loop, fade, loudness, normalise, resample, true_peak


def tone(hertz: float, sample_rate: int, seconds: float, *, phase: float = 0.0) -> torch.Tensor:
    """(1, t): a full-scale sine."""
    t = torch.arange(round(seconds * sample_rate), dtype=torch.float64) / sample_rate
    return torch.sin(2 * math.pi * hertz * t + phase).float()[None]


def noise(channels: int, t: int) -> torch.Tensor:
    return torch.rand(channels, t, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.2


@pytest.mark.parametrize(
    ("from_rate", "to_rate"),
    [(44100, 32000), (32000, 44100), (96000, 32000), (8000, 48000), (44101, 32000), (32000, 31999)],
)
def test_a_tone_keeps_its_pitch_amplitude_and_phase(from_rate: int, to_rate: int) -> None:
    resampled = resample(torch.cat([tone(1000, from_rate, 1), -tone(1000, from_rate, 1)]), from_rate, to_rate)
    expected = tone(1000, to_rate, 1)
    assert resampled.shape == (2, to_rate)
    inside = slice(to_rate // 8, -to_rate // 8)
    assert (resampled[0] - expected[0])[inside].abs().max() < 1e-5
    assert (resampled[1] + expected[0])[inside].abs().max() < 1e-5


def test_what_lies_above_the_new_band_is_removed() -> None:
    aliased = resample(tone(17500, 48000, 1), 48000, 32000)
    assert aliased[:, 4000:-4000].abs().max() < 1e-5


@pytest.mark.parametrize("t", [1, 2, 3, 100, 1001])
def test_the_length_is_the_nearest_one(t: int) -> None:
    for from_rate, to_rate in ((44100, 32000), (8000, 48000), (96000, 8000)):
        assert resample(noise(3, t), from_rate, to_rate).shape == (3, max(1, round(t * to_rate / from_rate)))


def test_no_change_of_rate_is_a_copy() -> None:
    wave = noise(2, 100)
    copy = resample(wave, 32000, 32000)
    assert torch.equal(copy, wave)
    assert copy.data_ptr() != wave.data_ptr()


def test_the_standards_reference_tone() -> None:
    """ITU-R BS.1770-5: a 0 dBFS, 997 Hz sine in the left, right or centre channel reads -3.01 LKFS."""
    left = torch.cat([tone(997, 48000, 5), torch.zeros(1, 48000 * 5)])
    for wave in (left, left.flip(0), left[:1]):
        assert loudness(wave, 48000) == pytest.approx(-3.01, abs=0.005)
    both = left[:1].expand(2, -1)
    assert loudness(both, 48000) == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 32000, 44100, 96000, 192000])
def test_the_reference_tone_at_other_rates(sample_rate: int) -> None:
    assert loudness(tone(997, sample_rate, 5), sample_rate) == pytest.approx(-3.01, abs=0.05)


def test_gating_of_ebu_tech_3341() -> None:
    """EBU Tech 3341, cases 3 and 4: pauses and quiet parts do not count (stereo sines of 1 kHz; tolerance 0.1 LU)."""

    def at(*levels_and_seconds: tuple[float, float]) -> float:
        parts = [tone(1000, 48000, seconds) * 10 ** (level / 20) for level, seconds in levels_and_seconds]
        return loudness(torch.cat(parts, dim=1).expand(2, -1), 48000)

    assert at((-36, 10), (-23, 60), (-36, 10)) == pytest.approx(-23, abs=0.1)
    assert at((-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25, 0.399, 0.4, 0.401])
def test_clips_shorter_than_a_block_have_a_loudness(seconds: float) -> None:
    for sample_rate in (32000, 44056):
        assert loudness(tone(997, sample_rate, seconds), sample_rate) == pytest.approx(-3.01, abs=0.1)


def test_silence_and_what_cannot_be_measured() -> None:
    assert loudness(torch.zeros(1, 100), 32000) == -math.inf
    assert loudness(tone(997, 32000, 1) * 1e-4, 32000) == -math.inf
    assert true_peak(torch.zeros(1, 100), 32000) == -math.inf
    for wave in (torch.zeros(6, 100), torch.zeros(1, 0)):
        with pytest.raises(UsageError, match="1 to 5 channels and at least one sample"):
            loudness(wave, 32000)


def test_true_peak_is_found_between_the_samples() -> None:
    """A quarter-rate sine sampled at 45 degrees shows -3.01 dBFS in its samples and has 0 dBFS."""
    wave = fade(tone(8000, 32000, 1, phase=math.pi / 4), 32000, seconds=0.2)
    assert 20 * math.log10(wave.abs().max()) == pytest.approx(-3.01, abs=0.005)
    assert true_peak(wave, 32000) == pytest.approx(0.0, abs=0.05)


def test_normalise_hits_the_target_with_one_gain() -> None:
    wave = noise(2, 32000 * 2)
    before = wave.clone()
    normal = normalise(wave, 32000, target=-23)
    assert loudness(normal, 32000) == pytest.approx(-23, abs=0.01)
    assert torch.equal(wave, before)
    gain = normal / wave
    assert (gain.max() - gain.min()) / gain.mean() < 1e-5


def test_the_peak_wins_over_the_target() -> None:
    wave = noise(1, 32000)
    wave[0, 16000] = 0.9
    normal = normalise(wave, 32000, target=-5, peak=-1)
    assert true_peak(normal, 32000) == pytest.approx(-1, abs=0.01)
    assert loudness(normal, 32000) < -5
    gain = normal / wave
    assert (gain.max() - gain.min()) / gain.mean() < 1e-5


def test_silence_stays_silence() -> None:
    assert torch.equal(normalise(torch.zeros(1, 1000), 32000), torch.zeros(1, 1000))
    faint = noise(1, 32000) * 1e-5
    assert torch.equal(normalise(faint, 32000), faint)


def measured_by_ffmpeg(wave: torch.Tensor, sample_rate: int) -> tuple[float, float]:
    """Loudness and true peak by FFmpeg's ebur128 filter, from the summary it logs at its end."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=sample_rate, format="fltp", layout="mono", time_base=Fraction(1, sample_rate)
    )
    nodes = [
        source,
        graph.add("aformat", "sample_fmts=dbl"),
        graph.add("ebur128", "peak=true"),
        graph.add("abuffersink"),
    ]
    for node, following in itertools.pairwise(nodes):
        node.link_to(following)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave.numpy()), format="fltp", layout="mono")
    frame.sample_rate, frame.pts = sample_rate, 0
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as logs:
            source.push(frame)
            source.push(None)
            try:
                while True:
                    nodes[-1].pull()
            except (av.EOFError, av.BlockingIOError):
                pass
            del graph, source, nodes, node, following
    finally:
        av.logging.set_level(level)
        logging.getLogger("libav").handlers.clear()
    words = "".join(text for _, _, text in logs).split("Summary:")[1].split()
    return float(words[words.index("I:") + 1]), float(words[words.index("Peak:") + 1])


def test_ffmpeg_agrees_on_loudness_and_peak() -> None:
    # Below half of the band, where any four-times oversampling finds the same peaks.
    burst = resample(noise(1, 16000 * 3), 16000, 32000) * torch.linspace(0.05, 1, 32000 * 3) ** 2
    for wave in (normalise(burst, 32000, target=-23), normalise(burst, 32000, target=-2, peak=-1)):
        i, peak = measured_by_ffmpeg(wave, 32000)
        assert i == pytest.approx(loudness(wave, 32000), abs=0.11)
        assert peak == pytest.approx(true_peak(wave, 32000), abs=0.11)


def test_a_loop_has_no_seam_and_keeps_its_power() -> None:
    wave = noise(2, 64000)
    before = wave.clone()
    loop = crossfade_loop(wave, 16000)
    assert loop.shape == (2, 48000)
    assert torch.equal(wave, before)
    # The loop's end and start were neighbours in the wave, and so were the samples where the crossfade ends.
    assert torch.equal(loop[:, -1], wave[:, 47999])
    assert torch.equal(loop[:, 0], wave[:, 48000])
    assert torch.equal(loop[:, 16000:], wave[:, 16000:48000])
    assert (loop[:, 15999] - wave[:, 15999]).abs().max() < 1e-3
    power = loop[:, :16000].square().mean() / wave.square().mean()
    assert float(power) == pytest.approx(1, abs=0.03)


def test_a_loop_plays_around_without_a_click() -> None:
    """Twice around, a tone that does not fit the loop has no steep step; cut without a crossfade it has one."""
    wave = tone(441.7, 32000, 2)
    played = crossfade_loop(wave, 8000).repeat(1, 2)[0]
    steps = played.diff().abs()
    assert steps.max() <= wave.diff().abs().max() * math.sqrt(2)
    plain = wave[:, :-8000].repeat(1, 2)[0].diff().abs()
    assert plain.max() > steps.max()


@pytest.mark.parametrize("overlap", [0, -1, 51])
def test_an_overlap_that_does_not_fit_is_refused(overlap: int) -> None:
    with pytest.raises(UsageError, match="between 1 and 50"):
        crossfade_loop(torch.zeros(1, 100), overlap)


def test_a_fade_starts_and_ends_at_zero_and_leaves_the_middle() -> None:
    wave = torch.ones(2, 1000)
    faded = fade(wave, 1000, seconds=0.1)
    assert faded[:, [0, -1]].abs().max() == 0
    assert torch.equal(faded[:, 100:-100], wave[:, 100:-100])
    assert torch.equal(faded, faded.flip(1))
    assert (faded[0, :100].diff() > 0).all()
    assert faded[0, 50] == pytest.approx(0.5, abs=1e-6)
    assert torch.equal(wave, torch.ones(2, 1000))


@pytest.mark.parametrize("t", [0, 1, 2, 7])
def test_a_fade_longer_than_the_wave_is_cut_to_it(t: int) -> None:
    faded = fade(torch.ones(1, t), 1000, seconds=1)
    assert faded.shape == (1, t)
    assert faded.isfinite().all()


def test_librosa_agrees_on_the_resampled_wave() -> None:
    wave = noise(1, 4410)
    expected = librosa.resample(wave.numpy(), orig_sr=44100, target_sr=32000, res_type="soxr_vhq")
    assert np.abs(resample(wave, 44100, 32000).numpy() - expected).max() < 1e-6
