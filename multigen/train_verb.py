"""``multigen train``: a recipe, its data and its settings to checkpoints, models and sample sheets."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from multigen import registry
from multigen.errors import UsageError
from multigen.modality import Modality, Sample, Shows
from multigen.options import make, read_toml


@runtime_checkable
class Illustrates(Protocol):
    """A recipe that shows itself what it has come to, as a codec does, in place of samples of its prompts."""

    def illustrate(self, model: Path, /) -> Sequence[tuple[str, Sample]]:
        """Titled samples, with the network that `Recipe.export` wrote into a folder."""


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Train; goes on from the folder's checkpoint if there is one."""
    from multigen.cli import add_flags
    from multigen.settings import Settings

    parser.add_argument(
        "recipe", help=f"{', '.join(registry.recipes.names())}, or a .toml file with recipe = NAME and flags as keys"
    )
    parser.add_argument("--data", default=argparse.SUPPRESS, help="the dataset's folder")
    parser.add_argument("-o", "--output", default=argparse.SUPPRESS, help="the run's folder (default runs/RECIPE)")
    parser.add_argument(
        "--cache", default=argparse.SUPPRESS, help="where prepared data are kept (default OUTPUT/cache)"
    )
    parser.add_argument("--warm-start", default=argparse.SUPPRESS, help="a model's name or folder to begin with")
    parser.add_argument(
        "--sheet-steps",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help="steps of the sample sheets; 0 makes none (default 24)",
    )
    add_flags(parser.add_argument_group("settings"), Settings)
    typed = vars(parser.parse_args(list(arguments)))
    if typed["recipe"].endswith(".toml"):
        written = _from_file(Path(typed["recipe"]))
        typed = written | typed | {"recipe": written["recipe"]}
    if "data" not in typed:
        raise UsageError("multigen train needs --data DIR, the folder with metadata.csv and the files it names")
    if not Path(typed["data"]).is_dir():
        raise UsageError(f"--data {typed['data']} is no folder: give the one with metadata.csv and the files it names")
    folder = Path(typed.get("output", f"runs/{typed['recipe']}"))
    chosen = {field.name: typed[field.name] for field in dataclasses.fields(Settings) if field.name in typed}
    from tqdm import tqdm

    from multigen.training import train

    factory = registry.recipes[typed["recipe"]]
    settings = make(Settings, {**getattr(factory, "settings", {}), **chosen})
    recipe = factory(
        Path(typed["data"]),
        Path(typed.get("cache", folder / "cache")),
        seed=settings.seed,
        warm_start=typed.get("warm_start"),
    )
    sheet_steps = typed.get("sheet_steps", 24)
    with tqdm(total=settings.samples, unit="sample", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        for progress in train(recipe, settings, folder):
            bar.update(progress.samples - bar.n)
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            if progress.held_out is not None:
                bar.write(f"{progress.samples} samples: held out {progress.held_out['mean']:.4f}", file=sys.stderr)
            if progress.exported is not None and sheet_steps:
                _sheet(recipe, progress.exported, folder / "sheets" / f"{progress.samples:08d}", sheet_steps)
    print(folder / "model")
    return 0


def _from_file(path: Path) -> dict[str, Any]:
    """Flags from a TOML file."""
    values = read_toml(path)
    if "recipe" not in values:
        raise UsageError(f'{path} names no recipe: add a line recipe = "{(registry.recipes.names() or ["NAME"])[0]}"')
    return {key.replace("-", "_"): tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _sheet(recipe: Any, model: Path, folder: Path, steps: int) -> None:
    """One sample of each of the recipe's prompts and what it shows itself, all of it on one picture."""
    from multigen.pipeline import prepare
    from multigen.provenance import tags
    from multigen.request import Request

    modality: Modality = registry.modalities[recipe.modality]()
    folder.mkdir(parents=True, exist_ok=True)
    made = list(recipe.illustrate(model)) if isinstance(recipe, Illustrates) else []
    for i, prompt in enumerate(recipe.prompts):
        job = prepare(Request(modality=modality.name, prompt=prompt, model=str(model), steps=steps), device="cpu")
        sample = job.run(0)
        modality.write(sample, folder / f"{i:02d}{modality.extensions[0]}", tags=tags(job.request, 0, sample))
        made.append((prompt, sample))
    if isinstance(modality, Shows):
        modality.show(made, folder / "sheet.png")
