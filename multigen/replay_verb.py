"""``multigen replay``: a file made again from its own metadata, and whether it is bit-exact."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multigen import registry
from multigen.errors import UsageError
from multigen.loading import Loading
from multigen.modality import Checks, Modality
from multigen.options import make
from multigen.provenance import INPUTS, Record, digest, file_digest, read_record, tags
from multigen.request import Request
from multigen.verbs import LOADING, bar, check_target, sampled


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    parser.add_argument("file", help="a file that multigen wrote")
    parser.add_argument("-o", "--output", help="where to write it again (default: nowhere, only compare)")
    for name in INPUTS:
        told = (
            f"the file that --{name} was, if it was edited (default: the one of then, or one of that name beside FILE)"
        )
        parser.add_argument(f"--{name}", metavar="FILE", help=told)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    from multigen.cli import add_flags

    add_flags(parser.add_argument_group("machine"), Loading)
    typed = vars(parser.parse_args(list(arguments)))
    path, output = Path(typed["file"]), Path(typed["output"]) if typed["output"] else None
    modality, record = find_record(path)
    request, changed = _with_inputs(record, path, {name: typed[name] for name in INPUTS})
    if output is not None:
        check_target(output, modality.extensions, f"has no extension of {modality.name}", typed="-o")
    _check(modality, output, make(modality.Options, request.options), "")
    from multigen.job import ready
    from multigen.lora import what_changed
    from multigen.model import kind_of

    job = ready(request, loading=make(Loading, {k: v for k, v in typed.items() if k in LOADING}))
    _check(modality, output, job.options, kind_of(job.model))
    with bar(job.request.steps or 1, "step", quiet=typed["quiet"]) as advance:
        sample = sampled(job, record.seed, advance)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        modality.write(sample, output, tags=tags(job.request, record.seed, sample))
    exact = digest(sample) == record.sha256
    if not typed["quiet"]:
        reasons = [*changed, what_changed(record.request.fingerprint, job.request.fingerprint)]
        said = " and ".join(f"{reason} has changed since" for reason in reasons if reason)
        print("bit-exact" if exact else f"not bit-exact{f': {said}' if said else ''}")
    return 0 if exact else 1


def find_record(path: Path, /) -> tuple[Modality, Record]:
    """The modality that wrote a file, and how. Raises UsageError where none did."""
    for name in registry.modalities.names():
        modality: Modality = registry.modalities[name]()
        if path.suffix.lower() in modality.extensions:
            try:
                return modality, read_record(modality, path)
            except (UsageError, OSError):
                if path.is_file():  # it may also be a name that stands for several files
                    raise
    wrong = "is of no kind that multigen writes" if path.is_file() else "is not there"
    raise UsageError(f"{path} {wrong}: give a file that multigen wrote")


def _check(modality: Modality, output: Path | None, options: Any, kind: str) -> None:
    if output is not None and isinstance(modality, Checks):
        modality.check(output, options, kind)


def _with_inputs(record: Record, path: Path, typed: Mapping[str, str | None]) -> tuple[Request, list[str]]:
    """The request with its inputs where they are now, and those that are not what they were.

    Raises UsageError for one that is not there, and for a typed one where nothing was edited.
    """
    found: dict[str, Any] = {}
    changed = []
    for name, given in typed.items():
        then = getattr(record.request, name)
        if not then:
            if given:
                raise UsageError(f"{path} was made without --{name}: leave it out")
            continue
        places = [Path(given)] if given else [Path(then), path.parent / then, path.parent / Path(then).name]
        there = [place for place in places if place.is_file()]
        if not there:
            raise UsageError(f"{places[0]}, the --{name} that {path} was made of, is not there: give --{name} FILE")
        sha256 = record.inputs.get(name, "")
        same = [place for place in there if not sha256 or file_digest(place) == sha256]
        if not same:
            changed.append(f"{there[0]} (--{name})")
        found[name] = str([*same, *there][0])
    return dataclasses.replace(record.request, **found), changed
