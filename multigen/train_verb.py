"""``multigen train``: a recipe, its data and its settings to checkpoints, models and sample sheets."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from multigen import registry
from multigen.errors import UsageError
from multigen.modality import Modality, Sample, Shows
from multigen.options import flag, make, read_toml

if TYPE_CHECKING:
    from multigen.lora_training import LowRank
    from multigen.settings import Settings

MOST_RANK = 1024
OWN = 4
"""Prompts of a LoRA's dataset on its sheets, and as many of the recipe's."""


@runtime_checkable
class Illustrates(Protocol):
    """A recipe that shows itself what it has come to, as a codec does, in place of samples of its prompts."""

    def illustrate(self, model: Path, /) -> Sequence[tuple[str, Sample]]:
        """Titled samples, with the network that `Recipe.export` wrote into a folder."""


def run(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Train; goes on from the folder's checkpoint if there is one."""
    from multigen.settings import LORA, Settings

    typed = _typed(parser, arguments)
    name, lora = typed["recipe"], typed.get("lora", False)
    folder = Path(typed.get("output", f"runs/{name}-lora" if lora else f"runs/{name}"))
    chosen = {field.name: typed[field.name] for field in dataclasses.fields(Settings) if field.name in typed}
    factory = registry.recipes[name]
    settings = make(Settings, {**getattr(factory, "settings", {}), **(LORA if lora else {}), **chosen})
    base = typed.get("warm_start", name) if lora else None
    model = _adaptable(base, getattr(factory, "modality", None)) if base else None
    from tqdm import tqdm

    from multigen.training import prepare_recipe, train

    cache = Path(typed.get("cache", folder / "cache"))
    recipe = prepare_recipe(name, Path(typed["data"]), cache, seed=settings.seed, warm_start=typed.get("warm_start"))
    sheet_steps = typed.get("sheet_steps", 24)
    what = _low_rank(recipe, model, settings, name=base, rank=typed["rank"]) if base else recipe
    with tqdm(total=settings.samples, unit="sample", file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        for progress in train(what, settings, folder):
            bar.update(progress.samples - bar.n)
            bar.set_postfix(loss=f"{progress.loss:.4f}")
            if progress.held_out is not None:
                bar.write(f"{progress.samples} samples: held out {progress.held_out['mean']:.4f}", file=sys.stderr)
            if progress.exported is not None and sheet_steps:
                _sheet(recipe, progress.exported, base, folder / "sheets" / f"{progress.samples:08d}", sheet_steps)
    print(folder / "model")
    return 0


def _typed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    from multigen.cli import add_flags
    from multigen.settings import LORA, RANK, Settings

    parser.add_argument(
        "recipe", help=f"{', '.join(registry.recipes.names())}, or a .toml file with recipe = NAME and flags as keys"
    )
    parser.add_argument("--data", default=argparse.SUPPRESS, help="the dataset's folder")
    parser.add_argument(
        "-o", "--output", default=argparse.SUPPRESS, help="the run's folder (default runs/RECIPE, or runs/RECIPE-lora)"
    )
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
    told = ", ".join(f"{flag(key)} {value}" for key, value in LORA.items() if not isinstance(value, tuple))
    parser.add_argument(
        "--lora",
        action="store_true",
        default=argparse.SUPPRESS,
        help=f"train a LoRA of the model that the recipe is named after, or of --warm-start; the defaults are {told}",
    )
    parser.add_argument(
        "--rank",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"of the LoRA (1 to {MOST_RANK}; default {RANK})",
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
    if "rank" in typed and not typed.get("lora"):
        raise UsageError("--rank is that of a LoRA: add --lora")
    if not 1 <= typed.setdefault("rank", RANK) <= MOST_RANK:
        raise UsageError(f"--rank {typed['rank']} is not possible: a whole number from 1 to {MOST_RANK}")
    return typed


def _adaptable(name: str, modality: str | None) -> Any:
    """The model that a LoRA is trained for. Raises UsageError where there is none that takes one."""
    from multigen.loaders import load
    from multigen.model import Adapts

    model = load(name, modality=modality, device="cpu")
    if not isinstance(model, Adapts):
        raise UsageError(f"the model {name!r} takes no LoRA: leave out --lora, or give another --warm-start")
    return model


def _low_rank(recipe: Any, model: Any, settings: "Settings", /, *, name: str, rank: int) -> "LowRank":
    from multigen.lora_training import LowRank, in_scale_of

    return LowRank(in_scale_of(model, recipe), model, settings, name=name, rank=rank)


def _from_file(path: Path) -> dict[str, Any]:
    """Flags from a TOML file."""
    values = read_toml(path)
    if "recipe" not in values:
        raise UsageError(f'{path} names no recipe: add a line recipe = "{(registry.recipes.names() or ["NAME"])[0]}"')
    return {key.replace("-", "_"): tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _sheet(recipe: Any, exported: Path, base: str | None, folder: Path, steps: int) -> None:
    """One sample of each of the recipe's prompts and what it shows itself, all of it on one picture.

    There is none for a recipe that has neither, such as an encoder's. base: the model that is sampled with what was
    exported, a LoRA; then half of the prompts are the dataset's own.
    """
    from multigen.job import prepare
    from multigen.provenance import tags
    from multigen.request import Request

    modality: Modality = registry.modalities[recipe.modality]()
    shown = list(recipe.illustrate(exported)) if isinstance(recipe, Illustrates) and base is None else []
    prompts = list(recipe.prompts) if base is None else [*_captions(recipe), *recipe.prompts[:OWN]]
    used: dict[str, Any] = {"model": str(exported)} if base is None else {"model": base, "lora": str(exported)}
    if not shown and not prompts:
        return
    folder.mkdir(parents=True, exist_ok=True)
    requests = [Request(modality=modality.name, prompt=prompt, steps=steps, **used) for prompt in prompts]
    jobs = [prepare(request, device="cpu") for request in requests[:1]]
    for i, request in enumerate(requests):
        job = jobs[0].again(request)
        sample = job.run(0)
        modality.write(sample, folder / f"{i:02d}{modality.extensions[0]}", tags=tags(job.request, 0, sample))
        shown.append((request.prompt, sample))
    if isinstance(modality, Shows):
        modality.show(shown, folder / "sheet.png")


def _captions(recipe: Any) -> list[str]:
    """The first captions of a recipe's dataset."""
    from multigen.training import Real

    if not isinstance(recipe, Real):
        return []
    return list(dict.fromkeys(caption for _, _, caption, _ in recipe.real("train", most=4 * OWN)))[:OWN]
