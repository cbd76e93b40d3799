"""The last of the items that were asked for, at hand."""

from collections.abc import Callable
from typing import Generic, TypeVar, final

T = TypeVar("T")


@final
class Latest(Generic[T]):
    """`make`, which is not called again for the index that it was called for last."""

    def __init__(self, make: Callable[[int], T], /) -> None:
        self._make = make
        self._last: tuple[int, T] | None = None

    def __call__(self, index: int, /) -> T:
        if self._last is None or self._last[0] != index:
            self._last = index, self._make(index)
        return self._last[1]
