"""What judges shapes in `shape_quality`: set metrics, a classifier, nearest neighbours, colours and symmetry."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reports import stored
from shape_features import main_color, varied
from shape_sets import Clouds
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from multigen import set_metrics
from multigen.metrics import Interval, bootstrap, nearest_ratio, wilson
from multigen_3d.features import descriptors
from multigen_3d.metrics import asymmetry, chamfer_matrix, emd_matrix, jsd, sliced_wasserstein_matrix

Matrix = Callable[..., Tensor]
METRICS: Mapping[str, tuple[int, Matrix]] = {
    "CD": (1024, chamfer_matrix),
    "EMD": (256, emd_matrix),
    "SW": (1024, sliced_wasserstein_matrix),
}
"""The number of points and the distance. CD and EMD are those of PVD and LION: squared lengths, the unit box."""
SETS = ("1-NNA", "COV", "MMD")
FOLDS = 5
CLASSIFIERS: Mapping[str, Any] = {
    "linear discriminants, Ledoit-Wolf shrinkage": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "support vectors, Gaussian kernel, C = 10": SVC(C=10),
    "extremely randomised trees, 200": ExtraTreesClassifier(200, max_features=0.2, random_state=0),
}
VARIATIONS = 4


# --- distances --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """Distances of all pairs, kept in a folder: a run that was stopped goes on."""

    folder: Path

    def __call__(self, metric: str, xs: Tensor, ys: Tensor | None = None, /) -> Tensor:
        """(a, b) between the clouds of xs and of ys, or (a, a) within xs; metric: of METRICS."""
        count, matrix = METRICS[metric]
        stacks = [stack[:, :count] for stack in (xs, *([] if ys is None else [ys]))]
        digest = hashlib.sha256(metric.encode())
        for stack in stacks:
            digest.update(stack.contiguous().numpy().tobytes())
        path = self.folder / f"{metric}-{digest.hexdigest()[:16]}.pt"
        table: Tensor = stored(path, lambda: matrix(*stacks))
        return table


class SetJudge:
    """Set metrics against held-out shapes."""

    def __init__(self, real: Clouds, tables: Tables, /) -> None:
        self._real, self._tables = real, tables

    def row(self, clouds: Clouds, /) -> dict[str, Interval]:
        """1-NNA, COV and MMD by every distance, density and coverage by CD, JSD."""
        found: dict[str, Interval] = {}
        for metric in METRICS:
            compared = set_metrics.compare(*self._three(metric, clouds), clusters=self._real.family)
            found |= {f"{metric} {name}": compared[name] for name in SETS}
            if metric == "CD":
                found |= {f"{metric} {name}": compared[name] for name in ("density", "coverage")}
        divergence = jsd(self._real.points, clouds.points)
        return found | {"JSD": Interval(divergence, divergence, divergence)}

    def floor(self, others: Clouds, /) -> dict[str, Interval]:
        """What two sets of real shapes read, split by family: random halves of the held-out and of other real ones."""
        found: dict[str, Interval] = {}
        families = torch.cat([self._real.family, others.family])
        for metric in METRICS:
            real, other, between = self._three(metric, others)
            everything = torch.cat([torch.cat([real, between], 1), torch.cat([between.T, other], 1)])
            values = set_metrics.real_values(everything, clusters=families)
            names = (*SETS, "density", "coverage") if metric == "CD" else SETS
            found |= {f"{metric} {name}": values[name] for name in names}
        return found

    def _three(self, metric: str, clouds: Clouds) -> tuple[Tensor, Tensor, Tensor]:
        real, made = self._real.points, clouds.points
        return self._tables(metric, real), self._tables(metric, made), self._tables(metric, real, made)


class Nearest:
    """How far shapes are from the nearest training shape, by sliced Wasserstein distance, beside held-out shapes."""

    def __init__(self, training: Clouds, held_out: Clouds, tables: Tables, /) -> None:
        self._training, self._tables, self._real = training, tables, held_out
        self._usual = self(held_out)

    def __call__(self, clouds: Clouds, /) -> Tensor:
        return self._tables("SW", clouds.points, self._training.points).amin(1)

    def ratio(self, clouds: Clouds, quantile: float, /) -> Interval:
        """`nearest_ratio` with a bootstrap interval."""
        found = self(clouds)

        def statistic(u: Tensor, v: Tensor) -> float:
            drawn, real = found.repeat_interleave(u.long()), self._usual.repeat_interleave(v.long())
            return nearest_ratio(drawn, real, quantile=quantile)

        return bootstrap(statistic, clouds.family, self._real.family)


# --- kinds, colours, symmetry -----------------------------------------------------------------------------------------


class Classifier:
    """The best of CLASSIFIERS in cross-validation over real shapes, split by family, then fitted on training shapes.

    Every shape is seen VARIATIONS times more, stretched, mirrored and turned a little. scores: accuracy of each in the
    cross-validation. hits: (n,) whether the best one was right about the real shapes then.
    """

    def __init__(self, training: Clouds, held_out: Clouds, /) -> None:
        everything, first = _known(training) + _known(held_out), torch.arange(len(_known(training)))
        seen = [everything.points, *(varied(everything.points, seed=seed) for seed in range(VARIATIONS))]
        features = torch.stack([descriptors(points) for points in seen])
        right = {name: _cross_validated(kind, features, everything) for name, kind in CLASSIFIERS.items()}
        self.scores = {name: share(hits, everything) for name, hits in right.items()}
        self.name = max(right, key=lambda name: self.scores[name].value)
        self.real, self.hits = everything, right[self.name]
        self._fitted = _fit(CLASSIFIERS[self.name], features[:, first], everything.label[first])

    def right(self, clouds: Clouds, /) -> Tensor:
        """(n,) bool, whether each is taken for what it was asked to be."""
        return self.predict(clouds) == clouds.label

    def predict(self, clouds: Clouds, /) -> Tensor:
        """(n,) kinds."""
        return torch.from_numpy(self._fitted.predict(descriptors(clouds.points).numpy()))

    def relative(self, clouds: Clouds, /) -> Interval:
        """Accuracy over that of the real shapes, every kind counted alike in both."""
        right = self.right(clouds)

        def ratio(u: Tensor, v: Tensor) -> float:
            return _by_kind(right, clouds, u) / _by_kind(self.hits, self.real, v)

        return bootstrap(ratio, clouds.family, self.real.family)


def share(hits: Tensor, clouds: Clouds, /) -> Interval:
    """The share of hits (n,), every kind counted alike: trials of generated shapes, families of real ones."""
    if bool((clouds.family < 0).all()):
        return wilson(int(hits.sum()), len(hits))
    return bootstrap(lambda counts: _by_kind(hits, clouds, counts), clouds.family)


def _by_kind(hits: Tensor, clouds: Clouds, counts: Tensor) -> float:
    """The mean over kinds of the share of hits, where shapes count so often; kinds that are not drawn are left out."""
    drawn = torch.zeros(int(clouds.label.max()) + 1, dtype=torch.float64).scatter_add(0, clouds.label, counts)
    right = torch.zeros_like(drawn).scatter_add(0, clouds.label, counts * hits.double())
    return float((right / drawn)[drawn > 0].mean())


def _known(clouds: Clouds) -> Clouds:
    return clouds[clouds.label >= 0]


def _fit(kind: Any, features: Tensor, label: Tensor) -> Any:
    """features: (variations, n, d)."""
    model = make_pipeline(StandardScaler(), clone(kind))
    return model.fit(features.flatten(0, 1).numpy(), label.repeat(len(features)).numpy())


def _cross_validated(kind: Any, features: Tensor, clouds: Clouds) -> Tensor:
    """(n,) bool, whether each shape was taken for what it is by a classifier that never saw its family."""
    right = torch.zeros(len(clouds), dtype=torch.bool)
    split = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for fitted, tested in split.split(clouds.label, clouds.label, clouds.family):
        model = _fit(kind, features[:, fitted], clouds.label[fitted])
        right[tested] = torch.from_numpy(model.predict(features[0, tested].numpy())) == clouds.label[tested]
    return right


def color_hits(clouds: Clouds, /) -> tuple[Tensor, Tensor]:
    """Which colour each shape mostly is (n,), and whether that is the one it was asked to be (n,) bool."""
    found = torch.tensor([main_color(colors)[0] for colors in clouds.colors])
    return found, found == clouds.label


def asymmetries(clouds: Clouds, /) -> Tensor:
    """(n,) `asymmetry` between left and right, of 1,024 points."""
    return torch.tensor([asymmetry(points[:1024]) for points in clouds.points], dtype=torch.float64)


def median(values: Tensor, clouds: Clouds, /) -> Interval:
    """With a bootstrap interval."""
    return bootstrap(lambda counts: float(values.repeat_interleave(counts.long()).quantile(0.5)), clouds.family)
