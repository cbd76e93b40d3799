"""Windows over a long axis, open (`windowed`) and closed into a ring (`ring`)."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from multigen import samplers
from multigen.denoise import Denoiser, Sigma, ring, windowed
from multigen.noise import Brownian, white
from multigen.schedules import karras
from multigen.testing import Gaussian

BOTH = pytest.mark.parametrize("joined", [windowed, ring])
SHAPES = {2: (2, 23), 3: (2, 3, 23), 4: (2, 3, 2, 23), 5: (2, 2, 1, 3, 23)}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return white([seed], shape)[0].double()


def pointwise(x: Tensor, sigma: Sigma, /) -> Tensor:
    return torch.tanh(x) / (1 + sigma)


def smooth(x: Tensor, sigma: Sigma, /) -> Tensor:
    """The mean of each cell's two neighbours; cells beyond the window's ends are 0."""
    padded = torch.nn.functional.pad(x, (1, 1))
    return (padded[..., :-2] + padded[..., 2:]) / 2


def mean_of_window(x: Tensor, sigma: Sigma, /) -> Tensor:
    return x.mean(-1, keepdim=True).expand_as(x)


@BOTH
@pytest.mark.parametrize("shape", SHAPES.values(), ids=[f"rank{rank}" for rank in SHAPES])
@pytest.mark.parametrize(("size", "overlap"), [(7, 0), (7, 3), (8, 7), (1, 0), (23, 4), (40, 11)])
def test_a_pointwise_denoiser_stays_what_it_is(
    joined: Callable[..., Denoiser], shape: tuple[int, ...], size: int, overlap: int
) -> None:
    x = randn(*shape)
    for dim in {-1, 1, x.ndim - 1}:
        result = joined(pointwise, dim=dim, size=size, overlap=overlap)(x, 2.0)
        torch.testing.assert_close(result, pointwise(x, 2.0), rtol=1e-14, atol=1e-15)


@BOTH
@pytest.mark.parametrize("overlap", [-1, 8, 9])
def test_the_overlap_must_be_smaller_than_the_window(joined: Callable[..., Denoiser], overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        joined(pointwise, dim=-1, size=8, overlap=overlap)


@BOTH
@pytest.mark.parametrize("length", [9, 20, 23, 64])
def test_every_window_has_the_size_and_every_cell_a_window(joined: Callable[..., Denoiser], length: int) -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor, sigma: Sigma, /) -> Tensor:
        seen.append(x[0].long())
        return x

    joined(watched, dim=1, size=8, overlap=3)(torch.arange(float(length)).repeat(2, 1), 1.0)
    assert {len(window) for window in seen} == {8}
    assert torch.cat(seen).unique().tolist() == list(range(length))
    neighbours = [*pairwise(seen), *([(seen[-1], seen[0])] if joined is ring else [])]
    for a, b in neighbours:
        assert len(set(a.tolist()) & set(b.tolist())) >= 3


def test_the_cross_fade_is_linear() -> None:
    """Two windows of 6 with 3 cells in common, whose answers are 0 and 1: the shares rise by a quarter."""
    answers = iter((0.0, 1.0))
    x = torch.zeros(1, 9)
    faded = windowed(lambda x, s: torch.full_like(x, next(answers)), dim=1, size=6, overlap=3)(x, 1.0)
    torch.testing.assert_close(faded, torch.tensor([[0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]]))


@BOTH
def test_the_windows_leave_their_argument_alone_and_accept_a_level_for_each_sample(
    joined: Callable[..., Denoiser],
) -> None:
    x, sigma = randn(3, 20), torch.tensor([0.5, 1.0, 2.0]).double()
    before = x.clone()
    denoise = joined(lambda x, s: x / (1 + s[:, None]), dim=1, size=8, overlap=2)
    torch.testing.assert_close(denoise(x, sigma), x / (1 + sigma[:, None]))
    assert torch.equal(x, before)


# --- the ring -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("denoise", [smooth, mean_of_window])
@pytest.mark.parametrize(("length", "distance"), [(24, 6), (20, 5), (8, 4), (6, 6)])
def test_turning_a_ring_by_a_window_turns_the_result(denoise: Denoiser, length: int, distance: int) -> None:
    """Whatever the denoiser: the windows, spaced by `distance`, see the same as before."""
    x = randn(2, 3, length)
    joined = ring(denoise, dim=2, size=8, overlap=8 - distance)
    for turns in range(1, 4):
        turned = joined(x.roll(turns * distance, 2), 1.0)
        torch.testing.assert_close(turned, joined(x, 1.0).roll(turns * distance, 2), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("turn", [1, 2, 5])
def test_a_ring_has_no_seam(turn: int) -> None:
    """A local denoiser gives the circular answer wherever no window ends: at the joint of the axis too, which an open
    axis gets wrong."""
    x = randn(1, 24)
    circular = (x.roll(1, 1) + x.roll(-1, 1)) / 2
    edges = {start % 24 for start in range(0, 24, 6)} | {(start + 7) % 24 for start in range(0, 24, 6)}
    inside = [i for i in range(24) if i not in edges]
    result = ring(smooth, dim=1, size=8, overlap=2)(x, 1.0)
    torch.testing.assert_close(result[:, inside], circular[:, inside])
    turned = ring(smooth, dim=1, size=8, overlap=2)(x.roll(turn, 1), 1.0).roll(-turn, 1)
    both = [i for i in inside if (i + turn) % 24 in inside]
    torch.testing.assert_close(turned[:, both], result[:, both])
    assert {0, 23} & {(i - 3) % 24 for i in inside}
    shifted = ring(smooth, dim=1, size=8, overlap=2)(x.roll(3, 1), 1.0).roll(-3, 1)
    torch.testing.assert_close(shifted[:, [0, 23]], circular[:, [0, 23]])
    open_axis = windowed(smooth, dim=1, size=8, overlap=2)(x, 1.0)
    assert not torch.allclose(open_axis[:, [0, 23]], circular[:, [0, 23]])


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7])
def test_a_ring_shorter_than_its_window_is_laid_out_in_turns(length: int) -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor, sigma: Sigma, /) -> Tensor:
        seen.append(x)
        return x**2

    x = randn(2, length, 3)
    result = ring(watched, dim=1, size=8, overlap=1)(x, 1.0)
    (window,) = seen
    assert torch.equal(window, x.repeat(1, 8, 1)[:, :8])
    torch.testing.assert_close(result, x**2)


@pytest.mark.parametrize(("length", "size"), [(23, 8), (5, 8)])
def test_sampling_on_a_ring_and_on_a_line_reaches_the_data(length: int, size: int) -> None:
    """Independent cells: windows change nothing, so a run ends where the probability flow does."""
    oracle = Gaussian(torch.zeros(2, 1).double(), torch.tensor(0.5).double())
    shape, sigmas = (2, length), karras(0.01, 10.0)(60)
    unit = white(range(3), shape).double()
    noise = Brownian(range(3), shape, dtype=torch.float64)
    expected = oracle.flow(sigmas[0] * unit, sigmas[0], 0.0)
    for joined in (ring, windowed):
        denoise = joined(oracle.denoise, dim=-1, size=size, overlap=3)
        result = samplers.sample(samplers.heun, denoise, sigmas[0] * unit, sigmas, noise)
        torch.testing.assert_close(result, expected, rtol=0, atol=5e-3)
