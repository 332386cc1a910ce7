"""Who works on what: a key in Redis that its holder renews, and that is free again once the holder is silent.

A lease saves double work; it does not carry correctness. Every step writes the same bytes whoever runs it, and looks for
its result first, so two holders at once cost time and nothing else.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from redis import RedisError

from jobs.queue import asking_redis

if TYPE_CHECKING:
    from redis import Redis

StopCause = Literal["cancelled", "lost", "orphaned"]

BEATS = 6
"""Renewals in the life of a lease: one that is late loses nothing."""

_RENEW = """
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if held then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Stopped(Exception):  # nothing went wrong
    """The step should end now: its job was cancelled, or another worker has taken it over."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause)
        self.cause: StopCause = cause


class NotYet(Exception):
    """The step cannot be done now, by no fault of its own: another one holds what it needs. The text says what."""


@dataclass(slots=True)
class Lease:
    """A step that this process works on, for as long as the `with` block runs.

    A thread renews it `BEATS` times in `ttl_s`. A lease that Redis has forgotten is taken again; one that has another
    holder is lost. While Redis does not answer, the holder goes on: what it makes is right in any case.
    """

    redis: "Redis"
    key: str
    ttl_s: float
    is_cancelled: Callable[[], bool] = lambda: False
    token: str = field(default_factory=lambda: token_hex(16))
    _stop: StopCause | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _parent: int = field(default_factory=os.getppid)
    _thread: threading.Thread | None = None

    def take(self) -> bool:
        """Take the lease if it is free; `with` keeps it from then on.

        Raises:
            QueueDown: Redis does not answer.
        """
        with asking_redis():
            return bool(self.redis.set(self.key, self.token, nx=True, px=self._ttl_ms))

    def check(self) -> None:
        """Raise Stopped if the step should end now; costs nothing, so ask often."""
        if self._stop is not None:
            raise Stopped(self._stop)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        try:
            self.redis.eval(_RELEASE, 1, self.key, self.token)
        except RedisError:
            return  # it is free again when its time is over

    @property
    def _ttl_ms(self) -> int:
        return max(1, round(self.ttl_s * 1000))

    def _beat(self) -> None:
        while self._stop is None and not self._ended.wait(self.ttl_s / BEATS):
            if os.getppid() != self._parent:
                self._stop = "orphaned"  # the worker was killed: what it was given is given to others
                return
            try:
                if not self.redis.eval(_RENEW, 1, self.key, self.token, self._ttl_ms):
                    self._stop = "lost"
                elif self.is_cancelled():
                    self._stop = "cancelled"
            except Exception:  # noqa: BLE001, S112  # Redis is away; a later beat finds it back
                continue


def held(redis: "Redis", keys: list[str]) -> list[bool]:
    """Tell which leases are held.

    Raises:
        QueueDown: Redis does not answer.
    """
    with asking_redis():
        return [value is not None for value in redis.mget(keys)] if keys else []
