"""The queue: Celery over Redis. What travels in it is a job's id and a number; the job itself is in its record.

Queues: `cpu` (plan, report) and `gpu` (chunk, select), each with `.high` and `.low` beside it. Steps that need CUDA go to
`cuda` instead of `gpu`, which only workers with a GPU take.
"""

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from redis import DataError, Redis, RedisError
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from jobs.errors import QueueDown, QueueError, SettingsWrong
from jobs.settings import QueueSettings, secret_from
from jobs.status import JobDevice, Priority

QueueKind = Literal["cpu", "gpu", "cuda"]
StepKind = Literal["plan", "chunk", "select", "report"]

KINDS: tuple[QueueKind, ...] = ("cpu", "cuda", "gpu")
"""In the order in which a worker of several empties them: plans and reports are short, and whole jobs wait for them."""
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
STEPS: tuple[StepKind, ...] = ("plan", "chunk", "select", "report")
_SOCKET = {"socket_timeout": 30, "socket_connect_timeout": 10, "socket_keepalive": True}
_SHOWN = 300
_ANSWER_S = 5.0
"""Seconds that a request of our own may take; all are short."""


def queue_name(kind: QueueKind, priority: Priority) -> str:
    """Return `gpu.high`, `gpu`, `gpu.low`."""
    return kind if priority == "normal" else f"{kind}.{priority}"


def queue_of(step: StepKind, *, device: JobDevice, priority: Priority) -> str:
    """Return the queue that a step waits in."""
    if step in {"plan", "report"}:
        return queue_name("cpu", priority)
    return queue_name("cuda" if device == "cuda" else "gpu", priority)


def served(kinds: Sequence[QueueKind]) -> list[str]:
    """Return the queues of a worker, in the order in which it empties them: every high one before any other."""
    return [queue_name(kind, priority) for priority in PRIORITIES for kind in KINDS if kind in kinds]


def connect(settings: QueueSettings) -> "Redis":
    """Return a client of the deployment's Redis, safe to share between threads; makes no request.

    A request is tried again for about a second: a server that restarts is soon back.

    Raises:
        SettingsWrong: there is no FRAMESIFT_REDIS_URL, or its password file cannot be read.
    """
    if settings.redis_ca_file and not settings.redis_ca_file.is_file():
        raise SettingsWrong(f"FRAMESIFT_REDIS_CA_FILE: no such file: {settings.redis_ca_file}")
    tls = {"ssl_ca_certs": str(settings.redis_ca_file)} if settings.redis_ca_file else {}
    client: Redis = Redis.from_url(
        _url(settings),
        decode_responses=True,
        health_check_interval=25,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=4),
        retry_on_error=[RedisConnectionError, RedisTimeout],
        socket_timeout=_ANSWER_S,
        socket_connect_timeout=_ANSWER_S,
        socket_keepalive=True,
        **(tls if _is_tls(settings) else {}),
    )
    return client


@contextmanager
def asking_redis() -> Iterator[None]:
    """Turn what can go wrong between here and Redis into QueueDown; no text of it holds a password.

    What Redis holds and should not, a value of another type for example, is a QueueError: to ask again would not help.
    """
    try:
        yield
    except (RedisError, OperationalError, OSError) as error:
        text = str(error)[:_SHOWN]
        if (
            isinstance(error, DataError)
            or "WRONGTYPE" in text
            or "user_script" in text
            or "not an integer" in text
        ):
            raise QueueError(f"Redis holds what it should not: {text}") from error
        raise QueueDown(f"Redis does not answer as it should: {text}") from error


def make_app(
    settings: QueueSettings, *, time_limit_s: int = 6 * 3600, soft_shutdown_s: float = 20.0
) -> Celery:
    """Return the Celery application of a deployment.

    Celery delivers; it decides nothing. A message may come twice or never: steps look for their results and take
    leases, and the reconciler sends again what was lost. So there is no result backend, and no chord.

    Raises:
        SettingsWrong: as `connect`.
    """
    app = Celery("framesift", broker=_url(settings), set_as_current=False)
    app.conf.update(
        # JSON only: a pickle in the queue would be code for whoever can write to Redis.
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        # A step that dies with its process goes back; whoever takes it finds out whether there is work left.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # One message a process: what waits in a worker is seen by no other worker, and by no autoscaler.
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # CUDA cannot be used again after a fork.
        worker_pool="prefork",
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=180.0,  # a child imports torch first
        task_time_limit=time_limit_s,
        task_soft_time_limit=max(1, time_limit_s - 60),
        worker_soft_shutdown_timeout=soft_shutdown_s,
        worker_enable_soft_shutdown_on_idle=False,
        # A step outlives a restart of Redis: its lease is renewed or taken anew, and its result is in the bucket.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "global_keyprefix": settings.redis_prefix,
            # The last resort, so that no message runs twice while it runs: leases and the reconciler come long before.
            "visibility_timeout": time_limit_s + 600,
            "queue_order_strategy": "priority",
            "priority_steps": [0],  # queues have priorities here, messages have none
            "health_check_interval": 25,
            **_SOCKET,
        },
        # Nothing here asks workers anything through Redis: heartbeats are keys, and no channel needs an ACL.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_queues=[Queue(name, Exchange("framesift"), routing_key=name) for name in served(KINDS)],  # type: ignore[no-untyped-call]
        task_default_queue="cpu",
        task_create_missing_queues=False,
        enable_utc=True,
        timezone="UTC",
    )
    if _is_tls(settings):
        app.conf.broker_use_ssl = {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_check_hostname": True,
            **({"ssl_ca_certs": str(settings.redis_ca_file)} if settings.redis_ca_file else {}),
        }
    return app


def send(app: Celery, step: StepKind, *args: Any, task_id: str, queue: str) -> None:
    """Put one message into the queue.

    Raises:
        QueueDown: Redis cannot be reached.
    """
    with asking_redis():
        app.send_task(
            f"framesift.{step}",
            args=args,
            task_id=task_id,
            queue=queue,
            retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5},
        )


def _url(settings: QueueSettings) -> str:
    if settings.redis_url is None:
        raise SettingsWrong(
            "FRAMESIFT_REDIS_URL: not set; the queue needs it, for example redis://localhost:6379/0"
        )
    url = settings.redis_url.get_secret_value()
    if settings.redis_password_file is None:
        return url
    password = secret_from(settings.redis_password_file, name="FRAMESIFT_REDIS_PASSWORD_FILE")
    parts = urlsplit(url)
    user, host = parts.username or "", parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def _is_tls(settings: QueueSettings) -> bool:
    return settings.redis_url is not None and settings.redis_url.get_secret_value().startswith("rediss://")
