"""Small charts as SVG. Colours are the classes c0 to c7, so that a style sheet can turn them for a dark page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from multigen.comparison.markup import element, text
from multigen.metrics import Interval

COLORS = 8
WIDTH, HEIGHT = 380, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 38
MARK = 3.6
SWATCH = 26, 14
DODGE = 26
"""Pixels between arms that all cost the same."""
FOREST_WIDTH, FOREST_HEIGHT = 220, 18
LETTER = 7
"""Pixels of a letter of a label, about."""
ALIKE = 1.1
"""Costs that differ by a smaller factor are the same."""
WIDE = 20.0
"""From this ratio on a linear axis would hide the small values."""


class Chart(NamedTuple):
    """An SVG element and its size in pixels."""

    svg: str
    width: int
    height: int


# --- axes -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """From values to shares of a length: 0 at `low`, 1 at `high`, evenly after `bend`."""

    low: float
    high: float
    ticks: Sequence[float]
    bend: Callable[[float], float] = float

    def at(self, value: float, /) -> float:
        low, high = self.bend(self.low), self.bend(self.high)
        return (self.bend(value) - low) / (high - low)


def linear(values: Iterable[float], /) -> Axis:
    """With a margin, and about five round ticks."""
    low, high = _ends(values)
    margin = 0.05 * (high - low)
    low, high = low - margin, high + margin
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return Axis(low, high, [i * step for i in range(first, last + 1)])


def logarithmic(values: Sequence[float], /, *, doubling: bool = False) -> Axis:
    """Of positive values, with a margin. doubling: ticks at powers of two, otherwise at 1, 2 and 5 times those of ten.

    A value that stands alone has the only tick.
    """
    low, high = _ends(values, factor=1.5)
    margin = (high / low) ** 0.05
    low, high = low / margin, high * margin
    ticks = _rounded(low, high, doubling) if min(values) < max(values) else values[:1]
    return Axis(low, high, ticks, math.log)


def _rounded(low: float, high: float, doubling: bool) -> list[float]:
    """Ticks of a logarithmic axis: neither one alone nor more than seven."""
    tens = [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    if doubling:
        ticks = [2.0**k for k in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    else:
        ticks = [m * ten for ten in tens for m in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) > 7:
        return [ten for ten in tens if low <= ten <= high]
    return inside if len(inside) > 1 else [tick for tick in linear([low, high]).ticks if low <= tick <= high]


def bent(values: Iterable[float], /, *, unit: float) -> Axis:
    """Linear up to about `unit` on either side of 0, logarithmic beyond."""
    low, high = _ends(values)

    def bend(value: float) -> float:
        return math.asinh(value / unit)

    powers = [10.0**k for k in range(math.ceil(math.log10(unit)), math.ceil(math.log10(max(-low, high))) + 1)]
    spaced = powers[:: math.ceil(len(powers) / 3)]
    ticks = [*(-p for p in reversed(spaced)), 0.0, *spaced]
    return Axis(low, high, [tick for tick in ticks if low <= tick <= high], bend)


def closed(interval: Interval, /) -> Interval:
    """With its value in place of an end that is not finite: there may be no interval."""
    low, high = (end if math.isfinite(end) else interval.value for end in (interval.low, interval.high))
    return Interval(interval.value, low, high)


def spread(intervals: Sequence[Interval], others: Sequence[float] = (), /) -> Axis:
    """Linear, unless values on very different scales would then look alike next to their own uncertainty."""
    finite = [closed(i) for i in intervals if math.isfinite(i.value)]
    values = [end for i in finite for end in (i.value, i.low, i.high)] + list(others)
    halves = sorted((i.high - i.low) / 2 for i in finite)
    unit = halves[len(halves) // 2] if halves else 0.0
    largest = max(map(abs, values))
    if unit <= 0 or largest < WIDE * unit:
        return linear(values)
    smallest = min(values)
    if smallest > 0:
        return logarithmic(values) if largest > WIDE * smallest else linear(values)
    return bent(values, unit=unit)


def _ends(values: Iterable[float], *, factor: float = 0.0) -> tuple[float, float]:
    """The least and the greatest, moved apart where they are one: by a factor, or else by a twentieth."""
    every = list(values)
    low, high = min(every), max(every)
    if low < high:
        return low, high
    apart = 0.05 * abs(low) or 1.0
    return (low / factor, high * factor) if factor else (low - apart, high + apart)


# --- quality against cost ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """An arm. about: shown where it is pointed at. front: whether none is both as cheap and as good."""

    x: float
    y: Interval
    about: str
    front: bool


@dataclass(frozen=True)
class Line:
    """Points of one level of what is varied, by rising x. style: its colour and the shape of its marks."""

    style: int
    points: Sequence[Point]


def curves(
    lines: Sequence[Line],
    front: Sequence[tuple[float, float]],
    x: Axis,
    y: Axis,
    /,
    *,
    name: str,
    below: str,
    floor: Interval | None,
    best: float | None,
) -> Chart:
    """Lines with their intervals as bands, over what real samples reach (floor) and the value that is best.

    front: the places (x, y) that no arm beats. name: what the chart shows. below: what the x-axis is.
    """

    def across(value: float) -> float:
        return LEFT + x.at(value) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - min(1.0, max(0.0, y.at(value))) * (HEIGHT - TOP - BOTTOM)

    parts = [_grid(x, y, across, down, below)]
    if floor is not None:
        top, bottom = down(closed(floor).high), down(closed(floor).low)
        inner = WIDTH - LEFT - RIGHT
        parts.append(element("rect", class_="floor", x=LEFT, y=top, width=inner, height=max(1.0, bottom - top)))
        parts.append(_segment("floor", LEFT, down(floor.value), WIDTH - RIGHT, down(floor.value)))
    if best is not None:
        parts.append(_segment("best", LEFT, down(best), WIDTH - RIGHT, down(best)))
    parts.append(_path("front", [(across(a), down(b)) for a, b in front]))
    costs = [point.x for line in lines for point in line.points]
    alike = len(costs) == len(lines) and max(costs) < ALIKE * min(costs)
    for place, line in enumerate(lines):
        aside = DODGE * (place - (len(lines) - 1) / 2) if alike else 0.0
        parts.append(_line(line, across, down, aside))
    return Chart(_svg(name, *parts, width=WIDTH, height=HEIGHT, class_="chart"), WIDTH, HEIGHT)


def _line(line: Line, across: Callable[[float], float], down: Callable[[float], float], aside: float) -> str:
    """A band, or a bar where there is but one point; then the line and its marks, moved aside by some pixels."""
    places = [(across(p.x) + aside, down(p.y.value)) for p in line.points]
    upper = [(across(p.x) + aside, down(closed(p.y).high)) for p in line.points]
    lower = [(across(p.x) + aside, down(closed(p.y).low)) for p in line.points]
    parts = []
    if len(places) > 1:
        parts += [_path("band", [*upper, *reversed(lower)]), _path("line", places)]
    else:
        parts += [_segment("bar", *high, *low) for high, low in zip(upper, lower, strict=True)]
    for point, (a, b) in zip(line.points, places, strict=True):
        ring = element("circle", class_="ring", cx=a, cy=b, r=MARK + 3) if point.front else ""
        parts.append(element("g", element("title", text(point.about)), ring, mark(line.style, a, b)))
    return element("g", *parts, class_=f"series {color(line.style)}")


def color(style: int, /) -> str:
    """The class of a style's colour."""
    return f"c{style % COLORS}"


