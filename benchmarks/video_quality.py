"""Every figure of a video model's card: ``python benchmarks/video_quality.py --data DIR -o report.json``.

Clips made at several numbers of steps, from the captions of held-out scenes and from plain prompts for objects that do
something, that go left or right, and that have colours, in combinations that were trained on and in others; beside the
rendered scenes that show the same. As a check of the measures themselves the rendered scenes are compared with each
other, and with themselves made worse. The tables go to the output, everything else besides into the report. Clips and
what is learnt from training scenes are kept: a run that was stopped goes on.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports import command, run, table
from video_judges import SPACES, Hits, Learnt, Space, has_color, heads_right_way, learn, mean, psnr, ssim
from video_sets import (
    Clips,
    Made,
    Prompts,
    Renders,
    asked,
    choices,
    coded,
    frozen,
    generate,
    noisy,
    real_clips,
    shuffled,
)

from multigen.errors import UsageError
from multigen.loaders import load
from multigen.metrics import Interval
from multigen.model import Model
from multigen.request import Request

LEARNT_SEED, SEED = 0, 3
"""Of the scenes that are learnt from, which are the first of those that `multigen train` shows the model, so that a
copy of one of them is found; and of those that are compared: none is in both."""
REAL_EACH = 100
"""Scenes beside each kind of prompts, at least."""
FEWEST = 20
"""Clips that an interval can be told from."""
NOISE = 20.0
Row = Mapping[str, Any]
WORSE: Mapping[str, Callable[[Clips], Clips]] = {
    "with noise of 20 levels": lambda clips: noisy(clips, NOISE),
    "frames shuffled": shuffled,
    "frames frozen": frozen,
}
SETS = (
    "Clips from captions of held-out scenes [95 %]; temporal flickering: VBench, 1 is a still picture; dynamic "
    "degree: VBench's mean of the 5 % fastest flow, sides of the picture a second; KVD: 100 times the unbiased MMD^2,"
    " Gaussian kernel, against held-out scenes; nearest: distance to the nearest of the training scenes that the "
    "classifier learns from over that of held-out scenes, 1 is as far, 0 is a copy; diversity: distance between clips"
    " for one noun over that between nouns"
)
PROMPTED = (
    "Clips from plain prompts [95 %]: taken for the object and for the action that the prompt names, in combinations "
    "that were trained on and in held-out ones; going the way it says; having its colour, likewise"
)
RELATIVE = "The same over the figure of the rendered scenes [95 %]"
CLASSIFIER = (
    "Classifier, on rendered scenes of its classes that it did not learn from [95 %]; held-out: other clips of figures"
)
REAL = "Real clips, 2 seconds each [95 %]; PSNR in dB and SSIM of what the model's codec leaves of them"


@dataclass(frozen=True)
class Real:
    """captions: held-out scenes and what is said of them; prompts: the others. more: further held-out scenes; fresh:
    scenes of training that were not learnt from; copies: scenes that were."""

    captions: Prompts
    prompts: Mapping[str, Prompts]
    more: Clips
    fresh: Clips
    copies: Clips
    clips: Mapping[str, Clips]


@dataclass(frozen=True)
class Judges:
    """All that judges clips."""

    learnt: Learnt
    spaces: Mapping[str, Space]

    def compared(self, clips: Clips, /) -> dict[str, Interval]:
        """Of clips that should be like the held-out scenes."""
        first = next(iter(self.spaces.values()))
        return {
            **moving(clips),
            **{f"KVD {name}": space.kvd(clips) for name, space in self.spaces.items()},
            "nearest, median": first.nearest(clips, 0.5),
            "nearest, 5 %": first.nearest(clips, 0.05),
        }

    def diversity(self, clips: Clips, /) -> dict[str, Interval]:
        return {"diversity": next(iter(self.spaces.values())).diversity(clips)}

    def taken(self, clips: Clips, /) -> dict[str, Hits]:
        """Whether objects and actions are taken for what they are asked to be."""
        pairs = zip(("object", "action"), self.learnt.right(clips), strict=True)
        return {part: Hits.of(right, clips) for part, right in pairs}

    def hits(self, sets: Mapping[str, Clips], /) -> dict[str, Hits]:
        """Whether clips are what their prompts say; sets: by the names of `choices`."""
        found = {f"{part}, {name}": of for name in ("seen", "held out") for part, of in self.taken(sets[name]).items()}
        found["left or right"] = Hits.of(heads_right_way(sets["direction"]), sets["direction"])
        for name, title in (("colours", "colour, seen"), ("held-out colours", "colour, held out")):
            found[title] = Hits.of(has_color(sets[name]), sets[name])
        return found


def moving(clips: Clips, /) -> dict[str, Interval]:
    """How much happens."""
    return {
        name.replace("-", " "): mean(clips.measured(name), clips) for name in ("temporal-flickering", "dynamic-degree")
    }


def read(renders: Renders, learnt: Learnt, data: Path, /, *, clips: int, each: int) -> Real:
    """Scenes to compare with."""
    held_out = renders.pool("validation", seed=SEED, count=round(2.8 * clips))
    captioned = renders.film("validation", held_out[:clips], seed=SEED)
    return Real(
        Prompts("captions", [truth.caption for truth in captioned.truths], captioned),
        asked(renders, choices(learnt.nouns, learnt.actions), count=max(each, REAL_EACH), seed=SEED),
        renders.film("validation", held_out[clips : 2 * clips], seed=SEED),
        renders.film("train", renders.pool("train", seed=SEED, count=round(1.4 * clips))[:clips], seed=SEED),
        renders.film("train", renders.pool("train", seed=LEARNT_SEED, count=clips), seed=LEARNT_SEED),
        real_clips(data),
    )


def checks(real: Real, judges: Judges, /) -> Mapping[str, Row]:
    """What is known beforehand: held-out scenes, scenes of training, copies, and scenes that were made worse."""
    held_out = real.captions.real
    floors = {f"KVD {name}": space.floor() for name, space in judges.spaces.items()}
    return {
        "held-out scenes, KVD of two halves": {
            **judges.compared(held_out),
            **floors,
            **judges.diversity(real.prompts["diversity"].real),
        },
        "scenes of training": judges.compared(real.fresh),
        "copies of learnt scenes": judges.compared(real.copies),
        **{f"held-out scenes, {name}": judges.compared(worse(held_out)) for name, worse in WORSE.items()},
    }


def of_clips(real: Real, model: Model | None, /) -> Mapping[str, Row]:
    """How much happens in held-out scenes and in every real clip, and what the codec leaves of them."""
    found = {}
    for name, clips in {"held-out scenes": real.captions.real, **real.clips}.items():
        found[name] = {"n": len(clips), **moving(clips)}
        if model is not None:
            left = coded(model, clips)
            found[name] |= {"PSNR": mean(psnr(clips, left), clips), "SSIM": mean(ssim(clips, left), clips)}
    return found


# --- tables -----------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Any], /) -> None:
    """The card's tables."""
    generated = report["generated"]
    named = {f"{cells['steps']} steps, {cells['evaluations']} evaluations": cells for cells in generated}
    rows(SETS, {**report["checks"], **{name: cells["compared"] for name, cells in named.items()}})
    counts = {"n, rendered": report["counts"]}
    if generated:
        counts["n, made"] = generated[0]["counts"]
    rows(PROMPTED, {**counts, **report["prompted"], **{name: cells["prompted"] for name, cells in named.items()}})
    if generated:
        rows(RELATIVE, {name: cells["relative"] for name, cells in named.items()})
    rows(CLASSIFIER, report["classifier"])
    rows(REAL, report["clips"])
    if generated:
        rows("Cost", {name: {"seconds for a clip": cells["seconds"]} for name, cells in named.items()})


