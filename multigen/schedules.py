"""Noise schedules: how many levels there are and where they lie.

A schedule maps a number of steps n to n + 1 falling levels sigma, the last one 0. Levels are Python floats, so that no
tensor's precision or device enters. DDPM's betas and the SDEs are schedules of sigma as well: with
x_t = sqrt(abar) x0 + sqrt(1 - abar) eps, the level is sigma = sqrt((1 - abar) / abar), and flow matching's time is
t = sigma / (1 + sigma).

Functions with parameters make a schedule: ``karras(0.02, 80)(32)``.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

Schedule: TypeAlias = Callable[[int], Sequence[float]]


def from_abar(abar: float, /) -> float:
    """The level sigma of a signal fraction abar in (0, 1]."""
    return math.sqrt((1 - abar) / abar)


def abar(sigma: float, /) -> float:
    """The signal fraction of a level: 1 / (1 + sigma^2)."""
    return 1 / (1 + sigma * sigma)


def log_snr(sigma: float, /) -> float:
    """log(1 / sigma^2), natural; infinite at 0."""
    return -2 * math.log(sigma) if sigma > 0 else math.inf


def karras(sigma_min: float = 0.02, sigma_max: float = 80.0, *, rho: float = 7.0) -> Schedule:
    """Levels evenly spaced in sigma^(1 / rho) (arXiv 2206.00364, eq. 5)."""
    _check_rho(rho)
    return _between(sigma_min, sigma_max, lambda s: s ** (1 / rho), lambda u: u**rho)


def exponential(sigma_min: float = 0.02, sigma_max: float = 80.0) -> Schedule:
    """Levels evenly spaced in log sigma."""
    return _between(sigma_min, sigma_max, math.log, math.exp)


def polyexponential(sigma_min: float = 0.02, sigma_max: float = 80.0, *, rho: float = 1.0) -> Schedule:
    """Levels whose log sigma falls as (1 - u)^rho, u in [0, 1]; rho 1 is `exponential`, above 1 dwells at low noise."""
    _check_range(sigma_min, sigma_max)
    _check_rho(rho)
    low, high = math.log(sigma_min), math.log(sigma_max)
    return lambda n: [*(math.exp(low + (high - low) * (1 - u) ** rho) for u in _grid(n)), 0.0]


def flow(t_max: float = 0.999, *, shift: float = 1.0) -> Schedule:
    """Even times t of rectified flow from t_max to 0, shifted to t' = shift t / (1 + (shift - 1) t).

    A shift above 1 dwells at high noise, as more dimensions need (Esser et al., arXiv 2403.03206, eq. 23).
    Raises ValueError unless 0 < t_max < 1 and shift > 0.
    """
    if not (0 < t_max < 1 and shift > 0):
        raise ValueError(f"flow needs 0 < t_max < 1 and shift > 0, not t_max={t_max}, shift={shift}")

    def level(t: float) -> float:
        t = shift * t / (1 + (shift - 1) * t)
        return t / (1 - t)

    return lambda n: [level(t_max * (1 - i / _positive(n))) for i in range(n + 1)]


def linear(beta_min: float = 1e-4, beta_max: float = 0.02, *, timesteps: int = 1000) -> Schedule:
    """DDPM's evenly spaced betas (arXiv 2006.11239)."""
    return _respaced(_cumulated([_lerp(beta_min, beta_max, i, timesteps) for i in range(timesteps)]))


def scaled_linear(beta_min: float = 0.00085, beta_max: float = 0.012, *, timesteps: int = 1000) -> Schedule:
    """Betas evenly spaced in their square root, of latent diffusion (arXiv 2112.10752)."""
    if beta_min < 0:
        raise ValueError(f"betas must be in (0, 1), not from {beta_min}")
    roots = (_lerp(math.sqrt(beta_min), math.sqrt(beta_max), i, timesteps) for i in range(timesteps))
    return _respaced(_cumulated([root**2 for root in roots]))


def cosine(*, timesteps: int = 1000, offset: float = 0.008, beta_clip: float = 0.999) -> Schedule:
    """abar(t) = cos^2((t + offset) / (1 + offset) * pi / 2), betas clipped (Nichol and Dhariwal, arXiv 2102.09672)."""

    def signal(t: float) -> float:
        return math.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2

    ratios = (signal((i + 1) / timesteps) / signal(i / timesteps) for i in range(timesteps))
    return _respaced(_cumulated([min(1 - ratio, beta_clip) for ratio in ratios]))