def mark(style: int, x: float, y: float, /) -> str:
    """A circle, a square, a diamond or a triangle, by turns."""
    r = MARK
    shape = style % 4
    if shape == 0:
        return element("circle", class_="mark", cx=x, cy=y, r=r)
    if shape == 1:
        return element("rect", class_="mark", x=x - r + 0.3, y=y - r + 0.3, width=2 * r - 0.6, height=2 * r - 0.6)
    corners = {2: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)), 3: ((0, -1.25), (1.2, 0.95), (-1.2, 0.95))}[shape]
    return _path("mark", [(x + r * a, y + r * b) for a, b in corners], closed=True)


def swatch(style: int, /) -> str:
    """A style's line and mark, for a legend."""
    return _swatch(_segment("line", 1, 7, 25, 7), mark(style, 13.0, 7.0), class_=color(style))


def key(kind: str, /) -> str:
    """What a chart's floor, best value or ring looks like, for a legend."""
    signs = {
        "floor": element("rect", class_="floor", x=0, y=0, width=SWATCH[0], height=SWATCH[1]),
        "best": _segment("best", 0, 7, 26, 7),
        "ring": element("circle", class_="ring", cx=13, cy=7, r=MARK + 2),
    }
    return _swatch(signs[kind])


def _swatch(*inside: str, class_: str = "") -> str:
    width, height = SWATCH
    box = f"0 0 {width} {height}"
    return element("svg", *inside, class_=f"swatch {class_}".strip(), viewBox=box, aria_hidden="true")


