"""``multigen eval``: how good a model's samples are, with intervals, floors and the protocol."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen import registry
from multigen.errors import UsageError
from multigen.modality import Modality
from multigen.request import Request

if TYPE_CHECKING:
    from multigen.evaluation import Collection, Extractor, Metric, Recorder, Result

EDITS = ("init", "strength", "mask", "box", "extend", "complete", "resample")
SAMPLES = 64
MOST_REAL = 1000


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Make or read samples, measure them, and print the results."""
    typed = _parse(parser, arguments)
    modality: Modality = registry.modalities[typed["modality"]]()
    from multigen.atomic import replace_file
    from multigen.evaluation import Evidence, Recorder, measure, read_collection
    from multigen.evaluation.protocol import peak_memory, told_of, told_of_extractor, versions

    extractor, metrics = _extractor(modality, typed), _metrics(modality, typed["metrics"])
    recorder = Recorder(modality, metrics, [extractor] if extractor else [])
    real, training = (
        _dataset(typed, modality, recorder)
        if typed["data"]
        else tuple(
            read_collection(recorder, Path(typed[key]), most=typed["most"]) if typed[key] else None
            for key in ("against", "training")
        )
    )
    made, how = _made(typed, modality, recorder, real)
    evidence = Evidence(made, real, training)
    results = measure(evidence, metrics, extractor, repeats=typed["repeats"])
    report = {
        "modality": modality.name,
        "results": [dataclasses.asdict(result) for result in results],
        "made": told_of(made) | how,
        "real": told_of(real) | {"folder": typed["data"] or typed["against"]} if real else None,
        "training": told_of(training) | {"folder": typed["data"] or typed["training"]} if training else None,
        "extractor": told_of_extractor(extractor),
        "intervals": {"level": 0.95, "repeats": typed["repeats"]},
        "peak_memory_mib": peak_memory(),
        "versions": versions(),
    }
    text = json.dumps(_plain(report), indent=1)
    if typed["output"]:
        folder = Path(typed["output"])
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "report.json", text.encode())
    print(text if typed["json"] else _table(results, made, real))
    return 0


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    from multigen.cli import add_flags

    names = registry.modalities.names()
    parser.add_argument("modality", help=", ".join(names))
    parser.add_argument("--made", metavar="FOLDER", help="samples to measure (default: make them with the model)")
    parser.add_argument("--against", metavar="FOLDER", help="real samples that the model has not seen")
    parser.add_argument("--training", metavar="FOLDER", help="what the model was trained on, to find copies")
    parser.add_argument(
        "--data", metavar="FOLDER", help="the model's dataset, in place of both: its held-out part, and the rest"
    )
    parser.add_argument("--cache", metavar="FOLDER", help="where multigen train keeps it prepared (default: -o/cache)")
    parser.add_argument("--metrics", metavar="LIST", help="names joined by commas (default: all that can be computed)")
    parser.add_argument("--extractor", metavar="NAME", help="whose features are compared (default: the modality's own)")
    parser.add_argument("--prompts", metavar="FILE", help="a prompt a line (default: the captions of --against)")
    parser.add_argument("-n", type=int, default=SAMPLES, metavar="N", help=f"samples to make (default {SAMPLES})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first sample (default 0)")
    parser.add_argument(
        "--most", type=int, default=MOST_REAL, metavar="N", help=f"real samples to read (default {MOST_REAL}, 0 is all)"
    )
    parser.add_argument(
        "--repeats", type=int, default=1000, metavar="N", help="resamplings for each interval (default 1000)"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", help="where the report and the samples are kept")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where to compute")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    if not arguments or arguments[0] in ("-h", "--help"):
        parser.parse_args(list(arguments))
    if arguments[0] not in registry.modalities:
        raise UsageError(registry.unknown("modality", arguments[0], names))
    kind = registry.modalities[arguments[0]]().Options
    add_flags(parser.add_argument_group(arguments[0]), kind)
    add_flags(
        parser.add_argument_group("sampling"), Request, skip=("modality", "prompt", "options", "fingerprint", *EDITS)
    )
    typed = vars(parser.parse_args(list(arguments)))
    for name, low in (("n", 1), ("seed", 0), ("most", 0), ("repeats", 10)):
        if typed[name] < low:
            flag = "-n" if name == "n" else f"--{name}"
            raise UsageError(f"{flag} {typed[name]} is not possible: a whole number from {low}")
    typed["options"] = {f.name: typed[f.name] for f in dataclasses.fields(kind) if f.name in typed}
    known = {f.name for f in dataclasses.fields(Request)} - {"prompt", "modality", "options"}
    typed["fields"] = {key: value for key, value in typed.items() if key in known}
    return typed


