"""The audio codec, on signals whose spectrograms and phases are known."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from multigen_models.audio.spectrogram import Spectrogram, _loudest_paths

CODEC = Spectrogram()
SECONDS = torch.arange(24_000, dtype=torch.float64) / CODEC.sample_rate


def sine(frequency: float = 1000.7) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * frequency * SECONDS)


def chirp(start: float = 500, slope: float = 5000) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * (start * SECONDS + slope / 2 * SECONDS**2))


def clicks() -> Tensor:
    return torch.zeros_like(SECONDS).index_fill_(0, torch.arange(1000, len(SECONDS), 3000), 1.0)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def coherence(wave: Tensor, other: Tensor) -> float:
    """1 where `other` is `wave` up to a constant phase and loudness; 0 where they are unrelated."""

    def analytic(x: Tensor) -> Tensor:
        spectrum = torch.fft.fft(x.double())
        spectrum[0] = 0
        spectrum[len(x) // 2 :] = 0
        wave: Tensor = torch.fft.ifft(spectrum)
        return wave

    a, b = analytic(wave), analytic(other)
    return float((a.conj() @ b).abs() / (a.norm() * b.norm()))


def spectral_convergence(wanted: Tensor, wave: Tensor) -> float:
    """Error of the magnitudes in dB below the magnitudes."""
    return 20 * math.log10(float((CODEC.analyse(wave).exp() - wanted.exp()).norm() / wanted.exp().norm()))


# Analysis


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (192, 1), (193, 2), (384, 2), (73_728, 384)])
def test_frames_and_samples_are_one_mapping(samples: int, frames: int) -> None:
    logmag = CODEC.analyse(torch.zeros(2, 3, samples))
    assert logmag.shape == (2, 3, 384, frames)
    assert logmag.is_contiguous()
    assert CODEC.frames(samples) == frames
    assert CODEC.frames(CODEC.samples(frames)) == frames
    assert CODEC.synthesise(logmag, iterations=1).shape == (2, 3, CODEC.samples(frames))
    assert CODEC.synthesise(logmag, iterations=1, length=samples).shape == (2, 3, samples)


@pytest.mark.parametrize("frame", [2, 3, 17, 37])
def test_a_frame_is_centred_half_a_hop_into_its_samples(frame: int) -> None:
    wave = torch.zeros(40 * CODEC.hop)
    wave[frame * CODEC.hop + CODEC.hop // 2] = 1
    magnitude = CODEC.analyse(wave).exp()[100]
    away = CODEC.hop * (torch.arange(40) - frame)
    expected = torch.exp(-math.pi * away**2 / CODEC.gamma) * (away.abs() < CODEC.n_fft / 2)
    # The window has one sample more before its middle than after it.
    expected[frame + 2] = math.exp(-math.pi * (CODEC.n_fft / 2) ** 2 / CODEC.gamma)
    assert torch.allclose(magnitude - CODEC.floor, expected, atol=1e-5)


def test_a_sine_has_the_documented_magnitude_in_its_bin() -> None:
    magnitude = CODEC.analyse(2 * sine(96 * 31.25)).exp()[:, 10:-10]
    assert (magnitude.argmax(0) == 96).all()
    assert torch.allclose(magnitude[96], torch.tensor(math.sqrt(CODEC.gamma) / 2).double(), rtol=2e-2)


def test_the_ends_of_a_wave_do_not_fade() -> None:
    logmag = CODEC.analyse(torch.full((1_920,), 0.3))
    assert torch.allclose(logmag[0], logmag[0, 5].expand(10), rtol=0, atol=1e-5)


def test_a_batch_is_analysed_row_by_row() -> None:
    waves = noise(3, 5_000).float()
    assert torch.equal(CODEC.analyse(waves), torch.stack([CODEC.analyse(wave) for wave in waves]))


def test_analysis_is_differentiable() -> None:
    wave = noise(400).requires_grad_()
    assert torch.autograd.gradcheck(CODEC.analyse, (wave,), fast_mode=True)


# The transform pair


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 50])
def test_the_inverse_transform_is_exact(frames: int) -> None:
    wave = noise(CODEC.samples(frames))
    assert torch.allclose(CODEC._istft(CODEC._stft(wave)), wave, rtol=0, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 20])
def test_the_inverse_transform_is_the_least_squares_one(frames: int) -> None:
    spectrum = torch.fft.rfft(noise(frames, CODEC.n_fft))
    residual = torch.fft.irfft(spectrum - CODEC._stft(CODEC._istft(spectrum)), n=CODEC.n_fft)
    for direction in noise(5, CODEC.samples(frames)):
        reachable = torch.fft.irfft(CODEC._stft(direction), n=CODEC.n_fft)
        assert abs(float((residual * reachable).sum())) < 1e-10 * float(residual.norm() * reachable.norm())
    assert residual.norm() > 0.1 * spectrum.norm() / CODEC.n_fft


# Phase


@pytest.mark.parametrize(
    ("wave", "frame_error", "bin_error"),
    [(sine(), 0.04, 0.06), (chirp(), 0.05, 0.06), (chirp(slope=10_000), 0.09, 0.08), (clicks(), 1e-9, 0.16)],
    ids=["sine", "chirp", "fast chirp", "clicks"],
)
def test_phase_slopes_are_those_of_the_true_transform(wave: Tensor, frame_error: float, bin_error: float) -> None:
    spectrum = CODEC._stft(wave)[:, : CODEC.bins].numpy()
    per_frame, per_bin = CODEC._phase_slopes(CODEC.analyse(wave).T.numpy())
    for slopes, axis, allowed in ((per_frame, 0, frame_error), (per_bin, 1, bin_error)):
        x, mean = np.moveaxis(spectrum, axis, 0), np.moveaxis(slopes, axis, 0)
        step = np.exp(-0.5j * (mean[1:] + mean[:-1])) * x[1:] * x[:-1].conj()
        weight = np.minimum(abs(x[1:]), abs(x[:-1])) ** 2
        assert math.sqrt((np.angle(step) ** 2 * weight).sum() / weight.sum()) < allowed


def test_the_phase_at_0_hz_does_not_advance() -> None:
    per_frame, _ = CODEC._phase_slopes(CODEC.analyse(noise(24_000)).T.numpy())
    assert (per_frame[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("wave", "least"), [(sine(), 0.999), (chirp(), 0.99), (sine(7003.3), 0.999)], ids=["low", "chirp", "high"]
)
def test_integrated_phases_rebuild_the_wave_itself(wave: Tensor, least: float) -> None:
    assert coherence(wave, CODEC.synthesise(CODEC.analyse(wave), iterations=0)) > least


def test_islands_of_sound_are_rebuilt_each_from_its_own_loudest_bin() -> None:
    wave = sine() + 0.1 * sine(8000.3)
    bursts = [slice(0, 4_000), slice(10_000, 14_000), slice(20_000, 24_000)]
    audible = torch.zeros_like(wave)
    for burst in bursts:
        audible[burst] = torch.hann_window(4_000, dtype=torch.float64)
    wave = wave * audible
    rebuilt = CODEC.synthesise(CODEC.analyse(wave), iterations=0)
    assert [coherence(wave[burst], rebuilt[burst]) > 0.98 for burst in bursts] == [True, True, True]
    assert rebuilt[5_000:9_000].abs().max() < 1e-3


def test_paths_are_the_maximum_spanning_forest_by_prim() -> None:
    rng = np.random.default_rng(2)
    logmag, loud = rng.normal(size=(9, 11)), rng.random((9, 11)) < 0.7
    parent = _loudest_paths(logmag, loud)
    n = logmag.size
    level, audible = logmag.ravel(), loud.ravel()

    def neighbours(bin_: int) -> list[int]:
        k, m = divmod(bin_, 11)
        cells = [(k + 1, m), (k - 1, m), (k, m + 1), (k, m - 1)]
        return [i * 11 + j for i, j in cells if 0 <= i < 9 and 0 <= j < 11 and audible[i * 11 + j]]

    def weight(u: int, v: int) -> float:
        return float(min(level[u], level[v]) + 1e-4 * max(level[u], level[v]))

    expected = np.full(n + 1, n)
    reached: set[int] = set()
    for root in sorted(np.flatnonzero(audible), key=lambda u: -level[u]):
        heap = [(0.0, int(root), n)]
        while heap:
            _, u, source = heapq.heappop(heap)
            if u not in reached:
                reached.add(u)
                expected[u] = source
                for v in neighbours(u):
                    heapq.heappush(heap, (-weight(u, v), v, u))
    assert (expected[:-1][audible] == n).sum() > 1
    assert np.array_equal(parent, expected)


# Synthesis


def test_fast_griffin_lim_brings_the_magnitudes_closer() -> None:
    wanted = CODEC.analyse(noise(24_000))
    errors = [spectral_convergence(wanted, CODEC.synthesise(wanted, iterations=n)) for n in (0, 8, 32)]
    assert errors[0] < -12
    assert errors[1] < errors[0] - 4
    assert errors[2] < errors[1] - 1.5


@pytest.mark.parametrize("wave", [sine(), noise(24_000), sine() + noise(24_000)], ids=["sine", "noise", "both"])
def test_the_ends_are_as_loud_as_the_wave(wave: Tensor) -> None:
    rebuilt = CODEC.synthesise(CODEC.analyse(wave)).double()
    for end in (slice(0, 480), slice(-480, None)):
        ratio = rebuilt[end].square().mean() / wave[end].square().mean()
        assert abs(10 * math.log10(ratio)) < 1
        assert rebuilt[end].diff().abs().max() < 1.3 * wave.diff().abs().max()


@pytest.mark.parametrize("iterations", [0, 3])
def test_silence_stays_silence(iterations: int) -> None:
    logmag = CODEC.analyse(torch.zeros(5_000))
    assert torch.equal(logmag, torch.full((384, 27), CODEC.floor).log())
    assert torch.equal(CODEC.synthesise(logmag, iterations=iterations, length=5_000), torch.zeros(5_000))


@pytest.mark.parametrize("samples", [1, 2, 100, 192, 193])
def test_the_shortest_waves_come_back_finite_and_no_louder(samples: int) -> None:
    wave = noise(samples).float()
    rebuilt = CODEC.synthesise(CODEC.analyse(wave))
    assert rebuilt.isfinite().all()
    assert rebuilt.norm() < 1.1 * wave.norm()


def test_one_frame_keeps_its_loudness() -> None:
    wave = noise(192).float()
    assert CODEC.synthesise(CODEC.analyse(wave)).norm() == pytest.approx(float(wave.norm()), rel=0.1)


def test_a_spectrogram_gives_the_same_wave_alone_or_in_any_batch() -> None:
    waves = noise(3, 5_000).float()
    waves[:, :2_500] *= 2e-5  # below the floor, where phases are random
    logmag = CODEC.analyse(waves)
    before = logmag.clone()
    together = CODEC.synthesise(logmag, iterations=4)
    assert torch.equal(together, torch.stack([CODEC.synthesise(row, iterations=4) for row in logmag]))
    assert torch.equal(logmag, before)


def test_another_geometry_works_too() -> None:
    codec = Spectrogram(sample_rate=16_000, n_fft=512, hop=64)
    wave = sine()
    assert codec.analyse(wave).shape == (256, 375)
    assert coherence(wave, codec.synthesise(codec.analyse(wave), iterations=0)) > 0.99
    shorter_than_the_margins = noise(64)
    assert torch.allclose(codec._istft(codec._stft(shorter_than_the_margins)), shorter_than_the_margins)


# Errors


@pytest.mark.parametrize("fields", [{"hop": 191}, {"hop": 0}, {"n_fft": 700}, {"floor": 0.0}])
def test_an_impossible_geometry_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(fields)))):
        Spectrogram(**fields)  # type: ignore[arg-type]


def test_a_wrong_number_of_bins_or_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="385 bins"):
        CODEC.synthesise(torch.zeros(385, 10))
    with pytest.raises(ValueError, match="10 frames hold 1920 samples"):
        CODEC.synthesise(torch.zeros(384, 10), length=1_921)
