"""The samplers' own errors, on exact denoisers, as charts and a table (`multigen.comparison.oracle`)."""

from __future__ import annotations

from collections.abc import Sequence

from multigen.comparison import charts, tables
from multigen.comparison.charts import Line, Point
from multigen.comparison.markup import details, element, table, text
from multigen.comparison.oracle import LikelihoodError, OracleError
from multigen.metrics import shown

SAID = (
    "Gaussian mixtures of each modality's rank in place of its model, with exact scores: how far a sampler's result is "
    "from the exact one, as a root mean square in deviations of the data. A model's own errors have no part in it."
)


def exact(errors: Sequence[OracleError], likelihoods: Sequence[LikelihoodError] = (), /) -> str:
    """A figure for each modality: error against steps, a panel for each schedule; and what bits/dim err by."""
    styles = {sampler: style for style, sampler in enumerate(dict.fromkeys(e.sampler for e in errors))}
    figures = [
        _figure(modality, [e for e in errors if e.modality == modality], styles)
        for modality in dict.fromkeys(e.modality for e in errors)
    ]
    rows = [[text(e.modality), text(e.sampler), text(e.schedule), str(e.steps), shown(e.error)] for e in errors]
    heads = ["modality", "sampler", "schedule", "steps", "error [95 %]"]
    told = element("p", SAID, class_="quiet") + "".join(figures) + details("Table", table(heads, rows))
    if not likelihoods:
        return told
    cells = [list(map(text, row)) for row in tables.likelihood_cells(likelihoods)]
    return told + element("p", tables.LIKELIHOODS, class_="quiet") + table(tables.LIKELIHOOD_HEADS, cells)


def _figure(modality: str, errors: Sequence[OracleError], styles: dict[str, int]) -> str:
    y = charts.spread([e.error for e in errors])
    x = charts.logarithmic([float(e.steps) for e in errors], doubling=True)
    legend = [
        element("li", charts.swatch(style), text(sampler))
        for sampler, style in styles.items()
        if any(e.sampler == sampler for e in errors)
    ]
    panels = []
    for schedule in dict.fromkeys(e.schedule for e in errors):
        lines = []
        for sampler, style in styles.items():
            mine = sorted((e for e in errors if (e.sampler, e.schedule) == (sampler, schedule)), key=lambda e: e.steps)
            points = [
                Point(float(e.steps), e.error, f"{sampler}, {schedule}, {e.steps} steps: {shown(e.error)}", False)
                for e in mine
            ]
            if points:
                lines.append(Line(style, points))
        name = f"error on {modality} mixtures against steps, {schedule}"
        panels.append(element("h5", text(schedule)))
        panels.append(charts.curves(lines, [], x, y, name=name, below="steps", floor=None, best=None))
    caption = element("figcaption", element("h4", text(modality)), element("ul", *legend, class_="legend"))
    return element("figure", caption, element("div", *panels, class_="panels"), class_="metric")
