"""Editing, for any modality. A mask of 1 is regenerated, a mask of 0 is kept.

An edit is a function from a plan of a run to another plan, so edits combine by application and go with every
sampler:

    plan = inpaint(known, mask)(plan)
    plan = resample(5)(plan)
    edited = plan.result()

All tensors are (b, ...) of any rank; dims count the batch dimension as 0.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

import torch
from torch import Tensor

from multigen import samplers, schedules
from multigen.denoise import Denoiser, Sigma, along
from multigen.errors import UsageError
from multigen.guidance import pullback
from multigen.noise import Noise
from multigen.samplers import Sampler, Step


@dataclass(frozen=True)
class Plan:
    """All that a run needs; it starts at ``origin + sigmas[0] * unit``."""

    denoise: Denoiser
    sampler: Sampler
    sigmas: Sequence[float]  # falling; a single level means there is nothing to do
    origin: Tensor  # (b, ...); zeros for plain generation
    unit: Tensor  # unit noise, (b, ...)
    noise: Noise

    def steps(self) -> Iterator[Step]:
        """The steps of the run; none where there is a single level."""
        return samplers.steps(self.sampler, self.denoise, self._start(), self.sigmas, self.noise)

    def result(self) -> Tensor:
        """The last state of the run, or the start of one without steps."""
        return samplers.sample(self.sampler, self.denoise, self._start(), self.sigmas, self.noise)

    def _start(self) -> Tensor:
        return self.origin + self.sigmas[0] * self.unit


Edit: TypeAlias = Callable[[Plan], Plan]


# --- variation, inpainting, extension -----------------------------------------------------------------------


def variation(x0: Tensor, strength: float, /) -> Edit:
    """Start from x0 with noise (SDEdit, Meng et al., arXiv 2108.01073).

    strength: the share of the steps that are run. 0 returns x0 itself; 1 starts at the highest level, where
    next to nothing of x0 is left. Raises UsageError outside [0, 1] or for an x0 of another shape than the
    plan's.
    """
    if not 0 <= strength <= 1:
        raise UsageError(f"the strength of a variation must be between 0 and 1, not {strength}")

    def edit(plan: Plan, /) -> Plan:
        return replace(plan, origin=_fitting(x0, plan), sigmas=schedules.truncate(plan.sigmas, strength))

    return edit


def inpaint(known: Tensor, mask: Tensor, /) -> Edit:
    """Regenerate where the mask is 1 and keep `known` where it is 0; in between the two are mixed.

    The denoiser becomes D' = mask D + (1 - mask) known, so any sampler will do. Where the mask is 0, D' is
    constant and the run starts at known + sigma_0 unit. The probability-flow ODE dx/dsigma = (x - known) /
    sigma has the straight line known + sigma unit as its solution there, and a solver that is exact for a
    constant D (every deterministic one) stays on it: the network sees the kept part at the right noise level
    with noise that does not change, and at sigma 0 it is `known`. Stochastic samplers end there too.

    known: (b, ...) or broadcasting to the plan's shape; so the mask, in [0, 1]. Raises UsageError otherwise.
    """
    if bool(((mask < 0) | (mask > 1)).any()):
        raise UsageError("a mask must lie between 0 (kept) and 1 (regenerated)")

    def edit(plan: Plan, /) -> Plan:
        kept, share = _fitting(known, plan), _fitting(mask, plan)

        def denoise(x: Tensor, sigma: Sigma, /) -> Tensor:
            return torch.lerp(kept, plan.denoise(x, sigma), share)

        return replace(plan, denoise=denoise, origin=torch.lerp(kept, plan.origin, share))

    return edit


def resample(repeats: int, /, *, segment: int = 1) -> Edit:
    """RePaint's time travel (Lugmayr et al., arXiv 2201.09865, algorithm 1): run segments `repeats` times.

    After each run but the last, fresh noise takes x back to the level where the segment began, which lets the
    kept and the regenerated parts agree. segment: its length in steps, the paper's jump length; the sampler
    starts anew in each, so a multistep one needs several. The number of steps is `repeats` times that of the
    plan. Runs after the first take fresh noise as well, since a Brownian path gives one increment for one
    pair of levels.

    Raises UsageError unless both are at least 1.
    """
    if repeats < 1 or segment < 1:
        raise UsageError(f"resampling needs repeats and segment of at least 1, not {repeats} and {segment}")

    def edit(plan: Plan, /) -> Plan:
        def travel(denoise: Denoiser, x: Tensor, sigmas: Sequence[float], /, *, noise: Noise) -> Iterator[Step]:
            number = count()
            for first in range(0, len(sigmas) - 1, segment):
                part = sigmas[first : first + segment + 1]
                top, bottom = part[0], part[-1]
                for repeat in range(repeats):
                    if repeat > 0:
                        x = x + math.sqrt(top**2 - bottom**2) * noise(top, top)
                    source = noise if repeat == 0 else lambda s, t: noise(s, s)
                    for step in samplers.steps(plan.sampler, denoise, x, part, source):
                        x = step.x
                        yield step._replace(i=next(number))

        return replace(plan, sampler=travel)

    return edit


def region_mask(shape: Sequence[int], axes: Mapping[str, int], region: Mapping[str, tuple[float, float]], /) -> Tensor:
    """A mask (shape) of 1 inside a box, float32.

    axes: the dim of each named axis. region: (start, stop) as fractions of the axis' length, 0 <= start <
    stop <= 1, for some of the axes; the box reaches over the whole of the others, and is rounded outwards to
    whole cells. Raises UsageError for an unknown axis or an interval that is empty or outside.
    """
    mask = torch.zeros(tuple(shape))
    box = [slice(None)] * mask.ndim
    for name, (start, stop) in region.items():
        if name not in axes:
            raise UsageError(f"no axis is called {name!r}; there is {', '.join(sorted(axes))}")
        if not 0 <= start < stop <= 1:
            raise UsageError(
                f"the region {start:g} to {stop:g} of {name} is empty or outside; give 0 <= start < stop <= 1"
            )
        length = shape[axes[name]]
        # fractions such as 7 / 10 miss their cell by a rounding error, which must not add a cell
        first = min(math.floor(start * length + 1e-6), length - 1)
        box[axes[name]] = slice(first, max(math.ceil(stop * length - 1e-6), first + 1))
    mask[tuple(box)] = 1
    return mask


def extend(known: Tensor, dim: int, /, *, before: int = 0, after: int = 0) -> tuple[Tensor, Tensor]:
    """Room around `known` along an axis, in time or space: (canvas, mask), `before` + `after` cells longer.

    For ``inpaint(canvas, mask)`` in a plan of the canvas' shape; a denoiser for shorter samples reaches over
    it with `multigen.denoise.windowed`. The canvas is 0 and the mask 1 in the room; the mask is 0 over
    `known`. Raises UsageError if either number is negative or both are 0.
    """
    if min(before, after) < 0 or before + after == 0:
        raise UsageError(f"an extension needs a length of at least 1 cell before or after, not {before} and {after}")
    length = known.shape[dim]
    shape = list(known.shape)
    shape[dim] = before + length + after
    canvas, mask = known.new_zeros(shape), known.new_ones(shape)
    canvas.narrow(dim, before, length).copy_(known)
    mask.narrow(dim, before, length).zero_()
    return canvas, mask


# --- linear inverse problems --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinearOperator:
    """A linear map A of samples to measurements, (b, ...) to (b, ...), and its regularised pseudo-inverse.

    ``pinv(y, ridge)`` is A^T (A A^T + ridge I)^-1 y, and at ridge 0 its limit, the Moore-Penrose
    pseudo-inverse A^+ y; ridge >= 0 is a number or (b, 1, ...), of y's rank.
    """

    forward: Callable[[Tensor], Tensor]
    pinv: Callable[[Tensor, Tensor | float], Tensor]


def downsample(factors: Mapping[int, int], /) -> LinearOperator:
    """Average pooling by a whole factor along each of some dims: super-resolution is its inverse problem.

    The operator raises UsageError for a length that its factor does not divide.
    """
    cells = math.prod(factors.values())

    def forward(x: Tensor, /) -> Tensor:
        for dim, factor in factors.items():
            if x.shape[dim] % factor:
                raise UsageError(f"a length of {x.shape[dim]} cannot be downsampled by {factor}: it must be a multiple")
            at = dim % x.ndim
            x = x.reshape(*x.shape[:at], -1, factor, *x.shape[at + 1 :]).mean(at + 1)
        return x

    def pinv(y: Tensor, ridge: Tensor | float, /) -> Tensor:
        y = y / (1 + cells * ridge)  # A A^T = I / cells, A^+ repeats
        for dim, factor in factors.items():
            y = y.repeat_interleave(factor, dim)
        return y

    return LinearOperator(forward, pinv)


def blur(kernel: Tensor, dims: Sequence[int], /, *, cutoff: float = 1e-4) -> LinearOperator:
    """Circular convolution with a kernel of one dimension for each of `dims`, centred at index ``size // 2``.

    Frequencies that the kernel damps below `cutoff` times its strongest one count as lost to the
    pseudo-inverse. The operator raises UsageError for an axis that is shorter than the kernel.
    """
    if kernel.ndim != len(dims):
        raise UsageError(f"a kernel of {kernel.ndim} dimensions cannot blur {len(dims)} dims; give one for each")

    def transfer(x: Tensor) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]]:
        order = sorted(range(len(dims)), key=lambda i: dims[i] % x.ndim)
        at = tuple(dims[i] % x.ndim for i in order)
        sizes = tuple(x.shape[dim] for dim in at)
        ordered = kernel.permute(order).to(x.device, x.dtype)
        if any(k > size for k, size in zip(ordered.shape, sizes, strict=True)):
            raise UsageError(f"a kernel of {tuple(ordered.shape)} does not fit into axes of {sizes}")
        padded = x.new_zeros(sizes)
        padded[tuple(slice(k) for k in ordered.shape)] = ordered
        centred = padded.roll([-(k // 2) for k in ordered.shape], list(range(len(at))))
        spread = [x.shape[dim] if dim in at else 1 for dim in range(x.ndim)]
        return torch.fft.rfftn(centred.view(spread), dim=at), sizes, at

    def forward(x: Tensor, /) -> Tensor:
        gain, sizes, at = transfer(x)
        blurred: Tensor = torch.fft.irfftn(gain * torch.fft.rfftn(x, dim=at), s=sizes, dim=at)
        return blurred

    def pinv(y: Tensor, ridge: Tensor | float, /) -> Tensor:
        gain, sizes, at = transfer(y)
        kept = gain.abs() > cutoff * gain.abs().max()
        inverse = torch.where(kept, gain.conj() / (gain.abs().square() + ridge), 0)
        sharp: Tensor = torch.fft.irfftn(inverse * torch.fft.rfftn(y, dim=at), s=sizes, dim=at)
        return sharp

    return LinearOperator(forward, pinv)


def missing(mask: Tensor, /) -> LinearOperator:
    """Data that are missing, and measured as 0, where the mask is 1.

    Raises UsageError for a mask with anything but 0 and 1.
    """
    if bool(((mask != 0) & (mask != 1)).any()):
        raise UsageError("a mask of missing data must be 1 (missing) or 0 (measured) everywhere")
    measured = mask == 0
    return LinearOperator(lambda x: measured * x, lambda y, ridge: measured * y / (1 + ridge))


def pseudo_inverse(
    operator: LinearOperator, measurement: Tensor, /, *, noise_std: float = 0.0, variance: float = 1.0
) -> Edit:
    """Pseudo-inverse guidance, Pi-GDM: sample x0 given y = A x0 + noise_std n.

    Song et al., "Pseudoinverse-Guided Diffusion Models for Inverse Problems", ICLR 2023.

    With p(x0 | x) taken as N(D, r^2 I), r^2 = variance sigma^2 / (variance + sigma^2), the denoiser becomes

        D' = D + (sigma^2 / r^2) J^T A^T (A A^T + (noise_std^2 / r^2) I)^-1 (y - A D),    J = dD/dx,

    exactly the posterior mean for data of N(0, variance I). variance: of the data around their mean, per
    cell.
    """

    def edit(plan: Plan, /) -> Plan:
        def denoise(x: Tensor, sigma: Sigma, /) -> Tensor:
            d, pull = pullback(lambda x: plan.denoise(x, sigma), x)
            ridge = along(lambda s: noise_std**2 * (1 / variance + 1 / s**2), sigma, x)
            correction = pull(operator.pinv(measurement - operator.forward(d), ridge))
            return d + along(lambda s: 1 + s**2 / variance, sigma, x) * correction

        return replace(plan, denoise=denoise)

    return edit


def null_space(operator: LinearOperator, measurement: Tensor, /) -> Edit:
    """Sample x0 with A x0 = y exactly, without gradients: D' = D + A^+ (y - A D) (DDNM, arXiv 2212.00490).

    The denoiser decides the null space of A only, and learns of y through x alone: where the two disagree at the
    end, add `resample`, or take `pseudo_inverse`. For `missing` it is `inpaint` with the same mask.
    """

    def edit(plan: Plan, /) -> Plan:
        def denoise(x: Tensor, sigma: Sigma, /) -> Tensor:
            d = plan.denoise(x, sigma)
            return d + operator.pinv(measurement - operator.forward(d), 0.0)

        return replace(plan, denoise=denoise)

    return edit


def _fitting(value: Tensor, plan: Plan) -> Tensor:
    """`value` in the plan's shape, device and dtype."""
    try:
        return value.to(plan.origin.device, plan.origin.dtype).expand(plan.origin.shape)
    except RuntimeError:
        raise UsageError(
            f"a tensor of {tuple(value.shape)} does not fit a sample of {tuple(plan.origin.shape)}"
        ) from None
