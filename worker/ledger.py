"""What a job costs: requests, bytes and worker time by stage, and money where the settings know prices."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from worker.device import Device
from worker.events import Events
from worker.settings import Prices
from worker.storage.store import ObjectStore

_READS = frozenset({"GET", "HEAD"})
_HOUR_S = 3600.0
_STAGES = ("plan", "embed", "select", "report")

Spent = dict[str, float]
"""Amounts by name: `requests.GET`, `bytes_read`, `bytes_written`, `cpu_worker_s`, `gpu_worker_s`."""


@dataclass(slots=True)
class Ledger:
    """What was spent on each stage so far, and how long each took by the clock on the wall, in seconds."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    durations: dict[str, float] = field(default_factory=dict)
    stages: dict[str, Spent] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, events: Events, *stores: ObjectStore, device: Device) -> Iterator[None]:
        """Count what one stage takes on this device and asks of these stores, and say so when it is over."""
        meter = Meter(*stores, device=device)
        try:
            yield
        finally:
            self.add(name, meter.spent())
        self.durations[name] = meter.elapsed_s
        events.emit("stage_finished", stage=name, duration_s=round(meter.elapsed_s, 3))

    def add(self, stage: str, spent: Mapping[str, float]) -> None:
        """Add amounts to a stage."""
        into = self.stages.setdefault(stage, {})
        for name, amount in spent.items():
            into[name] = into.get(name, 0.0) + amount

    @property
    def total(self) -> Spent:
        """All stages together."""
        total: Spent = {}
        for spent in self.stages.values():
            for name, amount in spent.items():
                total[name] = total.get(name, 0.0) + amount
        return total

    def to_json(self, prices: Prices) -> dict[str, Any]:
        """Return the ledger as done.json has it; `cost` is there where a price is set."""
        told = {
            "stages": {name: _told(self.stages[name]) for name in _STAGES if name in self.stages},
            "total": _told(self.total),
        }
        cost = cost_of(self.total, prices)
        return told | ({"cost": cost} if cost else {})


class Meter:
    """Counts from its making on what goes through some stores, and time on a device."""

    def __init__(self, *stores: ObjectStore, device: Device) -> None:
        self._stores = list({id(store.usage): store for store in stores}.values())
        self._device = device
        self._before = self._read()
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the meter was made."""
        return time.monotonic() - self._began

    def spent(self) -> Spent:
        """Return what has been spent since then."""
        now = self._read()
        spent = {name: amount - self._before.get(name, 0.0) for name, amount in now.items()}
        spent["gpu_worker_s" if self._device.is_cuda else "cpu_worker_s"] = round(self.elapsed_s, 3)
        return {name: amount for name, amount in spent.items() if amount}

    def _read(self) -> Spent:
        found: Spent = {}
        for store in self._stores:
            for kind, count in dict(store.usage.requests).items():
                found[f"requests.{kind}"] = found.get(f"requests.{kind}", 0.0) + count
            found["bytes_read"] = found.get("bytes_read", 0.0) + store.usage.bytes_read
            found["bytes_written"] = found.get("bytes_written", 0.0) + store.usage.bytes_written
        return found


def requests_of(spent: Mapping[str, float]) -> dict[str, int]:
    """Return the requests among the amounts, by kind."""
    return {
        name.removeprefix("requests."): int(amount)
        for name, amount in sorted(spent.items())
        if name.startswith("requests.")
    }


def cost_of(spent: Mapping[str, float], prices: Prices) -> dict[str, float | str]:
    """Return what the amounts cost, in the currency of the prices; nothing where no price is set."""
    if not any(value for name, value in prices if name != "currency"):
        return {}
    requests = requests_of(spent)
    reads = sum(count for kind, count in requests.items() if kind in _READS)
    writes = sum(count for kind, count in requests.items() if kind not in _READS and kind != "DELETE")
    parts = {
        "requests": (reads * prices.get_per_million + writes * prices.put_per_million) / 1e6,
        "bytes": spent.get("bytes_read", 0.0) / 1e9 * prices.read_per_gb,
        "workers": spent.get("cpu_worker_s", 0.0) / _HOUR_S * prices.cpu_per_hour
        + spent.get("gpu_worker_s", 0.0) / _HOUR_S * prices.gpu_per_hour,
    }
    rounded = {name: round(amount, 6) for name, amount in parts.items()}
    return {"currency": prices.currency, **rounded, "total": round(sum(parts.values()), 6)}


def _told(spent: Mapping[str, float]) -> dict[str, Any]:
    return {
        "requests": requests_of(spent),
        "bytes_read": int(spent.get("bytes_read", 0)),
        "bytes_written": int(spent.get("bytes_written", 0)),
        "cpu_worker_s": round(spent.get("cpu_worker_s", 0.0), 3),
        "gpu_worker_s": round(spent.get("gpu_worker_s", 0.0), 3),
    }
