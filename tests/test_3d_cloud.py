"""Smoothing of point clouds, against planes, lines and spheres that are known, and against the definition."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from multigen_3d import cloud
from multigen_3d.cloud import FEWEST, MOST, SHARE, smoothed

N = 2048


def fog(points: np.ndarray, thickness: float, axes: slice) -> np.ndarray:
    noise = np.zeros_like(points)
    noise[:, axes] = thickness * np.random.default_rng(1).normal(size=points[:, axes].shape)
    return points + noise


def sheet() -> np.ndarray:
    """A square of side 2 in the plane z = 0."""
    return np.pad(np.random.default_rng(0).uniform(-1, 1, (N, 2)), ((0, 0), (0, 1)))


def rod() -> np.ndarray:
    """A line of length 2 along x, of a sixteenth of a cloud's points."""
    return np.pad(np.random.default_rng(0).uniform(-1, 1, (N // 16, 1)), ((0, 0), (0, 2)))


def ball() -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(N, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


@pytest.mark.parametrize(("rounds", "most"), [(1, 0.35), (2, 0.2)])
def test_fog_comes_onto_its_sheet_which_keeps_its_size(rounds: int, most: float) -> None:
    foggy = fog(sheet(), 0.06, slice(2, 3))
    done = smoothed(foggy, rounds=rounds)
    assert rms(done[:, 2]) < most * rms(foggy[:, 2])
    assert np.ptp(done[:, :2], axis=0) == pytest.approx(np.ptp(foggy[:, :2], axis=0), rel=0.03)


def test_fog_comes_onto_its_rod_from_all_sides() -> None:
    foggy = fog(rod(), 0.06, slice(1, 3))
    rest = sheet()[len(foggy) :] + 5
    done = smoothed(np.concatenate([foggy, rest]), rounds=1)[: len(foggy)]
    for axis in (1, 2):
        assert rms(done[:, axis]) < 0.35 * rms(foggy[:, axis])
    assert np.ptp(done[:, 0]) == pytest.approx(np.ptp(foggy[:, 0]), rel=0.01)


def test_fog_comes_onto_a_ball_that_shrinks_little() -> None:
    foggy = ball() * (1 + fog(np.zeros((N, 1)), 0.06, slice(0, 1)))
    radius = np.linalg.norm(smoothed(foggy, rounds=1), axis=1)
    assert radius.std() < 0.4 * np.linalg.norm(foggy, axis=1).std()
    assert radius.mean() == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("shape", [rod(), np.array([[1.0, 2.0, 3.0]]).repeat(50, 0)])
def test_what_is_straight_or_a_point_stays(shape: np.ndarray) -> None:
    turned = Rotation.random(random_state=0).apply(shape) + 5
    assert smoothed(turned, rounds=3) == pytest.approx(turned, abs=1e-9)


def test_a_sheet_stays_flat_and_in_place_but_for_a_few_points_at_its_border() -> None:
    """There, by chance, neighbours may lie along a line."""
    turn = Rotation.random(random_state=0)
    done = turn.apply(smoothed(turn.apply(sheet()) + 5, rounds=1) - 5, inverse=True)
    assert done[:, 2] == pytest.approx(0, abs=1e-9)
    moved = np.abs(done - sheet()).max(1) > 1e-9
    assert moved.mean() < 0.01
    assert np.abs(sheet()[moved, :2]).max(1).min() > 0.9


def test_place_size_and_order_of_a_cloud_do_not_matter() -> None:
    foggy = fog(ball(), 0.05, slice(0, 3))
    turn, order = Rotation.random(random_state=1), np.random.default_rng(2).permutation(N)
    expected = turn.apply(smoothed(foggy, rounds=2)) * 40 - 7
    assert smoothed(turn.apply(foggy)[order] * 40 - 7, rounds=2) == pytest.approx(expected[order], abs=1e-8)


def test_a_round_is_the_weighted_fit_to_the_neighbours() -> None:
    points = fog(sheet(), 0.05, slice(0, 3))
    done = smoothed(points, rounds=1)
    for i in range(0, N, 301):
        distance = np.linalg.norm(points - points[i], axis=1)
        near = np.argsort(distance, kind="stable")[: N // SHARE + 1]
        weight = np.exp(-((distance[near] / (distance[near].max() / 2)) ** 2) / 2)
        middle = np.average(points[near], axis=0, weights=weight)
        _, sizes, axes = np.linalg.svd((points[near] - middle) * np.sqrt(weight)[:, None])
        assert sizes[1] ** 2 > 0.5 * sizes[0] ** 2  # a plane
        normal = axes[2]
        assert done[i] == pytest.approx(points[i] - ((points[i] - middle) @ normal) * normal, abs=1e-9)


def test_a_large_cloud_is_done_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = fog(np.concatenate([sheet(), sheet()[::-1] * 0.9 + 0.01]), 0.05, slice(2, 3))
    in_parts = smoothed(points, rounds=1)
    monkeypatch.setattr(cloud, "_AT_ONCE", len(points))
    assert np.array_equal(smoothed(points, rounds=1), in_parts)


def test_rounds_are_one_after_the_other_and_none_changes_nothing() -> None:
    points = fog(ball(), 0.05, slice(0, 3))
    assert np.array_equal(smoothed(points, rounds=0), points)
    assert np.array_equal(smoothed(points, rounds=2), smoothed(smoothed(points, rounds=1), rounds=1))


@pytest.mark.parametrize("n", [1, 3, FEWEST])
def test_what_is_too_few_for_neighbours_stays(n: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 3))
    assert np.array_equal(smoothed(points, rounds=4), points)


def test_neighbours_are_a_share_of_the_cloud_within_bounds() -> None:
    """Fog around few points is as thick as around many, so what is left of it falls with the number of neighbours."""
    assert FEWEST < N // SHARE < MOST
    few, many = (fog(np.tile(sheet(), (k, 1))[:: 8 // k], 0.06, slice(2, 3)) for k in (1, 4))
    assert rms(smoothed(many, rounds=1)[:, 2]) < rms(smoothed(few, rounds=1)[:, 2])
