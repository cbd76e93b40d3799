"""The autoencoder of packed grids, and the recipe that trains it: shapes, crops, errors, and that it can learn."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from multigen_models.shapes import voxels_codec_recipe as recipe_module
from multigen_models.shapes.grid_autoencoder import LATENT, GridAutoencoder
from multigen_models.shapes.prepare import GRID
from multigen_models.shapes.voxels_codec_recipe import CROP, CROPS, VoxelsCodecRecipe

SMALL = {"encoder_channels": (16, 16), "decoder_channels": (16, 16)}


def ball(radius: float = 0.5) -> tuple[Tensor, Tensor]:
    """Grids of a ball that is red where x is positive and green elsewhere; no colour away from its surface."""
    n = GRID.resolution
    axis = (torch.arange(n) - (n - 1) / 2) * GRID.voxel
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    distance = ((x**2 + y**2 + z**2).sqrt() - radius) / (GRID.voxel * GRID.truncation)
    half = F.avg_pool3d(distance[None, None], 2)[0, 0]
    red = (F.avg_pool3d(x[None, None], 2)[0, 0] > 0).float() * 2 - 1
    color = torch.stack([red, -red, -torch.ones_like(red)]) * (half.abs() < 0.5)
    return distance.clamp(-1, 1), color


class Balls:
    """Stands in for `ShapeGrids`."""

    def __init__(self) -> None:
        self.made = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[tuple[Tensor, Tensor], str]:
        self.made += 1
        return ball(0.4 + 0.1 * index), "a ball"


def recipe() -> VoxelsCodecRecipe:
    return VoxelsCodecRecipe.__new__(VoxelsCodecRecipe)


def test_latents_have_half_the_positions() -> None:
    torch.manual_seed(0)
    codec = GridAutoencoder(**SMALL).eval()
    x = torch.randn(2, 88, 6, 4, 8)
    z = codec.encode(x)
    assert z.shape == (2, LATENT, 3, 2, 4)
    assert codec.decode(z).shape == x.shape
    with pytest.raises(ValueError, match="multiples of 2"):
        codec.encode(torch.zeros(1, 88, 4, 4, 5))


def test_noise_is_added_to_the_latents() -> None:
    torch.manual_seed(0)
    codec = GridAutoencoder(**SMALL).eval()
    x, noise = torch.randn(1, 88, 4, 4, 4), torch.randn(1, LATENT, 2, 2, 2)
    z, made = codec(x, noise)
    torch.testing.assert_close(z, codec.encode(x))
    torch.testing.assert_close(made, codec.decode(z + noise))


def test_crops_lie_on_the_surface_and_one_view_gives_several() -> None:
    grids = Balls()
    crops = recipe_module._Crops(grids, seed=0)
    assert len(crops) == 3 * CROPS
    seen = [crops[i][0] for i in range(2 * CROPS)]
    assert grids.made == 2
    for crop in seen:
        assert crop.shape == (88, CROP, CROP, CROP)
        distance, _ = GRID.unpack(crop)
        assert bool((distance < 0).any())
        assert bool((distance > 0).any())
    assert not any(seen[0].equal(other) for other in seen[1:])
    assert crops[2][0].equal(seen[2])
    packed = GRID.pack(*ball(0.4))
    assert any(seen[0].equal(packed[:, x : x + 8, y : y + 8, z : z + 8]) for x, y, z in _starts())


def _starts() -> list[tuple[int, int, int]]:
    return [(x, y, z) for x in range(9) for y in range(9) for z in range(9)]


def test_errors_are_counted_where_they_show() -> None:
    """A ball taken for a larger one, in the right colours, and for itself in colours that are off by a quarter."""

    class Fixed(torch.nn.Module):
        def __init__(self, made: Tensor) -> None:
            super().__init__()
            self.made = made

        def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
            return torch.zeros_like(noise), self.made

    distance, color = ball()
    x0 = GRID.pack(distance, color)[None]
    same = recipe().errors(Fixed(x0), x0, {}, seeds=[0])
    assert {key: value.item() for key, value in same.items()} == {"mean": 0.0, "color": 0.0, "iou": 1.0}
    larger = GRID.pack((distance - 0.25).clamp(-1, 1), color + 0.5 * (color == 0).all(0))[None]
    grown = recipe().errors(Fixed(larger), x0, {}, seeds=[0])
    assert grown["mean"].item() == pytest.approx(0.25, abs=1e-6)
    assert grown["color"].item() == 0.0  # where there is no colour, any will do
    step = GRID.voxel * GRID.truncation
    assert grown["iou"].item() == pytest.approx((0.5 / (0.5 + 0.25 * step)) ** 3, rel=0.02)
    tinted = GRID.pack(distance, color * 0.75)[None]
    assert recipe().errors(Fixed(tinted), x0, {}, seeds=[0])["color"].item() == pytest.approx(0.25, abs=1e-6)


def test_it_learns_a_ball() -> None:
    torch.manual_seed(0)
    codec = GridAutoencoder(encoder_channels=(32, 32), decoder_channels=(32, 32))
    x0 = torch.stack([recipe_module._Crops(Balls(), seed=0)[i][0] for i in range(4)])
    optimizer = torch.optim.AdamW(codec.parameters(), lr=6e-3)
    made = recipe()
    before = made.errors(codec, x0, {}, seeds=range(4))
    for i in range(150):
        loss = made.loss(codec, x0, {}, seeds=range(4 * i, 4 * i + 4)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = made.errors(codec, x0, {}, seeds=range(4))
    assert after["mean"].mean() < 0.5 * before["mean"].mean()
    assert after["color"].mean() < 0.1 * before["color"].mean()
    assert after["iou"].mean() > 0.6 > 0.2 > before["iou"].mean()
