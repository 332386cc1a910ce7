"""What the names alone tell: refused before an image is read, shown by `framesift check`."""

from pathlib import Path
from typing import Any

import pytest

from tests.photos import make_photos
from tests.worker.runs import DIVERSITY, job, prepared, select
from worker.check import Forecast, forecast
from worker.errors import JobFailed, JobRejected
from worker.foresight import Foresight, foresee

PATTERN = r"^(?P<camera>[a-z]+)/(?P<drive>\d)"
CAMERA = {"type": "METADATA", "key": "camera"}
DRIVE = {"type": "METADATA", "key": "drive"}
BALANCE = {"type": "BALANCE", "target": {"front": 0.5}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 photos of front/, 5 of back/, one at the top; drives 0 to 1."""
    folder = tmp_path_factory.mktemp("in")
    for number in range(2):
        make_photos(folder, 6, first=10 * number, prefix=f"front/{number}")
    make_photos(folder, 5, first=100, prefix="back/0")
    make_photos(folder, 1, first=200)
    return folder


def text(
    photos: Path, tmp_path: Path, *entries: tuple[dict[str, Any], dict[str, Any]], **selection: Any
) -> Any:
    strategies = [{"input": given, "strategy": strategy} for given, strategy in entries] or [DIVERSITY]
    asked = {"n_samples": 6, "lightly_path_regex": PATTERN, "strategies": strategies, **selection}
    return job(photos, tmp_path / "out", selection=asked)


def foreseen(document: Any) -> Forecast:
    return forecast(prepared(document))


def test_forecast__shows_classes_and_what_strategies_do_with_them(photos: Path, tmp_path: Path) -> None:
    slow = {"type": "THRESHOLD", "threshold": 1, "operation": "SMALLER"}
    found = foreseen(
        text(
            photos,
            tmp_path,
            (CAMERA, BALANCE),
            (DRIVE, slow),
            quotas=[{"key": "lightly.folder", "at_most": 3}],
        )
    )
    assert found.classes == {
        "lightly.folder": {"front": 12, "back": 5, ".": 1},
        "camera": {"front": 12, "back": 5},
        "drive": {"0": 11, "1": 6},
    }
    assert found.without_value == {"lightly.folder": 0, "camera": 1, "drive": 1}
    assert found.more_values == {"lightly.folder": 0, "camera": 0, "drive": 0}
    assert found.strategies == {
        "selection.strategies.0": "BALANCE on camera, front 50 %, everything else 50 %, strength 1",
        "selection.strategies.1": "THRESHOLD on drive, SMALLER 1, keeps 11 of 18, 1 without a value left out, strength 1",
    }
    assert not (tmp_path / "out").exists()


def test_forecast__lists_fifty_values_at_most(photos: Path, tmp_path: Path) -> None:
    many = text(photos, tmp_path, quotas=[{"key": "number", "at_most": 1}])
    many["selection"]["lightly_path_regex"] = r"(?P<number>\d+)\.jpg"
    make_photos(tmp_path / "in", 60)
    many["datasource"]["input"] = str(tmp_path / "in")
    found = foreseen(many)
    assert (len(found.classes["number"]), found.more_values) == (50, {"number": 10})


REFUSED = [
    (
        [(CAMERA, {"type": "BALANCE", "target": {"frnt": 0.5}})],
        {},
        r"selection\.strategies\.0\.strategy\.target: no sample has camera 'frnt'; there are back, front; did you mean",
    ),
    (
        [(CAMERA, {"type": "WEIGHTS"})],
        {},
        r"selection\.strategies\.0\.input\.key: WEIGHTS needs numbers; 'camera' is a category",
    ),
    (
        [],
        {"quotas": [{"key": "camera", "value": "left", "at_most": 1}]},
        r"quotas\.0\.value: no sample has camera",
    ),
    (
        [],
        {"quotas": [{"key": "camera", "value": "back", "at_least": 6}]},
        r"quotas\.0: camera 'back': at_least 6, but there are 5 to pick from",
    ),
    (
        [(DRIVE, {"type": "THRESHOLD", "threshold": 0, "operation": "BIGGER"})],
        {"quotas": [{"key": "camera", "value": "back", "at_least": 1}]},
        r"quotas\.0: camera 'back': at_least 1, but there are 0 to pick from",
    ),
    (
        [],
        {"n_samples": None, "proportion_samples": 0.1, "quotas": [{"key": "camera", "at_least": 2}]},
        r"selection\.quotas: on camera: at_least of all values adds up to 4, but 2 are to be picked",
    ),
    (
        [],
        {
            "groups": {"key": "drive"},
            "quotas": [{"key": "camera", "value": "front", "at_least": 5, "at_most": 5}],
        },
        r"quotas\.0: camera 'front': at_least 5 cannot be met",
    ),
    (
        [],
        {"protected": {"query": {"keys": ["front/0003.jpg", "front/000003.jpg", "b"]}, "radius": 0.1}},
        r"protected\.query\.keys: 'front/0003\.jpg' \(and 1 more\) is not among the 18 samples of the input; did you mean",
    ),
]


@pytest.mark.parametrize(("entries", "selection", "says"), REFUSED)
def test_forecast_and_run__refuse_before_any_image_is_read(
    photos: Path, tmp_path: Path, entries: Any, selection: dict[str, Any], says: str
) -> None:
    document = text(photos, tmp_path, *entries, **selection)
    with pytest.raises(JobRejected, match=says):
        foreseen(document)
    ready = prepared(document)
    with pytest.raises(JobRejected, match=says):
        select(ready)
    assert ready.source.usage.requests.get("GET", 0) == 0
    assert not list((tmp_path / "out").rglob("plan.parquet"))


def test_forecast__negative_weights_in_names(tmp_path: Path) -> None:
    for name in ("a_3", "b_-4"):
        make_photos(tmp_path / "in", 1, prefix=f"{name}_")
    weights = ({"type": "METADATA", "key": "t"}, {"type": "WEIGHTS"})
    cold = ({"type": "METADATA", "key": "t"}, {"type": "THRESHOLD", "threshold": 0, "operation": "BIGGER"})
    pattern = r"_(?P<t>-?\d+)_"
    document = text(tmp_path / "in", tmp_path, weights, lightly_path_regex=pattern)
    with pytest.raises(
        JobRejected, match=r"'b_-4_00000\.jpg' has -4; weights should be finite and 0 or more"
    ):
        foreseen(document)
    assert foreseen(text(tmp_path / "in", tmp_path, weights, cold, lightly_path_regex=pattern)).asked == 6


def test_forecast__refuses_what_does_not_fit_into_memory(photos: Path, tmp_path: Path) -> None:
    small = prepared(text(photos, tmp_path), memory_bytes=1000)
    with pytest.raises(
        JobFailed,
        match=r"memory: this selection needs .* and .* may be used \(embeddings 4 \* rows \* dimension",
    ):
        forecast(small)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"groups": {"key": "camera"}, "n_samples": 4, "lightly_path_regex": r"^(?P<camera>front)/"}, None),
        (
            {"groups": {"key": "lightly.extension"}, "n_samples": 4},
            "4 to select; the smallest group has 18 samples",
        ),
        ({"quotas": [{"key": "lightly.extension", "at_most": 0}]}, "6 to select$"),
    ],
)
def test_forecast__refuses_rules_that_let_nothing_through(
    photos: Path, tmp_path: Path, rules: dict[str, Any], why: str | None
) -> None:
    if why is None:  # samples without a value are in no group, so they fit
        foreseen(text(photos, tmp_path, **rules))
        return
    with pytest.raises(JobRejected, match=f"nothing can be picked within groups and quotas, with {why}"):
        foreseen(text(photos, tmp_path, **rules))
    speed = {"input": {"type": "METADATA", "key": "lightly.sharpness"}}
    slow = {"strategy": {"type": "THRESHOLD", "threshold": 1, "operation": "BIGGER"}}
    foreseen(
        text(photos, tmp_path, **{**rules, "strategies": [{**speed, **slow}]})
    )  # it may leave less of a group


def test_forecast__says_which_shares_are_out_of_reach(photos: Path, tmp_path: Path) -> None:
    most = {"type": "BALANCE", "target": {"back": 0.9, "front": 0.1}}
    found = foreseen(text(photos, tmp_path, (CAMERA, most), n_samples=10))
    assert found.strategies["selection.strategies.0"].endswith(
        "strength 1; at best 'back' 50.0% instead of 90.0% (there are 5), 'front' 50.0% instead of 10.0% (there are 12)"
    )


VIDEOS = [f"2026-01-{day}/cam_{side}.mp4" for day in (14, 15) for side in ("a", "b")]


def foreseen_of(names: list[str], photos: Path, tmp_path: Path, *entries: Any, **selection: Any) -> Foresight:
    document = text(photos, tmp_path, *entries, **selection)
    if "lightly_path_regex" not in selection:
        del document["selection"]["lightly_path_regex"]
    return foresee(prepared(document), names)


def test_foresee__of_videos_values_are_checked_and_numbers_are_not(photos: Path, tmp_path: Path) -> None:
    target = {"type": "BALANCE", "target": {VIDEOS[0]: 0.5, VIDEOS[1]: 0.5}}
    found = foreseen_of(
        VIDEOS,
        photos,
        tmp_path,
        ({"type": "METADATA", "key": "video_name"}, target),
        n_samples=600,
        selected_sequence_length=6,
        min_gap_s=1,
        quotas=[{"key": "day", "value": "2026-01-14", "at_least": 300}],
    )
    assert found.classes["day"] == {"2026-01-14": 2, "2026-01-15": 2}
    assert "at best" not in found.strategies["selection.strategies.0"]
    quota = {"key": "day", "value": "2026-01-16", "at_least": 3}
    with pytest.raises(JobRejected, match=r"quotas\.0\.value: no sample has day '2026-01-16'"):
        foreseen_of(VIDEOS, photos, tmp_path, quotas=[quota])
    other = {"type": "BALANCE", "target": {"x.mp4": 0.5}}
    with pytest.raises(JobRejected, match=r"target: no sample has video_name 'x\.mp4'"):
        foreseen_of(VIDEOS, photos, tmp_path, ({"type": "METADATA", "key": "video_name"}, other))


def test_foresee__frames_of_listed_videos_may_be_queried(photos: Path, tmp_path: Path) -> None:
    def protecting(*keys: str) -> dict[str, Any]:
        return {"protected": {"query": {"keys": list(keys)}, "radius": 0.1}}

    frame = VIDEOS[0].replace(".mp4", "-012-mp4.png")
    foreseen_of([*VIDEOS, "a.jpg"], photos, tmp_path, **protecting(frame, "a.jpg"))
    for wrong in (VIDEOS[0], "other-012-mp4.png", "b.jpg"):
        with pytest.raises(
            JobRejected, match=r"is not among the 1 image and the frames of 4 videos of the input"
        ):
            foreseen_of([*VIDEOS, "a.jpg"], photos, tmp_path, **protecting(wrong))


def test_foresee__images_alone_have_no_sequences_and_no_time(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(JobRejected, match=r"selected_sequence_length: sequences of 3 are made of the frames"):
        foreseen_of(["a.jpg"], photos, tmp_path, selected_sequence_length=3)
    rig: dict[str, Any] = {"key": "lightly.folder", "tolerance_s": 0.1}
    with pytest.raises(JobRejected, match=r"groups\.time_key: required, since images have no time"):
        foreseen_of(["a.jpg"], photos, tmp_path, groups=rig)
    foreseen_of(VIDEOS, photos, tmp_path, groups=rig)
    names = [f"s/CAM_{side}/{shot}.jpg" for side in ("LEFT", "RIGHT") for shot in range(10)]
    timed = {"groups": {**rig, "key": "scene", "time_key": "t"}}
    pattern = r"^(?P<scene>s)/.*/(?P<t>\d+)"
    with pytest.raises(JobRejected, match="with 1 to select; the smallest group has 2 samples"):
        foreseen_of(names, photos, tmp_path, n_samples=1, lightly_path_regex=pattern, **timed)
    wrong = {"groups": {**timed["groups"], "time_key": "scene"}}
    with pytest.raises(JobRejected, match=r"groups\.time_key: a time needs numbers; 'scene' is a category"):
        foreseen_of(names, photos, tmp_path, lightly_path_regex=pattern, **wrong)
