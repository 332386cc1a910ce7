"""What the select step hands to the report step, in this process or by way of the bucket."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import Field, ValidationError

from worker.errors import JobFailed
from worker.fact import Fact
from worker.facts import Content, Counts
from worker.publish import Artefact


class FrameAddress(Fact):
    """Which frame a sample is: a video's key, the number of its stream, and a timestamp in units of its time base.

    `is_sought` is False where the timestamp alone does not lead to the frame: then the video has to be scanned first.
    """

    source: str
    stream: int
    pts: int
    is_sought: bool = True


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that `Facts` holds except `run`, and the selected sample names in pick order.

    `frames` has the address of each sample that is a frame, of those that are selected or shown.
    """

    content: Content
    selected: tuple[str, ...]
    frames: dict[str, FrameAddress] = field(default_factory=dict)

    @property
    def counts(self) -> Counts:
        """How many there were, from the listing to the selection."""
        return self.content.counts

    def keys(self) -> set[str]:
        """Return the keys of the sources of what is selected or shown."""
        names = (*self.selected, *self.content.analysis.pictured())
        return {self.frames[name].source if name in self.frames else name for name in names}


class _Stored(Fact):
    content: Content
    selected: tuple[str, ...]
    artefacts: tuple[Artefact, ...]
    frames: dict[str, FrameAddress] = Field(default={})


def findings_to_bytes(findings: Findings, artefacts: Sequence[Artefact]) -> bytes:
    """Write findings, and the artefacts that the select step has written, as JSON."""
    stored = _Stored(
        content=findings.content,
        selected=findings.selected,
        artefacts=tuple(artefacts),
        frames=findings.frames,
    )
    return stored.model_dump_json().encode()


def findings_from_bytes(body: bytes) -> tuple[Findings, tuple[Artefact, ...]]:
    """Read what `findings_to_bytes` wrote; floats come back exactly.

    Raises:
        JobFailed: not findings, or of a newer format.
    """
    try:
        stored = _Stored.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise JobFailed(f"findings.json cannot be read by this framesift: {place}: {first['msg']}") from error
    return Findings(stored.content, stored.selected, stored.frames), stored.artefacts
