"""What a LoRA teaches and what it costs: ``python benchmarks/lora_audio.py --data DIR -o runs/lora-audio``.

Twenty recordings of one kind are given a name that the audio model has never met, and ``multigen train --lora`` is run
on them. Measured is whether the name now brings that kind of sound, on recordings that were kept out, and whether the
other prompts and the ordinary held-out error are as they were. About ten minutes on one core; what is made is kept, and
a run that was stopped goes on.
"""

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from audio_judges import Space
from audio_quality import table
from audio_sets import OPTIONS, PROMPTS, Sounds, see, windows
from torch import Tensor, nn
from tqdm import tqdm

from multigen.cli import main as multigen
from multigen.errors import UsageError
from multigen.job import prepare
from multigen.loaders import load
from multigen.lora import read_loras, with_loras
from multigen.lora_training import in_scale_of
from multigen.metrics import Interval, bootstrap, distances, median_distance, wilson
from multigen.objective import Denoising
from multigen.options import make
from multigen.provenance import tags
from multigen.request import Request
from multigen.settings import LORA, RANK, Settings
from multigen.significance import paired
from multigen_audio import Audio
from multigen_models.audio.augment import SAMPLE_RATE
from multigen_models.audio.data import Clip, Recordings, load_recordings, split_by_recording
from multigen_models.audio.recipe import AudioRecipe

ARMS = ("base", "lora")
Errors = Mapping[str, Mapping[str, Tensor]]


# --- what is made -----------------------------------------------------------------------------------------------------


def own_clips(recordings: Recordings, label: str, count: int, /) -> tuple[list[Clip], list[Clip]]:
    """The clips of one's own, and the other ones of their kind."""
    kind = [clip for clip in recordings.clips if clip.label == label]
    if len(kind) < count + 2:
        raise UsageError(
            f"--label {label}: there are {len(kind)} clips, and {count} to train on and 2 others are needed"
        )
    drawn = sorted(kind, key=lambda clip: hashlib.sha256(clip.file_name.encode()).digest())
    return drawn[:count], drawn[count:]


def write_clips(recordings: Recordings, clips: Sequence[Clip], caption: str, folder: Path, /) -> None:
    """An audiofolder as one would make it of one's own recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("file_name", "caption"))
        for i, clip in enumerate(clips):
            wave = recordings.wave(clip)
            soundfile.write(folder / f"{i:02d}.wav", wave * min(1.0, 0.95 / float(np.abs(wave).max())), SAMPLE_RATE)
            rows.writerow((f"{i:02d}.wav", caption))


def train(asked: argparse.Namespace, clips: Path, /) -> Path:
    """The LoRA that the command makes of the clips."""
    folder = asked.output / "run"
    words = ["train", "--lora", asked.model, "--data", str(clips), "-o", str(folder), "--sheet-steps", "0"]
    chosen = {"samples": asked.samples, "lr": asked.lr, "rank": asked.rank}
    for name, value in chosen.items():
        words += [f"--{name}", str(value)]
    if multigen(words):
        raise UsageError(f"{folder}: the training did not end; choose another -o for other settings")
    return folder / "model"


def generate(
    asked: argparse.Namespace, arm: str, lora: Path, wanted: Sequence[tuple[str, int]], label: int, /
) -> Sounds:
    """A sound for each prompt and seed; those that an earlier run left are read. label: of all of them, or -1."""
    job = prepare(
        Request(
            "audio",
            wanted[0][0],
            model=asked.model,
            steps=asked.steps,
            lora=(str(lora),) if arm == "lora" else (),
            options=asdict(OPTIONS),
        )
    )
    mark = hashlib.sha256(f"{job.request.fingerprint} {job.request.steps}".encode()).hexdigest()[:12]
    folder = asked.output / f"{arm}-{mark}"
    folder.mkdir(parents=True, exist_ok=True)

    def made() -> Iterator[tuple[int, int, int, Tensor]]:
        for number, (prompt, seed) in enumerate(wanted):
            path = folder / f"{prompt.replace(' ', '-')}-{seed:03d}.wav"
            if not path.exists():
                one = job.again(Request("audio", prompt))
                sample = one.run(seed)
                Audio().write(sample, path, tags=tags(one.request, seed, sample))
            yield label, number, -1, Audio().read(path)["wave"][0]

    return see(made(), len(wanted), title=f"{arm}, {len(wanted)} sounds")


def picture(asked: argparse.Namespace, lora: Path, caption: str, clips: Path, /) -> Path:
    """Clips of one's own, and what the model makes of their name without and with the LoRA, unpicked."""
    shown = [(f"one's own {i}", Audio().read(clips / f"{i:02d}.wav")) for i in range(4)]
    for arm in ARMS:
        folder = max(asked.output.glob(f"{arm}-*"), key=lambda path: path.stat().st_mtime)
        shown += [
            (f"{arm}, seed {path.stem[-3:]}", Audio().read(path))
            for path in sorted(folder.glob(f"{caption.replace(' ', '-')}-*.wav"))[:4]
        ]
    Audio().show(shown, asked.output / "sheet.png")
    return asked.output / "sheet.png"


