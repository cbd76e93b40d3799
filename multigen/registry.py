"""Names to plugins, through entry points; listing names imports nothing.

Groups: ``multigen.modalities``, ``multigen.models``, ``multigen.samplers``, ``multigen.schedules``,
``multigen.guidance``, ``multigen.recipes``, ``multigen.metrics``, ``multigen.extractors`` and ``multigen.sources``. A
distribution joins by naming an object in one of them.
"""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from multigen.errors import UsageError


@dataclass(frozen=True)
class Registry:
    """One group of entry points; `noun` is what its members are called in an error."""

    group: str
    noun: str

    def names(self) -> list[str]:
        """All registered names, sorted; imports nothing."""
        return sorted(_by_name(self.group))

    def __contains__(self, name: str) -> bool:
        return name in _by_name(self.group)

    def module(self, name: str, /) -> str:
        """Where a registered name comes from, such as "multigen_models.audio.small"; nothing is imported."""
        return _by_name(self.group)[name][0].module

    def __getitem__(self, name: str) -> Any:
        """The object registered as `name`.

        Raises UsageError where the name is unknown, two distributions claim it, or importing it fails; the sentence
        names the distribution and what to type.
        """
        found = _by_name(self.group).get(name, ())
        if not found:
            raise UsageError(unknown(self.noun, name, self.names()))
        if len(found) > 1:
            owners = " and ".join(_distribution(point) for point in found)
            raise UsageError(f"the {self.noun} {name!r} is registered by {owners}: pip uninstall one of them")
        (point,) = found
        try:
            return point.load()
        except Exception as error:
            owner = _distribution(point)
            raise UsageError(
                f"the {self.noun} {name!r} of {owner} cannot be loaded ({type(error).__name__}: {_first_line(error)}): "
                f"pip install --force-reinstall {owner}, or pip uninstall {owner}"
            ) from error

    def configured(self, spec: str, /) -> tuple[Callable[..., Any], dict[str, float]]:
        """The function named by ``name`` or ``name:key=value,...`` and its keyword arguments, checked against its
        signature."""
        name, _, tail = spec.partition(":")
        function = self[name]
        parameters = inspect.signature(function).parameters
        allowed = {key: kind for key, p in parameters.items() if (kind := _number(p)) is not None}
        options: dict[str, float] = {}
        for part in filter(None, tail.split(",")):
            key, equals, value = (text.strip() for text in part.partition("="))
            if not equals or key not in allowed:
                keys = ", ".join(allowed) or "none"
                raise UsageError(f"the {self.noun} {name!r} has no option {part.strip()!r}: its options are {keys}")
            try:
                options[key] = allowed[key](value)
            except ValueError:
                raise UsageError(f"{self.noun} {name}:{key}={value}: {value!r} is no number, such as {key}=1") from None
        missing = [key for key in allowed if parameters[key].default is inspect.Parameter.empty and key not in options]
        if missing:
            raise UsageError(f"the {self.noun} {name!r} needs {missing[0]}: type it as {name}:{missing[0]}=3")
        return function, options


def _number(parameter: inspect.Parameter) -> type[int] | type[float] | None:
    """int or float where a parameter takes one, by its annotation or default; None where it takes something else."""
    if parameter.annotation in (int, "int") or type(parameter.default) is int:
        return int
    return float if parameter.annotation in (float, "float") or type(parameter.default) is float else None


modalities = Registry("multigen.modalities", "modality")
models = Registry("multigen.models", "model")
samplers = Registry("multigen.samplers", "sampler")
schedules = Registry("multigen.schedules", "schedule")
guidances = Registry("multigen.guidance", "guidance")
recipes = Registry("multigen.recipes", "recipe")
metrics = Registry("multigen.metrics", "metric")
extractors = Registry("multigen.extractors", "extractor")
sources = Registry("multigen.sources", "source of models")


def unknown(noun: str, name: str, names: list[str], /) -> str:
    """The sentence for a name that is not there, with the nearest one that is."""
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {noun} {name!r}: choose from {', '.join(names) or 'none installed'}{hint}"


@lru_cache
def _by_name(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for point in entry_points(group=group):
        if point not in found.get(point.name, ()):
            found[point.name] = (*found.get(point.name, ()), point)
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]
