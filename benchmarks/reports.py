"""What the benchmarks of quality share: samples that are made once and kept, tables, and a command around it all."""

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from multigen.atomic import replace_file
from multigen.errors import UsageError
from multigen.job import Job, prepare
from multigen.metrics import Interval
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


def stored(path: Path, make: Callable[[], Any], /) -> Any:
    """What `make` returns, tensors and plain values; what an earlier run left at `path` is read. It is written whole or
    not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(make(), written := BytesIO())
        replace_file(path, written.getvalue())
    return torch.load(path, weights_only=True)


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
        again = job.again(dataclasses.replace(first, prompt=text))
        records.append(stored(path, partial(make, again, seed)))
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


def text(value: Any, /) -> str:
    """A cell of a table: three digits, and the interval where there is one."""
    if isinstance(value, Interval):
        one = text(value.value)
        return one if value.low == value.high else f"{one} [{text(value.low)}, {text(value.high)}]"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], /) -> None:
    """Print a table in Markdown."""
    lines = [columns, ["---"] * len(columns), *([text(cell) for cell in row] for row in rows)]
    print(f"\n{title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))


def costs(generated: Iterable[Mapping[str, Any]], of: str, /) -> None:
    """Print what one sample costs at each number of steps. of: what it is, such as "a sound"."""
    rows = [(cells["steps"], cells["evaluations"], cells["seconds"]) for cells in generated]
    table("Cost", ["steps", "network evaluations", f"seconds for {of}"], rows)


def command(description: str | None, /, *, verb: str, model: str, steps: str, data: str) -> argparse.ArgumentParser:
    """The flags that every benchmark of quality has.

    verb: of `multigen`. model, steps: by default; data: what --data is.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=data)
    parser.add_argument("--model", default=model, help=f"a model's name or folder (default {model})")
    parser.add_argument("--steps", type=_steps, default=steps, help=f"of the sampler (default {steps})")
    parser.add_argument("--guidance", default="", help=f"as multigen {verb} takes it (default the model's own)")
    parser.add_argument("--device", help="cuda, mps or cpu (default the best there is)")
    cache = Path(f"runs/{verb}-quality")
    parser.add_argument("--cache", type=Path, default=cache, help=f"where samples are kept (default {cache})")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file for the report")
    return parser


def _steps(typed: str) -> list[int]:
    steps = [int(number) for number in typed.split(",")]
    if min(steps) < 1:
        raise argparse.ArgumentTypeError(f"{typed}: give numbers from 1 up, such as 4,8,16")
    return steps


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
