"""The select step: finished chunks become a pool, the pool a selection, and both together the facts of the report.

With a datapool the selection complements it and, as the last thing, joins it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from worker.analysis.analyse import analyse
from worker.analysis.columns import NumericColumn, TextColumn
from worker.analysis.explain import Explanation, explain
from worker.analysis.videos import video_facts
from worker.categories import Category
from worker.choose import Choice, choose
from worker.datapool.frozen import Versions, frozen_versions
from worker.datapool.selected import measure_column, selected_members
from worker.datapool.state import Kept, read_kept
from worker.datapool.writing import Joining, join
from worker.device import Device
from worker.errors import JobRejected
from worker.events import Events
from worker.explained import with_explanation
from worker.facets import identity_json
from worker.facts import Content, Counts, EmbeddingFacts, JobFacts, SkippedExample
from worker.findings import Findings, FrameAddress
from worker.gather import Gathered, Gatherer, NothingLeft, reduced
from worker.layout import CHUNKS, job_key
from worker.manifest import NOT_UTF8, Plan
from worker.name_lines import to_lines
from worker.narrowed import narrowed
from worker.pool_samples import pool_samples
from worker.prepare import Prepared
from worker.publish import SELECTED, TEXT, Results
from worker.samples import LeftOut, SkipReason
from worker.variants import MEASURES
from worker.video.sequence_information import sequence_information

FORMAT_VERSION = 1
EXAMPLES_PER_REASON = 5
PROJECTION = "projection.npz"
_NONE_FAILED: Mapping[int, str] = {}
_NOT_NARROWED = (
    "report.radius_steps: with a datapool, the interval of the best covering radius is not narrowed."
)


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

    Memory: about 1.2 KB and 4 x dimension bytes a sample (measured to 200,000), what the selection states for itself, and one chunk at
    a time of full embeddings.

    Raises:
        JobFailed: no sample could be read. JobRejected: the strategies do not fit what could be read, for example the
            quotas. In both cases skipped.json and a done.json that says so are written first.
    """
    with _closed_when_refused(results):
        datapools = frozen_versions(
            prepared.output, prepared.job, results.job_id, embedding=prepared.embedding_facet
        )
    kept = _kept(prepared, datapools)
    left, given_up = _without(plan, failed)
    gatherer = Gatherer(
        prepared.output,
        left,
        prepared.facets,
        existing={info.key for info in prepared.output.list(CHUNKS)},
        job_id=results.job_id,
        keep_whole_videos=prepared.job.selection.selected_sequence_length > 1,
    )
    gathered = _gathered(prepared, gatherer, left, results, kept=kept, given_up=given_up, events=events)
    names = [*gathered.samples["sample"].to_pylist(), *kept.addresses]
    columns = _columns(gathered, kept)
    asked = prepared.job.selection.asked_of(gathered.samples.num_rows)
    numbers = {f"lightly.{MEASURES.by_name[column.name].key}": column.values for column in _numeric(columns)}
    try:
        samples, query_warnings = pool_samples(
            prepared, plan, gathered, datapools=datapools, kept=kept, numbers=numbers, device=device
        )
        choice = choose(samples, prepared.job, asked=asked)
    except JobRejected as refused:
        _write_left_out(gathered, results)
        results.close("failed", reason=str(refused))
        raise
    columns = (*columns, *(_text_column(key, category) for key, category in samples.categories.items()))
    steps = prepared.job.report.radius_steps
    for warning in (
        *_input_warnings(plan, gathered),
        *query_warnings,
        *choice.warnings,
        *([_NOT_NARROWED] if steps and len(kept) else []),
    ):
        events.warn(warning)
    explanation = explain(
        gathered.space,
        goals=choice.goals,
        selected=choice.rows,
        candidates=choice.candidates,
        before=samples.preselected,
        asked=asked,
        seed=prepared.job.seed,
        device=device,
    )
    _write(gathered, explanation, results, names=names, categories=samples.categories)
    if gathered.videos:
        results.put_json(
            "sequence_information.json", list(sequence_information(gathered.samples, choice.sequences))
        )
    counts = _counts(plan, gathered, choice, asked=asked, preselected=len(kept))
    analysis = analyse(
        gathered.space,
        names=names,
        selected=choice.rows,
        candidates=choice.candidates,
        preselected=~samples.own,
        goals=choice.goals,
        explanation=explanation,
        columns=columns,
        narrowed=narrowed(
            gathered.space,
            choice.rows,
            choice.candidates,
            steps=0 if len(kept) else steps,
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
        skipped_examples=_examples([*gathered.skipped, *gathered.damaged]),
        warnings=tuple(events.warnings),
        digests={artefact.name: artefact.sha256 for artefact in results.artefacts},
        videos=video_facts(
            gathered.samples,
            gathered.videos,
            sequences=choice.sequences,
            duplicates=gathered.duplicates,
            pictured=analysis.pictured(),
            untimed={key for key, video in gathered.videos.items() if not video.timed},
        ),
    )
    _join_datapool(prepared, left, choice.rows, gathered=gathered, gatherer=gatherer, job_id=results.job_id)
    selected = tuple(names[row] for row in choice.rows)
    return Findings(content, selected, _addresses(gathered, {*selected, *analysis.pictured()}))


def _addresses(gathered: Gathered, names: Collection[str]) -> dict[str, FrameAddress]:
    """Return which frames some samples are, where they are frames."""
    if not gathered.videos:
        return {}
    samples = gathered.samples
    asked = samples.filter(pc.is_in(samples["sample"], pa.array(names)))
    frames = asked.filter(pc.is_valid(asked["pts"]))
    columns = (frames[name].to_pylist() for name in ("sample", "source", "stream", "pts"))
    return {
        name: FrameAddress(
            source=source, stream=stream, pts=pts, is_sought=gathered.videos[source].has_good_times
        )
        for name, source, stream, pts in zip(*columns, strict=True)
    }


def _without(plan: Plan, failed: Mapping[int, str]) -> tuple[Plan, list[LeftOut]]:
    """Return a plan without the chunks that were given up, and their sources with the reason, a video once."""
    reasons = {
        source.key: failed[chunk.index]
        for chunk in plan.chunks
        if chunk.index in failed
        for source in chunk.sources
    }
    given_up = [LeftOut(key, SkipReason.CHUNK_FAILED.value, why) for key, why in reasons.items()]
    left = replace(plan, chunks=tuple(chunk for chunk in plan.chunks if chunk.index not in failed))
    return left, given_up


@contextmanager
def _closed_when_refused(results: Results) -> Iterator[None]:
    """Leave a done.json that says why a job is refused this late."""
    try:
        yield
    except JobRejected as refused:
        results.close("failed", reason=str(refused))
        raise


def _kept(prepared: Prepared, datapools: Versions) -> Kept:
    version = None if prepared.job.datapool is None else datapools[prepared.job.datapool.name]
    if version is None:
        return Kept.nothing()
    in_space = partial(reduced, normalized=prepared.job.embedding.normalize)
    return read_kept(prepared.output, version, reduced=in_space)


def _join_datapool(
    prepared: Prepared,
    plan: Plan,
    rows: NDArray[np.int64],
    *,
    gathered: Gathered,
    gatherer: Gatherer,
    job_id: str,
) -> None:
    datapool, origin = prepared.job.datapool, prepared.job.datasource.input
    if datapool is not None and datapool.update:
        joining = Joining(
            name=datapool.name,
            job_id=job_id,
            added=selected_members(gathered, gatherer, plan, rows, origin=origin),
            about=prepared.embedding_facet.about,
            embedding=prepared.job.embedding,
            projection=gathered.projection,
        )
        join(prepared.output, joining)


def _gathered(
    prepared: Prepared,
    gatherer: Gatherer,
    plan: Plan,
    results: Results,
    *,
    kept: Kept,
    given_up: Sequence[LeftOut],
    events: Events,
) -> Gathered:
    total, done = (2 if kept.projection is None else 1) * len(plan.chunks), 0

    def on_chunk() -> None:
        nonlocal done
        done += 1
        events.progress("gather", done, total)

    try:
        gathered = gatherer.gather(
            dimension=prepared.job.embedding.dimension,
            normalized=prepared.job.embedding.normalize,
            kept=kept,
            on_chunk=on_chunk,
        )
    except NothingLeft as failure:
        failure = NothingLeft([*failure.skipped, *given_up])
        results.put_json("skipped.json", [asdict(left_out) for left_out in failure.skipped])
        results.close("failed", reason=str(failure))
        raise failure from None
    prepared.output.put(
        job_key(results.job_id, PROJECTION),
        gathered.projection.to_bytes(),
        media_type="application/octet-stream",
    )
    return gathered.without(given_up)


def _write(
    gathered: Gathered,
    explanation: Explanation,
    results: Results,
    *,
    names: Sequence[str],
    categories: Mapping[str, Category],
) -> None:
    results.put(
        "samples.parquet",
        _samples_parquet(gathered, explanation, names, categories),
        media_type="application/vnd.apache.parquet",
    )
    lines = to_lines(names[row] for row in explanation.rows)
    results.put(SELECTED, lines.encode(), media_type=TEXT)
    _write_left_out(gathered, results)


def _write_left_out(gathered: Gathered, results: Results) -> None:
    results.put_json("skipped.json", [asdict(one) for one in gathered.left_out()])


def _samples_parquet(
    gathered: Gathered, explanation: Explanation, names: Sequence[str], categories: Mapping[str, Category]
) -> bytes:
    """Return one row a sample: who it is, its measures and metadata, its embedding, and why it was selected when.

    `names` go on after the samples of the job with those of the datapool, which a sample may be nearest to.
    """
    samples = gathered.samples
    count = samples.num_rows
    for key, everywhere in categories.items():
        category = everywhere.first(count)
        if not key.startswith("lightly."):  # what lightly.* keys say is in the name
            values = pa.DictionaryArray.from_arrays(
                pa.array(category.labels.astype(np.int32), mask=category.missing),
                pa.array(category.values, pa.string()),
            )
            samples = samples.append_column(f"metadata.{key}", values)
    steps = np.zeros(count, np.int32)
    steps[explanation.rows] = np.arange(1, len(explanation.rows) + 1)
    dimension = gathered.embedding.shape[1]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(gathered.embedding.ravel()), dimension)
    table = samples.append_column("embedding", vectors).append_column(
        "selected_at", pa.array(steps, mask=steps == 0)
    )
    table = with_explanation(table, explanation, others=names[count:])
    out = BytesIO()
    about = {"framesift": f'{{"format_version": {FORMAT_VERSION}}}'}
    pq.write_table(table.replace_schema_metadata(about), out, compression="zstd")
    return out.getvalue()


