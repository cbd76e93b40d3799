"""``multigen list`` and ``multigen info``: what there is, and what is known of it, without loading any weights."""

import argparse
import dataclasses
import importlib.util
import inspect
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multigen import registry
from multigen.errors import UsageError
from multigen.options import flag, limits
from multigen.sources import Described

LISTED = {
    "modalities": registry.modalities,
    "models": registry.models,
    "samplers": registry.samplers,
    "schedules": registry.schedules,
    "guidance": registry.guidances,
    "recipes": registry.recipes,
    "metrics": registry.metrics,
    "extractors": registry.extractors,
}
COLUMNS = ("name", "makes", "licence", "size", "needs")


def list_verb(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    parser.add_argument("what", nargs="?", choices=tuple(LISTED), help="one kind (default: all)")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    typed = parser.parse_args(list(arguments))
    if typed.what == "models":
        rows = [*zoo(), *(told for name in registry.sources.names() for told in registry.sources[name].known())]
        print(json.dumps([_row(row) for row in rows], indent=2) if typed.json else _table(rows))
        return 0
    chosen = {typed.what: LISTED[typed.what]} if typed.what else LISTED
    names = {kind: group.names() for kind, group in chosen.items()}
    print(json.dumps(names, indent=2) if typed.json else "\n".join(f"{k}: {', '.join(v)}" for k, v in names.items()))
    return 0


def info_verb(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    parser.add_argument("name", help="a sampler, schedule, guidance, modality or model: its name, folder or hub id")
    parser.add_argument("--revision", default="", help="of a model with a hub id (default: its main branch)")
    parser.add_argument("--steps", type=int, default=8, metavar="N", help="steps of a schedule to print (default 8)")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    typed = parser.parse_args(list(arguments))
    model = described(typed.name, revision=typed.revision)
    told: dict[str, Any]
    if model is not None:
        told = {**_row(model), "card": model.card, "inputs": inputs(model.modality, model.suggested)}
        text = _model_text(model, told["inputs"])
    else:
        told, text = _registered(typed.name, typed.steps)
    print(json.dumps(told, indent=2) if typed.json else text)
    return 0


# --- models -----------------------------------------------------------------------------------------------------------


def zoo() -> list[Described]:
    """The registered models, from the cards beside them; their modules are not imported."""
    return [_carded(name, card_of(name)) for name in registry.models.names()]


def described(name: str, /, *, revision: str = "") -> Described | None:
    """A model by its name, folder or hub id; None where no model is called so. Raises UsageError."""
    if name in registry.models:
        return _carded(name, card_of(name))
    if (Path(name) / "multigen.json").is_file():
        from multigen.provenance import read_loader

        loader = read_loader(Path(name))
        card = Path(name) / "README.md"
        return dataclasses.replace(_carded(loader, card if card.is_file() else card_of(loader)), name=name)
    if any(name in group for group in LISTED.values()):
        return None
    for source in registry.sources.names():
        if registry.sources[source].knows(name):
            found: Described = registry.sources[source].describe(name, revision=revision)
            return found
    return None


def card_of(name: str, /) -> Path | None:
    """The card of a registered model: ``zoo/NAME/README.md`` in the package that registers it."""
    package = registry.models.module(name).partition(".")[0]
    found = importlib.util.find_spec(package)
    homes = found.submodule_search_locations if found and found.submodule_search_locations else ()
    cards = (Path(home) / "zoo" / name / "README.md" for home in homes)
    return next((card for card in cards if card.is_file()), None)


def inputs(modality: str, suggested: Mapping[str, Any], /) -> dict[str, str]:
    """What a model of a modality takes beside the prompt, by flag; empty where the modality is not known."""
    if modality not in registry.modalities:
        return {}
    fields = dataclasses.fields(registry.modalities[modality]().Options)
    return {flag(f.name): limits(f).describe(suggested.get(f.name, f.default)) for f in fields}


def _carded(name: str, card: Path | None) -> Described:
    text = card.read_text(encoding="utf-8") if card else ""
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    pairs = (line.partition(":") for line in (front[1].splitlines() if front else ()))
    told = {key.strip(): value.strip() for key, _, value in pairs}
    return Described(
        name,
        told.get("pipeline_tag", "").removeprefix("text-to-"),
        told.get("makes", "unknown"),
        told.get("license", "unknown"),
        told.get("size", "unknown"),
        told.get("needs", "unknown"),
        suggested=_suggested(name, told.get("suggested", "{}")),
        card=text[front.end() :].lstrip() if front else text,
    )


def _suggested(name: str, text: str) -> Mapping[str, Any]:
    """The options that a card suggests. Raises UsageError for what is no JSON object."""
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise UsageError(f'the card of {name} says suggested: {text}: write an object, such as {{"duration": 5}}')
    return options


def _row(model: Described) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ("name", "modality", *COLUMNS[1:], "suggested", "whole")}


def _table(models: Sequence[Described]) -> str:
    """A table for each modality."""
    parts = []
    for modality in dict.fromkeys(model.modality for model in models):
        rows = [COLUMNS, *(_cells(model) for model in models if model.modality == modality)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        parts.append("\n".join([modality or "other", *(f"  {line}" for line in lines)]))
    return "\n\n".join(parts)


def _cells(model: Described) -> tuple[str, ...]:
    return tuple(getattr(model, name) for name in COLUMNS)


def _model_text(model: Described, takes: Mapping[str, str]) -> str:
    head = [f"{model.name} (model{f' of {model.modality}' if model.modality else ''})", f"makes {model.makes}"]
    head += [f"licence {model.licence}; size {model.size}; needs {model.needs}"]
    head += ["runs as a whole: samplers, guidance and edits do not reach it"] if model.whole else []
    lines = [
        textwrap.indent(textwrap.fill(f"{name}  {text}", 110, subsequent_indent="    "), "  ")
        for name, text in takes.items()
    ]
    return "\n".join([*head, "", "inputs:", *lines, *(["", model.card] if model.card else [])])


# --- all else ---------------------------------------------------------------------------------------------------------


def _registered(name: str, steps: int) -> tuple[dict[str, Any], str]:
    for kind, group in LISTED.items():
        if name in group:
            found = group[name]
            text = f"{name} ({group.noun})\n\n{describe(found)}"
            if kind == "schedules":
                from multigen.schedules import table

                text += "\n\n" + table(found()(steps))
            return {"name": name, "kind": group.noun, "description": describe(found)}, text
    measured = _measured()
    if name in measured:
        modality, about, source = measured[name]
        told = {"name": name, "kind": f"metric of {modality}", "description": about}
        return told, f"{name} (metric of {modality}, in multigen eval)\n\n{about}\n\n{source}"
    names = sorted({*measured, *(name for group in LISTED.values() for name in group.names())})
    raise UsageError(registry.unknown("name", name, names))


def _measured() -> dict[str, tuple[str, str, str]]:
    """What the modalities themselves measure in `multigen eval`: of which one it is, what it is, and its source."""
    from multigen.evaluation.contract import Measured

    found = {}
    for modality in registry.modalities.names():
        known = registry.modalities[modality]()
        for metric in known.metrics() if isinstance(known, Measured) else ():
            found[metric.name] = modality, metric.about, metric.source
    return found


def describe(found: Any, /) -> str:
    """The signature and docstring of what a plugin registered."""
    inner = getattr(found, "func", found)
    signature = f"{inner.__name__}{inspect.signature(found)}" if callable(found) else inner.__name__
    return f"{signature}\n\n{inspect.getdoc(inner) or ''}"
