"""Numbers about the videos of a job and what was selected of them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from worker.video.cutting import Clip, clip_name, cut_command
from worker.video.names import source_of
from worker.video.tally import VideoRead
from worker.video_facts import (
    FrameCounts,
    FrameFacts,
    SequenceFacts,
    Timeline,
    VideoFacts,
    VideoFault,
    VideosFacts,
    VideoTotals,
)

VIDEOS = 500
SEQUENCES = 200
POINTS = 100
BINS = 60
FAULTS = 5

Rows = NDArray[np.int64]
Counts = NDArray[np.int64]
Seconds = NDArray[np.float64]


def video_facts(
    samples: pa.Table,
    videos: Mapping[str, VideoRead],
    *,
    sequences: Sequence[Sequence[int]],
    duplicates: Mapping[str, str],
    pictured: Iterable[str],
    untimed: Collection[str] = (),
) -> VideosFacts | None:
    """Describe the videos of a job, given by key; None where there is none.

    `samples` has one row a sample of the pool, videos and images in any order. `sequences` are the selected rows in pick
    order, a frame or an image selected by itself being a sequence of one; a sequence lies in one video. `duplicates` maps names of
    samples that are not in the pool to the equal one that stays; `pictured` names samples whose place in their video is wanted;
    `untimed` are the keys of videos whose streams have no timestamps, so that pts are displayed indices.

    Memory: about 60 bytes a sample; time is linear.
    """
    if not videos:
        return None
    keys = sorted(videos)
    video_of = _video_of(samples["source"], keys)
    selected = np.fromiter((row for sequence in sequences for row in sequence), np.int64)
    selected = selected[video_of[selected] >= 0]
    first_rows = np.fromiter((sequence[0] for sequence in sequences), np.int64, len(sequences))
    found = _Found(
        pool=_counted(video_of, len(keys)),
        selected=_counted(video_of[selected], len(keys)),
        sequences=_counted(video_of[first_rows], len(keys)),
        duplicates=_counted(_video_of(pa.array(map(source_of, duplicates), pa.string()), keys), len(keys)),
    )
    shown = _shown(found.selected, np.array([bool(videos[key].faults) for key in keys]))
    time_s = _numbers(samples["time_s"])
    lanes = _lanes(time_s, video_of, [videos[key].duration_s for key in keys])
    timelines = _timelines(time_s[selected], video_of[selected], lanes, shown)
    return VideosFacts(
        totals=_totals(list(videos.values()), found),
        videos=tuple(
            _video(keys[at], videos[keys[at]], found.of(at, videos[keys[at]]), timeline)
            for at, timeline in zip(shown.tolist(), timelines, strict=True)
        ),
        sequences=tuple(islice(_sequences(samples, sequences, video_of, untimed), SEQUENCES)),
        frames=_frames(samples, video_of, list(pictured)),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """(v,) counts, one a video in key order."""

    pool: Counts
    selected: Counts
    sequences: Counts
    duplicates: Counts

    def of(self, at: int, video: VideoRead) -> FrameCounts:
        return FrameCounts(
            sampled=video.sampled,
            lost=video.lost,
            near_identical=video.near_identical,
            duplicates=int(self.duplicates[at]),
            pool=int(self.pool[at]),
            selected=int(self.selected[at]),
            sequences=int(self.sequences[at]),
        )


def _video_of(sources: pa.Array | pa.ChunkedArray, keys: Sequence[str]) -> Rows:
    """Return (n,) positions in `keys`; -1 where a source is no video."""
    found = pc.index_in(sources, value_set=pa.array(keys, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)


def _counted(video_of: Rows, videos: int) -> Counts:
    return np.bincount(video_of[video_of >= 0], minlength=videos)


def _numbers(column: pa.ChunkedArray) -> Seconds:
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _shown(selected: Counts, faulty: NDArray[np.bool_]) -> Rows:
    order = np.lexsort((np.arange(len(selected)), ~faulty, -selected))
    return np.sort(order[:VIDEOS])


def _lanes(time_s: Seconds, video_of: Rows, durations_s: Sequence[float | None]) -> NDArray[np.float64]:
    """Return (v, 2) start and end of every video in seconds."""
    start, end = np.full(len(durations_s), np.inf), np.full(len(durations_s), -np.inf)
    frames = np.flatnonzero(video_of >= 0)
    np.minimum.at(start, video_of[frames], time_s[frames])
    np.maximum.at(end, video_of[frames], time_s[frames])
    start[np.isinf(start)] = 0.0
    known = np.array([duration_s or 0.0 for duration_s in durations_s])
    return np.stack([start, np.maximum(end, start + known)], axis=1)


def _timelines(
    time_s: Seconds, video_of: Rows, lanes: NDArray[np.float64], shown: Rows
) -> Iterator[Timeline]:
    """Yield one a shown video, from the times of all selected frames."""
    order = np.lexsort((time_s, video_of))
    time_s, video_of = time_s[order], video_of[order]
    firsts, ends = np.searchsorted(video_of, shown), np.searchsorted(video_of, shown, side="right")
    for at, first, end in zip(shown.tolist(), firsts.tolist(), ends.tolist(), strict=True):
        (start_s, end_s), times = lanes[at].tolist(), time_s[first:end]
        yield Timeline(
            start_s=start_s,
            end_s=end_s,
            selected_s=tuple(times.round(3).tolist()) if len(times) <= POINTS else (),
            bins=_binned(times, start_s, end_s) if len(times) else (),
        )


def _binned(times: Seconds, start_s: float, end_s: float) -> tuple[int, ...]:
    share = (times - start_s) / ((end_s - start_s) or 1.0)
    return tuple(np.bincount((share * BINS).astype(np.int64).clip(0, BINS - 1), minlength=BINS).tolist())


def _video(key: str, video: VideoRead, counts: FrameCounts, timeline: Timeline) -> VideoFacts:
    return VideoFacts(
        name=key,
        duration_s=video.duration_s,
        frames=video.frames,
        counts=counts,
        faults=tuple(VideoFault(reason=reason, detail=detail) for reason, detail in video.faults[:FAULTS]),
        timeline=timeline,
    )


def _totals(videos: Sequence[VideoRead], found: _Found) -> VideoTotals:
    return VideoTotals(
        videos=len(videos),
        selected_from=int((found.selected > 0).sum()),
        faulty=sum(1 for video in videos if video.faults),
        only_duplicates=int(((found.pool == 0) & (found.duplicates > 0)).sum()),
        duration_s=sum(video.duration_s or 0.0 for video in videos),
        undated=sum(1 for video in videos if video.duration_s is None),
        frames=sum(video.frames or 0 for video in videos),
        uncounted=sum(1 for video in videos if video.frames is None),
        counts=FrameCounts(
            sampled=sum(video.sampled for video in videos),
            lost=sum(video.lost for video in videos),
            near_identical=sum(video.near_identical for video in videos),
            duplicates=int(found.duplicates.sum()),
            pool=int(found.pool.sum()),
            selected=int(found.selected.sum()),
            sequences=int(found.sequences.sum()),
        ),
    )


def _sequences(
    samples: pa.Table, sequences: Sequence[Sequence[int]], video_of: Rows, untimed: Collection[str]
) -> Iterator[SequenceFacts]:
    for step, sequence in enumerate(sequences, start=1):
        if video_of[sequence[0]] >= 0:
            first, last = (_row(samples, row) for row in (min(sequence), max(sequence)))
            yield SequenceFacts(
                step=step,
                video=first["source"],
                frames=len(sequence),
                first=first["sample"],
                last=last["sample"],
                first_pts=first["pts"],
                last_pts=last["pts"],
                first_s=first["time_s"],
                last_s=last["time_s"],
                first_index=first["frame_index"],
                last_index=last["frame_index"],
                cut=cut_command(_clip(first, last, timed=first["source"] not in untimed)),
            )


def _clip(first: Mapping[str, Any], last: Mapping[str, Any], *, timed: bool) -> Clip:
    return Clip(
        video=first["source"],
        stream=first["stream"],
        first=first["pts"],
        last=last["pts"],
        start_s=first["time_s"],
        name=clip_name(first["sample"], last["sample"]),
        timed=timed,
        odd=bool(first["width"] % 2 or first["height"] % 2),
    )


_ROW = ("sample", "source", "stream", "frame_index", "pts", "time_s", "width", "height")


def _row(samples: pa.Table, row: int) -> dict[str, Any]:
    return {name: samples[name][row].as_py() for name in _ROW}


def _frames(samples: pa.Table, video_of: Rows, names: Sequence[str]) -> dict[str, FrameFacts]:
    """Find names among the samples; images and names from elsewhere have no place in a video."""
    asked = pc.index_in(samples["sample"], value_set=pa.array(names, pa.string()))
    rows = np.flatnonzero(asked.is_valid().to_numpy() & (video_of >= 0)).tolist()
    found = {one["sample"]: one for one in (_row(samples, row) for row in rows)}
    return {
        name: FrameFacts(
            video=found[name]["source"],
            pts=found[name]["pts"],
            time_s=found[name]["time_s"],
            frame_index=found[name]["frame_index"],
        )
        for name in names
        if name in found
    }
