"""The dataset that a model was trained on, parted as its training parts it."""

from pathlib import Path
from typing import Any

from multigen import registry
from multigen.errors import UsageError
from multigen.evaluation.collection import Collection, Recorder


def recipe_of(model: str, data: Path, cache: Path, /) -> Any:
    """The recipe of a model, by its name or of its folder, on a dataset, which is prepared in `cache` where it is not.

    Raises UsageError where the model has none, and for a folder that is none.
    """
    from multigen.training import prepare_recipe

    return prepare_recipe(check_data(model, data), data, cache)


def check_data(model: str, data: Path, /) -> str:
    """The name of a model's recipe; nothing is read. Raises UsageError as `recipe_of`."""
    name = model
    if name not in registry.recipes and (Path(model) / "multigen.json").is_file():
        from multigen.provenance import read_loader

        name = read_loader(Path(model))
    if name not in registry.recipes:
        raise UsageError(f"--data needs the recipe of a model: {name!r} has none, so give --against and --training")
    if not data.is_dir():
        raise UsageError(f"--data {data} is no folder: give the one with the dataset of {model!r}")
    return name


def parts(recipe: Any, recorder: Recorder, model: str, /, *, most: int) -> tuple[Collection, Collection]:
    """Records of the held-out samples of a recipe's dataset and of those for training, at most so many of each.

    Raises UsageError for a recipe that does not show them.
    """
    from multigen.training import Real

    if not isinstance(recipe, Real):
        raise UsageError(f"the recipe of {model!r} does not show its samples: give --against and --training")
    held_out, training = (
        Collection.of(
            recorder(sample, name=title, prompt=caption, cluster=source)
            for title, sample, caption, source in recipe.real(split, most=most)
        )
        for split in ("validation", "train")
    )
    return held_out, training
