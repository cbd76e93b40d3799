"""Differences between arms, and how far modalities agree, as tables and small charts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from multigen.comparison import charts
from multigen.comparison.charts import Chart
from multigen.comparison.findings import ALPHA, Agreement, Contrast, undecidable
from multigen.comparison.markup import details, element, table, text
from multigen.comparison.quality import named
from multigen.comparison.study import Arm
from multigen.comparison.tables import probability, share
from multigen.metrics import shown

# --- differences ------------------------------------------------------------------------------------------------------


def differences(contrasts: Sequence[Contrast], varied: Sequence[str], /) -> str:
    """How often each level is better and worse than the first one, and then every difference.

    contrasts: of one modality. varied: what its arms differ in.
    """
    if not contrasts:
        return element("p", "There is nothing to compare: no two arms differ in one thing only.", class_="quiet")
    metrics = list(dict.fromkeys(c.metric for c in contrasts))
    powerless = undecidable(contrasts)
    said = element("p", text(powerless), class_="quiet") if powerless else ""
    return (
        said
        + _summary(contrasts, metrics)
        + "".join(
            details(_count(mine), _forest(mine, varied))
            for mine in ([c for c in contrasts if c.metric == metric] for metric in metrics)
        )
    )


def _summary(contrasts: Sequence[Contrast], metrics: Sequence[str]) -> str:
    pairs = dict.fromkeys((c.factor, c.first, c.second) for c in contrasts)
    rows = [
        [
            _levels(factor, first, second),
            *(
                _tally([c for c in contrasts if (c.factor, c.first, c.second, c.metric) == (*pair, metric)])
                for metric in metrics
            ),
        ]
        for pair in pairs
        for factor, first, second in [pair]
    ]
    return table(["", *map(text, metrics)], rows, class_="summary")


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
    numbers = " ".join(
        f"{sign}{counts[kind]}" for kind, sign in (("better", "+"), ("worse", "&minus;")) if counts[kind]
    )
    return element("span", bar, class_="tally", title=said, role="img", aria_label=said) + element(
        "small", numbers or ("≠" if counts["other"] else "·")
    )


def _count(contrasts: Sequence[Contrast]) -> str:
    found, best = sum(c.adjusted < ALPHA for c in contrasts), contrasts[0].best
    of = "differences" if best is None else f"differences of the distance from {best:g}"
    return f"{text(contrasts[0].metric)} <small>{found} of {len(contrasts)} {of} are significant</small>"


def _levels(factor: str, first: Any, second: Any) -> str:
    return f"{text(named({factor: second}))} <small>against {text(str(first))}</small>"


def _forest(contrasts: Sequence[Contrast], varied: Sequence[str]) -> str:
    axis = charts.spread([c.difference for c in contrasts], [0.0])
    rows = [
        [
            _levels(c.factor, c.first, c.second),
            text(named({name: level for name, level in c.at.items() if name in varied})),
            charts.forest(c.difference, axis, verdict(c)),
            text(shown(c.difference)),
            f"{c.adjusted:.2g}",
            {"open": "", "other": "differs"}.get(verdict(c), verdict(c)),
        ]
        for c in contrasts
    ]
    return table(["which", "at", "", "difference [95 %]", "p (Holm)", ""], rows)


# --- agreement --------------------------------------------------------------------------------------------------------


def agreement(agreements: Sequence[Agreement], arms: Sequence[Arm], /) -> str:
    """The orders of each thing that is varied by each metric, and the same in a table. arms: those of the study."""
    parts = []
    for factor in dict.fromkeys(a.factor for a in agreements):
        figures = "".join(_figure(a, arms) for a in agreements if a.factor == factor)
        parts.append(element("h3", text(factor.capitalize())) + element("div", figures, class_="tiles"))
    rows = [[text(a.factor), text(a.metric), share(a.w), probability(a.p), text(_written(a))] for a in agreements]
    heads = ["what", "metric", "W", "p", "from the best to the worst"]
    return "".join(parts) + details("Table", table(heads, rows))


def orders(a: Agreement, arms: Sequence[Arm], /) -> Chart:
    """The orders of all modalities side by side; a level has the same style whatever the metric."""
    levels = dict.fromkeys(getattr(arm, a.factor) for arm in arms)
    styles = {named({a.factor: level}): style for style, level in enumerate(levels)}
    ranked = {modality: [named({a.factor: level}) for level in order] for modality, order in a.order.items()}
    return charts.orders(ranked, a.ranks, styles, name=f"{a.factor} by {a.metric}: {_written(a)}")


def agreed(a: Agreement, /) -> str:
    """How far, as text."""
    if math.isnan(a.w):
        return "W is undefined: a modality holds all equal"
    return f"W = {share(a.w)}, p = {probability(a.p)}"


def _figure(a: Agreement, arms: Sequence[Arm]) -> str:
    said = element("p", agreed(a), class_="quiet")
    return element("figure", element("figcaption", element("h4", text(a.metric)), said), orders(a, arms).svg)


def _written(a: Agreement) -> str:
    return "; ".join(f"{modality}: {a.written(modality)}" for modality in a.order)
