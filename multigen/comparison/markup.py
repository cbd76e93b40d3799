"""HTML and SVG as text: elements with escaped attributes, tables, and files inside a page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape as text

__all__ = ["data_uri", "details", "element", "table", "text"]

VOID = ("circle", "img", "line", "meta", "path", "rect")
Attribute = str | int | float | None


def element(tag: str, /, *inside: str, **attributes: Attribute) -> str:
    """inside: HTML, as it is; `text` makes it of text. attributes: text, numbers with one decimal, None left out.

    A trailing underscore is left out of an attribute's name, and others become dashes: class_="x", data_id="y".
    """
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{told}/>" if tag in VOID and not inside else f"<{tag}{told}>{''.join(inside)}</{tag}>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], /, *, class_: str | None = None) -> str:
    """heads and cells are HTML; the first cell of a row names it. It scrolls on its own where it is too wide."""
    head = element("tr", *(element("th", cell, scope="col") for cell in heads))
    body = "".join(
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in rows
    )
    inside = element("table", element("thead", head), element("tbody", body), class_=class_)
    return element("div", inside, class_="scroll", tabindex=0)


def details(summary: str, inside: str, /) -> str:
    """Shown once it is asked for."""
    return element("details", element("summary", summary), inside)


def data_uri(content: bytes, mime: str, /) -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def _plain(value: str | int | float) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
