"""What judges sounds in `audio_quality`: a classifier, a text head, kernel distances and nearest neighbours.

All are fitted on windows of training recordings, and every choice is made by cross-validation among those alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from audio_sets import PROMPTS, Sounds
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor

from multigen.metrics import (
    Interval,
    bootstrap,
    kad,
    kad_floor,
    median_distance,
    nearest_distance,
    nearest_ratio,
    ranks,
)
from multigen_models.text import TextEncoder

FOLDS = 5
CLASSIFIERS: Mapping[str, Any] = {
    "logistic regression, C = 0.03": LogisticRegression(C=0.03, max_iter=2000),
    "support vectors, Gaussian kernel, C = 3": SVC(C=3),
    "linear discriminants, Ledoit-Wolf shrinkage": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "extremely randomised trees, 300": ExtraTreesClassifier(300, random_state=0),
}
RIDGES = (30.0, 300.0, 3000.0)


def folds(sounds: Sounds, label: Tensor, /) -> Iterator[tuple[Tensor, Tensor]]:
    """(fitted on, tested on) indices: five parts that share no recording, their classes as even as that allows."""
    split = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for fitted, tested in split.split(label, label, sounds.recording):
        yield torch.from_numpy(fitted), torch.from_numpy(tested)


def share(hits: Tensor, sounds: Sounds, /) -> Interval:
    """The share of hits (n,), every clip counted once, with a bootstrap interval over recordings."""
    return bootstrap(lambda counts: weighted_share(hits, sounds, counts), clusters(sounds))


def weighted_share(hits: Tensor, sounds: Sounds, counts: Tensor, /) -> float:
    """The share of hits (n,) where sounds count so often (n,), divided by how many windows their clips have."""
    weights = counts / torch.bincount(sounds.clip)[sounds.clip]
    return float(weights @ hits.double() / weights.sum())


def clusters(sounds: Sounds, /) -> Tensor:
    """(n,) recordings; generated sounds stand alone."""
    return torch.where(sounds.recording >= 0, sounds.recording, -1 - torch.arange(len(sounds)))


class Classifier:
    """The best of `CLASSIFIERS` in cross-validation over the training recordings, then fitted on all of them.

    scores: top-1 of each in that cross-validation.
    """

    def __init__(self, training: Sounds, /) -> None:
        self.scores = {name: _top1(kind, training) for name, kind in CLASSIFIERS.items()}
        self.name = max(self.scores, key=lambda name: self.scores[name])
        self.fitted = {name: _fit(kind, training, training.label) for name, kind in CLASSIFIERS.items()}

    def predict(self, sounds: Sounds, /, *, name: str | None = None) -> Tensor:
        """(n,) class indices; by the chosen classifier, or by another."""
        return torch.from_numpy(self.fitted[name or self.name].predict(sounds.statistics.numpy()))

    def cross_validated(self, sounds: Sounds, label: Tensor, /) -> Tensor:
        """(n,) predictions of the chosen kind, each fitted without the recordings of its fold."""
        return _cross_validated(CLASSIFIERS[self.name], sounds, label)


class TextHead:
    """Ridge regression from a sound's statistics to MiniLM's embedding of its captions; prompts rank by cosine.

    Fitted on all training windows, of all classes; the penalty is chosen by R@1 in cross-validation. From both sides
    of the cosine the mean embedding of the prompts is taken off.

    targets: (n, 384), the mean embedding of each window's captions.
    """

    def __init__(self, training: Sounds, targets: Tensor, classes: Sequence[str], /) -> None:
        pooled = TextEncoder.load().encode([PROMPTS[name] for name in classes])["pooled"]
        self._mean = pooled.mean(0)
        self._prompts = torch.nn.functional.normalize(pooled - self._mean, dim=1)
        self.scores = {penalty: self._score(training, targets, penalty) for penalty in RIDGES}
        self.penalty = max(self.scores, key=lambda penalty: self.scores[penalty])
        self._fitted = _fit(Ridge(self.penalty), training, targets)

    def ranks(self, sounds: Sounds, /) -> Tensor:
        """(n,) places of each sound's own prompt among those of all classes."""
        return self._ranks(self._fitted, sounds)

    def cross_validated(self, training: Sounds, targets: Tensor, /) -> Tensor:
        """(n,) ranks with heads that were fitted without the recordings of the fold; 0 where there is no prompt."""
        return self._cross_validated(training, targets, self.penalty)

    def _cross_validated(self, training: Sounds, targets: Tensor, penalty: float) -> Tensor:
        places = torch.zeros(len(training), dtype=torch.int64)
        for fitted, tested in folds(training, training.label):
            head = _fit(Ridge(penalty), training[fitted], targets[fitted])
            prompted = tested[training.label[tested] >= 0]
            places[prompted] = self._ranks(head, training[prompted])
        return places

    def _score(self, training: Sounds, targets: Tensor, penalty: float) -> float:
        places = self._cross_validated(training, targets, penalty)
        prompted = training.label >= 0
        sounds, hits = training[prompted], places[prompted] == 1
        return weighted_share(hits, sounds, torch.ones(len(sounds), dtype=torch.float64))

    def _ranks(self, head: Any, sounds: Sounds) -> Tensor:
        predicted = torch.from_numpy(head.predict(sounds.statistics.numpy())).float()
        return ranks((predicted - self._mean) @ self._prompts.T, sounds.label)


