"""The samplers' own errors, on exact denoisers, as charts and a table (`multigen.comparison.oracle`)."""

from __future__ import annotations

from collections.abc import Sequence

from multigen.comparison import charts, tables
from multigen.comparison.charts import Chart, Line, Point
from multigen.comparison.markup import details, element, table, text
from multigen.comparison.oracle import LikelihoodError, OracleError
from multigen.comparison.quality import legend
from multigen.metrics import shown

SAID = (
    "Gaussian mixtures of each modality's rank in place of its model, with exact scores: how far a sampler's result is "
    "from the exact one, as a root mean square in deviations of the data. A model's own errors have no part in it."
)


def exact(errors: Sequence[OracleError], likelihoods: Sequence[LikelihoodError] = (), /) -> str:
    """A figure for each modality: error against steps, a panel for each schedule; and what bits/dim err by."""
    modalities = dict.fromkeys(e.modality for e in errors)
    figures = [_figure([e for e in errors if e.modality == modality]) for modality in modalities]
    rows = [[text(e.modality), text(e.sampler), text(e.schedule), str(e.steps), shown(e.error)] for e in errors]
    heads = ["modality", "sampler", "schedule", "steps", "error [95 %]"]
    told = element("p", SAID, class_="quiet") + "".join(figures) + details("Table", table(heads, rows))
    if not likelihoods:
        return told
    cells = [list(map(text, row)) for row in tables.likelihood_cells(likelihoods)]
    return told + element("p", tables.LIKELIHOODS, class_="quiet") + table(tables.LIKELIHOOD_HEADS, cells)


def panels(errors: Sequence[OracleError], /) -> dict[str, Chart]:
    """Of one modality, error against steps, by schedule."""
    y = charts.spread([e.error for e in errors])
    x = charts.logarithmic([float(e.steps) for e in errors], doubling=True)
    found = {}
    for schedule in dict.fromkeys(e.schedule for e in errors):
        lines = []
        for style, sampler in enumerate(_samplers(errors)):
            mine = sorted((e for e in errors if (e.sampler, e.schedule) == (sampler, schedule)), key=lambda e: e.steps)
            points = [
                Point(float(e.steps), e.error, f"{sampler}, {schedule}, {e.steps} steps: {shown(e.error)}", False)
                for e in mine
            ]
            if points:
                lines.append(Line(style, points))
        name = f"error on {errors[0].modality} mixtures against steps, {schedule}"
        found[schedule] = charts.curves(lines, [], x, y, name=name, below="steps", floor=None, best=None)
    return found


def keys(errors: Sequence[OracleError], /) -> list[tuple[str, str]]:
    """The legend: the samplers' swatches and names."""
    return [(charts.swatch(style), sampler) for style, sampler in enumerate(_samplers(errors))]


def _samplers(errors: Sequence[OracleError]) -> list[str]:
    return list(dict.fromkeys(e.sampler for e in errors))


def _figure(errors: Sequence[OracleError]) -> str:
    drawn = [element("h5", text(schedule)) + chart.svg for schedule, chart in panels(errors).items()]
    caption = element("figcaption", element("h4", text(errors[0].modality)), legend(keys(errors)))
    return element("figure", caption, element("div", *drawn, class_="panels"), class_="metric")