def _dataset(
    typed: Mapping[str, Any], modality: Modality, recorder: "Recorder"
) -> "tuple[Collection | None, Collection | None]":
    """The held-out samples of a recipe's dataset, and those for training."""
    from multigen.evaluation import Collection
    from multigen.training import Real

    if typed["against"] or typed["training"]:
        raise UsageError("--data has both parts: leave out --against and --training")
    name = typed["fields"].get("model") or modality.default_model
    if name not in registry.recipes:
        raise UsageError(f"--data needs the recipe of a model: {name!r} has none, so give --against and --training")
    cache = typed["cache"] or (f"{typed['output']}/cache" if typed["output"] else "runs/eval/cache")
    recipe = registry.recipes[name](Path(typed["data"]), Path(cache), seed=0, warm_start=None)
    if not isinstance(recipe, Real):
        raise UsageError(f"the recipe {name!r} does not show its samples: give --against and --training")
    real, training = (
        Collection.of(
            recorder(sample, name=title, prompt=caption, cluster=source)
            for title, sample, caption, source in recipe.real(split, most=typed["most"])
        )
        for split in ("validation", "train")
    )
    return real, training


def _extractor(modality: Modality, typed: Mapping[str, Any]) -> "Extractor | None":
    from multigen.evaluation.contract import Measured

    if isinstance(modality, Measured):
        known = {extractor.name: extractor for extractor in modality.extractors()}
    else:
        from multigen.evaluation.states import StateFeatures
        from multigen.options import make
        from multigen.pipeline import load

        model = load(typed["fields"].get("model") or modality.default_model, modality=modality.name)
        states = StateFeatures(model, make(modality.Options, typed["options"]))
        known = {states.name: states}
    name = typed["extractor"]
    if name is None:
        return next(iter(known.values()), None)
    if name not in known:
        raise UsageError(registry.unknown("extractor", name, list(known)))
    return known[name]


def _metrics(modality: Modality, names: str | None) -> "list[Metric]":
    from multigen.evaluation.contract import Measured
    from multigen.evaluation.general import GENERAL

    own = modality.metrics() if isinstance(modality, Measured) else ()
    known = {metric.name: metric for metric in (*GENERAL, *own)}
    if names is None:
        return list(known.values())
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise UsageError(registry.unknown("metric", name, list(known)))
    return [known[name] for name in wanted]


def _made(
    typed: Mapping[str, Any], modality: Modality, recorder: "Recorder", real: "Collection | None"
) -> "tuple[Collection, dict[str, Any]]":
    """The samples to measure, and how they were made."""
    from multigen.evaluation import Collection, read_collection
    from multigen.evaluation.protocol import told_of_making

    if typed["made"]:
        return read_collection(recorder, Path(typed["made"]), most=typed["most"]), {"folder": typed["made"]}
    from multigen.evaluation.making import record
    from multigen.pipeline import prepare

    prompts = _prompts(typed["prompts"], real)
    requests = [
        Request(modality=modality.name, prompt=prompt, options=typed["options"], **typed["fields"])
        for prompt in prompts
    ]
    for request in requests:
        request.validate()
    first = prepare(requests[0], device=typed["device"])
    folder = Path(typed["output"]) / "samples" if typed["output"] else None
    seeds = range(typed["seed"], typed["seed"] + typed["n"])
    records = []
    from tqdm import tqdm

    for i, seed in enumerate(tqdm(seeds, "samples", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)):
        job = first.again(requests[i % len(requests)])
        sample, found = record(job, recorder, seed, name=f"{i:05d}")
        records.append(found)
        if folder is not None:
            from multigen.provenance import tags

            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{i:05d}{modality.extensions[0]}"
            modality.write(sample, path, tags=tags(job.request, seed, sample))
    made = Collection.of(records)
    return made, told_of_making(made, first.request, seeds)


def _prompts(file: str | None, real: "Collection | None") -> Sequence[str]:
    from multigen.cli import prompt_lines

    if file is not None:
        return prompt_lines(file)
    captions = list(dict.fromkeys(record.prompt for record in real.records if record.prompt)) if real else []
    if not captions:
        raise UsageError("there is nothing to prompt with: add --prompts FILE, or --against a folder with captions")
    return captions


def _table(results: "Sequence[Result]", made: "Collection", real: "Collection | None") -> str:
    """For people: one line a metric."""
    from multigen.metrics import shown

    rows = [("metric", "value [95 %]", "real against real [95 %]", "better", "n")]
    notes = []
    for r in results:
        if r.interval is None:
            notes.append(f"{r.metric}: {r.note}")
            continue
        best = f"near {r.best:g}" if r.best is not None else ""
        better = best or {True: "higher", False: "lower", None: ""}[r.higher_is_better]
        n = f"{r.n}" + (f" against {r.reference}" if r.reference else "")
        rows.append((f"{r.metric}{f' ({r.unit})' if r.unit else ''}", shown(r.interval), shown(r.floor), better, n))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for told, found in (("made", made), ("real", real)):
        if found is not None and found.faulty:
            faults = ", ".join(f"{record.name} ({', '.join(record.faults)})" for record in found.faulty)
            notes.append(f"{len(found.faulty)} {told} samples were left out: {faults}")
    used = {r.extractor for r in results if r.extractor and r.interval is not None}
    notes += [f"features: {name}" for name in sorted(used)]
    return "\n".join([*lines, "", *notes])


def _plain(value: Any) -> Any:
    """For JSON, which knows no NaN."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
