"""Runs calls in threads ahead of whoever takes the results, in order and never too far."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(call: Callable[[A], B], items: Iterable[A], *, threads: int, depth: int) -> Generator[B]:
    """Yield `call(item)` for each item, in the order of the items.

    At most `depth` results are under way or waiting, so memory does not grow with the number of items. The first
    error ends it: calls that have not begun are dropped, running ones are waited for.
    """
    queue = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[B]] = deque()
        try:
            while True:
                pending.extend(pool.submit(call, item) for item in islice(queue, depth - len(pending)))
                if not pending:
                    return
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
