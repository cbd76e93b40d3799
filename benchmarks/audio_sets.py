"""The sounds that `audio_quality` compares: windows of recordings, and clips that the model makes, kept in a folder."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from reports import counted, opened
from torch import Tensor
from tqdm import tqdm

from multigen import provenance
from multigen.job import Job
from multigen.modality import Sample
from multigen.request import Request
from multigen_audio import Audio, AudioOptions
from multigen_audio.features import SAMPLE_RATE, RandomNetwork, describe, log_mel, prepare, statistics
from multigen_models.audio.data import Clip, Recordings

SECONDS = 3.0
SAMPLES = round(SECONDS * SAMPLE_RATE)
OPTIONS = AudioOptions(duration=SECONDS, sample_rate=SAMPLE_RATE)
PROMPTS: Mapping[str, str] = {
    "rain": "rain falling",
    "sea waves": "waves on a beach",
    "crackling fire": "a crackling fire",
    "clock tick": "a clock ticking",
    "helicopter": "a helicopter",
    "dog": "a dog barking",
    "rooster": "a rooster crowing",
    "crying baby": "a baby crying",
    "sneezing": "a person sneezing",
    "chainsaw": "a chainsaw",
}
"""What is typed for each of the ten classes that are covered well."""


@dataclass(frozen=True)
class Sounds:
    """Sounds of `SECONDS` and what is seen of them.

    label: (n,) index of the class, -1 for others. clip, recording: (n,) which file, and which source that was cut
    from. statistics: (n, 546); random: (n, 512), see `multigen_audio.features`. plain: `describe` of each.
    """

    label: Tensor
    clip: Tensor
    recording: Tensor
    statistics: Tensor
    random: Tensor
    plain: Sequence[Mapping[str, float]]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, chosen: Tensor, /) -> "Sounds":
        """Those at indices, or where a mask is true."""
        index = chosen.nonzero()[:, 0] if chosen.dtype == torch.bool else chosen
        tensors = (self.label, self.clip, self.recording, self.statistics, self.random)
        return Sounds(*(values[index] for values in tensors), [self.plain[int(i)] for i in index])

    def __add__(self, other: "Sounds", /) -> "Sounds":
        pairs = [
            (getattr(self, name), getattr(other, name))
            for name in ("label", "clip", "recording", "statistics", "random")
        ]
        return Sounds(*(torch.cat(pair) for pair in pairs), [*self.plain, *other.plain])

    def firsts(self) -> "Sounds":
        """One window of every clip."""
        first = torch.ones(len(self), dtype=torch.bool)
        first[1:] = self.clip[1:] != self.clip[:-1]
        return self[first]


def see(waves: Iterator[tuple[int, int, int, Tensor]], total: int, /, *, title: str) -> Sounds:
    """`Sounds` of (label, clip, recording, wave as it is written to a file)."""
    network = RandomNetwork()
    rows = []
    for label, clip, recording, wave in tqdm(waves, total=total, desc=title, disable=None, leave=False):
        mel = log_mel(prepare(wave, SAMPLES)[None])
        rows.append((label, clip, recording, statistics(mel)[0], network(mel)[0], describe(wave)))
    labels, clips, recordings, features, random, plain = zip(*rows, strict=True)
    numbers = (torch.tensor(values) for values in (labels, clips, recordings))
    return Sounds(*numbers, torch.stack(features), torch.stack(random), plain)


def windows(
    recordings: Recordings, clips: Sequence[Clip], classes: Sequence[str], /, *, each: int, seed: int, title: str
) -> Sounds:
    """`each` windows of every clip, one of a clip that is no longer than a window, finished like generated sounds."""
    sources = {group: i for i, group in enumerate(dict.fromkeys(clip.group for clip in recordings.clips))}
    numbers = {clip.file_name: i for i, clip in enumerate(recordings.clips)}
    counts = [1 if clip.samples <= SAMPLES else each for clip in clips]

    def cut() -> Iterator[tuple[int, int, int, Tensor]]:
        for clip, count in zip(clips, counts, strict=True):
            number = numbers[clip.file_name]
            rng = np.random.default_rng((seed, number))
            label = classes.index(clip.label) if clip.label in classes else -1
            for _ in range(count):
                wave = torch.from_numpy(recordings.window(clip, SAMPLES, rng))
                yield label, number, sources[clip.group], _finished(wave)

    return see(cut(), sum(counts), title=title)


def white_noise(classes: Sequence[str], /, *, each: int) -> Sounds:
    """As many white noises "of each class": what every measure must find to be wrong."""
    generator = torch.Generator().manual_seed(0)
    labels = [i for i in range(len(classes)) for _ in range(each)]

    def drawn() -> Iterator[tuple[int, int, int, Tensor]]:
        for i, label in enumerate(labels):
            yield label, i, -1, _finished(0.1 * torch.randn(SAMPLES, generator=generator))

    return see(drawn(), len(labels), title="white noise")


@dataclass(frozen=True)
class Made:
    """Generated sounds, seeds 0, 1, ... of every class, and what they cost.

    evaluations: of the network, for one sound (guidance evaluates it twice a step). seconds: the median for one sound.
    usual: the model's own number of steps.
    """

    sounds: Sounds
    request: Request
    evaluations: int
    seconds: float
    usual: int
    folder: Path


def generate(request: Request, classes: Sequence[str], /, *, per_class: int, device: str | None, cache: Path) -> Made:
    """Sounds of every class; those that an earlier run with the same weights and settings left in `cache` are read.

    request: how they are made; its prompt and options are filled in here.
    """
    options = dataclasses.asdict(OPTIONS)
    first, job, folder = opened(request, PROMPTS[classes[0]], options=options, device=device, cache=cache)
    wanted = [(i, name, seed) for i, name in enumerate(classes) for seed in range(per_class)]

    def made() -> Iterator[tuple[int, int, int, Tensor]]:
        for number, (label, name, seed) in enumerate(wanted):
            path = folder / f"{name.replace(' ', '-')}-{seed:03d}.wav"
            if not path.exists():
                _make(job.again(dataclasses.replace(first, prompt=PROMPTS[name])), seed, path)
            yield label, number, -1, Audio().read(path)["wave"][0]

    sounds = see(made(), len(wanted), title=f"{job.request.steps} steps")
    costs = [json.loads(line) for line in (folder / "costs.jsonl").read_text().splitlines()]
    seconds = sorted(cost["seconds"] for cost in costs)
    return Made(
        sounds,
        job.request,
        costs[0]["evaluations"],
        seconds[len(seconds) // 2],
        job.pipeline.model.defaults.steps,
        folder,
    )


def _make(job: Job, seed: int, path: Path) -> None:
    """One sound into a file, and what it cost into the folder's list."""
    with counted(job) as cost:
        sample = job.run(seed)
    with (path.parent / "costs.jsonl").open("a") as file:
        file.write(
            json.dumps({"file": path.name, "evaluations": cost.evaluations, "seconds": round(cost.seconds, 3)}) + "\n"
        )
    Audio().write(sample, path, tags=provenance.tags(job.request, seed, sample))


def _finished(wave: Tensor) -> Tensor:
    """A mono wave as the command would write it: faded ends, the default loudness."""
    sample: Sample = Audio().finish({"wave": wave[None], "sample_rate": SAMPLE_RATE}, OPTIONS)
    finished: Tensor = sample["wave"][0]
    return finished
