"""Quality against cost, as charts: a colour for each sampler, say, and the arms that none beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multigen.comparison import charts
from multigen.comparison.charts import Axis, Chart, Line, Point
from multigen.comparison.column import goodness
from multigen.comparison.findings import Findings
from multigen.comparison.markup import details, element, table, text
from multigen.comparison.study import VARIED, Arm
from multigen.evaluation import Metric, Result
from multigen.metrics import Interval, digits, shown
from multigen.request import number

COLORED = ("sampler", "guidance", "schedule", "model")
"""What has a colour: the first of these that is varied. Steps are points of a line, all else is panels."""
COSTS = {"evaluations": "network evaluations", "seconds": "seconds a sample"}


@dataclass(frozen=True)
class Design:
    """How the arms of one modality are laid out in charts.

    arms: in the study's order. varied: what they differ in. colored: which of it has a colour, "" for none. styles: of
    its levels.
    """

    arms: Sequence[Arm]
    varied: Sequence[str]
    colored: str
    styles: Mapping[Any, int]

    @classmethod
    def of(cls, findings: Findings, modality: str, /) -> Design:
        mine = [arm for arm in findings.arms if arm.modality == modality]
        varied = [name for name in VARIED if len({getattr(arm, name) for arm in mine}) > 1]
        colored = next((name for name in COLORED if name in varied), "")
        levels = dict.fromkeys(getattr(arm, colored) for arm in mine) if colored else {"": 0}
        styles = {level: style for style, level in enumerate(levels)}
        return cls(mine, varied, colored, styles)

    def level(self, arm: Arm, /) -> Any:
        """Of what has a colour."""
        return getattr(arm, self.colored) if self.colored else ""

    def panel(self, arm: Arm, /) -> str:
        """The levels of what has neither a colour nor an axis."""
        return named({name: getattr(arm, name) for name in self.varied if name not in ("steps", self.colored)})

    def kind(self, arm: Arm, /) -> str:
        """What tells it from the other arms, but for its steps."""
        return named({name: getattr(arm, name) for name in self.varied if name != "steps"})

    def name(self, arm: Arm, /) -> str:
        """What tells it from the other arms."""
        return named({name: getattr(arm, name) for name in self.varied}) or "the model's own choices"


def named(levels: Mapping[str, Any], /) -> str:
    """Levels as one text: euler, guidance 3, 8 steps."""

    def told(name: str, level: Any) -> str:
        if name == "steps":
            return f"{level} steps"
        return f"{name} {level}" if number(level) is not None else str(level)

    return ", ".join(told(name, level) for name, level in levels.items() if level)


# --- quality against cost ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plot:
    """The charts of a metric.

    told: the results that they show. panels: against evaluations and against seconds, by what the arms of a panel have
    in common. legend: swatches and what they stand for, as text.
    """

    metric: Metric
    told: Mapping[Arm, Result]
    panels: Mapping[str, Sequence[Chart]]
    legend: Sequence[tuple[str, str]]


def plots(findings: Findings, design: Design, metrics: Sequence[Metric], /) -> list[Plot]:
    """Those of every metric that has a value."""
    found = []
    for metric in metrics:
        told = {arm: r for arm in design.arms if (r := _result(findings, arm, metric.name)) and r.interval is not None}
        if told:
            found.append(_plot(findings, design, metric, told))
    return found


def _plot(findings: Findings, design: Design, metric: Metric, told: Mapping[Arm, Result]) -> Plot:
    values = {arm: r.interval for arm, r in told.items() if r.interval is not None}
    floor = next((r.floor for r in told.values() if r.floor is not None), None)
    fixed = [metric.best] if metric.best is not None else []
    y = charts.spread([*values.values(), *([floor] if floor else [])], fixed)
    names = dict.fromkeys(design.panel(arm) for arm in values)
    panels = {name: _panel(findings, design, metric, values, y, floor, name) for name in names}
    return Plot(metric, told, panels, _legend(design, floor, metric))


def quality(findings: Findings, design: Design, metrics: Sequence[Metric], /) -> str:
    """A figure for each metric that has a value, and why the others have none."""
    charted = plots(findings, design, metrics)
    figures = [_figure(findings, design, plot) for plot in charted]
    missing = []
    for metric in metrics:
        if all(plot.metric is not metric for plot in charted):
            notes = sorted({r.note for arm in design.arms if (r := _result(findings, arm, metric.name))})
            missing.append(f"{metric.name} ({'; '.join(notes)})")
    if missing:
        figures.append(element("p", f"Without a value: {text(', '.join(missing))}.", class_="quiet"))
    return "".join(figures)


def _result(findings: Findings, arm: Arm, name: str) -> Result | None:
    return next((r for r in findings.results[arm] if r.metric == name), None)


def _figure(findings: Findings, design: Design, plot: Plot) -> str:
    metric = plot.metric
    chance = next((r.chance for r in plot.told.values() if r.chance is not None), None)
    by_chance = "" if chance is None else f"; chance is {digits(chance)}"
    about = [
        element("h4", text(metric.name)),
        element("p", text(metric.about)),
        element("p", text(direction(metric)) + by_chance + _sizes(plot.told.values()), class_="quiet"),
        legend(plot.legend),
    ]
    panels = [
        (element("h5", text(name)) if name else "") + "".join(chart.svg for chart in panel)
        for name, panel in plot.panels.items()
    ]
    return element(
        "figure",
        element("figcaption", *about),
        element("div", *panels, class_="panels"),
        details("Table", _values(findings, design, metric, plot.told)),
        class_="metric",
    )


def legend(entries: Iterable[tuple[str, str]], /) -> str:
    """Swatches and what they stand for, as a list."""
    return element("ul", *(element("li", swatch, text(said)) for swatch, said in entries), class_="legend")


def _sizes(told: Iterable[Result]) -> str:
    """How many samples are compared, and how many real ones the floor is of."""
    first = next(iter(told))
    if not first.reference:
        return ""
    floor = f"; real samples: {first.floor_n} against {first.floor_reference}" if first.floor is not None else ""
    return f"; {first.n} made samples against {first.reference} real ones{floor}"


def direction(metric: Metric, /) -> str:
    """Which values of a metric are good, and its unit."""
    unit = f", in {metric.unit}" if metric.unit else ""
    if metric.best is not None:
        return f"{metric.best:g} is best{unit}"
    return {True: "↑ higher is better", False: "↓ lower is better", None: "neither high nor low is better"}[
        metric.higher_is_better
    ] + unit


def _legend(design: Design, floor: Interval | None, metric: Metric) -> list[tuple[str, str]]:
    entries = [
        (charts.swatch(style), named({design.colored: level}))
        for level, style in design.styles.items()
        if design.colored
    ]
    if floor is not None:
        entries.append((charts.key("floor"), f"real samples, {shown(floor)}"))
    if metric.best is not None:
        entries.append((charts.key("best"), "best value"))
    if goodness(metric, 0.0) is not None:
        entries.append((charts.key("ring"), "Pareto front"))
    return entries


def _panel(
    findings: Findings,
    design: Design,
    metric: Metric,
    values: Mapping[Arm, Interval],
    y: Axis,
    floor: Interval | None,
    panel: str,
) -> list[Chart]:
    """Against evaluations and against seconds, for the arms of one panel; both have the front of all arms."""
    mine = [arm for arm in values if design.panel(arm) == panel]
    found = []
    for cost, below in COSTS.items():
        costs = {arm: getattr(findings.costs[arm], cost) for arm in values}
        costs = {arm: value for arm, value in costs.items() if value > 0}
        if not costs:
            continue
        best = front({arm: (value, values[arm].value) for arm, value in costs.items()}, metric)
        found.append(
            charts.curves(
                _lines(design, {arm: costs[arm] for arm in mine if arm in costs}, values, best),
                [(costs[arm], values[arm].value) for arm in best],
                charts.logarithmic(list(costs.values()), doubling=cost == "evaluations"),
                y,
                name=f"{metric.name} against {below}" + (f", {panel}" if panel else ""),
                below=below,
                floor=floor,
                best=metric.best,
            )
        )
    return found


def _lines(
    design: Design, costs: Mapping[Arm, float], values: Mapping[Arm, Interval], best: Sequence[Arm]
) -> list[Line]:
    lines = []
    for level, style in design.styles.items():
        mine = sorted((arm for arm in costs if design.level(arm) == level), key=costs.__getitem__)
        points = [
            Point(costs[arm], values[arm], f"{design.name(arm)}: {shown(values[arm])}", arm in best) for arm in mine
        ]
        if points:
            lines.append(Line(style, points))
    return lines


def front(places: Mapping[Arm, tuple[float, float]], metric: Metric, /) -> list[Arm]:
    """Arms (cost, value) that none beats at the same cost or less, by rising cost; none where nothing is better."""
    if goodness(metric, 0.0) is None:
        return []
    good = {arm: goodness(metric, value) or 0.0 for arm, (_, value) in places.items()}
    kept: list[Arm] = []
    for arm in sorted(places, key=lambda arm: (places[arm][0], -good[arm])):
        last = kept[-1] if kept else None
        tied = last is not None and (places[arm][0], good[arm]) == (places[last][0], good[last])
        if last is None or tied or good[arm] > good[last]:
            kept.append(arm)
    return kept


def _values(findings: Findings, design: Design, metric: Metric, told: Mapping[Arm, Result]) -> str:
    rows = []
    for arm, r in told.items():
        cost = findings.costs[arm]
        rows.append(
            [
                text(design.name(arm)),
                digits(cost.evaluations),
                digits(cost.seconds),
                text(shown(r.interval)),
                str(r.n),
                text(r.note),
            ]
        )
    return table(["arm", "evaluations", "seconds", f"{text(metric.name)} [95 %]", "samples", ""], rows)


# --- the best arms ----------------------------------------------------------------------------------------------------


def leaders(findings: Findings, design: Design, metrics: Sequence[Metric], /) -> str:
    """For each metric its best arm, and the cheapest one that is not significantly worse."""
    modality = design.arms[0].modality
    known = {leader.metric: leader for leader in findings.leaders if leader.modality == modality}
    rows = [
        [
            text(metric.name),
            *_told(findings, design, found.best, metric),
            *_told(findings, design, found.cheapest, metric),
        ]
        for metric in metrics
        if (found := known.get(metric.name))
    ]
    heads = ["arm", "value [95 %]", "evaluations"]
    return table(["metric", f"best {heads[0]}", *heads[1:], "cheapest arm not significantly worse", *heads[1:]], rows)


def _told(findings: Findings, design: Design, arm: Arm, metric: Metric) -> list[str]:
    result = _result(findings, arm, metric.name)
    value = shown(result.interval) if result else ""
    return [text(design.name(arm)), text(value), digits(findings.costs[arm].evaluations)]
