"""Speed of measuring: what evaluation takes beside making the samples, and what a comparison takes for itself.

``python benchmarks/speed_eval.py [NAME ...]``; the names are those of `MEASURED` below. There is no peer: the last
column is what a figure should stay below.
"""

import functools
import operator
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from timing import main, row, seconds

from multigen import registry
from multigen.comparison import Study
from multigen.comparison.run import Runner, Share, recorder
from multigen.evaluation import Collection, Evidence, Reads, Record, Recorder, measure
from multigen.evaluation.making import make
from multigen.job import Job, prepare
from multigen.modality import Sample
from multigen.request import Request

PROMPTS = ("rain on a tin roof", "a dog runs to the left", "a wooden chair", "a red car")
MODALITIES = ("audio", "video", "3d")
SAMPLES = 200
STEPS = 2
"""Of samples that are made to be measured: how good they are does not change how long that takes."""
COMPARED = 8
REPEATS = 1000


def evaluation(modality: str, /, *, samples: int = SAMPLES) -> None:
    """Features of made and of as many real samples, and every metric with its interval and floor."""
    job = prepare(Request(modality, PROMPTS[0], steps=STEPS))
    sees = recorder(job.pipeline, {})
    made, real = (_drawn(job, range(first, first + samples)) for first in (0, samples))
    sees(made[0], name="warm-up", prompt=PROMPTS[0], cluster="0")
    began = time.perf_counter()
    sides = [_recorded(sees, some) for some in (made, real)]
    seen = time.perf_counter() - began
    reader = next((e for e in sees.extractors if isinstance(e, Reads)), None)
    evidence = Evidence(*sides)
    spent = seconds(lambda: measure(evidence, sees.metrics, sees.extractors[0], reader=reader, repeats=REPEATS))
    told = f"{seen + spent:.1f} s (features {seen:.1f} s, metrics {spent:.1f} s)"
    row(f"evaluation of {samples} samples of {modality} against {samples}", told, "", "300 s")


def comparison(modality: str, /, *, samples: int = COMPARED, **changes: Any) -> None:
    """What a sample takes beside being made at the model's own steps, by medians: measuring, its file and record."""
    study = Study((modality,), {modality: PROMPTS[:1]}, tuple(range(samples + 1)), **changes)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(study, Path(folder))
        (arm,) = runner.arms
        said: list[float] = []
        runner.run(Share(), lambda progress: said.append(time.perf_counter()))
        made = [Record.read(runner.path(arm, i)).made["seconds"] for i in range(1, samples + 1)]
        sample = registry.modalities[modality]().read(runner.sample_path(arm, 1))
    whole = map(operator.sub, said[1:], said)
    beside = statistics.median(map(operator.sub, whole, made))
    sees = recorder(runner.pipeline(arm), {})
    # A copy, because what metrics share is found once for a sample.
    look = statistics.median(
        seconds(lambda: sees({**sample}, name="", prompt=PROMPTS[0], cluster="")) for _ in range(9)
    )
    share, measuring = (f"{100 * spent / statistics.median(made):.2f} %" for spent in (beside, look))
    row(f"a comparison's own share beside generation, {modality}", f"{share} (measuring {measuring})", "", "3 %")


def _drawn(job: Job, seeds: range) -> list[Sample]:
    with torch.no_grad():
        return [make(_asking(job, seed), seed)[0] for seed in seeds]


def _asking(job: Job, seed: int) -> Job:
    return job.again(Request(job.request.modality, PROMPTS[seed % len(PROMPTS)]))


def _recorded(sees: Recorder, some: list[Sample]) -> Collection:
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(len(some))]
    return Collection.of(
        sees(sample, name=str(i), prompt=prompt, cluster=str(i))
        for i, (sample, prompt) in enumerate(zip(some, prompts, strict=True))
    )


MEASURED = {
    f"{work.__name__}-{name}": functools.partial(work, name) for work in (evaluation, comparison) for name in MODALITIES
}

if __name__ == "__main__":
    main(MEASURED)
