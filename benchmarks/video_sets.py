"""The clips that `video_quality` compares: rendered scenes, real clips, and ones that a model makes, kept in a folder.

All have `FRAMES` frames of `SIDE` x `SIDE`, `RATE` a second: what the model makes unless it is told otherwise.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from reports import counted, kept
from torch import Tensor
from tqdm import tqdm

from multigen.job import Job
from multigen.modality import Sample
from multigen.request import Request
from multigen.training import ENDLESS
from multigen_models.shapes.names import with_article
from multigen_models.video.captions import PLACES
from multigen_models.video.names import Figure, gerund, still_figures
from multigen_models.video.paint import PAINTS
from multigen_models.video.roles import colour_held_out, combination_held_out
from multigen_models.video.scenes import Scene, VideoScenes
from multigen_models.video.small import RATE, covering
from multigen_models.video.takes import Takes, load_takes
from multigen_video import Video, VideoOptions, features
from multigen_video import measures as video_measures

FRAMES, SIDE = 16, 128
OPTIONS = VideoOptions(duration=FRAMES / RATE, fps=RATE, size=str(SIDE))
SCENES = 1500
"""Of a split, from which prompts are chosen."""
WINDOWS = 10
"""Of a real clip, so many windows of `FRAMES` at most, from its beginning."""


@dataclass(frozen=True)
class Truth:
    """What a scene of one figure shows, in the words of captions; "" for what is not to be said.

    action: in the infinitive. place: of `captions.PLACES`, or the colour of a plain background. source: the figure and
    the clip of it; scenes of one source are not independent. index: of the scene in its split.
    """

    caption: str
    noun: str
    action: str
    direction: str
    color: str
    place: str
    camera: str
    source: str
    index: int

    @property
    def plain(self) -> bool:
        """Whether the background is of one colour."""
        return self.place not in PLACES


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips and what is seen of them.

    frames: (n, FRAMES, 3, SIDE, SIDE) uint8 sRGB. truths: of scenes, what they show; of generated clips, what they were
    asked to show; () of others. made: whether a model made them; each stands alone then.
    """

    frames: Tensor = field(repr=False)
    truths: Sequence[Truth] = ()
    made: bool = False

    def __len__(self) -> int:
        return len(self.frames)

    def first(self, count: int, /) -> "Clips":
        return Clips(self.frames[:count], self.truths[:count], self.made)

    @property
    def clusters(self) -> Tensor:
        """(n,) which source each was rendered from, as `multigen.metrics.bootstrap` takes it."""
        if self.made or not self.truths:
            return torch.arange(len(self))
        sources = {source: i for i, source in enumerate(dict.fromkeys(truth.source for truth in self.truths))}
        return torch.tensor([sources[truth.source] for truth in self.truths])

    @cached_property
    def statistics(self) -> Tensor:
        """(n, 420) of `multigen_video.features.statistics`."""
        return torch.stack([features.statistics(features.prepare(clip)) for clip in self.frames])

    @cached_property
    def random(self) -> Tensor:
        """(n, 192) of `multigen_video.features.RandomNetwork`."""
        network = features.RandomNetwork()
        return torch.stack([network(features.prepare(clip)) for clip in self.frames])

    def measured(self, name: str, /) -> Tensor:
        """(n,) of a metric of `multigen_video.measures`, such as "temporal-flickering"."""
        if name not in self._measured:
            value = next(metric.value for metric in video_measures.metrics() if metric.name == name)
            found = [value({"frames": clip, "fps": RATE}, "") for clip in self.frames]
            self._measured[name] = torch.tensor(found, dtype=torch.float64)
        return self._measured[name]

    @cached_property
    def _measured(self) -> dict[str, Tensor]:
        return {}


