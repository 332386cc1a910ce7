"""Calls in threads, in order."""

import threading

import pytest

from worker.ahead import ahead


def test_ahead__keeps_order() -> None:
    assert list(ahead(lambda x: x * x, range(100), threads=8, depth=16)) == [x * x for x in range(100)]


def test_ahead__takes_no_more_items_than_depth_in_advance() -> None:
    taken = []

    def items() -> object:
        for number in range(50):
            taken.append(number)
            yield number

    results = ahead(lambda x: x, items(), threads=2, depth=5)
    assert next(results) == 0
    assert len(taken) == 5
    assert list(results) == list(range(1, 50))


def test_ahead__the_first_error_ends_it() -> None:
    started = []
    gate = threading.Event()

    def call(number: int) -> int:
        started.append(number)
        if number == 0:
            gate.wait(5)
            raise ValueError("broken")
        return number

    results = ahead(call, range(100), threads=1, depth=50)
    gate.set()
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert len(started) < 100
