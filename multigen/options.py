"""Options as frozen dataclasses: one definition gives the command line's flags, the keyword arguments and the
checks."""

import dataclasses
import math
import sys
from collections.abc import Mapping
from dataclasses import Field, dataclass
from pathlib import Path
from typing import Any, TypeVar

from multigen.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class NoOptions:
    """The options of a modality that has none of its own."""


@dataclass(frozen=True)
class Limits:
    """What an option may be, and how it is described. A number outside [low, high] or not finite is refused."""

    help: str
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()
    unset: str = "none"

    def describe(self, default: object, /) -> str:
        """The help text with unit, range and default."""
        notes = [self.unit] if self.unit else []
        if self.low > -math.inf or self.high < math.inf:
            low = _plain(self.low) if self.low > -math.inf else ""
            high = _plain(self.high) if self.high < math.inf else ""
            notes.append(f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}")
        if self.choices:
            notes.append("one of " + ", ".join(str(c) for c in self.choices))
        notes.append(f"default {default}" if default not in (None, "", ()) else f"default {self.unset}")
        return f"{self.help} ({'; '.join(notes)})"


def option(
    default: Any,
    help: str,
    /,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    choices: tuple[Any, ...] = (),
    unset: str = "none",
) -> Any:
    """A dataclass field with its help text, unit and range. The default is not checked against them.

    unset: what an empty default (None, "") stands for, in the help.
    """
    return dataclasses.field(default=default, metadata={"limits": Limits(help, unit, low, high, choices, unset)})


def limits(field: "Field[Any]", /) -> Limits:
    """The `Limits` of a field made by `option`, or empty ones."""
    found: Limits = field.metadata.get("limits", Limits(field.name.replace("_", " ")))
    return found


def limits_of(kind: type, /) -> dict[str, Limits]:
    """Those of all fields of an options class, by their names."""
    return {field.name: limits(field) for field in dataclasses.fields(kind)}


def flag(name: str, /) -> str:
    """How an option is typed: ``sample_rate`` is ``--sample-rate``."""
    return "--" + name.replace("_", "-")


def make(kind: type[T], values: Mapping[str, Any], /, *, written: Any = flag) -> T:
    """An options object from keyword arguments, checked.

    written: how a name is shown in an error, as a flag unless told otherwise.

    Raises UsageError for an unknown name and for a value that is outside its option's limits.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in values if name not in fields]
    if unknown:
        known = ", ".join(written(name) for name in fields)
        raise UsageError(f"unknown option {written(unknown[0])}: the options are {known}")
    for name, value in values.items():
        check(value, limits(fields[name]), default=fields[name].default, name=written(name))
    return kind(**values)


def read_toml(path: Path, /) -> dict[str, Any]:
    """The keys of a TOML file. Raises UsageError."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML ({error})") from None


def check(value: object, allowed: Limits, /, *, name: str, default: object = None) -> None:
    """Raise UsageError unless the value is within the limits; a value equal to the default always is."""
    if value == default:
        return
    if isinstance(value, float | int) and not (math.isfinite(value) and allowed.low <= value <= allowed.high):
        raise UsageError(f"{name} {_plain(value)} is not possible: {allowed.describe(default)}")
    if allowed.choices and value not in allowed.choices:
        raise UsageError(f"{name} {value!r} is not possible: {allowed.describe(default)}")


def _plain(value: float) -> str:
    """A number as a person types it: whole ones with all their digits."""
    return f"{value:.0f}" if abs(value) < 1e15 and float(value).is_integer() else f"{value:g}"
