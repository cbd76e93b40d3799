"""The charts of a study as SVG files of their own, for a paper or a page.

Colours are written out and nothing is loaded, so that any program that reads SVG shows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from multigen.comparison.charts import LETTER, SWATCH, Chart
from multigen.comparison.differences import agreed, orders
from multigen.comparison.exact import keys, panels
from multigen.comparison.findings import Findings
from multigen.comparison.markup import element, text
from multigen.comparison.oracle import OracleError
from multigen.comparison.quality import Design, direction, plots
from multigen.comparison.run import Runner

GAP = 20
LINE = 20
"""Pixels of a line of text."""


def figures(runner: Runner, findings: Findings, errors: Sequence[OracleError] = (), /) -> dict[str, str]:
    """SVG by file name: of each modality every metric that has a value, what the modalities agree on, and the samplers'
    own errors."""
    found = {}
    for modality in runner.study.modalities:
        for plot in plots(findings, Design.of(findings, modality), runner.metrics(modality)):
            said = f"{plot.metric.name} of {modality}: {direction(plot.metric)}"
            found[f"{modality}-{plot.metric.name}"] = _figure(said, plot.legend, plot.panels)
    for a in findings.agreements:
        rows = {agreed(a): [orders(a, findings.arms)]}
        found[f"agreement-{a.factor}-{a.metric}"] = _figure(f"{a.factor} by {a.metric}", [], rows)
    for modality in dict.fromkeys(e.modality for e in errors):
        mine = [e for e in errors if e.modality == modality]
        rows = {schedule: [chart] for schedule, chart in panels(mine).items()}
        found[f"exact-{modality}"] = _figure(f"error on {modality} mixtures with exact scores", keys(mine), rows)
    return {re.sub(r"[^\w.-]+", "-", name) + ".svg": svg for name, svg in found.items()}


def _figure(title: str, legend: Sequence[tuple[str, str]], rows: Mapping[str, Sequence[Chart]]) -> str:
    """A title, a legend, and rows of charts with their names."""
    widest = max(sum(chart.width + GAP for chart in row) - GAP for row in rows.values())
    width = max(widest, LETTER * len(title)) + 2 * GAP
    entries, y = _entries(legend, width, GAP + LINE // 2)
    parts = [_words("title", GAP, GAP + LINE // 2, title), *entries]
    for name, row in rows.items():
        y += LINE
        if name:
            y += LINE // 2
            parts.append(_words("right", GAP, y, name))
            y += LINE // 2
        x = GAP
        for chart in row:
            parts.append(element("svg", chart.svg, x=x, y=y, width=chart.width, height=chart.height))
            x += chart.width + GAP
        y += max(chart.height for chart in row)
    y += GAP
    paper = element("rect", width=width, height=y, fill="#ffffff")
    return (
        element(
            "svg",
            element("title", text(title)),
            element("style", _style()),
            paper,
            *parts,
            xmlns="http://www.w3.org/2000/svg",
            width=width,
            height=y,
            viewBox=f"0 0 {width} {y}",
        )
        + "\n"
    )


def _entries(legend: Sequence[tuple[str, str]], width: int, y: int) -> tuple[list[str], int]:
    """The entries of a legend below y, as many on a line as there is room for, and where the last line is."""
    parts, x = [], GAP
    y += LINE + LINE // 2 if legend else 0
    for swatch, said in legend:
        room = SWATCH[0] + 8 + LETTER * len(said)
        if x > GAP and x + room > width - GAP:
            x, y = GAP, y + LINE
        parts.append(element("svg", swatch, x=x, y=y - 11, width=SWATCH[0], height=SWATCH[1]))
        parts.append(_words("right", x + SWATCH[0] + 8, y, said))
        x += room + GAP
    return parts, y


def _words(class_: str, x: int, y: int, said: str) -> str:
    return element("text", text(said), class_=class_, x=x, y=y)


def _style() -> str:
    """The charts' style sheet by day, with the colours in place of their names: not every program knows those."""
    light = Path(__file__).with_name("charts.css").read_text("utf-8").partition("@media")[0]
    colors = dict(re.findall(r"(--\w+): (#\w+)", light))
    rules = re.sub(r":root \{.*?\}\n", "", re.sub(r"/\*.*?\*/\n", "", light), flags=re.DOTALL)
    heading = "svg text.title { font-size: 15px; font-weight: 600; text-anchor: start; fill: var(--ink); }"
    return re.sub(r"var\((--\w+)\)", lambda found: colors[found[1]], rules + heading)
