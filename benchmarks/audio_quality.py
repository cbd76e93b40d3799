"""Every figure of the audio model's card: ``python benchmarks/audio_quality.py --data DIR -o report.json``.

Sounds of ten classes, made from prompts at several numbers of steps, beside recordings that the model never saw and,
as a check of the measures themselves, beside windows of its own training recordings and white noise. The tables go to
the output, everything else besides into the report. Sounds are kept: a run that was stopped goes on.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from audio_judges import Classifier, Nearest, Space, TextHead, clusters, share, weighted_share
from audio_sets import PROMPTS, SECONDS, Made, Sounds, generate, white_noise, windows
from reports import command, costs, run, table, text
from torch import Tensor

from multigen.errors import UsageError
from multigen.loaders import load
from multigen.metrics import Interval, bootstrap, wilson
from multigen.request import Request
from multigen_models.audio.data import load_recordings, split_by_recording
from multigen_models.text import TextEncoder

WINDOWS = 3
SPACES = ("statistics", "random")
REFERENCES = ("validation", "training")
Row = Mapping[str, Interval]
SOUNDS = (
    "Sounds [95 %]; top-1 / real: over the cross-validated figure of real clips; nearest: distance to the nearest "
    "training window over that of held-out clips, 1 is as far, 0 is a copy"
)
KERNELS = (
    "KAD: 100 times the unbiased MMD^2, Gaussian kernel, of hand-made statistics and of a fixed random network, "
    "against one window of each validation or training clip [95 %]"
)


@dataclass(frozen=True)
class Real:
    """Windows of recordings. seen: of training clips of all classes; training, validation: of the classes asked for.

    targets: (n, 384), the mean embedding of the captions of each window of `seen`. replayed: other windows of the
    training clips, what a model would make that has learnt them by heart.
    """

    seen: Sounds
    targets: Tensor
    training: Sounds
    validation: Sounds
    replayed: Sounds


@dataclass(frozen=True)
class Judges:
    """All that judges a set of sounds. hits: of the real sounds (training, then validation) in cross-validation."""

    classifier: Classifier
    head: TextHead
    spaces: Mapping[str, Space]
    nearest: Mapping[str, Nearest]
    everything: Sounds
    hits: Tensor

    def row(self, sounds: Sounds, references: Sequence[str], /) -> Row:
        """Every figure of one set of sounds."""
        right = self.classifier.predict(sounds) == sounds.label
        places = self.head.ranks(sounds)
        found = {
            "top-1": _share(right, sounds),
            "top-1 / real": self._relative(right, sounds),
            "R@1": _share(places == 1, sounds),
            "R@3": _share(places <= 3, sounds),
        }
        for name, space in self.spaces.items():
            for reference in references:
                found[f"KAD {name}, {reference}"] = space.kad(sounds.firsts(), reference)
        for name, nearest in self.nearest.items():
            found[f"nearest {name}, median"] = nearest.ratio(sounds, 0.5)
            found[f"nearest {name}, 5 %"] = nearest.ratio(sounds, 0.05)
        return found

    def _relative(self, right: Tensor, sounds: Sounds) -> Interval:
        def ratio(u: Tensor, v: Tensor) -> float:
            return weighted_share(right, sounds, u) / weighted_share(self.hits, self.everything, v)

        return bootstrap(ratio, clusters(sounds), clusters(self.everything))


def _share(hits: Tensor, sounds: Sounds) -> Interval:
    """Sounds that stand alone are so many trials; windows of recordings are not."""
    alone = bool((sounds.recording < 0).all())
    return wilson(int(hits.sum()), len(hits)) if alone else share(hits, sounds)


def read(data: Path, cache: Path, classes: Sequence[str], /) -> Real:
    """Windows of the recordings in `data`."""
    recordings = load_recordings(data, cache=cache)
    clips, held_out = split_by_recording(recordings.clips)
    seen = windows(recordings, clips, classes, each=WINDOWS, seed=0, title="training clips")
    encoder = TextEncoder.load()
    embedded = {c.captions: encoder.encode(list(c.captions))["pooled"].mean(0) for c in clips}
    of = [recordings.clips[int(i)].captions for i in seen.clip]
    ours, theirs = ([c for c in side if c.label in classes] for side in (clips, held_out))
    return Real(
        seen=seen,
        targets=torch.stack([embedded[captions] for captions in of]),
        training=seen[seen.label >= 0],
        validation=windows(recordings, theirs, classes, each=WINDOWS, seed=0, title="validation clips"),
        replayed=windows(recordings, ours, classes, each=1, seed=1, title="training clips again"),
    )


def judge(real: Real, classes: Sequence[str], /) -> Judges:
    """Fit everything."""
    classifier = Classifier(real.training)
    spaces = {name: Space.of(name, real.training, real.validation) for name in SPACES}
    everything = real.training + real.validation
    return Judges(
        classifier=classifier,
        head=TextHead(real.seen, real.targets, classes),
        spaces=spaces,
        nearest={
            "of its class": Nearest(spaces["statistics"], real.seen, within_class=True),
            "of all": Nearest(spaces["statistics"], real.seen, within_class=False),
        },
        everything=everything,
        hits=classifier.cross_validated(everything, everything.label) == everything.label,
    )


def checks(real: Real, judges: Judges, classes: Sequence[str], /) -> Mapping[str, Any]:
    """What is known beforehand, and the real figures: the floor and the ceiling of each measure."""
    generator = torch.Generator().manual_seed(0)
    clips = torch.unique(judges.everything.clip, return_inverse=True)[1]
    labels = judges.everything.firsts().label
    shuffled = labels[torch.randperm(len(labels), generator=generator)][clips]
    chance = judges.classifier.cross_validated(judges.everything, shuffled) == shuffled
    prompted = real.seen[real.seen.label >= 0]
    places = judges.head.cross_validated(real.seen, real.targets)[real.seen.label >= 0]
    return {
        "top-1, cross-validated": share(judges.hits, judges.everything),
        "R@1, cross-validated": share(places == 1, prompted),
        "top-1, labels shuffled": share(chance, judges.everything),
        **{f"KAD {name}, floor": space.floor() for name, space in judges.spaces.items()},
        "validation clips": judges.row(real.validation, ["training"]),
        "training clips replayed": judges.row(real.replayed, REFERENCES),
        "white noise": judges.row(white_noise(classes, each=20), REFERENCES),
    }


def by_class(made: Made, real: Real, judges: Judges, classes: Sequence[str], /) -> Mapping[str, Any]:
    """Figures of each class, generated beside real, and the medians of what is plain about its sounds."""
    predicted, places = judges.classifier.predict(made.sounds), judges.head.ranks(made.sounds)
    found = {}
    for i, name in enumerate(classes):
        mine, theirs = made.sounds.label == i, judges.everything.label == i
        taken = torch.bincount(predicted[mine], minlength=len(classes))
        found[name] = {
            "prompt": PROMPTS[name],
            "top-1": _share(predicted[mine] == i, made.sounds[mine]),
            "top-1, real": share(judges.hits[theirs], judges.everything[theirs]),
            "R@1": _share(places[mine] == 1, made.sounds[mine]),
            "taken for": {other: int(n) for other, n in zip(classes, taken, strict=True) if n},
            "plain": medians(made.sounds[mine]),
            "plain, real": medians(judges.everything[theirs].firsts()),
        }
    return found


def medians(sounds: Sounds, /) -> Mapping[str, float]:
    """Of `multigen_audio.features.describe`."""
    names = sounds.plain[0]
    return {name: float(torch.tensor([one[name] for one in sounds.plain]).median()) for name in names}


# --- tables -----------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Any], /) -> None:
    """The card's tables."""
    check, generated = report["checks"], report["generated"]
    table(
        "Classifiers: top-1 in cross-validation over training recordings, by which the first is chosen",
        ["classifier", *next(iter(report["classifiers"].values()))],
        [(name, *cells.values()) for name, cells in report["classifiers"].items()],
    )
    single = [(name, value) for name, value in check.items() if isinstance(value, Interval)]
    table("Real clips", ["measure", "value [95 %]"], single)
    rows = {name: row for name, row in check.items() if not isinstance(row, Interval)}
    rows |= {f"{cells['steps']} steps, {cells['evaluations']} evaluations": cells["row"] for cells in generated}
    names = [name for name in rows["white noise"] if "KAD" not in name]
    kernels = [name for name in rows["white noise"] if "KAD" in name]
    for title, columns in ((SOUNDS, names), (KERNELS, kernels)):
        table(title, ["sounds", *columns], [(name, *(row.get(c, "") for c in columns)) for name, row in rows.items()])
    if not generated:
        return
    shown = report["classes"]
    table(
        f"Classes, {report['shown']} steps",
        ["class", "prompt", "top-1", "top-1, real", "R@1", "taken for"],
        [
            (
                name,
                c["prompt"],
                c["top-1"],
                c["top-1, real"],
                c["R@1"],
                ", ".join(f"{k} {v}" for k, v in c["taken for"].items()),
            )
            for name, c in shown.items()
        ],
    )
    plain = list(next(iter(shown.values()))["plain"])
    table(
        f"Medians, generated / real, {report['shown']} steps",
        ["class", *plain],
        [(name, *(f"{text(c['plain'][p])} / {text(c['plain, real'][p])}" for p in plain)) for name, c in shown.items()],
    )
    costs(generated, "a sound")


