"""Writes the artefacts that people read, and remembers what was written."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal

from worker.layout import result_prefix
from worker.storage.store import ObjectStore

FORMAT_VERSION = 1
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
DONE = "done.json"
EndState = Literal["done", "failed", "cancelled"]
SELECTED = "selected.txt"


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a result."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Results:
    """The result folder of one job."""

    store: ObjectStore
    job_name: str
    job_id: str
    artefacts: list[Artefact] = field(default_factory=list)
    before_put: Callable[[], None] = lambda: None
    """Called before each file is written; what it raises ends the publishing."""

    @property
    def prefix(self) -> str:
        """Key prefix of the folder."""
        return result_prefix(self.job_name, self.job_id)

    @property
    def url(self) -> str:
        """Where the folder is, for people."""
        return self.store.url + self.prefix

    def put(self, name: str, body: bytes, *, media_type: str) -> None:
        """Write one artefact whole."""
        self.before_put()
        self.store.put(self.prefix + name, body, media_type=media_type)
        self.artefacts.append(Artefact(name, len(body), sha256(body).hexdigest()))

    def put_json(self, name: str, value: Any) -> None:
        """Write one artefact as indented JSON."""
        self.put(name, json_bytes(value), media_type=JSON)

    def close(self, state: EndState, **facts: Any) -> None:
        """Write done.json: how the run ended, what is to be known of it, and every artefact before it."""
        about = {
            "format_version": FORMAT_VERSION,
            "state": state,
            "job_id": self.job_id,
            "name": self.job_name,
        }
        self.put_json(
            DONE, {**about, **facts, "artefacts": [asdict(artefact) for artefact in self.artefacts]}
        )


def json_bytes(value: Any) -> bytes:
    """Return JSON for people and machines: indented, keys in the order given, no NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