@dataclass(frozen=True)
class Space:
    """Features standardised by the training windows of the prompted classes, with one bandwidth for all comparisons.

    references: what generated sounds are compared with, one window of every clip.
    """

    name: str
    mean: Tensor
    std: Tensor
    bandwidth: float
    references: Mapping[str, Sounds] = field(repr=False)

    @classmethod
    def of(cls, name: str, training: Sounds, validation: Sounds, /) -> "Space":
        """name: "statistics" or "random"."""
        features: Tensor = getattr(training, name)
        std, mean = torch.std_mean(features.double(), dim=0)
        space = cls(
            name, mean, std.clamp(min=1e-6), 1.0, {"training": training.firsts(), "validation": validation.firsts()}
        )
        return cls(name, space.mean, space.std, median_distance(space(training.firsts())), space.references)

    def __call__(self, sounds: Sounds, /) -> Tensor:
        features: Tensor = getattr(sounds, self.name)
        return (features.double() - self.mean) / self.std

    def kad(self, sounds: Sounds, reference: str, /) -> Interval:
        """Against one of the references, with a bootstrap interval."""
        real = self.references[reference]
        return kad(self(real), self(sounds), bandwidth=self.bandwidth, clusters=real.recording)

    def floor(self) -> Interval:
        """Between halves of all references, split by recording."""
        both = [self(real) for real in self.references.values()]
        names = [real.recording for real in self.references.values()]
        return kad_floor(torch.cat(both), bandwidth=self.bandwidth, clusters=torch.cat(names))


class Nearest:
    """Distances of sounds to the nearest training window, in the space of statistics.

    They are relative to the median distance of held-out real sounds of the same class, or steady sounds, which lie
    close together, would pass for copies.

    within_class: whether only training windows of the sound's class count; with those of all classes a bad sound,
    which is nothing but noise, lies close to recordings of rain. held_out: (n,) the distances of validation clips,
    and of training clips without their own recording.
    """

    def __init__(self, space: Space, training: Sounds, /, *, within_class: bool) -> None:
        self._space, self._training, self._within_class = space, training, within_class
        self._real = space.references["training"] + space.references["validation"]
        own = self._real.recording[:, None] == training.recording
        absolute = self._distance(self._real, own)
        labels = range(int(self._real.label.max()) + 1)
        self._usual = torch.stack([absolute[self._real.label == i].quantile(0.5) for i in labels])
        self.held_out = absolute / self._usual[self._real.label]

    def __call__(self, sounds: Sounds, /) -> Tensor:
        none = torch.zeros(len(sounds), len(self._training), dtype=torch.bool)
        return self._distance(sounds, none) / self._usual[sounds.label]

    def ratio(self, sounds: Sounds, quantile: float, /) -> Interval:
        """`nearest_ratio` with a bootstrap interval."""
        found = self(sounds)

        def statistic(u: Tensor, v: Tensor) -> float:
            drawn, real = found.repeat_interleave(u.long()), self.held_out.repeat_interleave(v.long())
            return nearest_ratio(drawn, real, quantile=quantile)

        return bootstrap(statistic, clusters(sounds), clusters(self._real))

    def _distance(self, sounds: Sounds, own: Tensor) -> Tensor:
        others = sounds.label[:, None] != self._training.label
        left_out = own | others if self._within_class else own
        return nearest_distance(self._space(sounds), self._space(self._training), own=left_out)


def _fit(kind: Any, sounds: Sounds, target: Tensor) -> Any:
    return make_pipeline(StandardScaler(), clone(kind)).fit(sounds.statistics.numpy(), target.numpy())


def _top1(kind: Any, sounds: Sounds) -> float:
    """In cross-validation."""
    hits = _cross_validated(kind, sounds, sounds.label) == sounds.label
    return weighted_share(hits, sounds, torch.ones(len(sounds), dtype=torch.float64))


def _cross_validated(kind: Any, sounds: Sounds, label: Tensor) -> Tensor:
    predicted = torch.empty_like(label)
    for fitted, tested in folds(sounds, label):
        model = _fit(kind, sounds[fitted], label[fitted])
        predicted[tested] = torch.from_numpy(model.predict(sounds[tested].statistics.numpy()))
    return predicted
