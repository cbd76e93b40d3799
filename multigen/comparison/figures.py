"""What a study found, as sections of its page: quality against cost, differences, agreement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multigen.comparison import charts
from multigen.comparison.charts import Axis, Line, Point
from multigen.comparison.findings import Agreement, Contrast, Findings
from multigen.comparison.markup import details, element, table, text
from multigen.comparison.study import VARIED, Arm
from multigen.comparison.tables import digits, shown
from multigen.evaluation import Metric, Result
from multigen.metrics import Interval

ALPHA = 0.05
COLORED = ("sampler", "guidance", "schedule", "model")
"""What has a colour: the first of these that is varied. Steps are points of a line, all else is panels."""
COSTS = {"evaluations": "network evaluations", "seconds": "seconds a sample"}


@dataclass(frozen=True)
class Design:
    """How the arms of one modality are laid out in charts.

    arms: by rising cost in evaluations. varied: what they differ in. colored: which of it has a colour, "" for none.
    styles: of its levels.
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
        return cls(sorted(mine, key=lambda arm: findings.costs[arm].evaluations), varied, colored, styles)

    def level(self, arm: Arm, /) -> Any:
        """Of what has a colour."""
        return getattr(arm, self.colored) if self.colored else ""

    def panel(self, arm: Arm, /) -> str:
        """The levels of what has neither a colour nor an axis."""
        return ", ".join(str(getattr(arm, name)) for name in self.varied if name not in ("steps", self.colored))

    def name(self, arm: Arm, /) -> str:
        """What tells it from the other arms."""
        return named({name: getattr(arm, name) for name in self.varied}) or "the model's own choices"


def named(levels: Mapping[str, Any], /) -> str:
    """Levels as one text: euler, karras, 8 steps."""
    return ", ".join(f"{value} steps" if name == "steps" else str(value) for name, value in levels.items() if value)


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
    fixed = [metric.best] if metric.best is not None else []
    y = charts.spread([*values.values(), *([floor] if floor else [])], fixed)
    panels = "".join(
        _panels(findings, design, metric, values, y, floor, panel)
        for panel in dict.fromkeys(design.panel(arm) for arm in values)
    )
    about = [
        element("h4", text(metric.name)),
        element("p", text(metric.about)),
        element("p", _direction(metric), class_="quiet"),
        _legend(design, floor, metric),
    ]
    return element(
        "figure",
        element("figcaption", *about),
        element("div", panels, class_="panels"),
        details("Table", _values(findings, design, metric, told)),
        class_="metric",
    )


def _direction(metric: Metric) -> str:
    unit = f", in {text(metric.unit)}" if metric.unit else ""
    if metric.best is not None:
        return f"{metric.best:g} is best{unit}"
    return {True: "↑ higher is better", False: "↓ lower is better", None: "neither high nor low is better"}[
        metric.higher_is_better
    ] + unit


def _legend(design: Design, floor: Interval | None, metric: Metric) -> str:
    entries = [
        element("li", charts.swatch(style), text(str(level))) for level, style in design.styles.items() if design.colored
    ]
    if floor is not None:
        entries.append(element("li", element("span", class_="swatch floor"), f"real samples, {text(shown(floor))}"))
    if metric.best is not None:
        entries.append(element("li", element("span", class_="swatch best"), "best value"))
    if _goodness(metric, 0.0) is not None:
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
                charts.logarithmic(costs.values(), doubling=cost == "evaluations"),
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
    if _goodness(metric, 0.0) is None:
        return []
    good = {arm: _goodness(metric, value) or 0.0 for arm, (_, value) in places.items()}
    kept: list[Arm] = []
    for arm in sorted(places, key=lambda arm: (places[arm][0], -good[arm])):
        if not kept or good[arm] > good[kept[-1]]:
            kept.append(arm)
    return kept


def _goodness(metric: Metric, value: float) -> float | None:
    """The higher the better; None for a metric that does not say what is better."""
    if metric.best is not None:
        return -abs(value - metric.best)
    return None if metric.higher_is_better is None else value if metric.higher_is_better else -value


def _values(findings: Findings, design: Design, metric: Metric, told: Mapping[Arm, Result]) -> str:
    rows = []
    for arm, r in told.items():
        cost = findings.costs[arm]
        rows.append(
            [text(design.name(arm)), digits(cost.evaluations), digits(cost.seconds), text(shown(r.interval)), str(r.n)]
        )
    return table(["arm", "evaluations", "seconds", f"{text(metric.name)} [95 %]", "samples"], rows)


# --- the best arms ----------------------------------------------------------------------------------------------------


