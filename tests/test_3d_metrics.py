"""Distances between clouds against hand-computed cases, brute force over all matchings, scipy, and closed forms."""

import ast
import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import distance as scipy_distance
from scipy.stats import wasserstein_distance
from torch import Tensor

from multigen_3d import metrics
from multigen_3d.metrics import (
    asymmetry,
    chamfer,
    chamfer_matrix,
    emd,
    emd_matrix,
    f_score,
    half_sphere,
    jsd,
    sliced_wasserstein,
    sliced_wasserstein_matrix,
    surface_points,
    unit_box,
)

CUBE = torch.tensor([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)])

BOX_FACES = torch.tensor([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]])
"""Four sides of the cube: a tube along z."""


def cloud(n: int, seed: int, *, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stack(count: int, n: int, seed: int) -> Tensor:
    """Clouds of different sizes at different places."""
    return torch.stack([cloud(n, seed + i, scale=1 + i / 4) + i / 3 for i in range(count)])


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_two_points_and_one_by_hand() -> None:
    x = torch.tensor([[0.0, 0, 0], [3, 0, 0]])
    y = torch.tensor([[0.0, 0, 1]])
    # To y: 1 and 9 + 1, squared; to x: 1.
    assert chamfer(x, y) == pytest.approx((1 + 10) / 2 + 1, abs=1e-12)
    assert chamfer(y, x) == pytest.approx(chamfer(x, y), abs=1e-12)
    # Within 2 of each other: one of two, and one of one.
    assert f_score(x, y, threshold=2) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert f_score(x, y, threshold=1) == 0  # the distance is 1: not below it


def test_a_matching_by_hand() -> None:
    x = torch.tensor([[0.0, 0, 0], [1, 0, 0]])
    y = torch.tensor([[1.0, 0, 0], [4, 0, 0]])
    # Nearest neighbours would use the point at 1 twice. On a line in order: 1 and 3; crossed: 4 and 0.
    assert emd(x, y) == pytest.approx((1 + 9) / 2, abs=1e-12)
    assert emd(x, y, power=1) == pytest.approx(2, abs=1e-12)
    # Squared, a long way costs more than two short ones; unsquared it does not matter.
    assert chamfer(x, y) == pytest.approx((1 + 0) / 2 + (0 + 9) / 2, abs=1e-12)


def test_a_cloud_that_moved() -> None:
    x, t = cloud(50, 0), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64)
    length2 = float(t @ t)
    # Optimal transport of a translation is the translation; the mean of (t . direction)^2 over the sphere is |t|^2 / 3.
    assert emd(x, x + t) == pytest.approx(length2, abs=1e-12)
    assert emd(x, x + t, power=1) == pytest.approx(math.sqrt(length2), abs=1e-12)
    assert sliced_wasserstein(x, x + t) == pytest.approx(math.sqrt(length2 / 3), rel=5e-3)
    assert chamfer(x, x + t) <= 2 * length2


def test_a_symmetric_cloud_has_no_asymmetry() -> None:
    half = cloud(40, 1)
    both = torch.cat([half, half * torch.tensor([-1.0, 1, 1])]) + torch.tensor([5.0, 0, 0])
    assert asymmetry(both) == pytest.approx(0, abs=1e-12)
    assert asymmetry(both, axis=1) > 0.01
    lopsided = torch.cat([CUBE, torch.tensor([[0.0, 0.5, 0.5]])]).double()
    # Mirrored across x that point lies at (1, .5, .5), 1/2 away in two directions from the nearest corner.
    assert asymmetry(lopsided) == pytest.approx(2 * 0.5 / 9, abs=1e-12)


