"""Metrics for Prometheus, read from Redis at each scrape: one exporter speaks for all workers, those at zero included."""

import logging
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from jobs.errors import DamagedRecord, JobRejected, QueueDown
from jobs.queue import KINDS, STEPS, asking_redis, connect, queue_of, served
from jobs.records import Record, Records
from jobs.schedule import Schedules
from jobs.settings import QueueSettings
from jobs.status import STATES
from jobs.workers import gpu_memory_told, living_workers, serving
from worker.lease import held
from worker.queued.post import is_step, kind_of_step
from worker.queued.totals import BUCKETS_S

logger = logging.getLogger(__name__)


class QueueCollector(Collector):
    """Says what a deployment's Redis knows. While Redis does not answer, `framesift_redis_up` 0 is all there is."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def collect(self) -> Iterable[Metric]:
        """Return all metrics; a scrape costs some requests to Redis for each job that has not ended."""
        found: list[Metric] = []
        is_up = True
        for part in (self._queues, self._jobs, self._totals, self._gpus, self._schedules):
            try:
                found += part()
            except QueueDown as error:
                logger.warning("metrics: %s", error)
                is_up = False
                break
            except Exception as error:  # noqa: BLE001  # a damaged record costs the numbers that it is in
                logger.warning("metrics: %s: %s", type(error).__name__, error)
        return [
            _gauge("redis_up", "1 if Redis answered this scrape", float(is_up)),
            *(found if is_up else []),
        ]

    def _queues(self) -> Iterator[Metric]:
        messages = {}
        with asking_redis():
            for queue in served(KINDS):
                messages[queue] = self._records.redis.llen(self._records.prefix + queue)
        running = Counter(self._running())
        workers = living_workers(self._records)
        yield _labelled("queue_messages", "Steps that wait for a worker", "queue", messages)
        yield _labelled(
            "queue_running",
            "Steps that a worker holds",
            "queue",
            {queue: running[queue] for queue in messages},
        )
        yield _labelled(
            "queue_work",
            "Steps that wait or run: scale by this, since a queue is empty while its last steps run",
            "queue",
            {queue: messages[queue] + running[queue] for queue in messages},
        )
        yield _labelled(
            "workers",
            "Living workers that take from a queue",
            "queue",
            {queue: len(serving(workers, queue)) for queue in messages},
        )

    def _running(self) -> Iterator[str]:
        """Yield the queue of each step whose lease is held."""
        for job_id in self._records.active():
            record = None
            with suppress(DamagedRecord):
                record = self._records.find(job_id)
            if record is not None:
                steps = [step for step in self._records.flight(job_id) if is_step(step)]
                keys = [self._records.lease_key(job_id, step) for step in steps]
                for step, is_held in zip(steps, held(self._records.redis, keys), strict=True):
                    if is_held:
                        yield _queue(record, step)

    def _jobs(self) -> Iterator[Metric]:
        states = self._records.states()
        yield _labelled(
            "jobs",
            "Jobs that the queue remembers",
            "state",
            {state: states.get(state, 0) for state in STATES},
        )

    def _totals(self) -> Iterator[Metric]:
        totals = self._records.totals()
        yield _counter("chunks_done", "Chunks that were computed", totals.get("chunks", 0.0))
        yield _counter(
            "sources_done", "Objects of the input that were read for chunks", totals.get("sources", 0.0)
        )
        yield _counter("steps_requeued", "Lost steps that were sent again", totals.get("requeued", 0.0))
        yield _counter("bytes_read", "Bytes read from the stores", totals.get("bytes_read", 0.0))
        yield _counter("bytes_written", "Bytes written to the stores", totals.get("bytes_written", 0.0))
        yield _labelled_counter(
            "sources_skipped", "Objects that were left out", "reason", _below(totals, "skipped")
        )
        failed = dict.fromkeys(STEPS, 0.0) | _below(totals, "failed")
        yield _labelled_counter("steps_failed", "Tries of steps that ended in an error", "step", failed)
        seconds = HistogramMetricFamily(
            "framesift_step_seconds", "How long finished steps took, in seconds", labels=["step"]
        )
        for step in STEPS:
            count = totals.get(f"steps|{step}", 0.0)
            bounds = [(f"{bound:g}", totals.get(f"le|{step}|{bound:g}", 0.0)) for bound in BUCKETS_S]
            seconds.add_metric([step], [*bounds, ("+Inf", count)], totals.get(f"seconds|{step}", 0.0))
        yield seconds

    def _gpus(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "framesift_gpu_memory_bytes",
            "Memory of the GPU of a worker's process, by whomever it is used",
            labels=["worker", "kind"],
        )
        for process, (used, total) in sorted(gpu_memory_told(self._records).items()):
            family.add_metric([process, "used"], used)
            family.add_metric([process, "total"], total)
        yield family

    def _schedules(self) -> Iterator[Metric]:
        told = Schedules(self._records).all()
        due = {one.schedule.name: one.last_due.timestamp() for one in told if one.last_due}
        done = {one.schedule.name: one.last_done.timestamp() for one in told if one.last_done}
        yield _labelled(
            "schedule_last_due_timestamp_seconds", "The latest tick that was seen to", "schedule", due
        )
        yield _labelled(
            "schedule_last_done_timestamp_seconds",
            "When a job of the schedule was last done",
            "schedule",
            done,
        )
        with asking_redis():
            reconciled = self._records.redis.get(self._records.key("reconciled"))
        if reconciled:
            yield _gauge(
                "reconcile_timestamp_seconds", "When a beat last looked for lost work", float(str(reconciled))
            )


def serve_metrics(settings: QueueSettings, listen: str) -> None:
    """Serve metrics over HTTP until SIGTERM or Ctrl-C.

    Raises:
        JobRejected: `listen` is not HOST:PORT. OSError: nothing can listen there.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise JobRejected(f"--listen: should be HOST:PORT, such as 127.0.0.1:9808 (got {listen!r})")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueCollector(Records(connect(settings), settings.redis_prefix)))
    server, thread = start_http_server(int(port), addr=host.strip("[]"), registry=registry)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.shutdown()
    thread.join()


def _queue(record: Record, step: str) -> str:
    return queue_of(kind_of_step(step), device=record.device, priority=record.priority)


def _below(totals: dict[str, float], what: str) -> dict[str, float]:
    return {
        name.removeprefix(f"{what}|"): amount
        for name, amount in sorted(totals.items())
        if name.startswith(f"{what}|")
    }


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"framesift_{name}", about, value=value)


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"framesift_{name}", about, value=value)


def _labelled(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"framesift_{name}", about, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family


def _labelled_counter(name: str, about: str, label: str, values: dict[str, float]) -> Metric:
    family = CounterMetricFamily(f"framesift_{name}", about, labels=[label])
    for value, amount in values.items():
        family.add_metric([value], amount)
    return family
