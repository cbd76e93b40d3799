"""Samplers: from noise to a sample, a generator of steps each.

A sampler is called as ``sampler(denoise, x, sigmas)`` with x: (b, ...) at level ``sigmas[0]``, of any rank, and falling
``sigmas`` as Python floats (the last may be 0), and yields a `Step` after each level. Progress, previews, early
stopping and cancelling are the caller's ``for`` loop. Stochastic samplers take their randomness as ``noise=`` (see
`multigen.noise`); nothing else is random.

Notation: s, t are the current and the next sigma, d = D(x, s) is the denoised x0, h = log(s / t) is the step in
log-SNR / 2, and the probability-flow ODE is dx/dsigma = (x - D(x, sigma)) / sigma
(arXiv 2206.00364, eq. 1 and 3).
"""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from multigen.denoise import Denoiser
from multigen.noise import Noise


class Step(NamedTuple):
    """One finished step."""

    i: int  # which, from 0
    sigma: float  # the level reached
    x: Tensor  # the state there, (b, ...)
    x0: Tensor  # the prediction that led there, (b, ...)


Sampler: TypeAlias = Callable[..., Iterator[Step]]


def sample(sampler: Sampler, denoise: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise, /) -> Tensor:
    """Run a sampler to its end and return the last state; x comes back unchanged if there is no step to make."""
    for step in steps(sampler, denoise, x, sigmas, noise):
        x = step.x
    return x


def steps(sampler: Sampler, denoise: Denoiser, x: Tensor, sigmas: Sequence[float], noise: Noise, /) -> Iterator[Step]:
    """The steps of any sampler, with `noise` handed to the ones that take it."""
    takes_noise = "noise" in inspect.signature(sampler).parameters
    return sampler(denoise, x, sigmas, **({"noise": noise} if takes_noise else {}))


def adds_noise(sampler: Sampler, /) -> bool:
    """Whether a sampler, as it is configured, asks for noise in the steps of a run."""
    asked: list[float] = []

    def noise(sigma: float, sigma_next: float, /) -> Tensor:
        asked.append(sigma)
        return torch.zeros(1, 1)

    for _ in steps(sampler, lambda x, sigma, /: torch.zeros_like(x), torch.ones(1, 1), (2.0, 1.0, 0.5, 0.0), noise):
        pass
    return bool(asked)


# --- one-step methods -------------------------------------------------------------------------------------------------


def euler(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /) -> Iterator[Step]:
    """Euler's method in sigma. Order 1, one evaluation a step.

    The same step as DDIM at eta 0 (arXiv 2010.02502, eq. 12), DPM-Solver++(1) and the Euler step of rectified flow.
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        x = torch.lerp(d, x, t / s)
        yield Step(i, t, x, d)


def ddim(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise, eta: float = 0.0) -> Iterator[Step]:
    """DDIM (arXiv 2010.02502, eq. 12 and 16). Order 1, one evaluation a step.

    eta: 0 is deterministic, 1 is DDPM's posterior; `euler_ancestral` is its name at 1.
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        down, up = _ancestral(s, t, eta)
        x = _renoise(torch.lerp(d, x, down / s), up, noise, s, t)
        yield Step(i, t, x, d)


euler_ancestral = partial(ddim, eta=1.0)


def ddpm(
    denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise, variance: float = 0.0
) -> Iterator[Step]:
    """DDPM's ancestral sampling (arXiv 2006.11239, algorithm 2). Order 1, one evaluation a step.

    variance: of the reverse step, interpolated in the logarithm between the posterior's (0) and beta's (1), the two
    choices of its section 3.2 and the range that arXiv 2102.09672 (eq. 15) learns within.
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        ratio = (t / s) ** 2
        posterior = t * t * (1 - ratio)
        beta = (s * s - t * t) * (1 + t * t) / (1 + s * s)
        up = math.sqrt(posterior ** (1 - variance) * beta**variance) if t > 0 else 0.0
        x = _renoise(torch.lerp(d, x, ratio), up, noise, s, t)
        yield Step(i, t, x, d)


def heun(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    /,
    *,
    noise: Noise | None = None,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float = math.inf,
    churn_noise: float = 1.0,
) -> Iterator[Step]:
    """Heun's method with churn (arXiv 2206.00364, algorithm 2). Order 2, two evaluations a step, one in a step to 0.

    churn, churn_min, churn_max, churn_noise: the paper's S_churn, S_tmin, S_tmax, S_noise. The noise raises x from s to
    s_hat *before* the evaluation there. Raises ValueError for churn without a noise source.
    """
    if churn > 0 and noise is None:
        raise ValueError("heun needs noise= when churn > 0")
    gamma = min(churn / max(1, len(sigmas) - 1), math.sqrt(2) - 1)
    for i, (s, t) in enumerate(pairwise(sigmas)):
        if noise is not None and gamma > 0 and churn_min <= s <= churn_max:
            raised = s * (1 + gamma)
            x = x + noise(s, s) * (churn_noise * math.sqrt(raised**2 - s**2))
            s = raised
        d = denoise(x, s)
        slope = (x - d) / s
        moved = x + (t - s) * slope
        if t > 0:
            d_next = denoise(moved, t)
            moved = x + (t - s) / 2 * (slope + (moved - d_next) / t)
        x = moved
        yield Step(i, t, x, d)


def dpm2(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, share: float = 0.5) -> Iterator[Step]:
    """DPM-Solver-2 (arXiv 2206.00927, section 3.2). Order 2, two evaluations a step, one in a step to 0.

    share: where in log sigma the second evaluation lies, the paper's r_1 in (0, 1].
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        if t > 0:
            m = s * (t / s) ** share
            d_mid = denoise(torch.lerp(d, x, m / s), m)
            eps_mid = (torch.lerp(d, x, m / s) - d_mid) / m
            eps_here = (x - d) / s
            x = x + (t - s) * (eps_here + (eps_mid - eps_here) / (2 * share))
        else:
            x = d
        yield Step(i, t, x, d)


