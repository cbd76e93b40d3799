"""Where models come from that are not registered one by one: folders and hubs. Light to import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from multigen.loading import Loading
    from multigen.model import Model, Whole


@dataclass(frozen=True)
class Described:
    """What is known of a model before it is loaded. modality: empty where it is not known."""

    name: str
    modality: str
    makes: str
    licence: str = "unknown"
    size: str = "unknown"
    needs: str = "unknown"
    suggested: Mapping[str, Any] = field(default_factory=dict)
    """The options that suit it."""
    whole: bool = False
    """Whether it runs only as a whole (`multigen.model.Whole`)."""
    card: str = ""
    """Markdown; empty where there is none."""


class Source(Protocol):
    """What the entry-point group "multigen.sources" names."""

    def knows(self, name: str, /) -> bool:
        """Whether a name is one of its own, by its looks and the files that are there; nothing is fetched."""

    def load(self, name: str, /, *, modality: str | None, revision: str, loading: Loading) -> Model | Whole:
        """Raises UsageError for what is not there, not safe to load, or another modality's."""

    def describe(self, name: str, /, *, revision: str) -> Described:
        """The same, without loading weights. Raises UsageError for what is not there."""

    def known(self) -> Sequence[Described]:
        """Models that can be had from it."""
