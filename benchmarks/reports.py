"""What the benchmarks of quality share: samples that are made once and kept, and the command around a report."""

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from multigen.errors import UsageError
from multigen.job import Job, prepare
from multigen.request import Request

Record = dict[str, Any]
"""Tensors and numbers of one sample, as `torch.load` reads them; "seconds" is what it took."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """Records of samples, how they were made, and where they are."""

    records: Sequence[Record]
    job: Job
    folder: Path

    @property
    def seconds(self) -> float:
        """The median."""
        return sorted(record["seconds"] for record in self.records)[len(self.records) // 2]


def opened(
    request: Request, text: str, /, *, options: Mapping[str, Any], device: str | None, cache: Path
) -> tuple[Request, Job, Path]:
    """A request with its first prompt and options filled in, its job, and the folder in `cache` for what is made with
    these weights and settings, which lie there too."""
    first = dataclasses.replace(request, prompt=text, options=options)
    job = prepare(first, device=device)
    settings = dataclasses.asdict(dataclasses.replace(job.request, prompt="", model=""))
    key = json.dumps(settings | {"version": version("multigen-suite")}, sort_keys=True)
    folder = cache / f"generated-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings, indent=1))
    return first, job, folder


def kept(
    request: Request,
    texts: Sequence[str],
    make: Callable[[Job, int], Record],
    /,
    *,
    options: Mapping[str, Any],
    title: str,
    prefix: str = "",
    device: str | None,
    cache: Path,
) -> Kept:
    """What `make(job, seed)` returns for every text, with the seeds 0, 1, ...; what an earlier run with the same
    weights and settings left in `cache` is read.

    request: how they are made; its prompt and options are filled in here. prefix: of the files' names.
    """
    first, job, folder = opened(request, texts[0], options=options, device=device, cache=cache)
    records = []
    for seed, text in enumerate(tqdm(texts, f"{title}, {job.request.steps} steps", disable=None)):
        path = folder / f"{prefix}{seed:03d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.pt"
        if not path.exists():
            torch.save(make(job.again(dataclasses.replace(first, prompt=text)), seed), path)
        records.append(torch.load(path, weights_only=True))
    return Kept(records, job, folder)


@dataclasses.dataclass
class Cost:
    """What making a sample took: forward passes of the network, each row of a batch counted, and seconds."""

    evaluations: int = 0
    seconds: float = 0.0


@contextmanager
def counted(job: Job, /) -> Iterator[Cost]:
    """The cost of what the job's network does in this context, complete at its end."""
    cost = Cost()

    def count(network: object, args: tuple[torch.Tensor, ...], output: object) -> None:
        cost.evaluations += len(args[0])

    hook = job.pipeline.model.network.register_forward_hook(count)  # type: ignore[attr-defined]
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - began
        hook.remove()


def run(
    name: str,
    asked: argparse.Namespace,
    measure: Callable[[argparse.Namespace], Mapping[str, Any]],
    show: Callable[[Mapping[str, Any]], None],
    /,
) -> int:
    """Measure, show, and write the report where --output says; the exit code."""
    try:
        report = measure(asked)
    except UsageError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    show(report)
    if asked.output is not None:
        asked.output.write_text(json.dumps(report, indent=1, default=dataclasses.asdict))
    return 0