# --- what is measured -------------------------------------------------------------------------------------------------


@torch.no_grad()
def errors(recipe: AudioRecipe, network: nn.Module, settings: Settings, /, *, title: str) -> Tensor:
    """The x0 error of each held-out window at its fixed noise, the mean of the levels: (n,)."""
    goal = Denoising(recipe, recipe.parameterization, t_mean=settings.t_mean, t_sd=settings.t_sd)
    items, found = recipe.items("validation"), []
    for start in tqdm(range(0, len(items), 16), desc=title, disable=None, leave=False):
        numbers = range(start, min(start + 16, len(items)))
        x0, cond = recipe.collate([items[i] for i in numbers])
        found.append(goal.errors(network, x0, cond, seeds=numbers)["mean"])
    return torch.cat(found).double()


def held_out(asked: argparse.Namespace, lora: Path, clips: Path, /) -> Errors:
    """Errors of both networks on the ordinary held-out recordings and on the one's own that were held out."""
    model = load(asked.model, modality="audio", device="cpu")
    networks = {"base": model, "lora": with_loras(model, read_loras([str(lora)]))}
    recipes = {
        "ordinary": AudioRecipe(asked.data, asked.output / "cache"),
        "one's own": AudioRecipe(clips, asked.output / "run" / "cache"),
    }
    settings = make(Settings, dict(AudioRecipe.settings))
    return {
        name: {
            arm: errors(in_scale_of(model, recipe), one.network, settings, title=f"held out, {name}, {arm}")  # type: ignore[attr-defined]
            for arm, one in networks.items()
        }
        for name, recipe in recipes.items()
    }


def nearest_class(space: Space, sounds: Sounds, real: Sounds, /) -> Tensor:
    """(n,) the class whose mean training window is nearest."""
    features = space(real)
    centres = torch.stack([features[real.label == i].mean(0) for i in range(int(real.label.max()) + 1)])
    return distances(space(sounds), centres).argmin(1)


def share(hits: Tensor) -> Interval:
    return wilson(int(hits.sum()), len(hits))


def change(space: Space, base: Sounds, lora: Sounds, seeds: int, /) -> Interval:
    """How far the LoRA moves the sounds of other prompts, over how far another seed does; an interval over prompts.

    Sounds come prompt by prompt, `seeds` of each.
    """
    before, after = space(base).unflatten(0, (-1, seeds)), space(lora).unflatten(0, (-1, seeds))
    moved = (after - before).norm(dim=-1).mean(1)
    apart = torch.stack([torch.pdist(sounds).mean() for sounds in before])
    return bootstrap(lambda u: float(u @ moved / (u @ apart)), torch.arange(len(moved)))


