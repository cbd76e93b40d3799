"""``multigen compare``: a grid of samplers, steps, schedules and guidance on any modalities, with error bars."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multigen import registry
from multigen.errors import UsageError
from multigen.options import read_toml

if TYPE_CHECKING:
    from multigen.comparison import Study

LISTS = {
    "samplers": "sampler",
    "schedules": "schedule",
    "guidance": "guidance",
}
DEFAULT_SEEDS = "0-15"
REPEATS, FEWEST_REPEATS = 1000, 10


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run what is missing of a study, and write its tables and its page once all of it is there."""
    typed = _parse(parser, arguments)
    study, folder = _study(typed), Path(typed["output"])
    from accelerate import PartialState

    from multigen.comparison.run import Progress, Runner, Share

    # No process may wait for the others longer than its timeout, and a share of a study can take days.
    state = PartialState(timeout=timedelta(days=30))
    cache = Path(typed["cache"]) if "cache" in typed else None
    runner = Runner(study, folder, device=typed.get("device"), cache=cache)
    if not typed.get("quiet") and state.is_main_process:
        print(f"{len(runner.arms)} arms of {study.items} samples in {folder}", file=sys.stderr)
    from tqdm import tqdm

    with tqdm(unit="sample", file=sys.stderr, disable=not sys.stderr.isatty() or bool(typed.get("quiet"))) as bar:

        def said(progress: Progress) -> None:
            bar.total = progress.of
            bar.set_postfix_str(f"{progress.arm.modality} {progress.arm.sampler}, {_duration(progress.left)} left")
            bar.update()

        runner.run(Share(state.process_index, state.num_processes), said)
    state.wait_for_everyone()
    if state.is_main_process and runner.complete():
        for path in _write(runner, folder, repeats=typed["repeats"], with_oracle=typed.get("oracle", False)):
            print(path)
    return 0


def _write(runner: Any, folder: Path, /, *, repeats: int, with_oracle: bool) -> list[Path]:
    """The tables, the summary, the page, and its charts in files of their own."""
    from multigen.atomic import replace_file
    from multigen.comparison import tables
    from multigen.comparison.figures import figures
    from multigen.comparison.findings import find
    from multigen.comparison.oracle import likelihoods, oracle
    from multigen.comparison.page import page
    from multigen.comparison.protocol import protocol_of

    findings = find(runner, repeats=repeats)
    protocol = protocol_of(runner) | {"repeats": repeats}
    contents = {"protocol.json": json.dumps(protocol, indent=1).encode()}
    for name, rows in (
        ("results", tables.results(findings)),
        ("samples", tables.samples(runner)),
        ("contrasts", tables.contrasts(findings)),
    ):
        contents |= {f"{name}.csv": tables.to_csv(rows), f"{name}.parquet": tables.to_parquet(rows)}
    contents["report.md"] = tables.markdown(runner, findings).encode()
    errors, bits = (oracle(runner), likelihoods(runner)) if with_oracle else ([], [])
    if errors:
        contents["oracle.csv"] = tables.to_csv(tables.oracle_rows(errors))
        contents["oracle-likelihood.csv"] = tables.to_csv(tables.likelihood_rows(bits))
        contents["report.md"] += b"\n" + tables.oracle_markdown(errors, bits).encode() + b"\n"
    contents["report.html"] = page(runner, findings, errors, bits).encode()
    for name, content in contents.items():
        replace_file(folder / name, content)
    drawn = folder / "figures"
    drawn.mkdir(exist_ok=True)
    for name, svg in figures(runner, findings, errors).items():
        replace_file(drawn / name, svg.encode())
    return [*(folder / name for name in contents), drawn]


def _parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    told = argparse.SUPPRESS
    parser.add_argument("file", nargs="?", default=told, metavar="STUDY.toml", help="a file with these flags as keys")
    parser.add_argument("--modalities", default=told, metavar="LIST", help=", ".join(registry.modalities.names()))
    parser.add_argument("--models", default=told, metavar="LIST", help="MODALITY=NAME, any number (default: its own)")
    parser.add_argument("--samplers", default=told, metavar="LIST", help="such as euler,heun,dpmpp_2m")
    parser.add_argument("--steps", default=told, metavar="LIST", help="such as 4,8,16,32")
    parser.add_argument("--schedules", default=told, metavar="LIST", help="such as karras,flow:shift=3")
    parser.add_argument("--guidance", default=told, metavar="LIST", help="such as 1,3,7 or cfg:scale=3,apg:scale=5")
    parser.add_argument("--metrics", default=told, metavar="LIST", help="names (default: all that there are)")
    parser.add_argument(
        "--extractor",
        default=told,
        metavar="LIST",
        help="MODALITY=NAME, a folder or a hub id, whose features sets are compared by (default: the modality's own)",
    )
    parser.add_argument("--seeds", default=told, metavar="LIST", help=f"one sample each (default {DEFAULT_SEEDS})")
    parser.add_argument(
        "--prompts", default=told, metavar="FILE", help="a prompt a line; MODALITY=FILE,... where they differ"
    )
    parser.add_argument("--against", default=told, metavar="LIST", help="MODALITY=FOLDER of real samples")
    parser.add_argument("--training", default=told, metavar="LIST", help="MODALITY=FOLDER of training samples")
    parser.add_argument(
        "--data", default=told, metavar="LIST", help="MODALITY=FOLDER, its model's dataset in place of both"
    )
    parser.add_argument(
        "--cache",
        default=told,
        metavar="FOLDER",
        help="where datasets are kept prepared, in folders of their modalities",
    )
    parser.add_argument("--options", default=told, metavar="LIST", help="MODALITY.NAME=VALUE, such as audio.duration=2")
    parser.add_argument(
        "--oracle", action="store_true", default=told, help="also measure samplers on mixtures with exact scores"
    )
    parser.add_argument("--repeats", type=int, default=told, metavar="N", help="resamplings (default 1000)")
    parser.add_argument(
        "-o", "--output", default=told, metavar="FOLDER", help="where the study is kept, goes on and grows"
    )
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), default=told, help="where to compute")
    parser.add_argument("-q", "--quiet", action="store_true", default=told, help="print the results' files alone")
    typed = vars(parser.parse_args(list(arguments)))
    if "file" in typed:
        written = read_toml(Path(typed["file"]))
        known = {action.dest for action in parser._actions} - {"help", "file", "verbose"} | {"named"}
        unknown = sorted(set(written) - known)
        if unknown:
            raise UsageError(registry.unknown(f"key in {typed['file']}", unknown[0], sorted(known)))
        typed = _of_modalities({**written, **typed}, _listed(written.get("modalities", "")))
    if "output" not in typed:
        raise UsageError("a study needs a folder: add -o study/")
    repeats = typed.setdefault("repeats", REPEATS)
    if not isinstance(repeats, int) or repeats < FEWEST_REPEATS:
        raise UsageError(f"--repeats {repeats} is not possible: a whole number from {FEWEST_REPEATS}")
    return typed