# --- brute force ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 9), (130, 64), (65, 200)])
def test_chamfer_is_the_mean_of_all_nearest_found_one_by_one(n: int, m: int) -> None:
    x, y = cloud(n, 0), cloud(m, 1)
    table = scipy_distance.cdist(x.numpy(), y.numpy(), "sqeuclidean")
    assert chamfer(x, y) == pytest.approx(table.min(1).mean() + table.min(0).mean(), abs=1e-12)
    near = 0.5
    shares = (table.min(1) < near**2).mean(), (table.min(0) < near**2).mean()
    expected = 2 * shares[0] * shares[1] / (sum(shares) or 1)
    assert f_score(x, y, threshold=near) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_emd_is_the_least_over_all_matchings(power: int, seed: int) -> None:
    x, y = cloud(6, seed), cloud(6, 10 + seed, scale=0.5)
    table = [[math.dist(a, b) ** power for b in y.tolist()] for a in x.tolist()]
    least = min(sum(table[i][j] for i, j in enumerate(order)) for order in itertools.permutations(range(6)))
    assert emd(x, y, power=power) == pytest.approx(least / 6, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("apart", [0.0, 3.0, 300.0])
def test_emd_stays_exact_whatever_the_scale(scale: float, apart: float) -> None:
    """The start that makes the solver quick must not change what it finds, however far from optimal it is."""
    x, y = scale * cloud(90, 0), scale * (cloud(90, 1) + apart)
    table = scipy_distance.cdist(x.numpy(), y.numpy(), "sqeuclidean")
    i, j = linear_sum_assignment(table)
    assert emd(x, y) == pytest.approx(table[i, j].mean(), rel=1e-9)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: torch.cat([x[:1] + 1e4, x[1:]]), id="a far outlier"),
        pytest.param(lambda x: torch.cat([x[:45] + 100, x[45:]]), id="two far clusters"),
        pytest.param(lambda x: torch.cat([0 * x[:45], x[45:]]), id="many points at one place"),
        pytest.param(lambda x: x**-3, id="heavy tails"),
        pytest.param(lambda x: cloud(90, 0).flip(0), id="the same points"),
    ],
)
@pytest.mark.parametrize("power", [0.5, 2, 6])
def test_emd_stays_exact_on_odd_clouds(change: Callable[[Tensor], Tensor], power: float) -> None:
    x, y = cloud(90, 0), change(cloud(90, 1))
    table = scipy_distance.cdist(x.numpy(), y.numpy()) ** power
    i, j = linear_sum_assignment(table)
    assert emd(x, y, power=power) == pytest.approx(table[i, j].mean(), rel=1e-9, abs=1e-12)


def test_sliced_wasserstein_is_scipys_in_one_dimension() -> None:
    x, y = cloud(31, 0), cloud(31, 1) + 0.4
    # Along one axis the sorted differences to the power 1 are scipy's distance; here the power is 2.
    lattice = half_sphere(64)
    squares = []
    for direction in lattice:
        a, b = sorted((x @ direction).tolist()), sorted((y @ direction).tolist())
        squares.append(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / 31)
        linear = sum(abs(p - q) for p, q in zip(a, b, strict=True)) / 31
        assert linear == pytest.approx(wasserstein_distance(a, b), abs=1e-12)
    assert sliced_wasserstein(x, y, directions=64) == pytest.approx(math.sqrt(sum(squares) / 64), abs=1e-12)


