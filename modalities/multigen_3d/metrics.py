"""Distances between point clouds: exact, on a CPU, with the conventions of the field spelled out.

A cloud is (n, 3). A function of two clouds gives a number; its `_matrix` gives all pairs of two stacks (a, n, 3) and
(b, n, 3) as (a, b) float64, or of one stack with itself as a symmetric (a, a) with a diagonal of zeros. Those are what
the set metrics (1-NNA, COV, MMD) of `multigen.set_metrics` take. Only torch and scipy are needed. Tables are made by as
many threads as torch has (`torch.set_num_threads`), and do not depend on how many those are.

Units are those of the coordinates, so figures compare only where clouds are scaled alike. `unit_box` is the scale of
LION's individually normalised tables; PVD, PointFlow and LION's other tables keep ShapeNet's own units, in which shapes
are of about that size. CD and EMD fall with the number of points, even between clouds of one surface: compare equal
numbers, and compare with the value between real shapes.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch import Tensor

LEAF = 24
"""Points of a leaf of the trees in which nearest points are found."""
_STAGES = ((0.08, 4, 1.5), (0.02, 6, 1.6), (0.005, 12, 1.7))
"""Of the search for prices: temperatures in mean costs, numbers of iterations, and over-relaxations."""
_FAINT = np.float32(-40)
"""The logarithm of what is nothing beside 1; far smaller numbers are not normal floats any more, which are slow."""


def unit_box(clouds: Tensor, /) -> Tensor:
    """Every cloud of (..., n, 3) moved to the centre of its bounding box and scaled until its longest side is 1."""
    low, high = clouds.amin(-2, keepdim=True), clouds.amax(-2, keepdim=True)
    side = (high - low).amax(-1, keepdim=True)
    return (clouds - (low + high) / 2) / torch.where(side > 0, side, 1)


# --- nearest points: chamfer distance, F-score, symmetry --------------------------------------------------------------


def chamfer(x: Tensor, y: Tensor, /) -> float:
    """Chamfer distance of (n, 3) and (m, 3) as PointFlow, PVD and LION measure it, a length squared.

    The mean over x of the SQUARED distance to the nearest point of y, plus the mean over y of that to x. Elsewhere
    distances are not squared (CD-L1), the directions are averaged or the larger one is taken, or points are summed
    (Fan et al., arXiv 1612.00603, section 4.2); none of those figures compare. Published tables take 2,048 points and
    print the value times 1,000.
    """
    return float(chamfer_matrix(x[None], y[None]))


def chamfer_matrix(xs: Tensor, ys: Tensor | None = None, /) -> Tensor:
    """`chamfer` of all pairs of (a, n, 3) and (b, m, 3), or of xs with itself: (a, b), exact to float64's rounding."""
    stacks = _centred(xs) if ys is None else _centred(xs, ys)
    towards = _to_nearest(stacks[0], stacks[-1])
    return towards + (towards if ys is None else _to_nearest(stacks[-1], stacks[0])).T


