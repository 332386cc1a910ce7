"""The rules of a relevant_filenames file."""

import pytest

from worker.errors import JobRejected
from worker.intake.relevant import parse_relevant

KEYS = ["a.jpg", "day/1.jpg", "day/1_bad.jpg", "day/sub/2.png", "night/3.jpg", "my photo.jpg"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.jpg", ["a.jpg"]),
        ("day/*", ["day/1.jpg", "day/1_bad.jpg", "day/sub/2.png"]),
        ("day/ *.jpg !*_bad.jpg", ["day/1.jpg"]),
        ("day/ *.png", ["day/sub/2.png"]),
        ("my photo.jpg", ["my photo.jpg"]),
        ("\na.jpg\n\nnight/3.jpg\n", ["a.jpg", "night/3.jpg"]),
        ("day/ *\na.jpg", ["a.jpg", "day/1.jpg", "day/1_bad.jpg", "day/sub/2.png"]),
    ],
)
def test_parse_relevant__takes(text: str, expected: list[str]) -> None:
    relevant = parse_relevant(text, at="list")
    assert [key for key in KEYS if relevant.matches(key)] == sorted(expected, key=KEYS.index)


@pytest.mark.parametrize("text", ["", "  \n ", "/etc/passwd", "../x.jpg", "a/./b.jpg", "day/\n../* *.jpg"])
def test_parse_relevant__refuses(text: str) -> None:
    with pytest.raises(JobRejected, match=r"^list"):
        parse_relevant(text, at="list")
