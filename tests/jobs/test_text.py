import json

import pytest

from jobs.errors import JobRejected
from jobs.text import MAX_DEPTH, MAX_JOB_BYTES, read_object


def test_read_object__text_bytes_and_mapping_are_the_same() -> None:
    given = {"a": [1, 2.5, None, True], "b": {"c": "ü"}}
    text = json.dumps(given, ensure_ascii=False)
    assert read_object(text) == read_object(text.encode()) == read_object(given) == given


def test_read_object__byte_order_mark_is_ignored() -> None:
    assert read_object(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1,}', "not JSON at line 1, column 9"),
        ('{\n  "a": 1 # one\n}', "not JSON at line 2, column 10"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is given twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "the number '1e999' is too large"),
        ('{"a": ' + "9" * 5000 + "}", "integer string conversion"),
        ("[1]", "should be a JSON object (got [1])"),
        ('"text"', "should be a JSON object (got 'text')"),
        ("", "not JSON at line 1, column 1"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ("[" * 100_000, "nested more than"),
        ('{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", "nested more than"),
        ({"a": {1, 2}}, "cannot be written as JSON"),
        ({"a": float("nan")}, "cannot be written as JSON"),
    ],
)
def test_read_object__refuses_in_one_line(text: str, says: str) -> None:
    with pytest.raises(JobRejected) as caught:
        read_object(text)
    assert says in str(caught.value)
    assert str(caught.value).startswith("job: ")
    assert "\n" not in str(caught.value)


def test_read_object__size_is_counted_in_bytes() -> None:
    empty = len(b'{"a": ""}')
    assert read_object('{"a": "' + "x" * (MAX_JOB_BYTES - empty) + '"}')
    with pytest.raises(JobRejected, match="at most 1048576"):
        read_object('{"a": "' + "é" * (MAX_JOB_BYTES // 2) + '"}')


def test_read_object__depth_up_to_the_limit_passes() -> None:
    depth = MAX_DEPTH - 1
    assert read_object('{"a": ' + "[" * depth + "]" * depth + "}")