def arguments() -> argparse.Namespace:
    data = "the audiofolder that the model was trained on"
    parser = command(__doc__, verb="audio", model="audio-small", steps="4,8,16,32,64", data=data)
    parser.add_argument(
        "--per-class", type=int, default=20, help="sounds of each class; 0 for real clips alone (default 20)"
    )
    parser.add_argument("--classes", default=",".join(PROMPTS), help="some of: " + ", ".join(PROMPTS))
    return parser.parse_args()


def measure(asked: argparse.Namespace) -> Mapping[str, Any]:
    classes = asked.classes.split(",")
    unknown = sorted(set(classes) - set(PROMPTS))
    if unknown or len(classes) < 2:
        raise UsageError(f"--classes {asked.classes}: give two or more of {', '.join(PROMPTS)}")
    if asked.per_class < 0:
        raise UsageError(f"--per-class {asked.per_class}: give 0 or more")
    if asked.per_class:
        load(asked.model, modality="audio", device=asked.device)  # a wrong name shows before minutes of other work
    began = time.perf_counter()
    real = read(asked.data, asked.cache, classes)
    judges = judge(real, classes)
    report: dict[str, Any] = {
        "seconds of a sound": SECONDS,
        "clips": {
            name: len(sounds.firsts())
            for name, sounds in (("training", real.training), ("validation", real.validation))
        },
        "chosen": judges.classifier.name,
        "ridge": judges.head.scores,
        "checks": checks(real, judges, classes),
        "generated": [],
    }
    print(f"real clips: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    runs: dict[int, Made] = {}
    for steps in asked.steps if asked.per_class else []:
        began = time.perf_counter()
        made = generate(
            Request("audio", "", model=asked.model, steps=steps, guidance=asked.guidance),
            classes,
            per_class=asked.per_class,
            device=asked.device,
            cache=asked.cache,
        )
        row = judges.row(made.sounds, REFERENCES)
        runs[steps] = made
        cost = {"steps": steps, "evaluations": made.evaluations, "seconds": made.seconds, "folder": str(made.folder)}
        report["generated"].append(cost | {"request": asdict(made.request), "plain": medians(made.sounds), "row": row})
        print(f"{steps} steps: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    report["classifiers"] = {name: {"training clips": score} for name, score in judges.classifier.scores.items()}
    if runs:
        report["shown"] = min(runs, key=lambda steps: abs(math.log(steps / runs[steps].usual)))
        made = runs[report["shown"]]
        report["classes"] = by_class(made, real, judges, classes)
        for name, cells in report["classifiers"].items():
            right = judges.classifier.predict(made.sounds, name=name) == made.sounds.label
            cells["generated"] = _share(right, made.sounds)
    return report


if __name__ == "__main__":
    sys.exit(run("audio_quality", arguments(), measure, show))
