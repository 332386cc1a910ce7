"""Runs of small jobs in this process, for tests of the whole way from listing to report."""

from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from jobs.spec import parse_job
from worker.device import choose_device
from worker.events import Events
from worker.ledger import Ledger
from worker.prepare import Prepared, prepare
from worker.runner import Made, Outcome, open_reader, run, run_until_selected
from worker.settings import Settings

DIVERSITY = {"input": {"type": "EMBEDDINGS"}, "strategy": {"type": "DIVERSITY"}}
TIMELESS = ("samples.parquet", "selected.txt", "skipped.json")


def job(source: object, output: object, **changes: Any) -> dict[str, Any]:
    """Return a small job: 6 samples by diversity of colour histograms, no pictures in the report."""
    return {
        "kind": "selection",
        "name": "night",
        "datasource": {"input": str(source), "output": str(output)},
        "selection": {"n_samples": 6, "strategies": [DIVERSITY]},
        "embedding": {"model": {"type": "colour_histogram"}, "dimension": 8},
        "report": {"images": "none"},
        **changes,
    }


def prepared(document: dict[str, Any], **settings: Any) -> Prepared:
    """Prepare a job on a small machine: chunks of about 8 sources, one decoding process, the CPU."""
    defaults = {
        "chunk_sources": 8,
        "decode_processes": 1,
        "fetch_threads": 4,
        "batch_size": 8,
        "device": "cpu",
    }
    return prepare(parse_job(document), Settings(**{**defaults, **settings}))


def run_job(document: dict[str, Any], **settings: Any) -> Outcome:
    """Run a job to its end, with its report."""
    return run(prepared(document, **settings), Events())


def select(ready: Prepared, events: Events | None = None, *, fresh: bool = False) -> Made:
    """Run a job until its selection is made: drawing a report takes longer than all the rest of a small job."""
    device = choose_device("cpu")
    with open_reader(ready, device) as reader:
        made = run_until_selected(
            ready, events or Events(), reader=reader, device=device, ledger=Ledger(), fresh=fresh
        )
    assert isinstance(made, Made), "nothing new"
    return made


def artefact(made: Made, name: str) -> bytes:
    """Read one artefact of a result."""
    return made.results.store.get(made.results.prefix + name)


def timeless(made: Made) -> dict[str, Any]:
    """Return what must not depend on when, where, how often interrupted or under which id a job ran."""
    content = to_jsonable_python(made.findings.content)
    del content["job"]["id"], content["job"]["config"]["datasource"]
    return {**{name: artefact(made, name) for name in TIMELESS}, "content": content}


def output_files(folder: Path) -> set[str]:
    """Return the relative paths of all files below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
