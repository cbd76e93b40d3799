"""What the commands do, once their flags are read."""

import argparse
import dataclasses
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen import registry
from multigen.errors import GenerationError, UsageError
from multigen.loading import Loading
from multigen.modality import Checks, Implies, Modality, Sample, Shows
from multigen.options import flag, make
from multigen.provenance import tags
from multigen.request import Request

if TYPE_CHECKING:
    from multigen.job import Job
    from multigen.whole import WholeJob


LOADING = frozenset(field.name for field in dataclasses.fields(Loading))


@dataclass(frozen=True)
class Orders:
    """One ``multigen <modality>`` command, read."""

    modality: Modality
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    options: Mapping[str, Any]
    fields: Mapping[str, Any]
    output: str | None
    picture: Path | None
    loading: Loading
    metadata: bool
    as_json: bool
    quiet: bool
    verbose: bool


def generate(orders: Orders, /) -> int:
    """Make and write what was ordered; returns the exit code."""
    paths = _paths(orders)
    options = dict(orders.options)
    if isinstance(orders.modality, Implies):
        options = {**orders.modality.implied(paths[0]), **options}
    requests = [
        Request(modality=orders.modality.name, prompt=prompt, options=options, **orders.fields)
        for prompt in orders.prompts
    ]
    for request in requests:
        request.validate()
    if isinstance(orders.modality, Checks):
        orders.modality.check(paths[0], make(orders.modality.Options, options), "")
    from multigen.job import ready
    from multigen.model import kind_of
    from multigen.whole import WholeJob

    with _choices_said(orders.verbose):
        first = ready(requests[0], loading=orders.loading)
    if isinstance(orders.modality, Checks):
        orders.modality.check(paths[0], first.options, kind_of(first.model))
    if isinstance(first, WholeJob) and first.ignored and not orders.quiet:
        print(
            f"multigen: {first.request.model} runs as a whole and ignores {', '.join(first.ignored)}", file=sys.stderr
        )
    jobs = [first, *(first.again(request) for request in requests[1:])]
    if orders.verbose:
        print(f"{json.dumps(dataclasses.asdict(first.request))}", file=sys.stderr)
    drawn: list[tuple[str, Sample]] = []  # kept for the picture alone: there may be thousands
    report = []
    total = len(paths) * (first.request.steps or 1)
    with bar(total, "step", quiet=orders.quiet or orders.as_json) as advance:
        for job, prompt_paths in zip(jobs, _rows(paths, len(orders.seeds)), strict=True):
            for seed, path in zip(orders.seeds, prompt_paths, strict=True):
                began = time.perf_counter()
                sample = sampled(job, seed, advance)
                path.parent.mkdir(parents=True, exist_ok=True)
                orders.modality.write(sample, path, tags=tags(job.request, seed, sample) if orders.metadata else {})
                if orders.picture is not None:
                    drawn.append((f"{job.request.prompt} (seed {seed})", sample))
                seconds = time.perf_counter() - began
                report.append(
                    {"path": str(path), "prompt": job.request.prompt, "seed": seed, "seconds": round(seconds, 3)}
                )
    if orders.picture is not None and isinstance(orders.modality, Shows):
        orders.picture.parent.mkdir(parents=True, exist_ok=True)
        with redirect_stderr(io.StringIO()) if orders.quiet or orders.as_json else nullcontext():  # its progress bar
            orders.modality.show(drawn, orders.picture)
    _say_made(orders, report)
    return 0


def _say_made(orders: Orders, report: Sequence[Mapping[str, Any]]) -> None:
    if orders.as_json:
        print(json.dumps(report, indent=2))
    elif not orders.quiet:
        for row in report:
            print(row["path"])
        if orders.picture is not None:
            print(orders.picture)


