"""Generators in threads."""

import threading
import time
from collections.abc import Iterator

import pytest

from worker.streams import streams_ahead


def test_streams__in_order_with_bounded_buffers() -> None:
    made: list[int] = []

    def numbers(item: int) -> Iterator[int]:
        for step in range(20):
            made.append(item)
            yield item * 100 + step

    results = streams_ahead(numbers, range(6), threads=2, buffer=3)
    first = next(results)
    time.sleep(0.1)
    assert len(made) <= 2 * (3 + 1) + 1
    assert [first, *results] == [item * 100 + step for item in range(6) for step in range(20)]


def test_streams__an_error_ends_it_where_it_stands_and_closes_the_others() -> None:
    closed = threading.Event()

    def some(item: int) -> Iterator[int]:
        try:
            yield item
            if item == 0:
                raise OSError("gone")
            while True:
                yield item
        finally:
            if item == 1:
                closed.set()

    results = streams_ahead(some, range(4), threads=2, buffer=2)
    assert next(results) == 0
    with pytest.raises(OSError, match="gone"):
        next(results)
    assert closed.wait(5)


def test_streams__closing_early_closes_what_runs() -> None:
    closed = threading.Event()

    def forever(item: int) -> Iterator[int]:
        try:
            while True:
                yield item
        finally:
            closed.set()

    results = streams_ahead(forever, range(3), threads=1, buffer=1)
    next(results)
    results.close()
    assert closed.wait(5)
