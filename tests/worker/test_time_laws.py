"""Laws of sequences, gaps and rigs under every strategy and mode."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.errors import JobRejected
from jobs.selection import Entry
from jobs.spec import SelectionJob, parse_job
from tests.worker.pools import entry, pool
from tests.worker.test_strategy_laws import EXAMPLES, QUERY
from worker.analysis.analyse import analyse
from worker.analysis.explain import explain
from worker.categories import categories_of
from worker.choose import Choice, choose
from worker.device import Device
from worker.strategy import Samples, Times

CPU = Device("cpu", "CPU, 1 thread", 1)
MODES = ("objective_product", "gain_product", "submodular")
FPS = 10
FRAMES = 40
VIDEOS = ("2026-01-14/cam_left/a.mp4", "2026-01-14/cam_right/a.mp4", "2026-01-15/cam_left/b.mp4")
SOURCES = [source for source in VIDEOS for _ in range(FRAMES)] + ["x.jpg", "y.jpg"]
N = len(SOURCES)
VIDEO = np.array([VIDEOS.index(source) if source in VIDEOS else -1 for source in SOURCES])
SECONDS = np.array([row % FRAMES / FPS if VIDEO[row] >= 0 else np.nan for row in range(N)])
KEYS = ("video_name", "camera", "day", "lightly.folder")
EVERY = [
    pytest.param(example, mode, id=f"{name}-{number}-{mode}")
    for name, examples in EXAMPLES.items()
    for number, example in enumerate(examples)
    for mode in MODES
    if name != "threshold"
    and (mode != "submodular" or getattr(example(1.0).strategy, "target_range", None) is None)
]


def samples(*, kept: int = 0) -> Samples:
    """Return three videos of 40 frames, ten a second, two images, and the samples of a datapool behind them."""
    rng = np.random.default_rng(11)
    speeds = rng.random(N + kept) * 5
    weather = [("rain", "sun", "fog")[row // 7 % 3] for row in range(N + kept)]
    made = pool(N + kept, numbers={"speed": speeds.tolist()}, words={"weather": weather}, seed=3)
    sources = [*SOURCES, *(f"other/{row}.jpg" for row in range(kept))]
    none = np.full(kept, -1)
    return replace(
        made,
        categories={**made.categories, **categories_of(sources, None, keys=KEYS)},
        queries={QUERY: made.embeddings[[0, 4]]},
        passed=np.arange(N + kept) < N,
        preselected=np.arange(N, N + kept),
        times=Times(np.concatenate([VIDEO, none]), np.concatenate([SECONDS, none * np.nan])),
    )


def job(*strategies: Entry, n: int = 12, **selection: Any) -> SelectionJob:
    entries = [
        {key: part.model_dump(mode="json", exclude_none=True) for key, part in (("input", one.input), ("strategy", one.strategy))}
        for one in strategies
    ]  # fmt: skip
    parsed = parse_job(
        {
            "kind": "selection",
            "name": "night",
            "datasource": {"input": "/in", "output": "/out"},
            "selection": {"n_samples": n, "strategies": entries, **selection},
        }
    )
    assert isinstance(parsed, SelectionJob)
    return parsed


def chosen(asked: SelectionJob, made: Samples | None = None) -> Choice:
    made = samples() if made is None else made
    return choose(made, asked, asked=asked.selection.asked_of(N))


def example_job(example: Callable[[float], Entry], mode: str, **selection: Any) -> SelectionJob:
    return job(example(1.0), mode=mode, **selection)


def are_sequences(found: Choice, length: int, *, stride: int | None = None) -> None:
    rows = found.rows.reshape(-1, length)
    assert found.sequences == tuple(map(tuple, rows.tolist()))
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert (np.diff(rows, axis=1) == 1).all()
    assert (VIDEO[rows] == VIDEO[rows[:, :1]]).all()
    assert (VIDEO[rows] >= 0).all()
    assert (rows[:, 0] % FRAMES % (stride or length) == 0).all()


def smallest_gap(rows: np.ndarray, length: int = 1) -> float:
    """Return the least time between the nearest ends of two picks of one video, told pair by pair."""
    ends = [(VIDEO[one[0]], SECONDS[one[0]], SECONDS[one[-1]]) for one in rows.reshape(-1, length)]
    return min(
        (
            max(later[1] - sooner[2], sooner[1] - later[2])
            for at, sooner in enumerate(ends)
            for later in ends[at + 1 :]
            if sooner[0] == later[0] >= 0
        ),
        default=np.inf,
    )


def fast(threshold: float) -> Entry:
    return entry(
        {"type": "METADATA", "key": "speed"},
        {"type": "THRESHOLD", "threshold": threshold, "operation": "BIGGER_EQUAL"},
    )


DIVERSITY = entry({"type": "EMBEDDINGS"}, {"type": "DIVERSITY"})
WEIGHTS = entry({"type": "METADATA", "key": "speed"}, {"type": "WEIGHTS"})


@pytest.mark.parametrize(("example", "mode"), EVERY)
def test_sequences__laws(example: Callable[[float], Entry], mode: str) -> None:
    for overlap, pooling, kept in ((0, "mean", 0), (3, "max", 2), (2, "first", 0)):
        asked = example_job(
            example, mode, selected_sequence_length=4, sequence_overlap=overlap, sequence_pooling=pooling
        )
        found = chosen(asked, samples(kept=kept))
        are_sequences(found, 4, stride=4 - overlap)
        if found.goals.ended is None:
            assert len(found.rows) == 12
        assert found.rows.tolist() == chosen(asked, samples(kept=kept)).rows.tolist()


@pytest.mark.parametrize(("example", "mode"), EVERY)
def test_sequences__of_one_frame_are_frames(example: Callable[[float], Entry], mode: str) -> None:
    asked = example_job(example, mode)
    found = chosen(asked)
    plain = chosen(asked, replace(samples(), times=None))
    assert found.rows.tolist() == plain.rows.tolist()
    assert found.sequences == tuple((row,) for row in found.rows.tolist() if VIDEO[row] >= 0)
    assert plain.sequences == ()


@pytest.mark.parametrize(("example", "mode"), EVERY)
@pytest.mark.parametrize("length", [1, 3])
def test_gap__is_kept(example: Callable[[float], Entry], mode: str, length: int) -> None:
    asked = example_job(example, mode, min_gap_s=0.6, selected_sequence_length=length)
    for kept in (0, 2):
        found = chosen(asked, samples(kept=kept))
        assert smallest_gap(found.rows, length) >= 0.6 - 1e-9
        if found.goals.ended is None:
            assert len(found.rows) == 12


def test_gap__of_exactly_so_much_is_allowed_and_the_end_is_told() -> None:
    every = job(WEIGHTS, n=100, min_gap_s=0.3)
    rows = chosen(every).rows
    assert smallest_gap(rows) == pytest.approx(0.3)
    found = chosen(every)
    assert found.goals.ended == "rules"
    assert (
        f"{len(rows)} of 100 samples were selected: no further sample is min_gap_s (0.3 s) from the others"
        " of its video." in found.warnings
    )


def test_gap__fits_as_many_as_there_can_be_where_only_the_best_ones_are_level() -> None:
    speed = np.where(np.arange(N) % FRAMES % 3 == 0, 1.0, 0.0)
    made = replace(samples(), numbers={"speed": speed})
    found = chosen(job(WEIGHTS, n=42, min_gap_s=0.3), made)
    assert len(found.rows) == 42
    assert sorted(found.rows % FRAMES % 3) == [0] * 42


@pytest.mark.parametrize("overlap", [0, 3])
def test_sequences__of_which_a_frame_fails_a_threshold_are_out(overlap: int) -> None:
    made = samples()
    threshold = float(np.sort(made.numbers["speed"])[15])
    found = chosen(
        job(fast(threshold), DIVERSITY, n=100, selected_sequence_length=4, sequence_overlap=overlap), made
    )
    are_sequences(found, 4, stride=4 - overlap)
    assert len(found.rows) >= 40
    assert (made.numbers["speed"][found.rows] >= threshold).all()
    assert found.candidates[found.rows].all()
    assert not found.candidates[N - 2 :].any()
    assert any("in no whole sequence of 4 frames" in warning for warning in found.warnings)


def test_sequences__are_drawn_uniformly_where_nothing_ranks() -> None:
    drawn = np.zeros(N)
    for seed in range(300):
        asked = job(fast(0), n=4, selected_sequence_length=4).model_copy(update={"seed": seed})
        found = chosen(asked)
        are_sequences(found, 4)
        drawn[found.rows[0]] += 1
    assert (drawn > 0).sum() == 30
    assert drawn.max() < 25  # 10 are expected


def test_sequences__weights_are_pooled() -> None:
    speed = np.zeros(N)
    speed[4:8] = 2.0
    speed[12:16] = 1.0, 0.0, 0.0, 9.0
    speed[24:28] = 3.0, 0.0, 0.0, 0.0
    made = replace(samples(), numbers={"speed": speed})

    def order(pooling: str) -> list[int]:
        asked = job(WEIGHTS, selected_sequence_length=4, sequence_pooling=pooling)
        return chosen(asked, made).rows[::4].tolist()

    assert order("mean") == [12, 4, 24]
    assert order("max") == [12, 24, 4]
    assert order("first") == [24, 4, 12]


def test_sequences__a_sum_that_steers_and_stops_counts_frames() -> None:
    weights = {"type": "WEIGHTS", "target_range": {"min_sum": 24, "max_sum": 24}}
    made = replace(samples(), numbers={"speed": np.where(np.arange(N) < 40, 2.0, 0.0)})
    asked = job(entry({"type": "METADATA", "key": "speed"}, weights), n=24, selected_sequence_length=4)
    found = chosen(asked, made)
    assert made.numbers["speed"][found.rows].sum() == 24
    stop = {"type": "WEIGHTS", "stopping_condition_max_sum": 15}
    stopped = chosen(
        job(entry({"type": "METADATA", "key": "speed"}, stop), n=24, selected_sequence_length=4), made
    )
    assert len(stopped.rows) == 8


@pytest.mark.parametrize("key", ["video_name", "camera", "day"])
@pytest.mark.parametrize(("length", "gap"), [(1, None), (1, 0.5), (4, None)])
def test_quotas__of_video_camera_and_day(key: str, length: int, gap: float | None) -> None:
    made = samples()
    category = made.categories[key]
    rules = {"selected_sequence_length": length, "min_gap_s": gap}
    most = chosen(job(WEIGHTS, n=24, quotas=[{"key": key, "at_most": 10}], **rules), made)
    counts = category.counts(np.isin(np.arange(N), most.rows))
    assert 0 < counts.max() <= 10
    at_least = 7 if gap is None else 5  # as many as any choice leaves room for in 4 seconds
    least = chosen(job(WEIGHTS, n=24, quotas=[{"key": key, "at_least": at_least}], **rules), made)
    assert category.counts(np.isin(np.arange(N), least.rows)).min() >= at_least
    assert len(least.rows) >= 22


def test_quotas__that_sequences_cannot_meet_are_refused_in_frames() -> None:
    too_many = job(
        WEIGHTS, n=12, selected_sequence_length=4, quotas=[{"key": "video_name", "at_least": 3}, {"key": "day", "at_least": 7}]
    )  # fmt: skip
    with pytest.raises(JobRejected, match=r"on day: at_least of all values adds up to 16, but 12 are to be"):
        chosen(too_many)


def test_quotas__that_the_gap_leaves_unmet_are_told() -> None:
    quota = {"key": "video_name", "value": VIDEOS[0], "at_least": 10}
    found = chosen(job(WEIGHTS, n=12, min_gap_s=1.0, quotas=[quota]))
    picked = int((VIDEO[found.rows] == 0).sum())
    assert picked < 10
    assert any(
        warning.startswith("Fewer were selected than at_least of the quotas asks for: video_name")
        and f"{picked} of 10" in warning
        for warning in found.warnings
    )


@pytest.mark.parametrize("length", [1, 4])
def test_balance__equal_shares_of_three_videos_as_lightlyone_has_it(length: int) -> None:
    balance = entry(
        {"type": "METADATA", "key": "video_name"},
        {"type": "BALANCE", "target": {video: 1 / len(VIDEOS) for video in VIDEOS}, "strength": 1e9},
    )
    made = samples()
    keep = np.flatnonzero(VIDEO >= 0)
    only = replace(
        made,
        names=[made.names[row] for row in keep],
        embeddings=made.embeddings[keep],
        numbers={},
        categories=categories_of([SOURCES[row] for row in keep], None, keys=KEYS),
        passed=made.passed[keep],
        times=Times(VIDEO[keep], SECONDS[keep]),
    )
    found = choose(only, job(balance, DIVERSITY, n=60, selected_sequence_length=length), asked=60)
    assert np.bincount(VIDEO[found.rows]).tolist() == [20, 20, 20]
    assert not found.warnings


def test_protected__a_sequence_with_a_protected_frame_is_out() -> None:
    found = chosen(
        job(DIVERSITY, n=100, selected_sequence_length=4, protected={"query": {"keys": ["a"]}, "radius": 0.0})
    )
    assert found.goals.protected_count == 2  # frames 0 and 4 are the query
    assert not set(range(8)) & set(found.rows.tolist())


def rigs_of(found: Choice) -> list[list[int]]:
    """Return the picks unit by unit, as frames of one moment of both cameras of the first day."""
    return [sorted(row for row in found.rows.tolist() if row % FRAMES == frame and row < 80) for frame in range(FRAMES)]  # fmt: skip


@pytest.mark.parametrize(("example", "mode"), EVERY)
def test_rigs__all_views_or_none(example: Callable[[float], Entry], mode: str) -> None:
    made = samples()
    times = made.times
    assert times is not None
    late = replace(times, seconds=np.where(times.videos == 1, times.seconds + 0.03, times.seconds))
    made = replace(made, times=late)
    found = chosen(example_job(example, mode, groups={"key": "day", "tolerance_s": 0.04}), made)
    assert all(rig in ([], [frame, frame + FRAMES]) for frame, rig in enumerate(rigs_of(found)))
    apart = chosen(
        example_job(example, mode, min_gap_s=0.5, groups={"key": "day", "tolerance_s": 0.04}), made
    )
    assert all(rig in ([], [frame, frame + FRAMES]) for frame, rig in enumerate(rigs_of(apart)))
    assert smallest_gap(apart.rows) >= 0.5 - 1e-9


def test_rigs__of_images_by_a_time_in_their_names() -> None:
    names = [f"n{scene}/CAM_{side}/{1532402927600000 + 100000 * shot + late}.jpg"
             for scene in (1, 2) for side, late in (("BACK", 12_000), ("FRONT", 0)) for shot in range(6)]  # fmt: skip
    made = pool(len(names))
    keys = {"scene", "t", "camera", "lightly.folder"}
    categories = categories_of(names, r"^(?P<scene>n\d)/.*?(?P<t>\d+)\.jpg$", keys=keys)
    groups = {"key": "scene", "tolerance_s": 0.05, "time_key": "t", "time_unit_s": 1e-6}
    asked = job(DIVERSITY, n=8, groups=groups, lightly_path_regex=r"^(?P<scene>n\d)/.*?(?P<t>\d+)\.jpg$")
    found = choose(replace(made, names=names, categories=categories), asked, asked=8)
    assert len(found.rows) == 8
    for first, second in found.rows.reshape(-1, 2).tolist():
        assert second == first + 6


def test_rigs__clips_that_begin_later_are_another_moment() -> None:
    sources = [f"cam_{side}_{start}.mp4" for side in "ab" for start in (100, 200) for _ in range(3)]
    made = pool(len(sources))
    times = Times(np.repeat(np.arange(4), 3), np.tile(np.arange(3) / 10, 4))
    pattern = r"_(?P<start>\d+)\.mp4"
    categories = categories_of(sources, pattern, keys={"start", "camera", "lightly.folder"})
    groups = {"key": "lightly.folder", "tolerance_s": 0.01, "time_key": "start"}
    asked = job(DIVERSITY, n=6, groups=groups, lightly_path_regex=pattern)
    found = choose(replace(made, categories=categories, times=times), asked, asked=6)
    assert all(second == first + 6 for first, second in found.rows.reshape(-1, 2).tolist())


def test_groups__with_frames_nearer_than_the_gap_are_never_picked() -> None:
    found = chosen(job(DIVERSITY, n=50, groups={"key": "video_name"}, min_gap_s=0.2))
    assert sorted(found.rows.tolist()) == [N - 2, N - 1]
    assert found.goals.ended == "rules"


@pytest.mark.parametrize("kept", [0, 3])
@pytest.mark.parametrize("overlap", [0, 3])
def test_analyse__of_sequences_is_beside_draws_of_sequences(kept: int, overlap: int) -> None:
    made = samples(kept=kept)
    balance = entry({"type": "METADATA", "key": "camera"}, {"type": "BALANCE", "distribution": "UNIFORM"})
    asked = job(DIVERSITY, WEIGHTS, balance, n=40, selected_sequence_length=4, sequence_overlap=overlap)
    found = chosen(asked, made)
    explanation = explain(
        made.embeddings,
        goals=found.goals,
        selected=found.rows,
        candidates=found.candidates,
        before=made.preselected,
        asked=40,
        seed=0,
        device=CPU,
    )
    analysis = analyse(
        made.embeddings,
        names=made.names,
        selected=found.rows,
        candidates=found.candidates,
        preselected=~made.own,
        goals=found.goals,
        explanation=explanation,
        seed=0,
        device=CPU,
    )
    assert "from the same candidates, in whole sequences of 4" in analysis.verdict.sentence
    assert analysis.baseline.draws == 100
    assert {one.decided for one in analysis.outcomes} == {None}
    assert {one.not_compared for one in analysis.outcomes} == {
        "a selection of sequences is not comparable with one of single frames"
    }
    assert analysis.balances[0].joint
