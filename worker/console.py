"""Shows the events of a job: progress bars on a terminal, plain lines in a log, JSON lines for a machine."""

import json
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from jobs.visible import visible
from worker.events import Fields

PLAIN_EVERY_S = 10.0
HIDDEN = frozenset({"ts", "level", "event", "text"})


class Watcher(Protocol):
    """Watches a job from start to end."""

    def __call__(self, record: dict[str, Fields]) -> None:
        """Take one event."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving the terminal as it was."""
        ...


def watcher(console: Console, *, as_json: bool) -> Watcher:
    """Choose how to show a job on this console."""
    if as_json:
        return _JsonLines(console)
    return _Bars(console) if console.is_terminal else _PlainLines(console)


class _Quiet:
    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def _line(self, text: str) -> None:
        self._console.print(visible(text), markup=False, highlight=False, soft_wrap=True)


class _JsonLines(_Quiet):
    def __call__(self, record: dict[str, Fields]) -> None:
        self._line(json.dumps(record))


class _PlainLines(_Quiet):
    """One line an event; progress at most every ten seconds a stage."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._rates: dict[str, tuple[float, int]] = {}
        self._shown_at: dict[str, float] = {}

    def __call__(self, record: dict[str, Fields]) -> None:
        if record["event"] == "progress":
            self._progress(str(record["stage"]), int(str(record["done"])), int(str(record["total"])))
        else:
            self._line(_sentence(record))

    def _progress(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        began, first = self._rates.setdefault(stage, (now, done))
        if now - self._shown_at.setdefault(stage, now) < PLAIN_EVERY_S:
            return
        self._shown_at[stage] = now
        rate = (done - first) / (now - began) if now > began else 0.0
        left = f", {(total - done) / rate:,.0f} s left" if rate else ""
        self._line(f"{stage}: {done:,} of {total:,}, {rate:,.1f}/s{left}")


class _Bars(_Quiet):
    """A bar a stage; warnings and milestones above them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._progress = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, record: dict[str, Fields]) -> None:
        if record["event"] != "progress":
            style = "yellow" if record["level"] == "warning" else "dim"
            self._progress.console.print(f"[{style}]{escape(visible(_sentence(record)))}[/]", highlight=False)
            return
        stage, done, total = str(record["stage"]), int(str(record["done"])), int(str(record["total"]))
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f}/s" if speed else "", style="progress.data.speed")


def _sentence(record: dict[str, Fields]) -> str:
    if "text" in record:
        return f"{record['event']}: {record['text']}"
    facts = ", ".join(f"{name} {_shown(value)}" for name, value in record.items() if name not in HIDDEN)
    return f"{str(record['event']).replace('_', ' ')}: {facts}" if facts else str(record["event"])


def _shown(value: Fields) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{n} {name}" for name, n in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