# --- rendered scenes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Renders:
    """Scenes that are drawn from takes. still: names of the still figures by their ids."""

    takes: Takes
    still: Mapping[str, Figure]

    @classmethod
    def load(cls, data: Path, cache: Path, /) -> "Renders":
        return cls(load_takes(data, cache=cache), still_figures(data))

    def scenes(self, split: str, /, *, seed: int) -> VideoScenes:
        return VideoScenes(self.takes, split=split, length=ENDLESS, seed=seed, still=self.still)

    def told(self, scene: Scene, index: int, /) -> Truth | None:
        """What a scene shows; None of several figures."""
        telling = scene.telling
        subject = telling.subjects[0]
        if len(telling.subjects) > 1 or subject.count > 1 or subject.plural:
            return None
        take = self.takes.takes[scene.takes[0]]
        return Truth(
            scene.caption,
            subject.noun,
            subject.action.name if subject.action else "",
            subject.direction,
            subject.color,
            telling.place,
            telling.camera,
            f"{take.figure} {take.clip}",
            index,
        )

    def pool(self, split: str, /, *, seed: int, count: int) -> list[Truth]:
        """Of the first `count` scenes, those of one figure at `RATE`."""
        scenes = self.scenes(split, seed=seed)
        found = []
        for index in tqdm(range(count), f"scenes of {split}", disable=None, leave=False):
            scene = scenes.described(index)
            truth = self.told(scene, index) if scene.fps == RATE else None
            found += [truth] if truth else []
        return found

    def film(self, split: str, truths: Sequence[Truth], /, *, seed: int) -> Clips:
        """The scenes of these truths once more."""
        scenes = self.scenes(split, seed=seed)
        return Clips(torch.stack([scenes[truth.index][0] for truth in truths]), truths)


def spread(pool: Sequence[Truth], key: Callable[[Truth], Any], /, *, count: int) -> list[Truth]:
    """At most `count`: one of every key at first, then a second of every key, and so on."""
    seen: Counter[Any] = Counter()
    turns = []
    for truth in pool:
        turns.append(seen[key(truth)])
        seen[key(truth)] += 1
    order = sorted(range(len(pool)), key=turns.__getitem__)
    return [pool[i] for i in order[:count]]


# --- scenes made worse ------------------------------------------------------------------------------------------------


def noisy(clips: Clips, level: float, /) -> Clips:
    """With white noise of that deviation, in levels of 255, another in every frame."""
    noise = torch.randn(clips.frames.shape, generator=torch.Generator().manual_seed(0))
    frames = noise.mul_(level).add_(clips.frames).round_().clamp_(0, 255).to(torch.uint8)
    return dataclasses.replace(clips, frames=frames)


def shuffled(clips: Clips, /) -> Clips:
    """The frames of each in an order that is drawn for it."""
    generator = torch.Generator().manual_seed(0)
    order = torch.rand(len(clips), FRAMES, generator=generator).argsort(1)
    frames = [clip[places] for clip, places in zip(clips.frames, order, strict=True)]
    return dataclasses.replace(clips, frames=torch.stack(frames))


