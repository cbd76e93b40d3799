"""Optical flow, against scikit-image and against films that move by what is known."""

import pytest
import torch
from skimage.registration import optical_flow_ilk
from torch import Tensor

from multigen_video.features import flow, heading
from multigen_video.optical_flow import lucas_kanade

SIDE = 64


def pattern(across: Tensor, down: Tensor) -> Tensor:
    """Smooth waves, at any place."""
    return 0.5 + 0.2 * torch.sin(0.31 * across + 0.1 * down) + 0.2 * torch.cos(0.23 * down - 0.05 * across)


def moved(right: float, down: float, *, size: tuple[int, int] = (SIDE, SIDE)) -> Tensor:
    """The waves, so many pixels further right and down."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in size), indexing="ij")
    return pattern(x - right, y - down)


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (32, 32)])
def test_it_is_what_scikit_image_finds(size):
    first = torch.stack([moved(0, 0, size=size)] * 3)
    second = torch.stack([moved(1.5, 0, size=size), moved(-0.4, 2.2, size=size), moved(0, 0, size=size)])
    found = lucas_kanade(first, second)
    assert found.shape == (3, 2, *size)
    for a, b, ours in zip(first, second, found, strict=True):
        theirs = optical_flow_ilk(a.numpy(), b.numpy(), radius=5)
        assert (ours.flip(0) - torch.from_numpy(theirs)).abs().quantile(0.99) < 0.01


@pytest.mark.parametrize(("right", "down"), [(1.0, 0.0), (-2.5, 0.0), (0.0, 3.0), (1.5, -1.0)])
def test_a_known_motion_is_found(right, down):
    found = lucas_kanade(moved(0, 0)[None], moved(right, down)[None])[0, :, 8:-8, 8:-8]
    torch.testing.assert_close(found.mean(dim=(1, 2)), torch.tensor([right, down]), rtol=0, atol=0.02)


def test_nothing_moves_where_nothing_is_seen():
    flat = torch.full((1, SIDE, SIDE), 0.5)
    assert lucas_kanade(flat, flat).abs().max() == 0
    assert flow(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)).shape == (0, 2, SIDE, SIDE)


def test_the_heading_of_something_before_a_place_at_rest():
    frames = torch.zeros(8, 3, SIDE, SIDE)
    for t, frame in enumerate(frames):
        frame[:, 24:40, 12 + 3 * t : 28 + 3 * t] = moved(3 * t, 0)[24:40, 12 + 3 * t : 28 + 3 * t]
    right, down = heading(flow((frames * 255).to(torch.uint8)))
    assert right > 4 * abs(down)
    left, _ = heading(flow((frames.flip(0) * 255).to(torch.uint8)))
    assert left < 0 < right
