"""Work on many items by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

R = TypeVar("R")

_WORTH = 16  # items that take longer than a process takes to start


def mapped(
    function: Callable[..., R],
    items: Sequence[Iterable[Any]],
    /,
    *,
    workers: int | None,
    start: Callable[[], object] | None = None,
) -> Iterator[R]:
    """What `function` returns of the arguments in each of `items`, in their order.

    Args:
        workers: how many processes; None for as many as torch has threads, where there is enough to do for them. One is
            this process.
        start: called first, in every process that works.
    """
    if workers is None:
        workers = min(torch.get_num_threads(), len(items) // _WORTH)
    if workers <= 1 or not items:
        if start:
            start()
        for item in items:
            yield function(*item)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), start) as pool:
        yield from pool.map(function, *zip(*items, strict=True))