def dpmpp_2s_ancestral(
    denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise, eta: float = 1.0, share: float = 0.5
) -> Iterator[Step]:
    """DPM-Solver++(2S) (arXiv 2211.01095, algorithm 1) with ancestral noise. Two evaluations a step, one in a step to
    0.

    Order 2 at eta 0. share: where in log sigma the second evaluation lies, the paper's r in (0, 1].
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        down, up = _ancestral(s, t, eta)
        if down > 0:
            m = s * (down / s) ** share
            d_mid = denoise(torch.lerp(d, x, m / s), m)
            x = torch.lerp(torch.lerp(d, d_mid, 1 / (2 * share)), x, down / s)
        else:
            x = d
        x = _renoise(x, up, noise, s, t)
        yield Step(i, t, x, d)


# --- multistep methods ------------------------------------------------------------------------------------------------


def dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /) -> Iterator[Step]:
    """DPM-Solver++(2M) (arXiv 2211.01095, algorithm 2). Order 2, one evaluation a step; a step to 0 is Euler's."""
    before: tuple[Tensor, float] | None = None
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        x = torch.lerp(d, x, t / s)
        if t > 0:
            h = math.log(s / t)
            if before is not None:
                d_before, h_before = before
                again = (1 - t / s) * h / h_before / 2  # of the last change of d
                x.add_(d, alpha=again).sub_(d_before, alpha=again)
            before = d, h
        yield Step(i, t, x, d)


def dpmpp_2m_sde(
    denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise, eta: float = 1.0
) -> Iterator[Step]:
    """SDE-DPM-Solver++(2M), midpoint form (arXiv 2211.01095). One evaluation a step.

    eta: the share of the reverse SDE's noise; 0 is `dpmpp_2m`. A step to 0 is Euler's.
    """
    before: tuple[Tensor, float] | None = None
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        if t > 0:
            h = math.log(s / t)
            pull = -math.expm1(-(1 + eta) * h)
            x = (1 - pull) * x + pull * d
            if before is not None:
                d_before, h_before = before
                x = x + pull / 2 * (h / h_before) * (d - d_before)
            x = _renoise(x, t * math.sqrt(-math.expm1(-2 * eta * h)), noise, s, t)
            before = d, h
        else:
            x = d
        yield Step(i, t, x, d)


def dpmpp_3m_sde(
    denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise, eta: float = 1.0
) -> Iterator[Step]:
    """SDE-DPM-Solver++(3M): the multistep exponential integrator with two earlier predictions. One evaluation a step.

    The prediction is a parabola in log sigma through the last three, integrated exactly (the method of arXiv 2211.01095
    carried one order further). Order 3 at eta 0; at eta 1 it wants steps that are not long in log sigma at the end:
    50 of `linear` or `vp` are too few, 200 are enough. A step to 0 is Euler's.
    """
    history: list[tuple[Tensor, float]] = []  # latest first: (prediction, step in log sigma from it to the one after)
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        if t > 0:
            h = math.log(s / t)
            k = (1 + eta) * h
            phi_1 = -math.expm1(-k)
            phi_2 = 1 - phi_1 / k
            x = (1 - phi_1) * x + phi_1 * d
            if history:
                (d_1, h_1) = history[0]
                slope = (d - d_1) / (h_1 / h)
                if len(history) > 1:
                    (d_2, h_2) = history[1]
                    slope_before = (d_1 - d_2) / (h_2 / h)
                    bend = (slope - slope_before) / ((h_1 + h_2) / h)
                    slope = slope + bend * (h_1 / h)
                    phi_3 = 0.5 - phi_2 / k
                    x = x + 2 * phi_3 * bend
                x = x + phi_2 * slope
            x = _renoise(x, t * math.sqrt(-math.expm1(-2 * eta * h)), noise, s, t)
            history = [(d, h), *history[:1]]
        else:
            x = d
        yield Step(i, t, x, d)


