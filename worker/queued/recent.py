"""Values that are costly to make and likely to be asked for again soon."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Keeps the values that were asked for last, as many as fit into `room` by their size, and the latest one anyway."""

    def __init__(self, room: int, *, size: Callable[[V], int] = lambda _: 1) -> None:
        self._room = room
        self._size = size
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of a key, made now if it is not kept."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._room:
            self._kept.popitem(last=False)
        return self._kept[key]
