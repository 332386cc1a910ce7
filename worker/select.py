"""The select step: finished chunks become a pool, the pool a selection, and both together the facts of the report."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.choose import Choice, choose
from worker.device import Device
from worker.events import Events
from worker.facets import identity_json
from worker.facts import Counts, EmbeddingFacts, JobFacts, SkippedExample
from worker.findings import Findings
from worker.gather import Gathered, Gatherer, LeftOut, NothingLeft
from worker.layout import CHUNKS, job_key
from worker.manifest import NOT_UTF8, Plan
from worker.media.extensions import kind_of
from worker.prepare import Prepared
from worker.publish import TEXT, Results
from worker.variants import MEASURES

FORMAT_VERSION = 1
EXAMPLES_PER_REASON = 5
PROJECTION = "projection.npz"


def select(prepared: Prepared, plan: Plan, results: Results, *, device: Device, events: Events) -> Findings:
    """Gather the pool, select, analyse, and write samples.parquet, selected.txt and skipped.json.

    Memory: about 500 bytes and 4 x dimension bytes a sample, what the selection states for itself, and one chunk at
    a time of full embeddings.

    Raises:
        JobFailed: no sample could be read; skipped.json and a done.json that says so are written first.
    """
    gathered = _gathered(prepared, plan, results, events)
    names = gathered.samples["sample"].to_pylist()
    columns = _columns(gathered)
    asked = prepared.job.selection.asked_of(len(names))
    choice = choose(
        gathered.embedding,
        names=names,
        measures={
            f"lightly.{MEASURES.by_name[column.name].key}": column.values for column in _numeric(columns)
        },
        job=prepared.job,
        asked=asked,
        device=device,
    )
    for warning in (*_input_warnings(plan, gathered.skipped), *choice.warnings):
        events.warn(warning)
    _write(gathered, choice, results)
    counts = _counts(plan, gathered, choice, asked=asked)
    analysis = analyse(
        gathered.embedding,
        names=names,
        selected=choice.rows,
        candidates=choice.candidates,
        columns=columns,
        seed=prepared.job.seed,
        device=device,
    )
    content: dict[str, Any] = {
        "job": JobFacts(
            id=results.job_id,
            name=prepared.job.name,
            config=prepared.job.model_dump(mode="json", exclude_none=True),
            seed=prepared.job.seed,
        ),
        "counts": counts,
        "embedding": _embedding_facts(prepared, gathered),
        "strategies": choice.strategies,
        "analysis": analysis,
        "skipped_examples": _examples(gathered.skipped),
        "warnings": tuple(events.warnings),
        "digests": {artefact.name: artefact.sha256 for artefact in results.artefacts},
    }
    return Findings(content=content, counts=counts, selected=tuple(names[row] for row in choice.rows))


def _gathered(prepared: Prepared, plan: Plan, results: Results, events: Events) -> Gathered:
    store = prepared.output
    existing = {info.key for info in store.list(CHUNKS)}
    gatherer = Gatherer(store, plan, prepared.facets, existing=existing, job_id=results.job_id)
    total, done = 2 * len(plan.chunks), 0

    def on_chunk() -> None:
        nonlocal done
        done += 1
        events.progress("gather", done, total)

    try:
        gathered = gatherer.gather(
            dimension=prepared.job.embedding.dimension,
            normalized=prepared.job.embedding.normalize,
            on_chunk=on_chunk,
        )
    except NothingLeft as failure:
        results.put_json("skipped.json", [asdict(left_out) for left_out in failure.skipped])
        results.close("failed", reason=str(failure))
        raise
    store.put(
        job_key(results.job_id, PROJECTION),
        gathered.projection.to_bytes(),
        media_type="application/octet-stream",
    )
    return gathered


def _write(gathered: Gathered, choice: Choice, results: Results) -> None:
    results.put(
        "samples.parquet",
        _samples_parquet(gathered, choice.rows),
        media_type="application/vnd.apache.parquet",
    )
    names = gathered.samples["sample"].to_pylist()
    lines = "".join(f"{one_line(names[row])}\n" for row in choice.rows)
    results.put("selected.txt", lines.encode(), media_type=TEXT)
    left_out = sorted([*gathered.skipped, *gathered.duplicates], key=lambda one: one.source.encode())
    results.put_json("skipped.json", [asdict(one) for one in left_out])


def _samples_parquet(gathered: Gathered, rows: NDArray[np.int64]) -> bytes:
    """Return one row a sample: who it is, its measures, its embedding, and at which step it was selected."""
    samples = gathered.samples
    steps = np.zeros(samples.num_rows, np.int32)
    steps[rows] = np.arange(1, len(rows) + 1)
    dimension = gathered.embedding.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(gathered.embedding.ravel()), dimension)
    table = samples.append_column("embedding", vectors).append_column(
        "selected_at", pa.array(steps, mask=steps == 0)
    )
    out = BytesIO()
    about = {"framesift": f'{{"format_version": {FORMAT_VERSION}}}'}
    pq.write_table(table.replace_schema_metadata(about), out, compression="zstd")
    return out.getvalue()


def one_line(name: str) -> str:
    """Return a sample name as one line: as it is, or as a JSON string where it holds a control character."""
    return json.dumps(name) if any(not char.isprintable() and char != " " for char in name) else name


def _columns(gathered: Gathered) -> tuple[NumericColumn | TextColumn, ...]:
    """Return every measure of the pool; where pixels matter, say which were seen."""
    seen = _seen(gathered)
    columns: list[NumericColumn | TextColumn] = []
    for name, measure in sorted(MEASURES.by_name.items()):
        if measure.numeric:
            values = gathered.samples[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
            pixels = (
                "original" if not measure.of_pixels else "full size" if name in gathered.full_size else seen
            )
            columns.append(
                NumericColumn(name, measure.label, measure.unit, pixels, np.nan_to_num(values, nan=np.nan))
            )
    return tuple(columns)


def _seen(gathered: Gathered) -> str:
    """Say in words at what size the measures saw the images."""
    shorter = np.minimum(
        gathered.samples["seen_width"].to_numpy(zero_copy_only=False),
        gathered.samples["seen_height"].to_numpy(zero_copy_only=False),
    )
    low, high = int(shorter.min()), int(shorter.max())
    return f"short side of {low} px" if low == high else f"short side of {low} to {high} px"


def _numeric(columns: Sequence[NumericColumn | TextColumn]) -> list[NumericColumn]:
    return [column for column in columns if isinstance(column, NumericColumn)]


def _input_warnings(plan: Plan, skipped: Sequence[LeftOut]) -> list[str]:
    videos = sum(count for ending, count in plan.ignored.items() if kind_of(f"x{ending}") == "video")
    warnings = []
    if skipped:
        reasons = Counter(one.reason for one in skipped)
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        warnings.append(
            f"Skipped: {len(skipped):,} of {plan.source_count:,} images ({listed}); see skipped.json."
        )
    if videos:
        warnings.append(f"Not read: {_counted(videos, 'video')}; this version selects images only.")
    if unnamed := plan.ignored.get(NOT_UTF8, 0):
        warnings.append(f"Not read: {_counted(unnamed, 'file')} whose name is not UTF-8.")
    return warnings


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _counts(plan: Plan, gathered: Gathered, choice: Choice, *, asked: int) -> Counts:
    ignored = sum(plan.ignored.values())
    skipped = Counter(left_out.reason for left_out in gathered.skipped)
    read = plan.source_count - skipped.total()
    candidates = int(choice.candidates.sum())
    return Counts(
        listed=plan.source_count + ignored,
        ignored=ignored,
        skipped=dict(sorted(skipped.items())),
        read=read,
        samples=read,
        duplicates=len(gathered.duplicates),
        pool=gathered.samples.num_rows,
        dropped=gathered.samples.num_rows - candidates,
        candidates=candidates,
        asked=asked,
        selected=len(choice.rows),
    )


def _embedding_facts(prepared: Prepared, gathered: Gathered) -> EmbeddingFacts:
    identity = identity_json(prepared.identity)
    reduced = gathered.projection.dimension < prepared.identity.dimension
    return EmbeddingFacts(
        model=identity["name"],
        weights_sha256=identity["weights_sha256"],
        preprocessing={**identity["preprocessing"], **identity["details"]},
        licence=identity["licence"],
        dimension_model=identity["dimension"],
        dimension=gathered.projection.dimension,
        explained_variance=gathered.projection.explained if reduced else None,
        normalised=prepared.job.embedding.normalize,
    )


def _examples(skipped: Sequence[LeftOut]) -> tuple[SkippedExample, ...]:
    shown: Counter[str] = Counter()
    examples = []
    for one in skipped:
        shown[one.reason] += 1
        if shown[one.reason] <= EXAMPLES_PER_REASON:
            examples.append(SkippedExample(source=one.source, reason=one.reason, detail=one.detail))
    return tuple(examples)