def rows(title: str, found: Mapping[str, Row], /) -> None:
    columns = list(dict.fromkeys(name for row in found.values() for name in row))
    table(title, ["", *columns], [(name, *(row.get(c, "") for c in columns)) for name, row in found.items()])


# --- command ----------------------------------------------------------------------------------------------------------


def arguments() -> argparse.Namespace:
    data = "the folder that holds animated, shapes and clips"
    parser = command(__doc__, verb="video", model="video-small", steps="2,4,8,16", data=data)
    parser.add_argument("--clips", type=int, default=200, help="held-out scenes and clips made for them (default 200)")
    parser.add_argument(
        "--each", type=int, default=100, help="clips for each kind of prompts; 0 for real ones alone (default 100)"
    )
    parser.add_argument(
        "--training", type=int, default=8000, help="training scenes that the classifier learns from (default 8000)"
    )
    parser.add_argument(
        "--prepared", type=Path, help="the --cache of multigen train, if there is one (default --cache)"
    )
    return parser.parse_args()


def check(asked: argparse.Namespace) -> None:
    """Raise UsageError before minutes of work."""
    if asked.clips < FEWEST:
        raise UsageError(f"--clips {asked.clips}: give {FEWEST} or more")
    if asked.each and asked.each < FEWEST:
        raise UsageError(f"--each {asked.each}: give {FEWEST} or more, or 0 for real clips alone")
    if asked.training < asked.clips:
        raise UsageError(f"--training {asked.training}: give {asked.clips} or more, as many as --clips")