def lms(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, order: int = 4) -> Iterator[Step]:
    """Adams-Bashforth in sigma on uneven levels: rho-AB-DEIS (Zhang and Chen, arXiv 2204.13902). One evaluation a step.

    order: 1 to 4, fewer in the first steps.
    """
    if not 1 <= order <= 4:
        raise ValueError(f"lms needs an order from 1 to 4, not {order}")
    slopes: list[tuple[float, Tensor]] = []
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        slopes = [(s, (x - d) / s), *slopes[: order - 1]]
        if t > 0:
            nodes = [node for node, _ in slopes]
            for j, (_, slope) in enumerate(slopes):
                x = x + slope * _lagrange_integral(nodes, j, s, t)
        else:
            x = d
        yield Step(i, t, x, d)


def unipc(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, order: int = 3) -> Iterator[Step]:
    """UniPC with x0-prediction and B(h) = e^h - 1 (arXiv 2302.04867, algorithms 5 to 8). One evaluation a step.

    The evaluation at a new level first corrects the step that led there (UniC), then predicts the next (UniP). The
    predictor has the given order, the corrector one more; fewer in the first steps and, on the way to 0, in the last.
    """
    if not 1 <= order <= 4:
        raise ValueError(f"unipc needs an order from 1 to 4, not {order}")
    history: list[tuple[float, Tensor]] = []  # (sigma, prediction), latest first
    left: Tensor | None = None  # the corrected state at history[0]
    lower_from = len(sigmas) - 1 if 0 in sigmas else math.inf
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        if left is not None:
            x = _unipc_step(left, history[: int(min(order, lower_from - i + 1))], s, d)
        history = [(s, d), *history[: order - 1]]
        left = x
        x = _unipc_step(x, history[: int(min(order, lower_from - i))], t, None) if t > 0 else d
        yield Step(i, t, x, d)


def _unipc_step(x: Tensor, history: Sequence[tuple[float, Tensor]], t: float, d_next: Tensor | None) -> Tensor:
    """From the latest level in `history` to t; with the prediction at t it is the corrector."""
    (s, d), earlier = history[0], history[1:]
    h = math.log(s / t)
    ratios = [-math.log(node / s) / h for node, _ in earlier]
    others = [other for _, other in earlier]
    if d_next is not None:
        ratios, others = [*ratios, 1.0], [*others, d_next]
    moved = torch.lerp(d, x, t / s)
    for weight, other in zip(_unipc_weights(ratios, h), others, strict=True):
        moved.add_(other, alpha=weight).sub_(d, alpha=weight)
    return moved


def _unipc_weights(ratios: Sequence[float], h: float, /) -> list[float]:
    """Weights of the differences that integrate polynomials of D in log sigma exactly (its eq. 9).

    For a single difference the paper takes half of B(h), which has the same order (its appendix F).
    """
    decay = -math.expm1(-h)
    if len(ratios) < 2:
        return [decay / 2 / ratio for ratio in ratios]
    moments, moment = [], decay
    for power in range(1, len(ratios) + 1):  # of u^power under h exp(-h (1 - u)) on [0, 1], by parts
        moment = 1 - power * moment / h
        moments.append(moment)
    nodes = torch.tensor(ratios, dtype=torch.float64)
    powers = torch.arange(1, len(ratios) + 1, dtype=torch.float64)
    weights: list[float] = torch.linalg.solve(
        nodes ** powers[:, None], torch.tensor(moments, dtype=torch.float64)
    ).tolist()
    return weights


# --- stochastic differential equations --------------------------------------------------------------------------------


