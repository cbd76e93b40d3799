"""Guidance: one denoiser made of two, ``guidance(wanted, unwanted)``, or one bent by a log-probability.

What the second denoiser is decides what the guidance does, whichever function below combines the two:

* the same network without its condition: classifier-free guidance;
* the same network bound to another prompt: a negative prompt, from which the sample is pushed away;
* a weaker network (smaller, or an earlier average of the weights) under the same condition: autoguidance
  (Karras et al., arXiv 2406.02507).

A scale of 1 is no guidance: the wanted denoiser itself is returned and the other one never called. Every norm
and average is taken per sample, so that a sample does not depend on its batch; x is (b, ...) of any rank.

The two predictions are D_c (wanted) and D_u (unwanted), both of x0; for a window over a long axis, wrap both
denoisers first and guide the wrapped ones.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

import torch
from torch import Tensor

from multigen.denoise import Denoiser, Sigma, along, evaluate, flow
from multigen.errors import UsageError

Guidance: TypeAlias = Callable[[Denoiser, Denoiser], Denoiser]
"""``(wanted, unwanted) -> guided``. Called once a run: what a guidance remembers lives in what it returns."""


@dataclass(frozen=True)
class OnGrid:
    """A guidance that depends on the levels it will be used on: ``on(sigmas)`` is the `Guidance`."""

    on: Callable[[Sequence[float]], Guidance]


AnyGuidance: TypeAlias = Guidance | OnGrid
LogProb: TypeAlias = Callable[[Tensor, Sigma], Tensor]
"""``(x, sigma) -> log p(y | x, sigma)``, (b,), differentiable in x and known up to a constant."""
CleanLogProb: TypeAlias = Callable[[Tensor], Tensor]
"""``x0 -> log p(y | x0)``, (b,), differentiable and known up to a constant."""
_Rule: TypeAlias = Callable[[Tensor, Sigma, Tensor, Tensor], Tensor]  # (x, sigma, D_c, D_u) -> D


def on_grid(guidance: AnyGuidance, sigmas: Sequence[float], /) -> Guidance:
    """The guidance to use on these levels; a plain `Guidance` is returned as it is."""
    return guidance.on(sigmas) if isinstance(guidance, OnGrid) else guidance


# --- two denoisers ------------------------------------------------------------------------------------------


def cfg(scale: float) -> Guidance:
    """Classifier-free guidance, D_u + scale (D_c - D_u) (Ho and Salimans, arXiv 2207.12598, eq. 6).

    scale: the paper's 1 + w. With a weaker model as the second denoiser this is autoguidance (arXiv 2406.02507).
    """
    return _combined(scale, lambda x, sigma, d_c, d_u: torch.lerp(d_u, d_c, scale))


@overload
def within(guidance: Guidance, low: float, high: float, /) -> Guidance: ...
@overload
def within(guidance: OnGrid, low: float, high: float, /) -> OnGrid: ...
def within(guidance: AnyGuidance, low: float, high: float, /) -> AnyGuidance:
    """Any guidance, where low < sigma <= high; elsewhere only the wanted denoiser is called.

    Guidance in a limited interval (Kynkäänniemi et al., arXiv 2404.07724).

    Raises UsageError unless 0 <= low < high.
    """
    if not 0 <= low < high:
        raise UsageError(f"a guidance interval needs 0 <= low < high in sigma, not {low} and {high}")
    if isinstance(guidance, OnGrid):
        return OnGrid(lambda sigmas: within(guidance.on(sigmas), low, high))

    def guide(wanted: Denoiser, unwanted: Denoiser, /) -> Denoiser:
        return _where(lambda s: (low < s) & (s <= high), guidance(wanted, unwanted), wanted)

    return guide


def rescaled(scale: float, *, phi: float = 0.7) -> Guidance:
    """`cfg`, rescaled towards the standard deviation of D_c (Lin et al., arXiv 2305.08891, section 3.4).

    phi: how far, 0 (plain `cfg`) to 1 (exactly that deviation).
    """

    def rule(x: Tensor, sigma: Sigma, d_c: Tensor, d_u: Tensor) -> Tensor:
        guided = torch.lerp(d_u, d_c, scale)
        ratio = _std(d_c) / _std(guided).clamp(min=torch.finfo(x.dtype).tiny)
        return guided * (1 - phi + phi * ratio)

    return _combined(scale, rule)


def apg(scale: float, *, eta: float = 0.0, threshold: float = math.inf, momentum: float = 0.0) -> Guidance:
    """Adaptive projected guidance (Sadat et al., arXiv 2410.02416), for high scales without oversaturation.

    eta: weight of the part of D_c - D_u that is parallel to D_c; 1 keeps it. threshold: the paper's r, the
    largest norm of the difference over a whole sample. momentum: the paper's beta, weight of the earlier
    differences in the sum that replaces the difference, negative in the paper (-0.5, -0.75). ``apg(w,
    eta=1)`` is ``cfg(w)``.

    Raises UsageError when momentum is on and a sampler asks for different levels in one batch (`adaptive`):
    it tries and repeats levels, so there is no sequence to remember.
    """

    def guide(wanted: Denoiser, unwanted: Denoiser, /) -> Denoiser:
        remembered: Tensor | None = None

        def rule(x: Tensor, sigma: Sigma, d_c: Tensor, d_u: Tensor) -> Tensor:
            nonlocal remembered
            difference = d_c - d_u
            if momentum != 0:
                if isinstance(sigma, Tensor) and sigma.ndim > 0:
                    raise UsageError("apg with momentum needs a sampler with one level for all samples: use momentum=0")
                difference = difference if remembered is None else difference + momentum * remembered
                remembered = difference
            difference = difference * (threshold / _dot(difference, difference).sqrt()).clamp(max=1)
            parallel = _projection(difference, d_c) * d_c
            return d_c + (scale - 1) * (difference + (eta - 1) * parallel)

        return _combined(scale, rule)(wanted, unwanted)

    return guide


def cfg_zero_star(scale: float, *, zero_steps: int = 1) -> OnGrid:
    """CFG-Zero* (Fan et al., arXiv 2503.18886): `cfg` on rectified flow's velocity n - x0, corrected twice.

    The unwanted velocity is scaled by s* = <v_c, v_u> / |v_u|^2, which minimises |v_c - s v_u|; and over the
    first `zero_steps` steps of the grid (never the last step) the velocity is 0 and no network is called. A
    velocity of 0 leaves x / (1 + sigma), the flow's own state, as it is.
    """

    def rule(x: Tensor, sigma: Sigma, d_c: Tensor, d_u: Tensor) -> Tensor:
        v_c, v_u = flow.from_x0(d_c, x, sigma), flow.from_x0(d_u, x, sigma)
        return flow.to_x0(torch.lerp(_projection(v_c, v_u) * v_u, v_c, scale), x, sigma)

    def still(x: Tensor, sigma: Sigma, /) -> Tensor:
        return flow.to_x0(torch.zeros_like(x), x, sigma)

    def on(sigmas: Sequence[float], /) -> Guidance:
        first = min(zero_steps, len(sigmas) - 2)
        if scale == 1 or first <= 0:
            return _combined(scale, rule)
        return lambda wanted, unwanted: _where(
            lambda s: s > sigmas[first], still, _combined(scale, rule)(wanted, unwanted)
        )

    return OnGrid(on)


def cfg_pp(scale: float) -> OnGrid:
    """CFG++ (Chung et al., arXiv 2406.08070, algorithm 2): guided x0, renoised with the unwanted noise.

    scale: the paper's lambda, 0 (only the unwanted denoiser) to 1; unlike everywhere else, 1 is not "no
    guidance". A first-order step from s to t, to D_u + lambda (D_c - D_u) + t (x - D_u) / s, is the step of
    `cfg` with scale lambda s / (s - t), and that is how it is done: exact for `euler` (and `ddim` at eta 0)
    on the grid's own levels; with any other sampler it is `cfg` with that schedule of scales, constant
    between two levels.
    """

    def on(sigmas: Sequence[float], /) -> Guidance:
        rising = torch.tensor(sigmas[::-1], dtype=torch.float64, device="cpu")
        scales = scale * rising[1:] / (rising[1:] - rising[:-1])

        def scale_at(sigma: Tensor, /) -> Tensor:
            # the first level not below sigma, give or take float32 rounding, is where its step starts
            start = torch.searchsorted(rising, sigma * (1 - 1e-6))
            return scales[(start - 1).clamp(0, len(scales) - 1)]

        def guide(wanted: Denoiser, unwanted: Denoiser, /) -> Denoiser:
            return _both(lambda x, sigma, d_c, d_u: d_u + along(scale_at, sigma, x) * (d_c - d_u), wanted, unwanted)

        return guide

    return OnGrid(on)


# --- one denoiser -------------------------------------------------------------------------------------------


def classifier(log_prob: LogProb, /, *, scale: float = 1.0) -> Callable[[Denoiser], Denoiser]:
    """Classifier guidance: D + scale sigma^2 grad_x log p(y | x, sigma).

    By Bayes' rule for scores it is exact at scale 1 for an exact log-probability (Song et al., arXiv
    2011.13456, eq. 14; Dhariwal and Nichol, arXiv 2105.05233). The gradient is taken in any grad mode of the
    caller; scale 0 is no guidance.
    """

    def guide(denoise: Denoiser, /) -> Denoiser:
        def guided(x: Tensor, sigma: Sigma, /) -> Tensor:
            log_p, pull = pullback(lambda x: log_prob(x, sigma), x)
            return denoise(x, sigma) + along(lambda s: scale * s * s, sigma, x) * pull(torch.ones_like(log_p))

        return denoise if scale == 0 else guided

    return guide


def on_clean(denoise: Denoiser, log_prob: CleanLogProb, /) -> LogProb:
    """A log-probability of (x, sigma) from one of a clean sample: log p(y | D(x, sigma)).

    The approximation of DPS (Chung et al., arXiv 2209.14687) and universal guidance (Bansal et al., arXiv
    2302.07121); its gradient runs through the denoiser.
    """
    return lambda x, sigma: log_prob(denoise(x, sigma))


def similarity(encode: Callable[[Tensor], Tensor], target: Tensor, /, *, temperature: float = 0.01) -> CleanLogProb:
    """Cosine similarity to a text (or any) embedding over the temperature, as in CLIP (arXiv 2103.00020).

    encode: (b, ...) to (b, d), differentiable. target: (d,) or (b, d).
    """
    return lambda x0: torch.cosine_similarity(encode(x0), target, dim=-1) / temperature


def compose(base: Denoiser, parts: Sequence[tuple[Denoiser, float]], /) -> Denoiser:
    """AND with weights, NOT where a weight is negative: D_base + sum_i w_i (D_i - D_base) (arXiv 2206.01714).

    At each level its score is that of p_base prod_i (p_i / p_base)^w_i. One batched forward where the network
    is shared.
    """

    def composed(x: Tensor, sigma: Sigma, /) -> Tensor:
        d, *others = evaluate(x, sigma, base, *(denoise for denoise, _ in parts))
        return sum((w * (other - d) for (_, w), other in zip(parts, others, strict=True)), d)

    return composed


# --- shared -------------------------------------------------------------------------------------------------


def pullback(f: Callable[[Tensor], Tensor], x: Tensor, /) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """f(x), and v -> J^T v with J the Jacobian there, to be applied once; in any grad mode of the caller.

    Both are differentiable in turn where gradients are on and x asks for them.
    """
    differentiable = torch.is_grad_enabled() and x.requires_grad
    with torch.inference_mode(False), torch.enable_grad():
        at = x if differentiable else x.detach().clone().requires_grad_()
        y = f(at)

    def pull(cotangent: Tensor, /) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            (pulled,) = torch.autograd.grad(y, at, cotangent, create_graph=differentiable)
        return pulled

    return y if differentiable else y.detach(), pull


def _combined(scale: float, rule: _Rule) -> Guidance:
    return lambda wanted, unwanted: wanted if scale == 1 else _both(rule, wanted, unwanted)


def _both(rule: _Rule, wanted: Denoiser, unwanted: Denoiser) -> Denoiser:
    def guided(x: Tensor, sigma: Sigma, /) -> Tensor:
        return rule(x, sigma, *evaluate(x, sigma, wanted, unwanted))

    return guided


def _where(inside: Callable[[Tensor], Tensor], yes: Denoiser, no: Denoiser) -> Denoiser:
    """`yes` for the samples whose level is inside, `no` for the others; neither is called for no sample."""

    def chosen(x: Tensor, sigma: Sigma, /) -> Tensor:
        rows = inside(torch.as_tensor(sigma, dtype=torch.float64, device="cpu"))
        if bool(rows.all()):
            return yes(x, sigma)
        if not bool(rows.any()):
            return no(x, sigma)
        rows = rows.to(x.device).view(-1, *[1] * (x.ndim - 1))
        return torch.where(rows, yes(x, sigma), no(x, sigma))

    return chosen


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each pair of samples, (b, 1, ...)."""
    return (a * b).flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))


def _projection(a: Tensor, b: Tensor) -> Tensor:
    """The multiple of b nearest to a, for each sample: the factor, (b, 1, ...); 0 where b is 0."""
    return _dot(a, b) / _dot(b, b).clamp(min=torch.finfo(b.dtype).tiny)


def _std(x: Tensor) -> Tensor:
    """The standard deviation over each sample, (b, 1, ...)."""
    return x.flatten(1).std(1, correction=0).view(-1, *[1] * (x.ndim - 1))