def measure(asked: argparse.Namespace) -> Mapping[str, Any]:
    recordings = load_recordings(asked.data, cache=asked.output / "cache")
    prompts = {name: prompt for name, prompt in PROMPTS.items() if name != asked.label}
    classes = [*prompts, asked.label]
    mine, others = own_clips(recordings, asked.label, asked.clips)
    caption = f"a {asked.word}"
    folder = asked.output / "clips"
    write_clips(recordings, mine, caption, folder)
    lora = train(asked, folder)
    ordinary = [clip for clip in split_by_recording(recordings.clips)[0] if clip.label in prompts]
    real = windows(recordings, [*ordinary, *mine], classes, each=1, seed=0, title="real clips")
    kept_out = windows(recordings, others, classes, each=1, seed=0, title="clips that were kept out")
    wide = Space.of("statistics", real, kept_out)
    kind = (real[real.label == len(prompts)] + kept_out).firsts()
    narrow = replace(wide, bandwidth=median_distance(wide(kind)), references={"one's own": kind})
    asked_for = [(caption, seed) for seed in range(asked.sounds)]
    elsewhere = [(prompt, seed) for prompt in prompts.values() for seed in range(asked.others)]
    labels = torch.arange(len(prompts)).repeat_interleave(asked.others)
    told = {arm: generate(asked, arm, lora, asked_for, len(prompts)) for arm in ARMS}
    rest = {arm: generate(asked, arm, lora, elsewhere, -1) for arm in ARMS}
    found = held_out(asked, lora, folder)
    return {
        "told": {
            "kernel distance to one's own": {arm: narrow.kad(told[arm], "one's own") for arm in ARMS},
            "its floor": narrow.floor(),
            "nearest to one's own": {arm: share(nearest_class(wide, told[arm], real) == len(prompts)) for arm in ARMS},
            "nearest to one's own, kept out": share(nearest_class(wide, kept_out, real) == len(prompts)),
        },
        "rest": {
            "nearest to their class": {arm: share(nearest_class(wide, rest[arm], real) == labels) for arm in ARMS},
            "nearest to one's own": {arm: share(nearest_class(wide, rest[arm], real) == len(prompts)) for arm in ARMS},
            "moved, over another seed": change(wide, rest["base"], rest["lora"], asked.others),
        },
        "held out": {
            name: {
                **{arm: float(values.mean()) for arm, values in arms.items()},
                "difference": paired(arms["lora"], arms["base"]).interval,
            }
            for name, arms in found.items()
        },
        "sheet": str(picture(asked, lora, caption, folder)),
        "settings": {key: str(value) for key, value in vars(asked).items()},
    }


# --- the command ------------------------------------------------------------------------------------------------------


def show(report: Mapping[str, Any], /) -> None:
    told, rest = report["told"], report["rest"]
    rows = [(f"new name: {name}", *[told[name][arm] for arm in ARMS]) for name in told if isinstance(told[name], dict)]
    rows += [
        (f"other prompts: {name}", *[rest[name][arm] for arm in ARMS]) for name in rest if isinstance(rest[name], dict)
    ]
    table("Sounds [95 %]", ["measure", *ARMS], rows)
    single = [(name, value) for part in (told, rest) for name, value in part.items() if isinstance(value, Interval)]
    table("Beside them [95 %]", ["measure", "value"], single)
    rows = [
        (name, *[f"{row[arm]:.4f}" for arm in ARMS], _signed(row["difference"]))
        for name, row in report["held out"].items()
    ]
    table("Held-out x0 error", ["recordings", *ARMS, "difference [95 %]"], rows)
    print(f"\n{report['sheet']}")


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the audiofolder that the model was trained on")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/lora-audio"), help="where all is kept")
    parser.add_argument("--model", default="audio-small", help="a model's name (default audio-small)")
    parser.add_argument("--label", default="rooster", help="the kind of one's own recordings (default rooster)")
    parser.add_argument("--word", default="zorblax", help="their new name (default zorblax)")
    parser.add_argument("--clips", type=int, default=20, help="how many there are (default 20)")
    parser.add_argument("--samples", type=int, default=LORA["samples"], help="of the training (default %(default)s)")
    parser.add_argument("--lr", type=float, default=LORA["lr"], help="of the training (default %(default)s)")
    parser.add_argument("--rank", type=int, default=RANK, help="of the LoRA (default %(default)s)")
    parser.add_argument("--sounds", type=int, default=20, help="to make of the new name (default 20)")
    parser.add_argument("--others", type=int, default=2, help="sounds of each other prompt, 2 or more (default 2)")
    parser.add_argument("--steps", type=int, default=24, help="of the sampler (default 24)")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    try:
        if min(asked.clips, asked.sounds, asked.others) < 2:
            raise UsageError("--clips, --sounds and --others are 2 or more")
        report = measure(asked)
    except UsageError as error:
        print(f"lora_audio: {error}", file=sys.stderr)
        return 2
    show(report)
    (asked.output / "report.json").write_text(json.dumps(report, indent=1, default=asdict))
    return 0


if __name__ == "__main__":
    sys.exit(main())
