"""``multigen eval``: how good a model's samples are, with intervals, floors and the protocol."""

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen import registry
from multigen.errors import UsageError
from multigen.modality import Modality, Rated
from multigen.request import Request

if TYPE_CHECKING:
    from torch import Tensor

    from multigen.evaluation import Collection, Extractor, Metric, Reads, Recorder, Result
    from multigen.job import Job

EDITS = ("init", "strength", "mask", "box", "extend", "complete", "resample")
SAMPLES = 64
MOST_REAL = 1000
MOST_FAULTS = 8
"""Faulty samples that are named in the table; the report has all of them."""


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Make or read samples, measure them, and print the results."""
    typed = _parse(parser, arguments)
    asked = _Asked(typed, registry.modalities[typed["modality"]]())
    _check_folders(asked)
    from multigen.atomic import replace_file
    from multigen.evaluation import Evidence, Recorder, measure
    from multigen.evaluation.protocol import most_memory, told_of, told_of_extractor, versions

    metrics, extractor, reader = asked.metrics, asked.extractor, asked.reader
    used = {e.name: e for e in (extractor, reader) if e is not None}
    recorder = Recorder(asked.modality, metrics, list(used.values()))
    real, training = _real(asked, recorder)
    made, how = _made(asked, recorder, real)
    rates = made.rates
    made, real, training = made.at(rates), real and real.at(rates), training and training.at(rates)
    evidence = Evidence(made, real, training or None, _items(asked))
    results = measure(evidence, metrics, extractor, reader=reader, repeats=typed["repeats"])
    folders = {"real": typed["data"] or typed["against"], "training": typed["data"] or typed["training"]}
    report = {
        "modality": asked.modality.name,
        "results": [dataclasses.asdict(result) for result in results],
        "made": told_of(made) | how,
        "real": told_of(real) | {"folder": folders["real"]} if real is not None else None,
        "training": told_of(training) | {"folder": folders["training"]} if training is not None else None,
        "resampler": asked.modality.resampler if isinstance(asked.modality, Rated) else None,
        "extractor": told_of_extractor(extractor),
        "reader": told_of_extractor(reader),
        "intervals": {"level": 0.95, "repeats": typed["repeats"]},
        "peak_memory_mib": most_memory(made),
        "versions": versions(),
    }
    text = json.dumps(_plain(report), indent=1)
    if typed["output"]:
        folder = Path(typed["output"])
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "report.json", text.encode())
    print(text if typed["json"] else _table(results, {"made": made, "real": real, "training": training}))
    return 0


@dataclasses.dataclass(eq=False)
class _Asked:
    """What was typed, and what it names; nothing is loaded before it is needed, or twice."""

    typed: Mapping[str, Any]
    modality: Modality

    @cached_property
    def model_name(self) -> str:
        return self.typed["fields"].get("model") or self.modality.default_model

    @cached_property
    def job(self) -> "Job":
        """Of some prompt, for others to follow (`Job.again`)."""
        from multigen.job import prepare

        return prepare(self.request("anything"), device=self.typed["device"])

    def request(self, prompt: str, /) -> Request:
        return Request(
            modality=self.modality.name, prompt=prompt, options=self.typed["options"], **self.typed["fields"]
        )

    @cached_property
    def recipe(self) -> Any:
        """That of the model, on the dataset."""
        from multigen.evaluation.datasets import recipe_of

        output = self.typed["output"]
        cache = self.typed["cache"] or (f"{output}/cache" if output else "runs/eval/cache")
        return recipe_of(self.model_name, Path(self.typed["data"]), Path(cache))

    @cached_property
    def metrics(self) -> "list[Metric]":
        from multigen.evaluation.contract import Measured
        from multigen.evaluation.general import GENERAL
        from multigen.evaluation.held_out import HELD_OUT

        own = self.modality.metrics() if isinstance(self.modality, Measured) else ()
        known = {metric.name: metric for metric in (*GENERAL, *own, *HELD_OUT)}
        names = self.typed["metrics"]
        if names is None:
            return list(known.values())
        wanted = [name.strip() for name in names.split(",")]
        for name in wanted:
            if name not in known:
                raise UsageError(registry.unknown("metric", name, list(known)))
        return [known[name] for name in wanted]

    @cached_property
    def extractor(self) -> "Extractor | None":
        """Whose features sets are compared by."""
        from multigen.evaluation import extractors
        from multigen.evaluation.states import StateFeatures

        known = extractors.own(self.modality)
        name = self.typed["extractor"]
        if name is not None:
            return extractors.find(name, self.modality, known)
        return known[0] if known else StateFeatures(self.job.pipeline.model, self.job.options)

    @cached_property
    def reader(self) -> "Reads | None":
        """What samples and prompts are compared by, if anything asks for it."""
        from multigen.evaluation import PerPrompt, extractors

        if not any(isinstance(metric, PerPrompt) for metric in self.metrics):
            return None
        named = [self.extractor] if self.extractor else []
        return extractors.reader(self.modality, [*named, *extractors.own(self.modality)])


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
    parser.add_argument(
        "--extractor",
        metavar="NAME",
        help="whose features are compared: a name, a folder, or a hub id (default: the modality's own)",
    )
    parser.add_argument("--prompts", metavar="FILE", help="a prompt a line (default: the captions of --against)")
    parser.add_argument("-n", type=int, default=SAMPLES, metavar="N", help=f"samples to make (default {SAMPLES})")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first sample (default 0)")
    parser.add_argument(
        "--most", type=int, default=MOST_REAL, metavar="N", help=f"real samples to read (default {MOST_REAL}, 0 is all)"
    )
    parser.add_argument(
        "--repeats", type=int, default=1000, metavar="N", help="resamplings for each interval (default 1000)"
    )
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="where the report and the samples are kept; goes on where it was left"
    )
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


def _check_folders(asked: _Asked) -> None:
    """Before anything is measured. Raises UsageError."""
    from multigen.evaluation.collection import check_folder

    typed = asked.typed
    if typed["data"] and (typed["against"] or typed["training"]):
        raise UsageError("--data has both parts: leave out --against and --training")
    for name in ("made", "against", "training"):
        if typed[name]:
            check_folder(asked.modality, Path(typed[name]))


def _real(asked: _Asked, recorder: "Recorder") -> "tuple[Collection | None, Collection | None]":
    """Real samples that the model has not seen, and those that it was trained on."""
    from multigen.evaluation import read_collection
    from multigen.evaluation.datasets import parts

    typed = asked.typed
    if typed["data"]:
        return parts(asked.recipe, recorder, asked.model_name, most=typed["most"])
    folders = [typed[key] for key in ("against", "training")]
    real, training = (read_collection(recorder, Path(f), most=typed["most"]) if f else None for f in folders)
    return real, training


def _items(asked: _Asked) -> "Mapping[str, Tensor] | None":
    """What the model makes of its held-out items; None where it is not the model that is measured."""
    from multigen.evaluation import PerItem
    from multigen.evaluation.held_out import Held, item_values

    metrics = [metric for metric in asked.metrics if isinstance(metric, PerItem)]
    elsewhere = asked.typed["made"] and not asked.typed["fields"].get("model")
    if not metrics or not asked.typed["data"] or elsewhere or not isinstance(asked.recipe, Held):
        return None
    return item_values(asked.recipe, asked.job.pipeline.model, asked.job.options, metrics, most=asked.typed["most"])


def _made(asked: _Asked, recorder: "Recorder", real: "Collection | None") -> "tuple[Collection, dict[str, Any]]":
    """The samples to measure, and how they were made."""
    from multigen.evaluation import Collection, read_collection
    from multigen.evaluation.protocol import told_of_making

    typed = asked.typed
    if typed["made"]:
        return read_collection(recorder, Path(typed["made"]), most=typed["most"]), {"folder": typed["made"]}
    from tqdm import tqdm

    from multigen.evaluation.making import Kept, records, told_of_job

    requests = [asked.request(prompt) for prompt in _prompts(typed["prompts"], real)]
    for request in requests:
        request.validate()
    kept = None
    if typed["output"]:
        told = {
            **told_of_job(asked.job),
            "prompts": [request.prompt for request in requests],
            "seed": typed["seed"],
        }
        kept = Kept(Path(typed["output"]), asked.modality, told)
    seeds = range(typed["seed"], typed["seed"] + typed["n"])
    jobs = [asked.job.again(request) for request in requests]
    found = records(jobs, recorder, seeds, kept)
    bar = tqdm(found, "samples", len(seeds), file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
    made = Collection.of(bar)
    return made, told_of_making(made, asked.job.request, seeds)


def _prompts(file: str | None, real: "Collection | None") -> Sequence[str]:
    """Those of a file in its order; captions in one of which every beginning is spread over the folder."""
    from multigen.cli import prompt_lines
    from multigen.evaluation.collection import scattered

    if file is not None:
        return prompt_lines(file)
    captions = list(dict.fromkeys(record.prompt for record in real.records if record.prompt)) if real else []
    if not captions:
        raise UsageError("there is nothing to prompt with: add --prompts FILE, or --against a folder with captions")
    return scattered(captions)


def _table(results: "Sequence[Result]", sides: "Mapping[str, Collection | None]") -> str:
    """For people: one line a metric."""
    from multigen.metrics import digits, shown

    rows = [("metric", "value [95 %]", "real samples [95 %]", "chance", "better", "n")]
    notes = []
    for r in results:
        if r.note:
            notes.append(f"{r.metric}: {r.note}")
        if r.interval is None:
            continue
        best = f"near {r.best:g}" if r.best is not None else ""
        better = best or {True: "higher", False: "lower", None: ""}[r.higher_is_better]
        n = f"{r.n}" + (f" against {r.reference}" if r.reference else "")
        if r.floor_reference:
            n += f" (real: {r.floor_n} against {r.floor_reference})"
        chance = "" if r.chance is None else digits(r.chance)
        name = f"{r.metric}{f' ({r.unit})' if r.unit else ''}"
        rows.append((name, shown(r.interval), shown(r.floor), chance, better, n))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for told, found in sides.items():
        if found is not None and found.faulty:
            named = [f"{record.name} ({', '.join(record.faults)})" for record in found.faulty[:MOST_FAULTS]]
            more = len(found.faulty) - len(named)
            faults = ", ".join(named) + (f" and {more} more" if more else "")
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