def sigmoid(*, timesteps: int = 1000, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Schedule:
    """abar(t) falls as a sigmoid from `start` to `end`, betas clipped at 0.999 (Jabri et al., arXiv 2212.11972)."""

    if not (start < end and tau > 0):
        raise ValueError(f"sigmoid needs start < end and tau > 0, not start={start}, end={end}, tau={tau}")

    def signal(t: float) -> float:
        low, here, high = (1 / (1 + math.exp(-u / tau)) for u in (start, start + t * (end - start), end))
        return (high - here) / (high - low)

    ratios = (signal((i + 1) / timesteps) / signal(i / timesteps) for i in range(timesteps))
    return _respaced(_cumulated([min(1 - ratio, 0.999) for ratio in ratios]))


def vp(beta_min: float = 0.1, beta_d: float = 19.9, *, t_min: float = 1e-3) -> Schedule:
    """Even times from 1 to t_min of the VP SDE, abar = exp(-beta_d t^2 / 2 - beta_min t) (arXiv 2011.13456, appendix
    C)."""

    if not (beta_min >= 0 and beta_d >= 0 and beta_min + beta_d > 0 and 0 < t_min < 1):
        raise ValueError(
            f"vp needs betas >= 0 and 0 < t_min < 1, not beta_min={beta_min}, beta_d={beta_d}, t_min={t_min}"
        )

    def level(t: float) -> float:
        return math.sqrt(math.expm1(beta_d * t * t / 2 + beta_min * t))

    return lambda n: [*(level(1 + u * (t_min - 1)) for u in _grid(n)), 0.0]


def ve(sigma_min: float = 0.02, sigma_max: float = 100.0) -> Schedule:
    """The VE SDE's geometric levels: `exponential` with the range of arXiv 2011.13456 (appendix C)."""
    return exponential(sigma_min, sigma_max)


def beta_spaced(schedule: Schedule = flow(), *, a: float = 0.6, b: float = 0.6, dense: int = 1000) -> Schedule:  # noqa: B008
    """The levels of another schedule, taken at quantiles of a Beta(a, b) distribution along it (arXiv 2407.12173).

    a = b < 1 puts more steps at both ends. `dense`: how finely the other schedule is sampled before it is
    interpolated in log sigma.
    """
    quantile = _beta_quantile(a, b)

    def spaced(n: int) -> list[float]:
        levels = list(schedule(dense))[:-1]
        return [*(_interpolate(levels, quantile(u)) for u in _grid(n)), 0.0]

    return spaced


def table(sigmas: Sequence[float], /) -> str:
    """A schedule's levels as text: step, sigma, abar and log-SNR, a line each."""
    rows = [f"{i:4d}  {s:12.6g}  {abar(s):12.6g}  {log_snr(s):10.4f}" for i, s in enumerate(sigmas)]
    return "\n".join([f"{'step':>4}  {'sigma':>12}  {'abar':>12}  {'log-SNR':>10}", *rows])


def truncate(sigmas: Sequence[float], strength: float, /) -> list[float]:
    """The last round(strength * n) steps of a schedule: where a variation of that strength starts.

    Raises ValueError unless 0 <= strength <= 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1], not {strength}")
    n = len(sigmas) - 1
    return list(sigmas[n - round(strength * n) :])


def _between(
    sigma_min: float, sigma_max: float, warp: Callable[[float], float], unwarp: Callable[[float], float]
) -> Schedule:
    _check_range(sigma_min, sigma_max)
    high, low = warp(sigma_max), warp(sigma_min)
    return lambda n: [*(unwarp(high + u * (low - high)) for u in _grid(n)), 0.0]


def _check_range(sigma_min: float, sigma_max: float) -> None:
    if not 0 < sigma_min < sigma_max < math.inf:
        raise ValueError(f"a schedule needs 0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}")


def _check_rho(rho: float) -> None:
    if not 0 < rho < math.inf:
        raise ValueError(f"a schedule needs rho > 0, not {rho}")


def _positive(n: int) -> int:
    if n < 1:
        raise ValueError(f"a schedule needs at least 1 step, not {n}")
    return n


def _grid(n: int) -> list[float]:
    """n even points from 0 to 1; a single one is at 0."""
    return [i / max(1, n - 1) for i in range(_positive(n))]


def _lerp(low: float, high: float, i: int, n: int) -> float:
    return low + (high - low) * i / max(1, n - 1)


def _cumulated(betas: Sequence[float]) -> list[float]:
    """sigma_t for t = 0 ... T - 1 from abar_t = prod (1 - beta)."""
    if len(betas) < 2 or not all(0 < beta < 1 for beta in betas):
        raise ValueError(f"betas must be in (0, 1), for 2 timesteps or more, not {list(betas[:3])} ...")
    levels, product = [], 1.0
    for beta in betas:
        product *= 1 - beta
        levels.append(from_abar(product))
    return levels


def _respaced(levels: Sequence[float]) -> Schedule:
    """n levels out of a discrete table, at even (fractional) timesteps from the last to the first, then 0."""
    falling = list(reversed(levels))
    return lambda n: [*(_interpolate(falling, u) for u in _grid(n)), 0.0]


def _interpolate(levels: Sequence[float], u: float) -> float:
    """A falling table at u in [0, 1], linearly in log sigma."""
    place = u * (len(levels) - 1)
    i = min(int(place), len(levels) - 2)
    share = place - i
    return math.exp((1 - share) * math.log(levels[i]) + share * math.log(levels[i + 1]))


def _beta_quantile(a: float, b: float, cells: int = 4096) -> Callable[[float], float]:
    """The inverse of Beta(a, b)'s distribution function.

    With t = sin^2(theta) the density is 2 sin^(2a - 1) cos^(2b - 1), summed at the middles of `cells` cells of theta.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"a Beta distribution needs a > 0 and b > 0, not {a} and {b}")
    width = math.pi / 2 / cells
    cumulated = [0.0]
    for i in range(cells):
        theta = (i + 0.5) * width
        cumulated.append(cumulated[-1] + math.sin(theta) ** (2 * a - 1) * math.cos(theta) ** (2 * b - 1))

    def quantile(u: float) -> float:
        if u == 1:  # where the density's tail is too thin to add to the sum, several cells hold the last value
            return 1.0
        target = u * cumulated[-1]
        low, high = 0, cells
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if cumulated[middle] <= target else (low, middle)
        share = (target - cumulated[low]) / (cumulated[high] - cumulated[low])
        return math.sin((low + share) * width) ** 2

    return quantile
