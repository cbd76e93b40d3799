"""Quality against cost, as charts: a colour for each sampler, say, and the arms that none beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multigen.comparison import charts
from multigen.comparison.charts import Axis, Line, Point
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


def quality(findings: Findings, design: Design, metrics: Sequence[Metric], /) -> str:
    """A figure for each metric that has a value, and why the others have none."""
    figures, missing = [], []
    for metric in metrics:
        told = {arm: r for arm in design.arms if (r := _result(findings, arm, metric.name)) and r.interval is not None}
        if told:
            figures.append(_figure(findings, design, metric, told))
        else:
            notes = sorted({r.note for arm in design.arms if (r := _result(findings, arm, metric.name))})
            missing.append(f"{metric.name} ({'; '.join(notes)})")
    if missing:
        figures.append(element("p", f"Without a value: {text(', '.join(missing))}.", class_="quiet"))
    return "".join(figures)


def _result(findings: Findings, arm: Arm, name: str) -> Result | None:
    return next((r for r in findings.results[arm] if r.metric == name), None)


def _figure(findings: Findings, design: Design, metric: Metric, told: Mapping[Arm, Result]) -> str:
    values = {arm: r.interval for arm, r in told.items() if r.interval is not None}
    floor = next((r.floor for r in told.values() if r.floor is not None), None)
    chance = next((r.chance for r in told.values() if r.chance is not None), None)
    by_chance = "" if chance is None else f"; chance is {digits(chance)}"
    fixed = [metric.best] if metric.best is not None else []
    y = charts.spread([*values.values(), *([floor] if floor else [])], fixed)
    panels = "".join(
        _panels(findings, design, metric, values, y, floor, panel)
        for panel in dict.fromkeys(design.panel(arm) for arm in values)
    )
    about = [
        element("h4", text(metric.name)),
        element("p", text(metric.about)),
        element("p", _direction(metric) + by_chance + _sizes(told.values()), class_="quiet"),
        _legend(design, floor, metric),
    ]
    return element(
        "figure",
        element("figcaption", *about),
        element("div", panels, class_="panels"),
        details("Table", _values(findings, design, metric, told)),
        class_="metric",
    )


def _sizes(told: Iterable[Result]) -> str:
    """How many samples are compared, and how many real ones the floor is of."""
    first = next(iter(told))
    if not first.reference:
        return ""
    floor = f"; real samples: {first.floor_n} against {first.floor_reference}" if first.floor is not None else ""
    return f"; {first.n} made samples against {first.reference} real ones{floor}"


def _direction(metric: Metric) -> str:
    unit = f", in {text(metric.unit)}" if metric.unit else ""
    if metric.best is not None:
        return f"{metric.best:g} is best{unit}"
    return {True: "↑ higher is better", False: "↓ lower is better", None: "neither high nor low is better"}[
        metric.higher_is_better
    ] + unit


def _legend(design: Design, floor: Interval | None, metric: Metric) -> str:
    entries = [
        element("li", charts.swatch(style), text(named({design.colored: level})))
        for level, style in design.styles.items()
        if design.colored
    ]
    if floor is not None:
        entries.append(element("li", element("span", class_="swatch floor"), f"real samples, {text(shown(floor))}"))
    if metric.best is not None:
        entries.append(element("li", element("span", class_="swatch best"), "best value"))
    if goodness(metric, 0.0) is not None:
        entries.append(element("li", element("span", class_="swatch ring"), "Pareto front"))
    return element("ul", *entries, class_="legend")


def _panels(
    findings: Findings,
    design: Design,
    metric: Metric,
    values: Mapping[Arm, Interval],
    y: Axis,
    floor: Interval | None,
    panel: str,
) -> str:
    """Against evaluations and against seconds, for the arms of one panel; both have the front of all arms."""
    mine = [arm for arm in values if design.panel(arm) == panel]
    parts = [element("h5", text(panel))] if panel else []
    for cost, below in COSTS.items():
        costs = {arm: getattr(findings.costs[arm], cost) for arm in values}
        costs = {arm: value for arm, value in costs.items() if value > 0}
        if not costs:
            continue
        best = front({arm: (value, values[arm].value) for arm, value in costs.items()}, metric)
        parts.append(
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
    return "".join(parts)


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
