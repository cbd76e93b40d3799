"""The samples themselves, side by side: arms that share a prompt and a seed, within the bytes that a page may have."""

from __future__ import annotations

import mimetypes
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from multigen import registry
from multigen.comparison.markup import data_uri, element, text
from multigen.comparison.quality import Design
from multigen.comparison.run import Runner
from multigen.comparison.study import Arm
from multigen.evaluation import Record
from multigen.modality import Embeds, Modality, Shows

MOST_ITEMS = 4
MOST_COLUMNS = 3
MOST_KINDS = 12


def gallery(runner: Runner, design: Design, modality: str, /, *, budget: int) -> str:
    """Some prompts and seeds, each with a row for every way to sample and a column for some numbers of steps.

    budget: bytes of HTML. What does not fit is left out, whole prompts first.
    """
    plugin: Modality = registry.modalities[modality]()
    grid = Grid.of(design)
    items: list[str] = []
    for index in range(min(MOST_ITEMS, runner.study.items)):
        item, budget = _item(runner, plugin, grid, index, budget)
        if items and budget < 0:
            break
        items.append(item)
    return "".join(items)


def scripts(modalities: Sequence[str], /) -> str:
    """What the embedded samples need, once."""
    plugins = [registry.modalities[name]() for name in modalities]
    return "".join(
        element("script", plugin.embed_script())
        for plugin in plugins
        if isinstance(plugin, Embeds) and plugin.embed_script()
    )


@dataclass(frozen=True)
class Grid:
    """Which arms are shown, and where. rows: a name, and an arm for each of the heads."""

    heads: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Arm]]]

    @classmethod
    def of(cls, design: Design, /) -> Grid:
        """Arms that differ from the first one in their steps and at most one other thing.

        The fewest steps, the most, and some in between are columns; where steps are not varied, all arms are.
        """
        base = _kind(design.arms[0])
        kinds: dict[tuple[str, ...], dict[int, Arm]] = {}
        for arm in design.arms:
            if sum(a != b for a, b in zip(_kind(arm), base, strict=True)) <= 1:
                kinds.setdefault(_kind(arm), {})[arm.steps] = arm
        shown = list(kinds.values())[:MOST_KINDS]
        steps = _spaced(sorted(shown[0]), MOST_COLUMNS)
        if len(steps) > 1:
            rows = [(design.kind(arms[steps[0]]), [arms[n] for n in steps]) for arms in shown]
            return cls([f"{n} steps" for n in steps], rows)
        arms = [of_steps[steps[0]] for of_steps in shown]
        return cls([design.kind(arm) for arm in arms], [("", arms)])


def _kind(arm: Arm) -> tuple[str, ...]:
    """All but its steps."""
    return tuple(value for name, value in arm.levels().items() if name != "steps")


def _spaced(values: Sequence[int], most: int) -> list[int]:
    count = min(most, len(values))
    return [values[round(i * (len(values) - 1) / max(1, count - 1))] for i in range(count)]


def _item(runner: Runner, plugin: Modality, grid: Grid, index: int, left: int) -> tuple[str, int]:
    """One prompt and seed, and what is then left of the bytes: below 0 where some samples did not fit."""
    prompt, seed = runner.study.item(plugin.name, index)
    lines = []
    for name, arms in grid.rows:
        cells = []
        for head, arm in zip(grid.heads, arms, strict=True):
            title = ", ".join(filter(None, (prompt, name, head)))
            cell = _cell(runner, plugin, arm, index, title) if left >= 0 else ""
            left -= len(cell)
            cells.append(element("td", cell if left >= 0 else element("p", "no room on this page", class_="quiet")))
        lines.append(element("tr", element("th", text(name), scope="row"), *cells))
    heads = element("tr", element("td"), *(element("th", text(head), scope="col") for head in grid.heads))
    shown = element("table", element("thead", heads), element("tbody", *lines), class_="samples")
    title = element("h4", f"{text(prompt)} <small>seed {seed}</small>")
    scrolling = element("div", shown, class_="scroll", tabindex=0)
    return element("div", title, scrolling, class_="item", data_together=""), left


def _cell(runner: Runner, plugin: Modality, arm: Arm, index: int, title: str) -> str:
    """A sample, and what is wrong with it."""
    path = runner.sample_path(arm, index)
    faults = Record.read(runner.path(arm, index)).faults
    sample = _embedded(plugin, path, title) if path.exists() else ""
    return sample + (element("p", text("; ".join(faults)), class_="fault") if faults else "")


def _embedded(plugin: Modality, path: Path, title: str) -> str:
    """As its modality embeds it, or else its picture, or else a link that saves its file."""
    if isinstance(plugin, Embeds):
        return plugin.embed(plugin.read(path), title)
    if isinstance(plugin, Shows):
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "sample.png"
            plugin.show([(title, plugin.read(path))], picture)
            return _picture(picture, title)
    if (mimetypes.guess_type(path)[0] or "").startswith("image/"):
        return _picture(path, title)
    uri = data_uri(path.read_bytes(), "application/octet-stream")
    return element("a", f"save {path.suffix}", href=uri, download=f"{plugin.name}-{path.name}", title=title)


def _picture(path: Path, title: str) -> str:
    mime = mimetypes.guess_type(path)[0] or "application/octet-stream"
    return element("img", src=data_uri(path.read_bytes(), mime), alt=title, title=title)