def _columns(gathered: Gathered, kept: Kept) -> tuple[NumericColumn | TextColumn, ...]:
    """Return every measure of the job's samples, then of the datapool's; where pixels matter, say which were seen."""
    unknown = np.full(len(kept), np.nan)
    seen = _seen(gathered)
    columns: list[NumericColumn | TextColumn] = []
    for name, measure in sorted(MEASURES.by_name.items()):
        if measure.numeric:
            values = gathered.samples[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
            pixels = (
                "original" if not measure.of_pixels else "full size" if name in gathered.full_size else seen
            )
            before = kept.measures.get(measure_column(name, gathered), unknown)
            columns.append(
                NumericColumn(
                    name,
                    measure.label,
                    measure.unit,
                    pixels,
                    np.nan_to_num(np.concatenate([values, before]), nan=np.nan),
                )
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
    if not len(shorter):
        return "none"
    low, high = int(shorter.min()), int(shorter.max())
    return f"short side of {low} px" if low == high else f"short side of {low} to {high} px"


def _numeric(columns: Sequence[NumericColumn | TextColumn]) -> list[NumericColumn]:
    return [column for column in columns if isinstance(column, NumericColumn)]


def _input_warnings(plan: Plan, gathered: Gathered) -> list[str]:
    skipped = gathered.skipped
    considered = plan.source_count + len(plan.expiring)
    warnings = []
    if skipped:
        reasons = Counter(one.reason for one in skipped)
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        warnings.append(f"Skipped: {len(skipped):,} of {considered:,} sources ({listed}); see skipped.json.")
    if not gathered.samples.num_rows:
        warnings.append("Every sample that could be read is in the datapool already: nothing was selected.")
    if damaged := gathered.damaged:
        warnings.append(
            f"Read in part: {_counted(len(damaged), 'video')}, the first of them {damaged[0].source}"
            f" ({damaged[0].detail}); see skipped.json."
        )
    if unnamed := plan.ignored.get(NOT_UTF8, 0):
        warnings.append(f"Not read: {_counted(unnamed, 'file')} whose name is not UTF-8.")
    return warnings


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _counts(plan: Plan, gathered: Gathered, choice: Choice, *, asked: int, preselected: int) -> Counts:
    ignored = sum(plan.ignored.values())
    skipped = Counter(left_out.reason for left_out in gathered.skipped)
    considered = plan.source_count + len(plan.expiring)
    read = considered - skipped.total()
    candidates = int(choice.candidates.sum())
    return Counts(
        listed=considered + plan.earlier + ignored,
        ignored=ignored,
        earlier=plan.earlier,
        skipped=dict(sorted(skipped.items())),
        read=read,
        damaged=len(gathered.damaged),
        samples=gathered.samples.num_rows + len(gathered.duplicates) + len(gathered.near_identical),
        near_identical=len(gathered.near_identical),
        duplicates=len(gathered.duplicates),
        pool=gathered.samples.num_rows,
        dropped=gathered.samples.num_rows - candidates - choice.goals.protected_count,
        protected=choice.goals.protected_count,
        candidates=candidates,
        asked=asked,
        selected=len(choice.rows),
        preselected=preselected,
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
