"""The Celery tasks of a worker: nothing but the way from a message to a step.

Celery's pool starts each process anew (spawn) and imports this module in it, so what a process needs is made there, from
its own environment.
"""

import logging
import os
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from billiard.process import current_process
from celery import Celery, shared_task
from celery.signals import worker_process_init

from jobs.ids import is_job_id
from jobs.queue import connect, make_app
from jobs.records import Records
from worker.device import assign_gpu
from worker.queued.post import Post
from worker.settings import Settings, load_settings

if TYPE_CHECKING:
    from worker.queued.attempts import Attempts

MAX_CHUNKS = 2**31

logger = logging.getLogger(__name__)


@shared_task(name="framesift.plan")
def plan(job_id: str) -> None:
    """List a job's input and send its first chunks; also what a cancelled job is sent."""
    _run(job_id, "plan")


@shared_task(name="framesift.chunk")
def chunk(job_id: str, index: int) -> None:
    """Compute one chunk of a job."""
    is_index = type(index) is int and 0 <= index < MAX_CHUNKS
    _run(job_id, str(index) if is_index else "")


@shared_task(name="framesift.select")
def select(job_id: str) -> None:
    """Select from a job's finished chunks."""
    _run(job_id, "select")


@shared_task(name="framesift.report")
def report(job_id: str) -> None:
    """Draw a job's report."""
    _run(job_id, "report")


def worker_app(settings: Settings) -> Celery:
    """Return the Celery application of a worker."""
    app = make_app(settings, time_limit_s=settings.time_limit_s, soft_shutdown_s=settings.soft_shutdown_s)
    app.conf.include = [__name__]
    return app


def process_name() -> str:
    """Return `host:1`: a name that no other process of this deployment's workers has."""
    return f"{worker_name()}:{_index() + 1}"


def worker_name() -> str:
    """Return the name of the worker that this process is, or belongs to."""
    return os.environ.get("FRAMESIFT_WORKER_NAME") or socket.gethostname()


def _run(job_id: Any, step: str) -> None:
    """Run a step, if the message can be one: whoever can write to Redis can send anything."""
    if step and isinstance(job_id, str) and is_job_id(job_id):
        _attempts().run(job_id, step)
    else:
        logger.warning("a message that names no step of a job was dropped")


@cache
def _attempts() -> "Attempts":
    """Return this process's attempts: its connections, decoders and model live as long as it does.

    What it imports takes seconds and half a gigabyte, which the process that only hands out steps does without.
    """
    from worker.queued.attempts import Attempts
    from worker.queued.endings import Endings
    from worker.queued.steps import Steps

    settings = load_settings()
    records = Records(connect(settings), settings.redis_prefix)
    post = Post(worker_app(settings), records, window=settings.window)
    endings = Endings(settings, records, post)
    steps = Steps(settings, records, post, endings, worker=process_name())
    return Attempts(settings, records, steps, endings)


def _index() -> int:
    """Return which of its worker's processes this is, from 0."""
    return int(getattr(current_process(), "index", 0) or 0)


@worker_process_init.connect
def _choose_gpu(**_: Any) -> None:
    """Give each process of a worker a GPU of its own, before anything looks for one."""
    assign_gpu(_index())