def _of_modalities(typed: Mapping[str, Any], written: Sequence[str]) -> dict[str, Any]:
    """Without what a file says of modalities that it names, and that --modalities leaves out of the study."""
    left_out = set(written) - set(_listed(typed.get("modalities", "")))

    def told(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: told(part) for name, part in value.items() if name not in left_out}
        if isinstance(value, list):
            return [part for part in value if re.split("[.=]", str(part))[0].strip() not in left_out]
        return value

    return {key: told(value) for key, value in typed.items()}


def _study(typed: Mapping[str, Any]) -> "Study":
    from multigen.cli import prompt_lines, seed_list
    from multigen.comparison import Study

    modalities = tuple(_listed(typed.get("modalities", "")))
    if not modalities:
        raise UsageError(f"a study needs modalities: add --modalities {','.join(registry.modalities.names())}")
    files = _by_modality(typed.get("prompts", {}), "--prompts", modalities)
    models: dict[str, tuple[str, ...]] = {}
    for part in _listed(typed.get("models", "")):
        modality, name = _pair(part, "--models", "audio=audio-small")
        models[modality] = (*models.get(modality, ()), name)
    options: dict[str, dict[str, Any]] = {}
    for part in _listed(typed.get("options", "")):
        place, value = _pair(part, "--options", "audio.duration=2")
        modality, _, name = place.partition(".")
        options.setdefault(modality, {})[name] = _typed_option(modality, name, value)
    return Study(
        modalities=modalities,
        prompts={name: prompt_lines(file) for name, file in files.items()},
        seeds=seed_list(str(typed.get("seeds", DEFAULT_SEEDS))),
        model=models,
        steps=tuple(_number(part) for part in _listed(typed.get("steps", ""))),
        options=options,
        against=_by_modality(typed.get("against", {}), "--against", modalities),
        training=_by_modality(typed.get("training", {}), "--training", modalities),
        data=_by_modality(typed.get("data", {}), "--data", modalities),
        named=typed.get("named", {}),
        metrics=tuple(_listed(typed.get("metrics", ""))),
        extractor=_by_modality(typed.get("extractor", {}), "--extractor", modalities),
        **{field: tuple(_specs(typed.get(flag, ""))) for flag, field in LISTS.items()},
    )


def _listed(value: Any) -> list[str]:
    """Parts of ``a,b`` or of a TOML list."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def _specs(value: Any) -> list[str]:
    """Parts of ``flow:shift=3,power=2,karras``: options belong to the name before them."""
    if isinstance(value, list):
        return [str(part) for part in value]
    specs: list[str] = []
    for part in _listed(value):
        if specs and "=" in part and ":" not in part:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


def _pair(part: str, name: str, example: str) -> tuple[str, str]:
    left, equals, right = (text.strip() for text in part.partition("="))
    if not equals or not left or not right:
        raise UsageError(f"{name} {part!r} is not of the form {example}: type it as {name} {example}")
    return left, right


def _by_modality(value: Any, name: str, modalities: Sequence[str]) -> dict[str, str]:
    """``audio=A,3d=B``, a TOML table, or one path for all."""
    if isinstance(value, Mapping):
        return {str(key): str(path) for key, path in value.items()}
    parts = _listed(value)
    if len(parts) == 1 and "=" not in parts[0]:
        return dict.fromkeys(modalities, parts[0])
    return dict(_pair(part, name, f"{modalities[0]}=PATH") for part in parts)


def _typed_option(modality: str, name: str, value: str) -> Any:
    """An option's value, of its field's type."""
    import dataclasses
    import typing

    kind = registry.modalities[modality]().Options
    fields = {field.name for field in dataclasses.fields(kind)}
    if name not in fields:
        raise UsageError(registry.unknown(f"option of {modality}", name, sorted(fields)))
    wanted = typing.get_type_hints(kind)[name]
    try:
        return value.lower() in ("true", "yes", "1") if wanted is bool else wanted(value)
    except ValueError:
        raise UsageError(f"--options {modality}.{name}={value}: {value!r} is no {wanted.__name__}") from None


def _number(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise UsageError(f"--steps {text!r} is no number of steps: type it as --steps 4,8,16")
    return int(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