def measure(asked: argparse.Namespace) -> Mapping[str, Any]:
    check(asked)
    model = load(asked.model, modality="video", device=asked.device) if asked.each else None
    began = time.perf_counter()
    renders = Renders.load(asked.data, asked.prepared or asked.cache)
    learnt = learn(renders, count=asked.training, seed=LEARNT_SEED, cache=asked.cache)
    real = read(renders, learnt, asked.data, clips=asked.clips, each=asked.each)
    judges = Judges(learnt, {name: Space(name, learnt, real.captions.real, real.more) for name in SPACES})
    scenes = {name: prompts.real for name, prompts in real.prompts.items()}
    hits = judges.hits(scenes)
    report: dict[str, Any] = {
        "objects": learnt.nouns,
        "actions": learnt.actions,
        "prompts": {name: prompts.texts for name, prompts in real.prompts.items()},
        "checks": checks(real, judges),
        "counts": {name: len(of.right) for name, of in hits.items()},
        "prompted": {"rendered scenes": shares(hits)}
        | {name: shares(judges.hits({k: worse(v) for k, v in scenes.items()})) for name, worse in WORSE.items()},
        "classifier": {
            "scenes of training": known(judges.taken(real.fresh)),
            "held-out scenes": known(judges.taken(real.captions.real)),
        },
        "clips": of_clips(real, model),
        "generated": [],
    }
    print(f"real clips: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    for steps in asked.steps if asked.each else []:
        began = time.perf_counter()
        request = Request("video", "", model=asked.model, steps=steps, guidance=asked.guidance)
        make = functools.partial(generate, request, device=asked.device, cache=asked.cache)
        made = make(real.captions)
        clips = {name: make(prompts.first(asked.each)).clips for name, prompts in real.prompts.items()}
        report["generated"].append(of_made(made, clips, hits, judges))
        print(f"{steps} steps: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return report


def of_made(made: Made, clips: Mapping[str, Clips], real: Mapping[str, Hits], judges: Judges, /) -> Row:
    """Everything of one number of steps; clips: from prompts, by the names of `choices`."""
    hits = judges.hits(clips)
    return {
        "steps": made.request.steps,
        "evaluations": made.evaluations,
        "seconds": made.seconds,
        "folder": str(made.folder),
        "request": asdict(made.request),
        "compared": {**judges.compared(made.clips), **judges.diversity(clips["diversity"])},
        "counts": {name: len(of.right) for name, of in hits.items()},
        "prompted": shares(hits),
        "relative": {name: of.over(real[name]) for name, of in hits.items()},
    }


def known(hits: Mapping[str, Hits], /) -> Row:
    """Shares with their numbers."""
    return {key: value for name, of in hits.items() for key, value in ((f"{name}s", len(of.right)), (name, of.share()))}


def shares(hits: Mapping[str, Hits], /) -> Row:
    return {name: of.share() for name, of in hits.items()}


if __name__ == "__main__":
    sys.exit(run("video_quality", arguments(), measure, show))