def _grid(x: Axis, y: Axis, across: Callable[[float], float], down: Callable[[float], float], below: str) -> str:
    foot = HEIGHT - BOTTOM
    parts = []
    for tick in y.ticks:
        parts.append(_segment("grid", LEFT, down(tick), WIDTH - RIGHT, down(tick)))
        parts.append(element("text", f"{tick:.4g}", x=LEFT - 6, y=down(tick) + 4, class_="tick left"))
    for tick in x.ticks:
        parts.append(_segment("tick", across(tick), foot, across(tick), foot + 4))
        parts.append(element("text", f"{tick:.4g}", x=across(tick), y=foot + 16, class_="tick"))
    parts.append(_segment("axis", LEFT, foot, WIDTH - RIGHT, foot))
    parts.append(element("text", text(below), x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5, class_="label"))
    return "".join(parts)


# --- intervals and orders ---------------------------------------------------------------------------------------------


def forest(interval: Interval, axis: Axis, style: str, /) -> str:
    """One row of a forest plot: an estimate, its interval and the line at zero. style: the class of its colour."""
    middle = FOREST_HEIGHT / 2

    def across(value: float) -> float:
        return 5 + min(1.0, max(0.0, axis.at(value))) * (FOREST_WIDTH - 10)

    parts = [_segment("zero", across(0.0), 0, across(0.0), FOREST_HEIGHT)]
    if math.isfinite(interval.value):
        drawn = closed(interval)
        parts.append(_segment("bar", across(drawn.low), middle, across(drawn.high), middle))
        parts.append(element("circle", class_="mark", cx=across(drawn.value), cy=middle, r=MARK))
    return _svg("", *parts, width=FOREST_WIDTH, height=FOREST_HEIGHT, class_=f"forest {style}")


def orders(
    ranked: Mapping[str, Sequence[str]],
    ranks: Mapping[str, Sequence[float]],
    styles: Mapping[str, int],
    /,
    *,
    name: str,
) -> Chart:
    """What each judge ranks first, second and so on, joined by lines; bars join what a judge holds equal.

    ranked: by judge. ranks: the places in each order, shared by equals. styles: of what is ranked.
    """
    edge, step = 20 + LETTER * max(map(len, styles)), 92
    width, height = 2 * edge + step * (len(ranked) - 1), 24 * len(styles) + 26
    parts = [element("text", text(judge), x=edge + step * j, y=14, class_="label") for j, judge in enumerate(ranked)]
    for j, places in enumerate(ranks.values()):
        for i in range(1, len(places)):
            if places[i] == places[i - 1]:
                parts.append(_segment("tie", edge + step * j, 10.0 + 24 * i, edge + step * j, 34.0 + 24 * i))
    for label, style in styles.items():
        there = [(edge + step * j, 34.0 + 24 * list(order).index(label)) for j, order in enumerate(ranked.values())]
        (left, first), (right, last) = there[0], there[-1]
        inside = [
            _path("line", there),
            *(mark(style, *place) for place in there),
            element("text", text(label), x=left - 10, y=first + 4, class_="tick left"),
            element("text", text(label), x=right + 10, y=last + 4, class_="tick right"),
        ]
        parts.append(element("g", *inside, class_=f"series {color(style)}"))
    return Chart(_svg(name, *parts, width=width, height=height, class_="orders"), width, height)


# --- SVG --------------------------------------------------------------------------------------------------------------


def _svg(name: str, *inside: str, width: int, height: int, class_: str) -> str:
    told = {"role": "img", "aria_label": name} if name else {"aria_hidden": "true"}
    return element("svg", *inside, class_=class_, width=width, viewBox=f"0 0 {width} {height}", **told)


def _segment(class_: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def _path(class_: str, places: Sequence[tuple[float, float]], *, closed: bool = False) -> str:
    if not places:
        return ""
    closed = closed or class_ == "band"
    d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + ("Z" if closed else "")
    return element("path", class_=class_, d=d)
