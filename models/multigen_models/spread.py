"""A few of many."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], most: int, /) -> list[T]:
    """At most `most` of the items, evenly spread over them; all for 0."""
    count = min(most, len(items)) if most else len(items)
    return [items[i * len(items) // count] for i in range(count)]
