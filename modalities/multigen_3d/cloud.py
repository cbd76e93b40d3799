"""Smoothing of point clouds: what lies around a surface or a rod like fog is brought onto it."""

from __future__ import annotations

import numpy as np

SHARE = 32
"""One in so many points is a neighbour, so that the same part of a surface is seen whatever the number of points."""
FEWEST, MOST = 8, 256
"""Neighbours."""
ROD, SHEET = 0.15, 0.3
"""Second principal variance of neighbours over the first one: up to the one they lie along a line, from the other on in
a plane. At the border of a sheet it is that of a half-normal distribution, 0.36."""
_AT_ONCE = 2048


def smoothed(points: np.ndarray, /, *, rounds: int) -> np.ndarray:
    """Every point moved onto the plane, or the line, that fits its neighbours best: (n, 3) floating point to float64.

    A round is one step of projection onto a moving least squares surface (Alexa et al., "Computing and rendering point
    set surfaces", IEEE TVCG 9(1), 2003) or, where neighbours lie along a line, curve (Lee, "Curve reconstruction from
    unorganized points", CAGD 17(2), 2000), with first-order fits. Points move across what they lie in, not along it, so
    a sheet or a rod keeps its size; edges are rounded off, and two sheets that are closer than a neighbourhood is wide
    become one. Clouds of fewer than nine points stay as they are.
    """
    points = points.astype(np.float64)
    count = min(max(len(points) // SHARE, FEWEST), MOST)
    for _ in range(rounds if len(points) > count else 0):
        points = _projected(points, count)
    return points


def _projected(points: np.ndarray, count: int) -> np.ndarray:
    from scipy.spatial import cKDTree

    distance, index = cKDTree(points).query(points, count + 1)
    parts = range(0, len(points), _AT_ONCE)
    return np.concatenate([_fitted(points, distance[i : i + _AT_ONCE], index[i : i + _AT_ONCE]) for i in parts])


def _fitted(points: np.ndarray, distance: np.ndarray, index: np.ndarray) -> np.ndarray:
    """For each of some points, the first of its neighbours (m, k), where the fit to them has it: (m, 3)."""
    width = np.maximum(distance[:, -1:] / 2, np.finfo(np.float64).tiny)
    weight = np.exp(-0.5 * np.square(distance / width))
    weight /= weight.sum(1, keepdims=True)
    near = points[index]
    middle = np.einsum("mk,mki->mi", weight, near)
    from_middle = near - middle[:, None]
    variance, axes = np.linalg.eigh(np.einsum("mk,mki,mkj->mij", weight, from_middle, from_middle))
    flatness = variance[:, 1] / np.maximum(variance[:, 2], np.finfo(np.float64).tiny)
    kept = np.stack([np.zeros(len(index)), np.clip((flatness - ROD) / (SHEET - ROD), 0, 1), np.ones(len(index))], 1)
    along = np.einsum("mij,mi->mj", axes, from_middle[:, 0])
    return middle + np.einsum("mij,mj->mi", axes, along * kept)