def test_the_directions_are_even() -> None:
    lattice = half_sphere(128)
    assert lattice.norm(dim=1).tolist() == pytest.approx([1] * 128, abs=1e-12)
    # The mean of d d^T over the sphere is a third of the identity.
    assert float((lattice.T @ lattice / 128 - torch.eye(3) / 3).abs().max()) < 3e-3
    x, y = cloud(60, 0), cloud(60, 1, scale=0.7)
    fine = sliced_wasserstein(x, y, directions=4096)
    assert sliced_wasserstein(x, y) == pytest.approx(fine, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_inequalities_between_the_distances(seed: int) -> None:
    x, y = cloud(40, seed), cloud(40, 50 + seed, scale=0.6) + 0.2
    # A matching is no better than everyone's nearest, twice; a projection no longer than what is projected; and means
    # of powers rise with the power.
    assert chamfer(x, y) <= 2 * emd(x, y)
    assert sliced_wasserstein(x, y) ** 2 <= emd(x, y) / 3 * 1.02
    assert emd(x, y, power=1) ** 2 <= emd(x, y)


# --- all pairs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "matrix"),
    [(chamfer, chamfer_matrix), (emd, emd_matrix), (sliced_wasserstein, sliced_wasserstein_matrix)],
)
def test_all_pairs_are_the_single_pairs(one, matrix) -> None:  # type: ignore[no-untyped-def]
    xs, ys = stack(4, 70, 0), stack(3, 70, 20)
    between, inside = matrix(xs, ys), matrix(xs)
    assert between.dtype == torch.float64
    for i, j in itertools.product(range(4), range(3)):
        assert float(between[i, j]) == pytest.approx(one(xs[i], ys[j]), rel=1e-9)
    for i, j in itertools.product(range(4), range(4)):
        assert float(inside[i, j]) == pytest.approx(one(xs[i], xs[j]), rel=1e-9, abs=1e-7)
    assert torch.equal(inside, inside.T)
    assert inside.diagonal().tolist() == [0] * 4


def test_clouds_of_different_numbers_of_points_have_a_chamfer_distance_alone() -> None:
    xs, ys = stack(2, 30, 0), stack(2, 45, 5)
    assert chamfer_matrix(xs, ys).shape == (2, 2)
    for refuse in (emd_matrix, sliced_wasserstein_matrix):
        with pytest.raises(ValueError, match="30 and 45 points"):
            refuse(xs, ys)


def test_far_from_the_origin_nothing_is_lost() -> None:
    x, y = cloud(80, 0), cloud(80, 1)
    far = torch.tensor([1e5, -1e5, 1e5])
    assert chamfer(x + far, y + far) == pytest.approx(chamfer(x, y), rel=1e-8)
    assert sliced_wasserstein(x + far, y + far) == pytest.approx(sliced_wasserstein(x, y), rel=1e-6)


def test_nothing_is_written_into_an_argument() -> None:
    x, y = cloud(20, 0), cloud(20, 1)
    before = x.clone(), y.clone()
    for call in (chamfer, emd, sliced_wasserstein, f_score):
        call(x, y)
    asymmetry(x)
    unit_box(x)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


# --- where points lie -------------------------------------------------------------------------------------------------


def test_jsd_of_what_is_the_same_and_of_what_shares_nothing() -> None:
    left = torch.zeros(3, 5, 3)
    right = left.clone()
    right[..., 0] = 0.4
    assert jsd(left, left) == 0
    assert jsd(left, right) == pytest.approx(1, abs=1e-12)
    # Half of one set at each place: KL to the mean is 1/2 log2(1/2 / 3/4) + 1/2 log2(1/2 / 1/4), and log2(1 / 3/4).
    mixed = torch.cat([left, right], 1)
    expected = (0.5 * math.log2(2 / 3) + 0.5 * math.log2(2) + math.log2(4 / 3)) / 2
    assert jsd(mixed, left) == pytest.approx(expected, abs=1e-12)
    assert jsd(left, mixed) == pytest.approx(expected, abs=1e-12)


def test_jsd_counts_points_of_the_corners_in_the_outermost_cells_of_the_ball() -> None:
    # Three centres along each axis: -0.5, 0, 0.5; the ball of radius 0.5 keeps the middle and the six along the axes.
    corner = torch.tensor([[[0.5, 0.4, 0.4]]])
    along_x = torch.tensor([[[0.5, 0.0, 0.0]]])
    along_y = torch.tensor([[[0.0, 0.5, 0.0]]])
    assert jsd(corner, along_x, resolution=3) == 0
    assert jsd(corner, along_y, resolution=3) == pytest.approx(1, abs=1e-12)