def frozen(clips: Clips, /) -> Clips:
    """The middle frame of each, all the time."""
    middle = clips.frames[:, FRAMES // 2, None]
    return dataclasses.replace(clips, frames=middle.expand(-1, FRAMES, -1, -1, -1))


# --- real clips -------------------------------------------------------------------------------------------------------


def real_clips(data: Path, /) -> Mapping[str, Clips]:
    """Windows of every file in data/clips, by its name."""
    paths = sorted(path for path in (data / "clips").glob("*") if path.suffix in (".mp4", ".webm", ".gif"))
    return {path.name: windows(Video().read(path)) for path in paths}


def windows(sample: Sample, /) -> Clips:
    """A sample at `RATE`, cut to its middle square and into windows; what is left over is dropped."""
    count = int(len(sample["frames"]) / sample["fps"] * RATE)
    count = min(count - count % FRAMES, WINDOWS * FRAMES)
    at = ((torch.arange(count) + 0.5) / RATE * sample["fps"]).long().clamp(max=len(sample["frames"]) - 1)
    frames = [covering(sample["frames"][i : i + 1].float(), height=SIDE, width=SIDE)[0] for i in at.tolist()]
    whole = torch.stack(frames).round().clamp(0, 255).to(torch.uint8)
    return Clips(whole.view(-1, FRAMES, 3, SIDE, SIDE))


def coded(model: Any, clips: Clips, /) -> Clips:
    """What a model's codec leaves of them."""
    made = [
        model.decode(model.encode({"frames": clip, "fps": RATE}, OPTIONS), OPTIONS)["frames"] for clip in clips.frames
    ]
    return dataclasses.replace(clips, frames=torch.stack(made))


# --- prompts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prompts:
    """What is asked for, with the seeds 0, 1, ..., and the scenes that show it."""

    name: str
    texts: Sequence[str]
    real: Clips

    def first(self, count: int, /) -> "Prompts":
        return Prompts(self.name, self.texts[:count], self.real.first(count))


@dataclass(frozen=True)
class Choice:
    """Which scenes of a split are asked for, in which words, and what of them is to be met equally often."""

    split: str
    chosen: Callable[[Truth], bool]
    key: Callable[[Truth], Any]
    say: Callable[[Truth], str]


def combination(truth: Truth, /) -> tuple[str, str]:
    return truth.noun, truth.action


def doing(truth: Truth, /) -> str:
    """ "a fox running"."""
    return f"{with_article(truth.noun, truth.noun)} {gerund(truth.action)}"


def wearing(truth: Truth, /) -> str:
    """ "a red fox on a plain grey background"."""
    background = with_article(f"plain {truth.place} background", "background")
    return f"{with_article(f'{truth.color} {truth.noun}', truth.noun)} on {background}"


def choices(nouns: Sequence[str], actions: Sequence[str], /) -> Mapping[str, Choice]:
    """What is asked for beside captions, by its name.

    Combinations are seen ones of these nouns and actions, or held-out ones of a noun or an action of these; colours are
    asked for before plain backgrounds; "diversity" asks for half of the nouns and nothing else.
    """
    some = nouns[: len(nouns) // 2]
    return {
        "seen": Choice("train", lambda t: t.noun in nouns and t.action in actions, combination, doing),
        "held out": Choice(
            "combinations",
            lambda t: combination_held_out(t.noun, t.action) and (t.noun in nouns or t.action in actions),
            combination,
            doing,
        ),
        "direction": Choice(
            "train",
            lambda t: bool(t.action) and t.direction in ("left", "right") and t.camera == "still",
            lambda t: t.direction,
            lambda t: f"{doing(t)} to the {t.direction}",
        ),
        "colours": Choice("train", lambda t: t.plain and t.color in PAINTS, lambda t: t.color, wearing),
        "held-out colours": Choice(
            "combinations",
            lambda t: t.plain and t.color in PAINTS and colour_held_out(t.noun, t.color),
            lambda t: t.color,
            wearing,
        ),
        "diversity": Choice(
            "train", lambda t: t.noun in some, lambda t: t.noun, lambda t: with_article(t.noun, t.noun)
        ),
    }


def asked(renders: Renders, wanted: Mapping[str, Choice], /, *, count: int, seed: int) -> Mapping[str, Prompts]:
    """At most `count` prompts of every choice, from the first `SCENES` scenes of its split."""
    splits = dict.fromkeys(choice.split for choice in wanted.values())
    pools = {split: renders.pool(split, seed=seed, count=SCENES) for split in splits}
    found = {}
    for name, choice in wanted.items():
        truths = spread([t for t in pools[choice.split] if choice.chosen(t)], choice.key, count=count)
        real = renders.film(choice.split, truths, seed=seed)
        found[name] = Prompts(name, [choice.say(truth) for truth in truths], real)
    return found


# --- generated clips --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """Generated clips, and what they cost.

    evaluations: of the network, for each clip (guidance evaluates it twice a step). seconds: the median for one clip.
    """

    clips: Clips
    evaluations: int
    seconds: float
    request: Request
    folder: Path


def generate(request: Request, prompts: Prompts, /, *, device: str | None, cache: Path) -> Made:
    """A clip for every prompt; those that an earlier run with the same weights and settings left in `cache` are read.

    request: how they are made; its prompt and options are filled in here.
    """
    found = kept(
        request,
        prompts.texts,
        _make,
        options=dataclasses.asdict(OPTIONS),
        title=prompts.name,
        device=device,
        cache=cache,
    )
    records = found.records
    return Made(
        Clips(torch.stack([record["frames"] for record in records]), prompts.real.truths, made=True),
        min(record["evaluations"] for record in records),
        found.seconds,
        found.job.request,
        found.folder,
    )


def _make(job: Job, seed: int) -> dict[str, Any]:
    """One clip, and what it cost."""
    with counted(job) as cost:
        sample = job.run(seed)
    return {"frames": sample["frames"], **dataclasses.asdict(cost)}