def f_score(x: Tensor, y: Tensor, /, *, threshold: float = 0.01) -> float:
    """The harmonic mean of two shares: points of (n, 3) with a point of (m, 3) in reach, and the reverse; 0 to 1.

    threshold: a length, NOT squared: 1 % of the side, after `unit_box`, in Tatarchenko et al. (arXiv 1905.03678). The
    code that PVD and LION come with compares the squared distance with 0.001, which is a threshold of 0.0316.
    """
    clouds = [cloud[0].numpy() for cloud in _centred(x[None], y[None])]
    precision, recall = (float((_tree(to).query(of)[0] < threshold).mean()) for of, to in (clouds, clouds[::-1]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def asymmetry(x: Tensor, /, *, axis: int = 0) -> float:
    """`chamfer` of (n, 3) and its mirror image across `axis`, in the plane through the middle of its bounding box.

    0 where every point has its mirror image in the cloud. Points drawn from a symmetric surface read what two draws
    from one surface do, so compare with real shapes at the same n.
    """
    mirrored = x.clone()
    mirrored[:, axis] = x[:, axis].amin() + x[:, axis].amax() - x[:, axis]
    one, other = _centred(x[None], mirrored[None])
    return 2 * float(_to_nearest(one, other))  # as far there as back


def _tree(points: NDArray[np.float64]) -> cKDTree:
    return cKDTree(points, leafsize=LEAF)


def _to_nearest(of: Tensor, to: Tensor) -> Tensor:
    """(a, b) means over the points of (a, n, 3) of the squared distance to the nearest one of (b, m, 3)."""
    threads = torch.get_num_threads()
    # Neighbours one after another take the same way down a tree, which halves the time.
    points = np.concatenate([cloud[_tree(cloud).indices] for cloud in of.numpy()])
    columns = [
        np.square(_tree(cloud).query(points, workers=threads)[0]).reshape(of.shape[:2]).mean(1) for cloud in to.numpy()
    ]
    return torch.from_numpy(np.stack(columns, 1))


# --- transport: earth mover's distance, sliced Wasserstein ------------------------------------------------------------


def emd(x: Tensor, y: Tensor, /, *, power: float = 2) -> float:
    """Earth mover's distance of (n, 3) and (n, 3): the mean over points of distance^power under the best matching.

    The matching is the exact minimum (`scipy.optimize.linear_sum_assignment`). power 2, a length squared, is what PVD
    and LION report: the square of the 2-Wasserstein distance. power 1, a length, is what PointFlow reports, the earth
    mover's distance of Rubner et al. (2000). That is why figures of the two differ by a factor of ten: shapes of size 1
    lie about 0.05 apart. Published tables take 2,048 points and print the value times 100.

    Those codes do not find the best matching but spread each point's mass over its neighbours at ten falling
    temperatures (after Fan et al., arXiv 1612.00603), with no bound on the error. Repeated on shapes at 2,048 points,
    PVD's and LION's procedure gives 1.5 times the exact value, and 7 times it between two draws from one surface;
    PointFlow's 1.15 and 1.4 times. So exact values of MMD lie below published ones; COV and 1-NNA suffer less.
    """
    return float(emd_matrix(x[None], y[None], power=power))


def emd_matrix(xs: Tensor, ys: Tensor | None = None, /, *, power: float = 2) -> Tensor:
    """`emd` of all pairs of (a, n, 3) and (b, n, 3), or of xs with itself: (a, b)."""
    stacks = _equally_many(_centred(xs) if ys is None else _centred(xs, ys))
    rows, columns = stacks[0].numpy(), stacks[-1].numpy()

    def distance(i: int, j: int) -> float:
        return _assignment(cdist(rows[i], columns[j], "sqeuclidean") ** (power / 2))

    return _all_pairs(distance, stacks)


def _assignment(cost: NDArray[np.float64]) -> float:
    """The mean cost of the best one-to-one assignment of (n, n).

    Taking a number off a whole row or column moves the cost of every assignment alike, so the best one stays the best.
    Taking off nearly optimal dual prices makes the exact solver's searches short.
    """
    reduced = cost - _prices(cost)[:, None]
    i, j = linear_sum_assignment(reduced - reduced.min(0))
    return float(cost[i, j].mean())


def _prices(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Dual prices (n,) of the rows: Sinkhorn's iterations (Cuturi, arXiv 1306.0895) at three falling temperatures.

    They are over-relaxed (Thibault et al., arXiv 1711.01851), which brings them closer in as many steps. Any finite
    prices will do, so where that diverges there are none.
    """
    mean = cost.mean()
    if mean == 0:
        return np.zeros(len(cost))
    relative = (cost / mean).astype(np.float32)
    rows, columns = np.zeros((2, len(cost)), np.float32)
    with np.errstate(all="ignore"):
        for temperature, iterations, relaxation in _STAGES:
            exponent = rows[:, None] + columns
            exponent -= relative
            exponent /= temperature
            kernel = np.exp(np.maximum(exponent, _FAINT, out=exponent), out=exponent)
            row = 1 / kernel.sum(1)
            column = 1 / (row @ kernel)
            for _ in range(iterations):
                row *= (row * (kernel @ column)) ** -relaxation
                column *= (column * (row @ kernel)) ** -relaxation
            rows += temperature * np.log(row)
            columns += temperature * np.log(column)
    return mean * rows.astype(np.float64) if np.isfinite(rows).all() else np.zeros(len(cost))


def sliced_wasserstein(x: Tensor, y: Tensor, /, *, directions: int = 128) -> float:
    """Sliced 2-Wasserstein distance of (n, 3) and (n, 3), a length (Bonneel et al., JMIV 51:22, 2015).

    The root of the mean, over directions and points, of the squared difference between the sorted projections. Its
    square is at most a third of `emd` at power 2, and exactly that where y is x moved. The directions are spread evenly
    over the half sphere (a Fibonacci lattice), which needs fewer of them than random ones (arXiv 2309.11713).
    """
    return float(sliced_wasserstein_matrix(x[None], y[None], directions=directions))


def sliced_wasserstein_matrix(xs: Tensor, ys: Tensor | None = None, /, *, directions: int = 128) -> Tensor:
    """`sliced_wasserstein` of all pairs of (a, n, 3) and (b, n, 3), or of xs with itself: (a, b).

    A cloud is projected and sorted once; what is left is a Euclidean distance, exact to about 1e-8 of the size.
    """
    stacks = _equally_many(_centred(xs) if ys is None else _centred(xs, ys))
    square = torch.zeros(len(stacks[0]), len(stacks[-1]), dtype=torch.float64)
    lattice = half_sphere(directions)
    for start in range(0, directions, 8):
        few = lattice[start : start + 8]
        placed = [_sorted(few @ stack.transpose(1, 2)).flatten(1) for stack in stacks]
        norms = [projections.square().sum(1) for projections in placed]
        square += norms[0][:, None] + norms[-1] - 2 * placed[0] @ placed[-1].T
    mean = (square / (directions * stacks[0].shape[1])).clamp(min=0)
    return mean.sqrt() if ys is not None else mean.fill_diagonal_(0).sqrt()


def _sorted(values: Tensor) -> Tensor:
    """Along the last axis; numpy takes a third of torch's time."""
    return torch.from_numpy(np.sort(values.numpy(), axis=-1))


def half_sphere(n: int, /) -> Tensor:
    """Unit vectors (n, 3) float64, spread evenly over the half sphere z > 0: a Fibonacci lattice."""
    i = torch.arange(n, dtype=torch.float64)
    z = (i + 0.5) / n
    angle = i * math.pi * (3 - math.sqrt(5))
    radius = (1 - z.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), z], 1)


# --- where points lie: JSD --------------------------------------------------------------------------------------------


def jsd(xs: Tensor, ys: Tensor, /, *, resolution: int = 28) -> float:
    """Jensen-Shannon divergence, in bits from 0 to 1, of where the points of (a, n, 3) and of (b, m, 3) lie.

    As in Achlioptas et al. (arXiv 1707.02392), PointFlow, PVD and LION: all points of a set are counted by the nearest
    of resolution^3 cell centres, which span the cube [-0.5, 0.5]^3, its faces included, and of which those farther than
    0.5 from the origin are left out; points beyond count in the outermost cells. It compares average shapes: two sets
    can agree in it without a single pair of shapes that do. Clouds must be in the cube, see `unit_box`.
    """
    along = torch.linspace(-0.5, 0.5, resolution, dtype=torch.float64)
    centres = torch.cartesian_prod(along, along, along)
    tree = cKDTree(centres[centres.norm(dim=1) <= 0.5].numpy())
    p, q = (_histogram(tree, stack) for stack in _checked(xs, ys))
    middle = (p + q) / 2
    return sum(float(torch.xlogy(half, half / middle).nansum()) for half in (p, q)) / (2 * math.log(2))


def _histogram(tree: cKDTree, clouds: Tensor) -> Tensor:
    """The share of all points at each of the tree's centres."""
    _, cell = tree.query(clouds.flatten(0, 1).numpy())
    return torch.bincount(torch.from_numpy(cell), minlength=tree.n).double() / len(cell)


# --- surfaces ---------------------------------------------------------------------------------------------------------


def surface_points(vertices: Tensor, faces: Tensor, n: int, /, *, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """`n` points, uniform by area, of a mesh (v, 3) and (f, 3): points (n, 3), their faces (n,), corner weights (n, 3).

    The weights make vertex colours into point colours. Raises ValueError where the faces have no area.
    """
    corners = vertices[faces].double()
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    if not float(area.sum()) > 0:
        raise ValueError(f"a mesh of {len(faces)} faces without an area has no surface to take points of")
    generator = torch.Generator().manual_seed(seed)
    face = torch.multinomial(area, n, replacement=True, generator=generator)
    u, v = torch.rand(2, n, dtype=torch.float64, generator=generator)
    weights = torch.stack([1 - u.sqrt(), u.sqrt() * (1 - v), u.sqrt() * v], 1)
    points = (weights[:, :, None] * corners[face]).sum(1)
    return points.to(vertices.dtype), face, weights.to(vertices.dtype)


# --- pairs ------------------------------------------------------------------------------------------------------------


def _all_pairs(distance: Callable[[int, int], float], stacks: list[Tensor]) -> Tensor:
    """(a, b) of two stacks; of one, the upper triangle and its mirror image. The rows are spread over threads."""
    a, b = len(stacks[0]), len(stacks[-1])
    alone = len(stacks) == 1

    def row(i: int) -> list[float]:
        return [0.0 if alone and j <= i else distance(i, j) for j in range(b)]

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        table = torch.tensor(list(pool.map(row, range(a))), dtype=torch.float64)
    return table + table.T if alone else table


def _checked(*stacks: Tensor) -> list[Tensor]:
    """The stacks in float64."""
    for clouds in stacks:
        if clouds.ndim != 3 or clouds.shape[2] != 3 or 0 in clouds.shape:
            raise ValueError(f"point clouds of shape {tuple(clouds.shape)}: give (n, 3), or a stack of them, n >= 1")
        if not clouds.isfinite().all():
            raise ValueError("point clouds hold NaN or infinity")
    return [clouds.double() for clouds in stacks]


def _centred(*stacks: Tensor) -> list[Tensor]:
    """The stacks in float64, moved together so that the first is around the origin, where squares are exact."""
    doubles = _checked(*stacks)
    origin = doubles[0].mean((0, 1))
    return [clouds - origin for clouds in doubles]


def _equally_many(stacks: list[Tensor]) -> list[Tensor]:
    counts = {clouds.shape[1] for clouds in stacks}
    if len(counts) > 1:
        raise ValueError(f"clouds of {' and '.join(map(str, sorted(counts)))} points: a matching needs equal numbers")
    return stacks
