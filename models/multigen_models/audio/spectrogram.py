"""The codec of the audio models: linear-frequency log-magnitude spectrograms, and the wave rebuilt from them.

Nothing here is trained. The window is a Gaussian because for it alone the gradient of the phase of a
short-time Fourier transform follows from the gradient of the magnitude (Prusa, Balazs, Sondergaard, "A
noniterative method for reconstruction of phase from STFT magnitude", arXiv 1609.00291).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOMENTUM = 0.99


@final
@dataclass(frozen=True)
class Spectrogram:
    """Log-magnitude spectrogram of a mono wave, and back.

    Frame `k` is centred on sample `(k + 1/2) * hop`, so `frames` frames stand for exactly `frames * hop`
    samples and `samples` samples become `ceil(samples / hop)` frames; a wave that does not fill its last
    frame is completed with zeros. Beyond its ends the wave is mirrored, so that the first and the last frames
    neither fade nor begin with a click.

    Args:
        sample_rate: samples per second of the wave.
        n_fft: samples in a frame, a multiple of `hop`.
        hop: samples from one frame to the next, even.
        floor: added to the magnitude before the logarithm. The window's peak is 1, so a sine of amplitude 1
            has the magnitude `sqrt(gamma) / 2`, which is 166 with the defaults.
    """

    sample_rate: int = 24_000
    n_fft: int = 768
    hop: int = 192
    floor: float = 1e-3

    def __post_init__(self) -> None:
        if self.hop < 2 or self.hop % 2 or self.n_fft % self.hop:
            raise ValueError(f"n_fft {self.n_fft}, hop {self.hop}: hop must be even, and n_fft a multiple of it")
        if not self.floor > 0:
            raise ValueError(f"floor is {self.floor}; it must be above 0")

    @property
    def bins(self) -> int:
        """Frequencies kept, from 0 Hz in steps of `sample_rate / n_fft`: all but the Nyquist frequency."""
        return self.n_fft // 2

    @property
    def gamma(self) -> float:
        """Time-frequency ratio of the window `exp(-pi t^2 / gamma)`, in samples squared.

        At `hop * n_fft` the window would be as many frames wide as its transform is bins wide; on recordings
        a slightly narrower one, which is also cut off lower, is rebuilt best.
        """
        return 0.75 * self.hop * self.n_fft

    def frames(self, samples: int, /) -> int:
        """Frames that stand for `samples` samples."""
        return -(-samples // self.hop)

    def samples(self, frames: int, /) -> int:
        """Samples that `frames` frames stand for."""
        return frames * self.hop

    def analyse(self, wave: Tensor, /) -> Tensor:
        """Natural logarithm of the magnitude plus `floor`.

        Args:
            wave: (..., t) in [-1, 1], t >= 1.

        Returns:
            (..., bins, frames), contiguous, at least `log(floor)`.
        """
        magnitude = self._stft(self._complete(wave))[..., : self.bins].abs()
        return magnitude.add_(self.floor).log_().transpose(-1, -2).contiguous()

    def synthesise(self, logmag: Tensor, /, *, iterations: int = 32, length: int | None = None) -> Tensor:
        """A wave whose spectrogram is close to `logmag`.

        The phase starts from phase gradient heap integration (arXiv 1609.00291) and is refined by the fast
        Griffin-Lim algorithm (Perraudin, Balazs, Sondergaard, "A fast Griffin-Lim algorithm", WASPAA 2013).
        The same spectrogram gives the same wave, whatever else is in the batch.

        Args:
            logmag: (..., bins, frames), as `analyse` returns it.
            iterations: rounds of fast Griffin-Lim, one transform pair each; 0 leaves the phase as integrated.
            length: samples to return, at most `samples(frames)`, which is the default.

        Returns:
            (..., t) float32; not clipped.
        """
        bins, frames = logmag.shape[-2:]
        if bins != self.bins:
            raise ValueError(f"logmag has {bins} bins in its last axis but one; it must have {self.bins}")
        if length is not None and not 0 <= length <= self.samples(frames):
            raise ValueError(f"length is {length}; {frames} frames hold {self.samples(frames)} samples")
        rows = logmag.detach().float().reshape(-1, self.bins, frames).transpose(1, 2)
        waves = [self._rebuild(row, iterations) for row in rows]
        return torch.stack(waves).reshape(*logmag.shape[:-2], -1)[..., :length]

    def _rebuild(self, logmag: Tensor, iterations: int) -> Tensor:
        """(frames, bins) to (frames * hop,)."""
        phase = torch.from_numpy(self._integrate_phase(logmag.cpu().numpy().astype(np.float64))).to(logmag)
        modulus = (logmag.exp() - self.floor).clamp_min_(0)
        modulus, phase = (torch.nn.functional.pad(x, (0, 1)) for x in (modulus, phase))
        return self._fast_griffin_lim(torch.polar(modulus, phase), iterations)

    def _integrate_phase(self, logmag: NDArray[np.float64]) -> NDArray[np.float64]:
        """Phases of `_stft`, (frames, bins), from the logarithm of its modulus, in radians modulo 2 pi.

        The algorithm of arXiv 1609.00291 spreads phases from the loudest bin, always from the loudest bin
        reached so far: with its heap, it is Prim's algorithm for a maximum spanning tree of the grid of bins.
        Here Kruskal's builds the tree, and pointer jumping sums the changes of phase along its paths. Every
        island of bins above the floor has its own tree; the gradient means nothing below, and phases are
        random there.
        """
        loud = logmag > math.log(2 * self.floor)
        ancestor = _loudest_paths(logmag, loud)
        per_frame, per_bin = (slope.ravel() for slope in self._phase_slopes(logmag))
        child = np.flatnonzero(ancestor < logmag.size)
        parent = ancestor[child]
        slope = np.where(
            np.abs(child - parent) == self.bins,
            per_frame[child] + per_frame[parent],
            per_bin[child] + per_bin[parent],
        )
        phase = np.zeros(logmag.size + 1)
        phase[child] = np.sign(child - parent) * slope / 2
        while (ancestor < logmag.size).any():
            phase += phase[ancestor]
            ancestor = ancestor[ancestor]
        quiet = np.random.default_rng(0).uniform(0, 2 * math.pi, logmag.shape)
        return np.where(loud, phase[:-1].reshape(logmag.shape) % (2 * math.pi), quiet)

    def _phase_slopes(self, logmag: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Change of phase from frame to frame and from bin to bin, each (frames, bins), in radians.

        With log X = s + i phi, window exp(-pi t^2 / gamma) and phases that refer to the frame's centre:
        d phi / dt = omega + (2 pi / gamma) ds / d omega and d phi / d omega = -(gamma / 2 pi) ds / dt.
        Phases that refer to the frame's first sample, n_fft / 2 earlier, gain pi from bin to bin.
        """
        # What lies beyond the ends in time and below 0 Hz is a mirror image.
        s = np.pad(np.pad(logmag, ((1, 1), (0, 0)), "symmetric"), ((0, 0), (1, 0)), "reflect")
        ds_frame = (s[2:, 1:] - s[:-2, 1:]) / 2
        ds_bin = np.gradient(s[1:-1], axis=1)[:, 1:]
        ratio = self.hop * self.n_fft / self.gamma
        omega = 2 * math.pi * self.hop / self.n_fft * np.arange(self.bins)
        return omega + ratio * ds_bin, math.pi - ds_frame / ratio

    def _fast_griffin_lim(self, spectrum: Tensor, iterations: int) -> Tensor:
        """(frames, n_fft / 2 + 1) complex, its modulus wanted and its phase a start, to (frames * hop,)."""
        modulus = spectrum.abs()
        estimate = spectrum
        previous = None
        for _ in range(iterations):
            consistent = self._stft(self._istft(estimate))
            ahead = consistent if previous is None else torch.lerp(previous, consistent, 1 + MOMENTUM)
            estimate = ahead * (modulus / ahead.abs().clamp_min_(torch.finfo(modulus.dtype).tiny))
            previous = consistent
        return self._istft(estimate)

    def _window(self, like: Tensor) -> Tensor:
        """(n_fft,) samples of the Gaussian, its peak of 1 in the middle."""
        t = torch.arange(self.n_fft, device=like.device, dtype=like.dtype) - self.n_fft // 2
        return torch.exp(-math.pi / self.gamma * t**2)

    def _complete(self, wave: Tensor) -> Tensor:
        """`wave` with zeros up to a whole number of hops."""
        missing = self.samples(self.frames(wave.shape[-1])) - wave.shape[-1]
        return torch.nn.functional.pad(wave, (0, missing)) if missing else wave

    def _margins(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of the samples of `wave` (..., t) that stand before its start and after its end."""
        last = wave.shape[-1] - 1
        # Modulo, because a wave shorter than the margin is mirrored back and forth.
        step = torch.arange(1, (self.n_fft - self.hop) // 2 + 1, device=wave.device) % (2 * last)
        return (last - (last - step).abs()).flip(0), (last - step).abs()

    def _stft(self, wave: Tensor) -> Tensor:
        """(..., frames * hop) to complex (..., frames, n_fft / 2 + 1); phases refer to a frame's start."""
        before, after = self._margins(wave)
        mirrored = torch.cat([wave[..., before], wave, wave[..., after]], dim=-1)
        spectrum: Tensor = torch.fft.rfft(mirrored.unfold(-1, self.n_fft, self.hop) * self._window(wave))
        return spectrum

    def _istft(self, spectrum: Tensor) -> Tensor:
        """Least-squares inverse of `_stft`: complex (frames, n_fft / 2 + 1) to (frames * hop,)."""
        window = self._window(spectrum.real)
        wave = self._overlap_add(torch.fft.irfft(spectrum, n=self.n_fft).mul_(window))
        return wave / self._overlap_add((window**2).expand(len(spectrum), -1))

    def _overlap_add(self, pieces: Tensor) -> Tensor:
        """(frames, n_fft), one every `hop` samples, summed to (frames * hop,), the margins folded back."""
        frames, overlap = len(pieces), self.n_fft // self.hop
        total = pieces.new_zeros(frames + overlap - 1, self.hop)
        for i in range(overlap):
            total[i : i + frames] += pieces[:, i * self.hop : (i + 1) * self.hop]
        margin, samples = (self.n_fft - self.hop) // 2, self.samples(frames)
        padded = total.flatten()
        wave = padded[margin : margin + samples].clone()
        before, after = self._margins(wave)
        return wave.index_add_(0, before, padded[:margin]).index_add_(0, after, padded[margin + samples :])


def _loudest_paths(logmag: NDArray[np.float64], loud: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The neighbour from which each bin of the flattened grid gets its phase.

    Args:
        logmag: (frames, bins).
        loud: (frames, bins); the paths use these bins only.

    Returns:
        (frames * bins + 1,) indices. The loudest bin of every connected set of loud bins, and every bin that
        is not loud, has the index past the grid, and so has the entry at that index.
    """
    from scipy.sparse import coo_array, csgraph

    n = logmag.size
    index = np.arange(n).reshape(logmag.shape)
    edges = [(index[:-1], index[1:]), (index[:, :-1], index[:, 1:])]
    u, v = (np.concatenate([ends.ravel() for ends in side]) for side in zip(*edges, strict=True))
    audible = loud.ravel()[u] & loud.ravel()[v]
    u, v = u[audible], v[audible]
    level = logmag.ravel()
    # An edge is as reliable as its quieter end; among equals, as its louder one.
    weight = np.minimum(level[u], level[v]) + 1e-4 * np.maximum(level[u], level[v])
    # scipy minimises, and takes 0 for a missing edge.
    cost = weight.max(initial=-math.inf) - weight + 1
    tree = csgraph.minimum_spanning_tree(coo_array((cost, (u, v)), shape=(n, n)).tocsr()).tocoo()
    count, component = csgraph.connected_components(tree, directed=False)
    loudest = np.empty(count, dtype=np.intp)
    order = np.argsort(level)
    loudest[component[order]] = order
    rooted = coo_array(
        (np.ones(n), (np.append(tree.row, np.full(count, n)), np.append(tree.col, loudest))),
        shape=(n + 1, n + 1),
    )
    _, parent = csgraph.breadth_first_order(rooted.tocsr(), n, directed=False)
    parent[n] = n
    return np.asarray(parent, dtype=np.intp)
