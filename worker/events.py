"""What happened, as events: to whoever watches now, and to log.jsonl for later."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

Fields = str | int | float | bool | None | dict[str, int]
Listener = Callable[[dict[str, Fields]], None]

MAX_LINES = 100_000


class Events:
    """Receives events of one job and passes each to every listener. Safe to use from several threads.

    An event is a name and fields; `stage`, `done` and `total` of a `progress` event feed progress bars and are not
    kept for the log. At most 100,000 lines are kept (about 30 MB).
    """

    def __init__(self, *listeners: Listener) -> None:
        self.warnings: list[str] = []
        self._listeners = listeners
        self._lines: list[str] = []
        self._lock = Lock()

    def emit(self, event: str, *, level: str = "info", **fields: Fields) -> None:
        """Report that something happened."""
        record = _record(event, level, fields)
        with self._lock:
            if event != "progress" and len(self._lines) < MAX_LINES:
                self._lines.append(json.dumps(record, ensure_ascii=True))
        for listener in self._listeners:
            listener(record)

    def warn(self, text: str) -> None:
        """Report something that the reader of the report should know too."""
        self.warnings.append(text)
        self.emit("warning", level="warning", text=text)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report how far a stage is."""
        self.emit("progress", level="debug", stage=stage, done=done, total=total)

    @staticmethod
    def lines(event: str, *, level: str = "info", **fields: Fields) -> list[str]:
        """Return one event as a line of a log."""
        return [json.dumps(_record(event, level, fields), ensure_ascii=True)]

    def log(self) -> bytes:
        """Return the log so far, one JSON object a line."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines).encode()


def _record(event: str, level: str, fields: dict[str, Fields]) -> dict[str, Fields]:
    return {"ts": datetime.now(UTC).isoformat(), "level": level, "event": event, **fields}
