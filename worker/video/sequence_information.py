"""sequence_information.json, entry by entry: which frames were selected, under the names of LightlyOne."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import pyarrow as pa

_FRAMES_AT_A_TIME = 10_000
_COLUMNS = ("sample", "source", "frame_index", "pts", "time_s")


def sequence_information(samples: pa.Table, sequences: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Yield one entry for each of the sequences, which are rows of `samples`, in their order.

    Frames of a video stand in displayed order. Where nobody counted them, `frame_indices` is null and `frame_index_known`
    false, a key that is there only then. Images are given by `filenames` alone.

    Memory: the rows of about 10,000 frames, or of one sequence if that is longer.
    """
    columns = samples.select(_COLUMNS)
    for batch in _batches(sequences):
        taken = columns.take(pa.array(chain.from_iterable(map(sorted, batch)), pa.int64())).to_pydict()
        for start, end in pairwise(accumulate(map(len, batch), initial=0)):
            yield _entry(**{name: values[start:end] for name, values in taken.items()})


def _entry(
    sample: list[str],
    source: list[str],
    frame_index: list[int | None],
    pts: list[int | None],
    time_s: list[float | None],
) -> dict[str, Any]:
    if None in pts:
        return {"filenames": sample}
    known = None not in frame_index
    return {
        "video_name": source[0],
        "frame_names": sample,
        "frame_timestamps_pts": pts,
        "frame_timestamps_sec": time_s,
        "frame_indices": frame_index if known else None,
        **({} if known else {"frame_index_known": False}),
    }


def _batches(sequences: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    batch: list[Sequence[int]] = []
    frames = 0
    for sequence in sequences:
        if frames + len(sequence) > _FRAMES_AT_A_TIME and batch:
            yield batch
            batch, frames = [], 0
        batch.append(sequence)
        frames += len(sequence)
    if batch:
        yield batch
