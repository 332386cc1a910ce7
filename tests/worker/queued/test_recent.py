from worker.queued.recent import Recent


def test_recent__keeps_what_was_asked_for_last() -> None:
    made: list[str] = []

    def value(key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key * 3)  # type: ignore[func-returns-value]

    recent = Recent[str](2)
    assert [value(key) for key in "abab"] == ["aaa", "bbb", "aaa", "bbb"]
    value("c")
    value("b")
    value("a")
    assert made == ["a", "b", "c", "a"]


def test_recent__one_that_is_too_large_is_kept_alone() -> None:
    made: list[int] = []
    recent = Recent[bytes](100, size=len)
    for length in (40, 60, 200, 200, 40):
        recent.get(length, lambda length=length: made.append(length) or bytes(length))  # type: ignore[misc]
    assert made == [40, 60, 200, 40]
