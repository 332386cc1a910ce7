"""Runs generators in threads ahead of whoever takes what they yield, in order and never too far."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Condition
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def streams_ahead(
    call: Callable[[A], Iterator[B]], items: Iterable[A], *, threads: int, buffer: int
) -> Generator[B]:
    """Yield all that `call(item)` yields, item after item.

    At most `threads` items are under way, the next one among them, each with at most `buffer` results waiting. The first
    error ends it: the other generators are closed where they stand.
    """
    queue = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[_Stream[B]] = deque()
        try:
            while True:
                for item in islice(queue, threads - len(pending)):
                    stream: _Stream[B] = _Stream(buffer)
                    pending.append(stream)
                    pool.submit(stream.run, call, item)
                if not pending:
                    return
                yield from pending[0]
                pending.popleft()
        finally:
            for stream in pending:
                stream.stop()


class _Stream(Generic[B]):
    """What one generator has yielded in its thread and nobody has taken yet."""

    def __init__(self, buffer: int) -> None:
        self._buffer = buffer
        self._waiting: deque[B] = deque()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._changed = Condition()

    def run(self, call: Callable[[A], Iterator[B]], item: A) -> None:
        """Take all that the call yields, until somebody stops this."""
        try:
            results = call(item)
            try:
                for result in results:
                    if not self._put(result):
                        break
            finally:
                if isinstance(results, Generator):
                    results.close()
        except BaseException as error:  # noqa: BLE001  # raised again where the results are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def stop(self) -> None:
        """Make the generator's thread end at its next result."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[B]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                result = self._waiting.popleft()
                self._changed.notify_all()
            yield result
        if self._error is not None:
            raise self._error

    def _put(self, result: B) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._buffer)
            self._waiting.append(result)
            self._changed.notify_all()
            return not self._stopped
