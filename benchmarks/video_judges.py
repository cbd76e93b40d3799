"""What judges clips in `video_quality`: a classifier, kernel distances, nearest neighbours, directions and colours.

The classifier and the features' scale are learnt from rendered training scenes and kept.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from reports import stored
from shape_features import main_color
from torch import Tensor, nn
from tqdm import tqdm
from video_sets import FRAMES, RATE, Clips, Renders, Truth

from multigen.metrics import (
    Interval,
    bootstrap,
    distances,
    kad,
    kad_floor,
    median_distance,
    nearest_distance,
    nearest_ratio,
    wilson,
)
from multigen_models.contrast_encoder import Pyramid
from multigen_models.shapes.colors import COLOR_NAMES, to_oklab
from multigen_models.video.encoder import FRAMES as SEEN
from multigen_models.video.encoder import SIDE, seen
from multigen_video import features

NOUNS, ACTIONS = 20, 10
NEIGHBOURS = 3000
"""Training scenes, the first ones, among which the nearest is looked for."""
CHANNELS = (3, 24, 40, 64, 80)
EPOCHS, BATCH, LEARNING_RATE, DROPOUT = 16, 32, 2e-3, 0.3
SPACES = ("statistics", "random")
DIFFERENT = 0.15
"""Distance in OKLab from the background of what does not belong to it; its shadows mostly do."""
SHADE = 0.9
"""How bright a lit surface is on average; what captions call its colour is that of the surface."""
FEWEST = 20
"""Pixels of a frame that are something."""


# --- objects and actions ----------------------------------------------------------------------------------------------


class TwoHeads(nn.Module):
    """Films as the embedded encoder sees them, (b, 3, 8, 64, 64) in [-1, 1], to logits of objects and of actions."""

    def __init__(self, nouns: int, actions: int, /) -> None:
        super().__init__()
        self.pyramid = Pyramid(CHANNELS, conv=nn.Conv3d)
        shrunk = 2 ** (len(CHANNELS) - 1)
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.ModuleList(nn.Linear((SIDE // shrunk) ** 2 * CHANNELS[-1], n) for n in (nouns, actions))

    def forward(self, x: Tensor, /) -> tuple[Tensor, Tensor]:
        h = self.dropout(self.pyramid(x).flatten(1))
        objects, actions = (head(h) for head in self.heads)
        return objects, actions


@dataclass(frozen=True)
class Learnt:
    """What is taken from training scenes.

    nouns, actions: the best covered ones, the best first. statistics: (m, 420) and random: (m, 192) of some scenes, as
    `Clips` has them.
    """

    nouns: Sequence[str]
    actions: Sequence[str]
    network: TwoHeads = field(repr=False)
    statistics: Tensor = field(repr=False)
    random: Tensor = field(repr=False)

    @torch.no_grad()
    def right(self, clips: Clips, /) -> tuple[Tensor, Tensor]:
        """(n,) 1 where the object, and where the action, is taken for what it is asked to be, 0 where it is not, and
        -1 where none of the classes is asked for."""
        views = [seen(clip, RATE) for clip in clips.frames]
        logits = [self.network(torch.stack(part)) for part in (views[i : i + 32] for i in range(0, len(views), 32))]
        wanted = (
            _places([truth.noun for truth in clips.truths], self.nouns),
            _places([truth.action for truth in clips.truths], self.actions),
        )
        found = (torch.cat(of_head).argmax(1) for of_head in zip(*logits, strict=True))
        objects, actions = (torch.where(w < 0, -1, (f == w).long()) for f, w in zip(found, wanted, strict=True))
        return objects, actions


def learn(renders: Renders, /, *, count: int, seed: int, cache: Path) -> Learnt:
    """From the first `count` scenes of training, kept in a folder."""
    settings = [count, seed, NOUNS, ACTIONS, NEIGHBOURS, CHANNELS, EPOCHS, BATCH, LEARNING_RATE, DROPOUT]
    key = json.dumps([*settings, len(renders.takes.takes), len(renders.takes.content)])
    path = cache / f"learnt-{hashlib.sha256(key.encode()).hexdigest()[:16]}.pt"
    kept = stored(path, lambda: _learnt(renders, count, seed))
    network = TwoHeads(len(kept["nouns"]), len(kept["actions"]))
    network.load_state_dict(kept.pop("network"))
    return Learnt(network=network.eval(), **kept)


def _learnt(renders: Renders, count: int, seed: int) -> dict[str, Any]:
    scenes = renders.scenes("train", seed=seed)
    views = torch.empty(count, 3, SEEN, SIDE, SIDE, dtype=torch.uint8)
    told: list[tuple[str, str]] = []
    neighbours: dict[str, list[Tensor]] = {name: [] for name in SPACES}
    for index in tqdm(range(count), "training scenes", disable=None):
        scene = scenes.described(index)
        truth = renders.told(scene, index)
        told.append((truth.noun, truth.action) if truth else ("", ""))
        views[index] = ((seen(scene.frames, scene.fps) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        if scene.fps == RATE and len(neighbours[SPACES[0]]) < NEIGHBOURS:
            clip = Clips(scene.frames[None])
            for name in SPACES:
                neighbours[name].append(getattr(clip, name)[0])
    words = list(zip(*told, strict=True))
    classes = [_best(said, count) for said, count in zip(words, (NOUNS, ACTIONS), strict=True)]
    labels = torch.stack([_places(said, names) for said, names in zip(words, classes, strict=True)], 1)
    known = (labels >= 0).any(1)
    network = _trained(views[known], labels[known])
    return {
        "nouns": classes[0],
        "actions": classes[1],
        "network": network.state_dict(),
        **{name: torch.stack(rows) for name, rows in neighbours.items()},
    }


def _best(words: Sequence[str], count: int) -> list[str]:
    return [word for word, _ in Counter(filter(None, words)).most_common(count)]


def _places(words: Sequence[str], names: Sequence[str]) -> Tensor:
    """(n,) of words among the names, -1 where a word is none of them."""
    return torch.tensor([names.index(word) if word in names else -1 for word in words])


def _trained(views: Tensor, labels: Tensor) -> TwoHeads:
    """On views (n, 3, SEEN, SIDE, SIDE) uint8, half of them mirrored, with labels (n, 2), -1 where there is none."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = TwoHeads(*(labels.amax(0) + 1).tolist())
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
        steps = EPOCHS * (len(views) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
        for _ in tqdm(range(EPOCHS), "classifier", disable=None):
            for chosen in torch.randperm(len(views), generator=generator).split(BATCH)[: len(views) // BATCH]:
                x = views[chosen].float() / 127.5 - 1
                mirrored = torch.rand(len(x), generator=generator) < 0.5
                x[mirrored] = x[mirrored].flip(-1)
                logits = network(x)
                losses = [
                    F.cross_entropy(of_head, wanted, ignore_index=-1, reduction="sum", label_smoothing=0.05)
                    for of_head, wanted in zip(logits, labels[chosen].unbind(1), strict=True)
                ]
                optimizer.zero_grad()
                (sum(losses) / len(x)).backward()
                optimizer.step()
                schedule.step()
    return network


# --- directions and colours -------------------------------------------------------------------------------------------


def heads_right_way(clips: Clips, /) -> Tensor:
    """(n,) 1 where what moves goes left or right as it is asked to, else 0."""
    right = [
        features.heading(features.flow(clip))[0] * (1 if truth.direction == "right" else -1)
        for clip, truth in _pairs(clips)
    ]
    return (torch.tensor(right) > 0).long()


def has_color(clips: Clips, /) -> Tensor:
    """(n,) 1 where what stands out from the background mostly has the colour that it is asked to have, else 0."""
    return torch.tensor([int(color_of(clip) == truth.color) for clip, truth in _pairs(clips)])


def color_of(frames: Tensor, /) -> str:
    """The main colour, of `COLOR_NAMES`, of the pixels of (t, 3, h, w) uint8 that differ from the background.

    That is the median of each frame's border; "" where nothing differs from it.
    """
    shown = frames[:: FRAMES // 4].permute(0, 2, 3, 1).float() / 255
    edge = torch.ones(shown.shape[1:3], dtype=torch.bool)
    edge[3:-3, 3:-3] = False
    background = shown[:, edge].median(1).values[:, None, None]
    difference = to_oklab(shown.numpy()) - to_oklab(background.numpy())
    figure = shown[torch.from_numpy(np.linalg.norm(difference, axis=-1)) > DIFFERENT]
    return COLOR_NAMES[main_color((figure / SHADE).clamp(max=1))[0]] if len(figure) >= FEWEST * len(shown) else ""


def _pairs(clips: Clips) -> Iterable[tuple[Tensor, Truth]]:
    return zip(clips.frames, clips.truths, strict=True)


# --- shares and means -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hits:
    """right: (n,) 1 or 0. clusters: as `bootstrap` takes them. made: whether each stands alone."""

    right: Tensor
    clusters: Tensor
    made: bool

    @classmethod
    def of(cls, right: Tensor, clips: Clips, /) -> "Hits":
        """right: (n,), -1 for what does not count."""
        counted = right >= 0
        return cls(right[counted].double(), clips.clusters[counted], clips.made)

    def share(self) -> Interval:
        """NaN of nothing."""
        if not len(self.right):
            return Interval(math.nan, math.nan, math.nan)
        if self.made:
            return wilson(float(self.right.sum()), len(self.right))
        return bootstrap(self._mean, self.clusters)

    def over(self, real: "Hits", /) -> Interval:
        """The share over that of real clips, NaN of nothing."""
        if not len(self.right) or not len(real.right):
            return Interval(math.nan, math.nan, math.nan)

        def ratio(u: Tensor, v: Tensor) -> float:
            usual = real._mean(v)
            return self._mean(u) / usual if usual else math.nan

        return bootstrap(ratio, self.clusters, real.clusters)

    def _mean(self, counts: Tensor) -> float:
        return float(counts @ self.right / counts.sum())


def mean(values: Tensor, clips: Clips, /) -> Interval:
    """Of (n,) float64, with a bootstrap interval."""
    return bootstrap(lambda counts: float(counts @ values / counts.sum()), clips.clusters)


# --- features ---------------------------------------------------------------------------------------------------------


class Space:
    """Features standardised by training scenes, with one bandwidth for all comparisons.

    name: of SPACES. held_out: what generated clips are compared with; more: other scenes of that split.
    """

    def __init__(self, name: str, learnt: Learnt, held_out: Clips, more: Clips, /) -> None:
        training: Tensor = getattr(learnt, name)
        self._name, self._held_out, self._more = name, held_out, more
        std, self._mean = torch.std_mean(training.double(), dim=0)
        self._std = std.clamp(min=1e-6)
        self._training = (training.double() - self._mean) / self._std
        self._bandwidth = median_distance(self(held_out))
        self._usual = nearest_distance(self(held_out), self._training)

    def __call__(self, clips: Clips, /) -> Tensor:
        """(n, d)."""
        return (getattr(clips, self._name).double() - self._mean) / self._std

    def kvd(self, clips: Clips, /) -> Interval:
        """`kad` against the held-out scenes."""
        return kad(self(self._held_out), self(clips), bandwidth=self._bandwidth, clusters=self._held_out.clusters)

    def floor(self) -> Interval:
        """Between halves of held-out scenes, no source in both."""
        truths = [*self._held_out.truths, *self._more.truths]
        both = Clips(torch.cat([self._held_out.frames, self._more.frames]), truths)
        found = torch.cat([self(self._held_out), self(self._more)])
        return kad_floor(found, bandwidth=self._bandwidth, clusters=both.clusters)

    def nearest(self, clips: Clips, quantile: float, /) -> Interval:
        """`nearest_ratio` to the training scenes, with a bootstrap interval."""
        found = nearest_distance(self(clips), self._training)

        def statistic(u: Tensor, v: Tensor) -> float:
            drawn, real = found.repeat_interleave(u.long()), self._usual.repeat_interleave(v.long())
            return nearest_ratio(drawn, real, quantile=quantile)

        return bootstrap(statistic, clips.clusters, self._held_out.clusters)

    def diversity(self, clips: Clips, /) -> Interval:
        """The mean distance of clips for one prompt over that of clips for different prompts, which are nouns."""
        nouns = [truth.noun for truth in clips.truths]
        number = torch.tensor([nouns.index(noun) for noun in nouns])
        between = distances(self(clips), self(clips))
        same = (number[:, None] == number).double() - torch.eye(len(clips), dtype=torch.float64)
        other = (number[:, None] != number).double()

        def statistic(u: Tensor) -> float:
            within, apart = ((u @ (between * mask) @ u) / (u @ mask @ u) for mask in (same, other))
            return float(within / apart)

        return bootstrap(statistic, torch.arange(len(clips)))


# --- the codec --------------------------------------------------------------------------------------------------------


def psnr(clips: Clips, coded: Clips, /) -> Tensor:
    """(n,) dB of whole clips."""
    squared = (clips.frames.double() - coded.frames.double()).square().flatten(1).mean(1)
    return 10 * torch.log10(255**2 / squared)


def ssim(clips: Clips, coded: Clips, /) -> Tensor:
    """(n,) mean over frames of the structural similarity of colour pictures, by scikit-image."""
    from skimage.metrics import structural_similarity

    pairs = zip(clips.frames.transpose(2, 3).transpose(3, 4), coded.frames.transpose(2, 3).transpose(3, 4), strict=True)
    found = [
        [structural_similarity(a.numpy(), b.numpy(), channel_axis=-1) for a, b in zip(one, other, strict=True)]
        for one, other in pairs
    ]
    return torch.tensor(found, dtype=torch.float64).mean(1)