@contextmanager
def _choices_said(wanted: bool) -> Iterator[None]:
    """What the package logs meanwhile, such as where a model is loaded, on stderr."""
    if not wanted:
        yield
        return
    import logging

    logger, handler = logging.getLogger("multigen"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("multigen: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


def sampled(job: "Job | WholeJob", seed: int, advance: Callable[[], None], /) -> Sample:
    """The sample of one seed; `advance` is called after every step. Raises GenerationError for values not finite."""
    import torch

    from multigen.whole import WholeJob

    state = None
    for step in job.steps(seed):
        state = step.x
        advance()
    if state is None or isinstance(job, WholeJob):
        return job.run(seed)
    if not bool(torch.isfinite(state).all()):
        raise GenerationError(
            f"seed {seed} gave values that are not finite: lower --guidance or choose another --sampler"
        )
    return job.finish(state, seed)


def _rows(paths: Sequence[Path], width: int) -> list[Sequence[Path]]:
    return [paths[i : i + width] for i in range(0, len(paths), width)]


def _paths(orders: Orders) -> list[Path]:
    """Where everything goes, prompt by prompt, checked before anything is made."""
    extensions = tuple(orders.modality.extensions)
    count = len(orders.prompts) * len(orders.seeds)
    output = orders.output
    if output is None:
        name = slug(orders.prompts[0]) or orders.modality.name
        paths = [_free(Path(f"{name}{extensions[0]}"))] if count == 1 else _in_folder(_free(Path(name)), orders)
    elif output.endswith(("/", os.sep)) or Path(output).is_dir() or (count > 1 and not Path(output).suffix):
        paths = _in_folder(Path(output), orders)
    elif count > 1:
        folder = Path(output).parent if "%" in Path(output).name else Path(output).with_suffix("")
        raise UsageError(f"{count} files cannot all be {output}: give a folder, such as -o {folder}/")
    else:
        paths = [Path(output)]
    check_target(paths[0], extensions, f"has no extension of {orders.modality.name}", typed="-o")
    if orders.picture is not None and isinstance(orders.modality, Shows):
        shown = f"is no picture that {orders.modality.name} is drawn as"
        check_target(orders.picture, orders.modality.show_extensions, shown, typed=flag(orders.modality.show_flag))
    return paths


def check_target(path: Path, extensions: Sequence[str], wrong: str, /, *, typed: str) -> None:
    """Raise UsageError for another extension, and GenerationError where nothing can be written.

    wrong: what is said of a path with another extension. typed: the flag that the path was typed with.
    """
    if path.suffix.lower() not in extensions:
        raise UsageError(f"{path} {wrong}: choose from {', '.join(extensions)}")
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise GenerationError(f"nothing can be written in {existing}: choose another {typed}")


def _in_folder(folder: Path, orders: Orders) -> list[Path]:
    extension = orders.modality.extensions[0]
    many = len(orders.prompts) > 1
    names = [f"{i:03d}-{slug(prompt)}-" if many else "" for i, prompt in enumerate(orders.prompts)]
    return [folder / f"{name}seed-{seed}{extension}" for name in names for seed in orders.seeds]


def _free(path: Path) -> Path:
    """The path, or with a number where something is there already."""
    candidates = (path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, 1_000_000))
    return path if not path.exists() else next(c for c in candidates if not c.exists())


def slug(text: str, /) -> str:
    """A file name from a prompt: lower-case words joined by dashes, at most 60 characters."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")


@contextmanager
def bar(total: int, unit: str, /, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar where a person looks on; what it gives is called for every one of `total` that is done."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, file=sys.stderr, leave=False) as bar:
        yield lambda: bar.update() and None


# --- the other verbs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verb:
    help: str
    run: Callable[[argparse.ArgumentParser, Sequence[str]], int]


def _list(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import listing

    return listing.list_verb(parser, arguments)


def _info(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import listing

    return listing.info_verb(parser, arguments)


def _replay(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import replay_verb

    return replay_verb.run(parser, arguments)


def _train(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import train_verb

    return train_verb.run(parser, arguments)


def _eval(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import eval_verb

    return eval_verb.run(parser, arguments)


def _compare(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    from multigen import compare_verb

    return compare_verb.run(parser, arguments)


def _cite(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    parser.add_argument("name", help="a sampler, schedule or guidance")
    from multigen.listing import describe

    typed = parser.parse_args(list(arguments))
    for group in (registry.samplers, registry.schedules, registry.guidances):
        if typed.name in group:
            found = re.findall(r"\b\d{4}\.\d{5}\b", describe(group[typed.name]))
            for number in dict.fromkeys(found):
                print(f"https://arxiv.org/abs/{number}")
            return 0
    names = sorted({n for g in (registry.samplers, registry.schedules, registry.guidances) for n in g.names()})
    raise UsageError(registry.unknown("name", typed.name, names))


VERBS = {
    "list": Verb("list modalities, models, samplers, schedules, guidance, recipes and metrics", _list),
    "info": Verb("describe one of them, or any model", _info),
    "train": Verb("train a model from a recipe", _train),
    "eval": Verb("measure a model's samples, or a folder of them, with intervals", _eval),
    "compare": Verb("compare samplers, steps, schedules and guidance on any modalities", _compare),
    "replay": Verb("make a file again from its metadata and say whether it is bit-exact", _replay),
    "cite": Verb("the papers behind a sampler, schedule or guidance", _cite),
}
