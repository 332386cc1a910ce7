import time

import pytest

from jobs.patterns import group_names, matcher
from tests.jobs.test_selection import DIVERSITY, EMBEDDINGS, entry, parsed, refused


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(?P<camera>", "not a regular expression of RE2: missing ): (?P<camera>"),
        (r"(?P<a>x)\1", "not a regular expression of RE2: invalid escape sequence"),
        ("(?P<a>x)(?=y)", "not a regular expression of RE2: invalid perl operator"),
        ("(?P<a>x)|(?P<a>y)", "each named group should be there once"),
        ("(?P<a>(x{1000}){1000})", "not a regular expression of RE2: "),
        ("(.*)/", "should have a named group, such as (?P<camera>[^/]+)/ (got '(.*)/')"),
    ],
)
def test_checked_pattern__is_refused_with_its_place(pattern: str, says: str) -> None:
    text = {**entry(EMBEDDINGS, DIVERSITY), "lightly_path_regex": pattern}
    assert refused(text).startswith(f"selection.lightly_path_regex: {says}")


def test_checked_pattern__stays_as_it_is() -> None:
    pattern = r"(?P<camera>[^/]+)/(?P<drive>\d+)"
    assert parsed({**entry(EMBEDDINGS, DIVERSITY), "lightlyPathRegex": pattern}).lightly_path_regex == pattern
    assert group_names(pattern) == ("camera", "drive")


def test_matcher__first_place_and_groups_that_matched_something() -> None:
    match = matcher(r"(?P<camera>[a-zé]+)(-(?P<drive>\d+))?(?P<rest>_*)/")
    assert match("x.jpg") is None
    assert match("2026/cité-7/b-8/") == {"camera": "cité", "drive": "7", "rest": None}
    assert match("front/") == {"camera": "front", "drive": None, "rest": None}
    assert match("\udcff front/") == {"camera": "front", "drive": None, "rest": None}


def test_matcher__takes_linear_time_where_backtracking_would_not_end() -> None:
    match = matcher("(?P<a>(x+x+)+)y")
    began = time.monotonic()
    assert match("x" * 1000) is None
    assert time.monotonic() - began < 60
