"""The select step: finished chunks become a pool, the pool a selection, and both together the facts of the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.analysis.explain import Explanation, explain
from worker.categories import Category
from worker.choose import Choice, choose
from worker.device import Device
from worker.errors import JobRejected
from worker.events import Events
from worker.explained import with_explanation
from worker.facets import identity_json
from worker.facts import Content, Counts, EmbeddingFacts, JobFacts, SkippedExample
from worker.findings import Findings
from worker.gather import Gathered, Gatherer, LeftOut, NothingLeft
from worker.layout import CHUNKS, job_key
from worker.manifest import NOT_UTF8, Plan
from worker.media.extensions import kind_of
from worker.name_lines import to_lines
from worker.narrowed import narrowed
from worker.pool_samples import pool_samples
from worker.prepare import Prepared
from worker.publish import SELECTED, TEXT, Results
from worker.variants import MEASURES

FORMAT_VERSION = 1
EXAMPLES_PER_REASON = 5
PROJECTION = "projection.npz"
_NONE_FAILED: Mapping[int, str] = {}


def select(
    prepared: Prepared,
    plan: Plan,
    results: Results,
    *,
    device: Device,
    events: Events,
    failed: Mapping[int, str] = _NONE_FAILED,
) -> Findings:
    """Gather the pool, select, analyse, and write samples.parquet, selected.txt and skipped.json.

    `failed` maps chunks that were given up to the reason; their sources are left out.

    Memory: about 500 bytes and 4 x dimension bytes a sample, what the selection states for itself, and one chunk at
    a time of full embeddings.

    Raises:
        JobFailed: no sample could be read. JobRejected: the strategies do not fit what could be read, for example the
            quotas. In both cases skipped.json and a done.json that says so are written first.
    """
    gathered = _gathered(prepared, plan, results, events, failed)
    names = gathered.samples["sample"].to_pylist()
    columns = _columns(gathered)
    asked = prepared.job.selection.asked_of(len(names))
    numbers = {f"lightly.{MEASURES.by_name[column.name].key}": column.values for column in _numeric(columns)}
    try:
        samples, query_warnings = pool_samples(prepared, plan, gathered, numbers=numbers, device=device)
        choice = choose(samples, prepared.job, asked=asked)
    except JobRejected as refused:
        _write_left_out(gathered, results)
        results.close("failed", reason=str(refused))
        raise
    columns = (*columns, *(_text_column(key, category) for key, category in samples.categories.items()))
    for warning in (*_input_warnings(plan, gathered.skipped), *query_warnings, *choice.warnings):
        events.warn(warning)
    explanation = explain(
        gathered.embedding,
        goals=choice.goals,
        selected=choice.rows,
        candidates=choice.candidates,
        before=np.empty(0, np.int64),
        asked=asked,
        seed=prepared.job.seed,
        device=device,
    )
    _write(gathered, explanation, results, categories=samples.categories)
    counts = _counts(plan, gathered, choice, asked=asked)
    analysis = analyse(
        gathered.embedding,
        names=names,
        selected=choice.rows,
        candidates=choice.candidates,
        goals=choice.goals,
        explanation=explanation,
        columns=columns,
        narrowed=narrowed(
            gathered.embedding,
            choice.rows,
            choice.candidates,
            steps=prepared.job.report.radius_steps,
            seed=prepared.job.seed,
            device=device,
            events=events,
        ),
        seed=prepared.job.seed,
        device=device,
    )
    content = Content(
        job=JobFacts(
            id=results.job_id,
            name=prepared.job.name,
            config=prepared.job.model_dump(mode="json", exclude_none=True),
            seed=prepared.job.seed,
        ),
        counts=counts,
        embedding=_embedding_facts(prepared, gathered),
        strategies=choice.strategies,
        analysis=analysis,
        skipped_examples=_examples(gathered.skipped),
        warnings=tuple(events.warnings),
        digests={artefact.name: artefact.sha256 for artefact in results.artefacts},
    )
    return Findings(content, selected=tuple(names[row] for row in choice.rows))


def _gathered(
    prepared: Prepared, plan: Plan, results: Results, events: Events, failed: Mapping[int, str]
) -> Gathered:
    store = prepared.output
    existing = {info.key for info in store.list(CHUNKS)}
    given_up = [
        LeftOut(source.key, "chunk_failed", failed[chunk.index])
        for chunk in plan.chunks
        if chunk.index in failed
        for source in chunk.sources
    ]
    left = replace(plan, chunks=tuple(chunk for chunk in plan.chunks if chunk.index not in failed))
    gatherer = Gatherer(store, left, prepared.facets, existing=existing, job_id=results.job_id)
    total, done = 2 * len(left.chunks), 0

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
        failure = NothingLeft([*failure.skipped, *given_up])
        results.put_json("skipped.json", [asdict(left_out) for left_out in failure.skipped])
        results.close("failed", reason=str(failure))
        raise failure from None
    store.put(
        job_key(results.job_id, PROJECTION),
        gathered.projection.to_bytes(),
        media_type="application/octet-stream",
    )
    return replace(gathered, skipped=(*gathered.skipped, *given_up))


def _write(
    gathered: Gathered, explanation: Explanation, results: Results, *, categories: Mapping[str, Category]
) -> None:
    results.put(
        "samples.parquet",
        _samples_parquet(gathered, explanation, categories),
        media_type="application/vnd.apache.parquet",
    )
    names = gathered.samples["sample"].to_pylist()
    lines = to_lines(names[row] for row in explanation.rows)
    results.put(SELECTED, lines.encode(), media_type=TEXT)
    _write_left_out(gathered, results)


def _write_left_out(gathered: Gathered, results: Results) -> None:
    results.put_json("skipped.json", [asdict(one) for one in gathered.left_out()])


def _samples_parquet(
    gathered: Gathered, explanation: Explanation, categories: Mapping[str, Category]
) -> bytes:
    """Return one row a sample: who it is, its measures and metadata, its embedding, and why it was selected when."""
    samples = gathered.samples
    for key, category in categories.items():
        if not key.startswith("lightly."):  # what lightly.* keys say is in the name
            values = pa.DictionaryArray.from_arrays(
                pa.array(category.labels.astype(np.int32), mask=category.missing),
                pa.array(category.values, pa.string()),
            )
            samples = samples.append_column(f"metadata.{key}", values)
    steps = np.zeros(samples.num_rows, np.int32)
    steps[explanation.rows] = np.arange(1, len(explanation.rows) + 1)
    dimension = gathered.embedding.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(gathered.embedding.ravel()), dimension)
    table = samples.append_column("embedding", vectors).append_column(
        "selected_at", pa.array(steps, mask=steps == 0)
    )
    table = with_explanation(table, explanation)
    out = BytesIO()
    about = {"framesift": f'{{"format_version": {FORMAT_VERSION}}}'}
    pq.write_table(table.replace_schema_metadata(about), out, compression="zstd")
    return out.getvalue()


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


def _text_column(key: str, category: Category) -> TextColumn:
    return TextColumn(key, key, category.texts())


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
        dropped=gathered.samples.num_rows - candidates - choice.goals.protected_count,
        protected=choice.goals.protected_count,
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