def sde(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise) -> Iterator[Step]:
    """Euler-Maruyama for the reverse VE SDE in the variance sigma^2 (arXiv 2011.13456, eq. 46). One evaluation a step.

    Weak order 1; a step to 0 is noise-free and returns the prediction.
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        d = denoise(x, s)
        x = _renoise(torch.lerp(d, x, (t / s) ** 2), math.sqrt(s * s - t * t) if t > 0 else 0.0, noise, s, t)
        yield Step(i, t, x, d)


def predictor_corrector(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    /,
    *,
    noise: Noise,
    snr: float = 0.16,
    corrections: int = 1,
) -> Iterator[Step]:
    """Reverse diffusion, then Langevin corrections at the level reached (arXiv 2011.13456, algorithms 1 and 4).

    1 + corrections evaluations a step, one in a step to 0. snr: the paper's r, from which the Langevin step size
    follows; the norms in it are taken per sample, so that a sample does not depend on its batch.
    """
    for i, (s, t) in enumerate(pairwise(sigmas)):
        (step,) = sde(denoise, x, [s, t], noise=noise)
        x = step.x
        for _ in range(corrections if t > 0 else 0):
            slope = (denoise(x, t) - x) / t**2
            z = noise(t, t)
            size = 2 * (snr * norm(z) / norm(slope)) ** 2
            x = x + size * slope + (2 * size).sqrt() * z
        yield step._replace(i=i, x=x)


def adaptive(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    /,
    *,
    rtol: float = 1e-3,
    atol: float = 5e-4,
    most: int = 1000,
) -> Iterator[Step]:
    """Bogacki-Shampine 3(2) in log sigma with error control; only the first and the last positive level are used.

    Order 3, three evaluations a step (the last serves the next one too), then one step to 0 if `sigmas` ends there.
    Every sample has its own step size (root mean square error against atol + rtol |x|, the controller of Hairer,
    Norsett and Wanner, Solving ODEs I, II.4) and so does not depend on its batch; `Step.sigma` is the highest level of
    the batch. `most` bounds the number of steps tried; RuntimeError beyond.
    """
    if len(sigmas) < 2:
        return
    low = min(level for level in sigmas if level > 0)
    shape = (-1, *[1] * (x.ndim - 1))
    at = torch.full((x.shape[0],), math.log(sigmas[0]), dtype=torch.float64, device="cpu")
    end = torch.full_like(at, math.log(low))
    h = torch.full_like(at, -0.1)

    def slope(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:  # dx / dlog sigma = x - D
        d = denoise(x, at.exp())
        return x - d, d

    k1, d = slope(x, at)
    for i in range(most):
        h = torch.maximum(h, end - at)
        step = h.to(x.device, x.dtype).view(shape)
        k2, _ = slope(x + step / 2 * k1, at + h / 2)
        k3, _ = slope(x + step * 3 / 4 * k2, at + h * 3 / 4)
        ahead = x + step * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3)
        k4, d_ahead = slope(ahead, at + h)
        error = step * (-5 / 72 * k1 + 1 / 12 * k2 + 1 / 9 * k3 - 1 / 8 * k4)
        scaled = norm(error / (atol + rtol * torch.maximum(x.abs(), ahead.abs()))) / math.sqrt(x[0].numel())
        ratio = scaled.flatten().double().cpu()
        good = ratio <= 1
        keep = good.to(x.device).view(shape)
        x, k1, d = torch.where(keep, ahead, x), torch.where(keep, k4, k1), torch.where(keep, d_ahead, d)
        at = torch.where(good, at + h, at)
        h = h * (0.9 * ratio.clamp(min=1e-10) ** (-1 / 3)).clamp(0.2, 5.0)
        yield Step(i, float(at.max().exp()), x, d)
        if bool((at <= end).all()):
            break
    else:
        raise RuntimeError(f"adaptive did not reach sigma {low:g} in {most} steps; raise rtol, atol or most")
    if sigmas[-1] == 0:
        yield Step(i + 1, 0.0, d, d)


def norm(x: Tensor, /) -> Tensor:
    """The Euclidean norm of each sample, shaped (b, 1, ...)."""
    lengths: Tensor = torch.linalg.vector_norm(x.flatten(1), dim=1)
    return lengths.view(-1, *[1] * (x.ndim - 1))


def _ancestral(s: float, t: float, eta: float) -> tuple[float, float]:
    """(down, up): step to `down`, then add noise of deviation `up`; down^2 + up^2 = t^2 (arXiv 2010.02502, eq. 16)."""
    up = min(t, eta * t * math.sqrt(max(0.0, 1 - (t / s) ** 2)))
    return math.sqrt(t * t - up * up), up


def _renoise(x: Tensor, up: float, noise: Noise, s: float, t: float) -> Tensor:
    return x + up * noise(s, t) if up > 0 else x


def _lagrange_integral(nodes: Sequence[float], j: int, start: float, stop: float) -> float:
    """The integral of the j-th Lagrange polynomial, by two Gauss-Legendre points: exact up to four nodes."""
    middle, half = (start + stop) / 2, (stop - start) / 2
    total = 0.0
    for point in (middle - half / math.sqrt(3), middle + half / math.sqrt(3)):
        total += half * math.prod((point - n) / (nodes[j] - n) for k, n in enumerate(nodes) if k != j)
    return total
