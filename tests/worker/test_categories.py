import numpy as np
import pytest

from worker.categories import categories_of, categorized, category_keys

PATTERN = r"^(?P<camera>[a-z]+)/(?P<drive>\d+)?"
NAMES = ["front/7/a.jpg", "back/12/b.JPG", "c.png", "front/x/d.tar.gz", "X/e"]


BUILT_IN = ("camera", "day", "lightly.extension", "lightly.folder", "video_name")


def test_category_keys__what_every_name_has_and_the_groups() -> None:
    assert category_keys(None) == BUILT_IN
    assert category_keys(PATTERN) == (*BUILT_IN[1:], "camera", "drive")


def test_categories_of__groups_of_the_pattern() -> None:
    found = categories_of(NAMES, PATTERN, keys={"camera", "drive"})
    assert set(found) == {"camera", "drive"}
    assert found["camera"].values == ("back", "front")
    assert found["camera"].texts() == ["front", "back", None, "front", None]
    assert found["camera"].counts().tolist() == [1, 2]
    assert found["camera"].counts(np.array([True, False, True, False, True])).tolist() == [0, 1]
    assert found["drive"].texts() == ["7", "12", None, None, None]
    assert found["drive"].missing.tolist() == [False, False, True, True, True]


def test_categories_of__folder_and_extension_need_no_pattern() -> None:
    found = categories_of(NAMES, None, keys={"lightly.folder", "lightly.extension"})
    assert found["lightly.folder"].texts() == ["front/7", "back/12", ".", "front/x", "X"]
    assert found["lightly.extension"].texts() == ["jpg", "jpg", "png", "gz", None]


def test_categories_of__words_of_time_and_place_need_no_pattern() -> None:
    sources = ["2026-01-14/cam_left/a.mp4", "2026-01-14/cam_left/a.mp4", "b.jpg"]
    found = categories_of(sources, None, keys={"video_name", "camera", "day"})
    assert found["video_name"].texts() == [sources[0]] * 2 + [None]
    assert found["camera"].texts() == ["cam_left"] * 2 + [None]
    assert found["day"].texts() == ["2026-01-14"] * 2 + [None]


def test_categories_of__a_group_wins_over_a_built_in_key() -> None:
    pattern = r"(?P<camera>left|right)/(?P<video_name>[a-z]+)"
    found = categories_of(
        ["cam_1/left/abc.mp4", "cam_1/x.mp4"], pattern, keys={"camera", "video_name", "day"}
    )
    assert found["camera"].texts() == ["left", None]
    assert found["video_name"].texts() == ["abc", None]
    assert found["day"].texts() == [None, None]


def test_first__keeps_values_that_no_sample_has_any_more() -> None:
    found = categorized(["b", "a", None]).first(1)
    assert (found.values, found.labels.tolist(), found.counts().tolist()) == (("a", "b"), [1], [0, 1])


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["7", None, "-2.5e1", "+03"], [7.0, np.nan, -25.0, 3.0]),
        (["7", "x"], None),
        (["nan"], None),
        (["inf"], None),
        (["1e999"], None),
        (["1_000"], None),
        (["٣"], None),
        ([None], None),
    ],
)
def test_numbers__only_where_all_values_are(texts: list[str | None], numbers: list[float] | None) -> None:
    found = categorized(texts).numbers()
    if numbers is None:
        assert found is None
    else:
        np.testing.assert_array_equal(found, numbers)