def leaders(findings: Findings, design: Design, metrics: Sequence[Metric], /) -> str:
    """For each metric its best arm, and the cheapest one whose interval reaches the best value."""
    rows = []
    for metric in metrics:
        values = {
            arm: r.interval
            for arm in design.arms
            if (r := _result(findings, arm, metric.name)) and r.interval is not None
        }
        good = {arm: g for arm, i in values.items() if (g := _goodness(metric, i.value)) is not None}
        if len(good) < 2:
            continue
        best = max(good, key=good.__getitem__)
        reaching = next(arm for arm in design.arms if arm in good and _overlap(values[arm], values[best]))
        rows.append([text(metric.name), *_told(findings, design, best, values), *_told(findings, design, reaching, values)])
    heads = ["metric", "best arm", "its value", "evaluations", "cheapest with an overlapping interval", "its value", "evaluations"]
    return table(heads, rows) if rows else ""


def _overlap(one: Interval, other: Interval) -> bool:
    return one.low <= other.high and other.low <= one.high


def _told(findings: Findings, design: Design, arm: Arm, values: Mapping[Arm, Interval]) -> list[str]:
    return [text(design.name(arm)), text(shown(values[arm])), digits(findings.costs[arm].evaluations)]


# --- differences ------------------------------------------------------------------------------------------------------


def differences(contrasts: Sequence[Contrast], /) -> str:
    """How often each level is better and worse than the first one, and then every difference."""
    if not contrasts:
        return element("p", "There is nothing to compare: no two arms differ in one thing only.", class_="quiet")
    metrics = list(dict.fromkeys(c.metric for c in contrasts))
    return _summary(contrasts, metrics) + "".join(
        details(_count(mine), _forest(mine))
        for mine in ([c for c in contrasts if c.metric == metric] for metric in metrics)
    )


def _summary(contrasts: Sequence[Contrast], metrics: Sequence[str]) -> str:
    pairs = dict.fromkeys((c.factor, c.first, c.second) for c in contrasts)
    rows = [
        [
            f"{text(str(second))} <small>against {text(str(first))}</small>",
            text(factor),
            *(
                _tally([c for c in contrasts if (c.factor, c.first, c.second, c.metric) == (*pair, metric)])
                for metric in metrics
            ),
        ]
        for pair in pairs
        for factor, first, second in [pair]
    ]
    return table(["", "", *map(text, metrics)], rows, class_="summary")


def verdict(contrast: Contrast, /) -> str:
    """The class of a contrast: better, worse or other where it is significant, and open."""
    if contrast.adjusted >= ALPHA:
        return "open"
    return {True: "better", False: "worse", None: "other"}[contrast.better]


def _tally(contrasts: Sequence[Contrast]) -> str:
    """A bar of what came of them."""
    if not contrasts:
        return ""
    counts = {kind: sum(verdict(c) == kind for c in contrasts) for kind in ("better", "other", "worse", "open")}
    said = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    bar = "".join(element("i", class_=kind, style=f"flex:{count}") for kind, count in counts.items() if count)
    numbers = " ".join(f"{sign}{counts[kind]}" for kind, sign in (("better", "+"), ("worse", "−")) if counts[kind])
    return element("span", bar, class_="tally", title=said, role="img", aria_label=said) + element(
        "small", numbers or ("≠" if counts["other"] else "·")
    )


def _count(contrasts: Sequence[Contrast]) -> str:
    found = sum(c.adjusted < ALPHA for c in contrasts)
    return f"{text(contrasts[0].metric)} <small>{found} of {len(contrasts)} differences are significant</small>"


def _forest(contrasts: Sequence[Contrast]) -> str:
    axis = charts.spread([c.difference for c in contrasts], [0.0])
    rows = [
        [
            f"{text(str(c.second))} <small>against {text(str(c.first))}</small>",
            text(named(c.at)),
            charts.forest(c.difference, axis, verdict(c)),
            text(shown(c.difference)),
            f"{c.adjusted:.2g}",
            {"open": "", "other": "differs"}.get(verdict(c), verdict(c)),
        ]
        for c in contrasts
    ]
    return table(["which", "at", "", "difference [95 %]", "p (Holm)", ""], rows)


# --- agreement --------------------------------------------------------------------------------------------------------


def agreement(agreements: Sequence[Agreement], /) -> str:
    """A chart of the orders for each metric and each thing that is varied, and the figures in a table."""
    parts = []
    for factor in dict.fromkeys(a.factor for a in agreements):
        mine = [a for a in agreements if a.factor == factor]
        levels = sorted({str(level) for level in next(iter(mine[0].order.values()))}, key=_place(mine[0]))
        styles = {level: i for i, level in enumerate(levels)}
        charts_ = "".join(
            element(
                "figure",
                element("figcaption", element("h4", text(a.metric)), element("p", _concordance(a), class_="quiet")),
                charts.orders(
                    {modality: list(map(str, order)) for modality, order in a.order.items()},
                    styles,
                    name=f"{factor} by {a.metric}",
                ),
            )
            for a in mine
        )
        parts.append(element("h3", text(factor)) + element("div", charts_, class_="orders-grid"))
    return "".join(parts) + details("Table", _orders(agreements))


def _concordance(a: Agreement) -> str:
    return f"W = {a.w:.2f}, p = {a.p:.2g}"