# --- scale and surfaces -----------------------------------------------------------------------------------------------


def test_the_unit_box() -> None:
    x = stack(3, 40, 0) * torch.tensor([1.0, 5, 2]) + 7
    boxed = unit_box(x)
    assert (boxed.amax(1) - boxed.amin(1)).amax(1).tolist() == pytest.approx([1] * 3, abs=1e-12)
    assert (boxed.amax(1) + boxed.amin(1)).abs().max() < 1e-12
    ratio = (x[0, 3] - x[0, 4]) / (boxed[0, 3] - boxed[0, 4])
    assert ratio.tolist() == pytest.approx([float(ratio[0])] * 3, rel=1e-9)
    assert unit_box(torch.full((4, 3), 2.0)).tolist() == [[0.0, 0.0, 0.0]] * 4


def test_points_lie_on_the_surface_and_are_even_by_area() -> None:
    # A square of side 2 in z = 0 as two triangles, and one of side 1 in x = 5.
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [5, 0, 0], [5, 1, 0], [5, 1, 1], [5, 0, 1]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    n = 40_000
    points, face, weights = surface_points(vertices, faces, n)
    assert points.shape == (n, 3)
    assert weights.sum(1).tolist() == pytest.approx([1] * n, abs=1e-5)
    assert float(weights.min()) >= 0
    assert torch.allclose(points, (weights[:, :, None] * vertices[faces[face]]).sum(1), atol=1e-5)
    large = points[:, 0] < 3
    assert bool((points[large, 2] == 0).all())
    assert bool((points[~large, 0] - 5 < 1e-6).all())
    # Four of five parts of the area; a share of n draws scatters by sqrt(p (1 - p) / n).
    assert float(large.float().mean()) == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / n))
    counts = torch.histogramdd(points[large][:, :2], bins=[4, 4], range=[0.0, 2, 0, 2]).hist / large.sum()
    assert float((counts - 1 / 16).abs().max()) < 4 * math.sqrt(1 / 16 / (0.8 * n))
    assert torch.equal(points, surface_points(vertices, faces, n)[0])
    assert not torch.equal(points, surface_points(vertices, faces, n, seed=1)[0])


def test_a_surface_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="no surface"):
        surface_points(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]), 5)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.zeros(0, 3), r"\(1, 0, 3\)"),
        (torch.zeros(5, 2), r"\(1, 5, 2\)"),
        (torch.tensor([[0.0, math.nan, 0.0]]), "NaN"),
        (torch.tensor([[0.0, math.inf, 0.0]]), "NaN or infinity"),
    ],
)
def test_what_is_no_cloud_is_refused(x: Tensor, words: str) -> None:
    for call in (chamfer, emd, sliced_wasserstein, f_score):
        with pytest.raises(ValueError, match=words):
            call(torch.zeros(1, 3), x)


# --- degradation ------------------------------------------------------------------------------------------------------


def test_every_distance_grows_with_noise_and_with_what_is_missing() -> None:
    points = surface_points(CUBE, BOX_FACES, 400)[0].double()
    other = surface_points(CUBE, BOX_FACES, 400, seed=1)[0].double()
    noisy = [other + cloud(400, 5, scale=level) for level in (0.0, 0.05, 0.15, 0.5)]
    cut = [other[other[:, 0] <= kept][:100] for kept in (1.0, 0.7, 0.4)]
    for measure in (chamfer, emd, sliced_wasserstein):
        values = [measure(points, worse) for worse in noisy]
        assert values == sorted(values)
        values = [measure(points[:100], worse) for worse in cut]
        assert values == sorted(values)
    scores = [f_score(points, worse, threshold=0.1) for worse in noisy]
    assert scores == sorted(scores, reverse=True)


def test_torch_and_scipy_are_all_that_is_imported() -> None:
    tree = ast.parse(Path(metrics.__file__).read_text())
    names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert packages == {"numpy", "scipy", "torch"}
