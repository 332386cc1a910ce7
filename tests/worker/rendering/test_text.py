import pytest

from jobs.visible import visible
from worker.rendering.text import common_folder, plural, quantity, seconds, shortened, size, time_code


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("day/1.jpg", "day/1.jpg"),
        ("写真.jpg", "写真.jpg"),
        ("a\x00b", r"a\u{0}b"),
        ("a\u202eb", r"a\u{202e}b"),
        ("a\u2066b", r"a\u{2066}b"),
        ("a\ud800b", r"a\u{d800}b"),
        ("line\nline\t", r"line\u{a}line\u{9}"),
    ],
)
def test_visible__escapes_what_cannot_be_seen(given: str, seen: str) -> None:
    assert visible(given) == seen


def test_shortened__keeps_both_ends() -> None:
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert shortened("abcde", 5) == "abcde"


def test_numbers__read_as_people_write_them() -> None:
    assert [seconds(4.25), seconds(59.94), seconds(185), seconds(7_400)] == [
        "4.25 s",
        "59.9 s",
        "3 min 5 s",
        "2 h 3 min",
    ]
    assert [size(512), size(1_536), size(5 * 2**30)] == ["512 B", "1.5 KiB", "5.0 GiB"]
    assert [plural(1, "sample"), plural(1_200, "sample")] == ["1 sample", "1,200 samples"]
    assert [quantity(None), quantity(0.12345), quantity(123_456)] == ["n/a", "0.1235", "123,456"]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (0.0, "00:00:00.000"),
        (1.2346, "00:00:01.235"),
        (59.9996, "00:01:00.000"),
        (7_265.5, "02:01:05.500"),
        (400_000.0, "111:06:40.000"),
        (-0.04, "-00:00:00.040"),
        (-0.0001, "00:00:00.000"),
    ],
)
def test_time_code__is_hours_minutes_seconds(given: float, seen: str) -> None:
    assert time_code(given) == seen


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        ([], ""),
        (["a.mp4"], ""),
        (["x/y/a.mp4"], "x/y/"),
        (["x/y/a.mp4", "x/yz/b.mp4", "x/y/c/d.mp4"], "x/"),
        (["x/a.mp4", "x.mp4"], ""),
        (["x/y", "x/y/a.mp4"], "x/"),
    ],
)
def test_common_folder__ends_at_a_slash(names: list[str], folder: str) -> None:
    assert common_folder(names) == folder
