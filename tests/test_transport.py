"""Noise for points: a permutation, always the same, optimal where that can be known, and cheap in transport."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from multigen_models.shapes.transport import assign, nearest, rearranged


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def surface(b: int, n: int) -> Tensor:
    """Points of a box's surface: as an object's, they fill no volume, and its sides differ."""
    g = torch.Generator().manual_seed(7)
    points = 2 * torch.rand(b, n, 3, generator=g) - 1
    axis = torch.randint(3, (b, n, 1), generator=g)
    points.scatter_(2, axis, torch.randint(2, (b, n, 1), generator=g) * 2.0 - 1)
    return points * torch.tensor([2.0, 1.0, 0.4])


def cost(points: Tensor, unit: Tensor) -> Tensor:
    return (points - unit).square().sum(2).mean(1)


@pytest.mark.parametrize("n", [1, 2, 7, 96, 250, 256, 2048])
def test_every_point_is_assigned_once(n: int) -> None:
    index = assign(surface(3, n), noise(3, n, 3))
    assert index.shape == (3, n)
    assert index.sort(1).values.equal(torch.arange(n).expand(3, n))


def test_it_costs_little_more_than_the_optimum() -> None:
    points, unit = surface(2, 512), noise(2, 512, 3)
    together = cost(rearranged(points, assign(points, unit)), unit)
    at_random = cost(points, unit)
    for i in range(2):
        matrix = torch.cdist(unit[i].double(), points[i].double()).square().numpy()
        best = matrix[linear_sum_assignment(matrix)].mean()
        assert best <= together[i] < best + 0.05 * (at_random[i] - best)


def test_a_moved_and_stretched_cloud_of_one_axis_is_matched_exactly() -> None:
    unit = noise(2, 64, 1)
    mixed = 3 * unit[:, torch.randperm(64, generator=torch.Generator().manual_seed(1))] - 5
    assert rearranged(mixed, assign(mixed, unit)).allclose(3 * unit - 5)


def test_it_depends_on_the_sample_alone_and_not_on_the_order_of_its_points() -> None:
    points, unit = surface(3, 128), noise(3, 128, 3)
    points[1] = points[1].flip(1)  # longest along another axis
    index = assign(points, unit)
    for i in range(3):
        assert assign(points[i : i + 1], unit[i : i + 1]).equal(index[i : i + 1])
    assert assign(points, unit).equal(index)
    order = torch.randperm(128, generator=torch.Generator().manual_seed(2))
    again = rearranged(points[:, order], assign(points[:, order], unit))
    assert again.equal(rearranged(points, index))


def test_a_cloud_that_is_flat_or_a_single_place_is_no_trouble() -> None:
    unit = noise(1, 64, 3)
    for points in (torch.zeros(1, 64, 3), surface(1, 64) * torch.tensor([1.0, 0.0, 1.0])):
        assert assign(points, unit).sort(1).values.equal(torch.arange(64)[None])


def test_arguments_are_left_alone() -> None:
    points, unit = surface(2, 64), noise(2, 64, 3)
    kept = points.clone(), unit.clone()
    rearranged(points, assign(points, unit))
    assert (points.equal(kept[0]), unit.equal(kept[1])) == (True, True)


def test_every_point_gets_a_near_row_of_its_own() -> None:
    points, rows = noise(100, 3), noise(250, 3, seed=1)
    index = nearest(points, rows)
    assert len(index.unique()) == 100
    squared = torch.cdist(points.double(), rows.double()).square()
    best = squared[linear_sum_assignment(squared.numpy())].mean()
    assert best <= squared[torch.arange(100), index].mean() < 1.2 * best


def test_points_find_themselves_and_all_rows_can_be_taken() -> None:
    rows = noise(64, 3)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert nearest(rows[order], rows).equal(order)
    assert nearest(rows[order][:5], rows).equal(order[:5])
    assert nearest(torch.zeros(64, 3), rows).sort().values.equal(torch.arange(64))
    assert nearest(rows[:0], rows).shape == (0,)
    with pytest.raises(ValueError, match="65 points"):
        nearest(torch.zeros(65, 3), rows)
