from hypothesis import given
from hypothesis import strategies as st

from worker.name_lines import from_lines, to_lines


def test_to_lines__only_strange_names_are_quoted() -> None:
    assert to_lines(["a b/ü.jpg", "x\ny", '"q"', "\u2028"]) == 'a b/ü.jpg\n"x\\ny"\n"\\"q\\""\n"\\u2028"\n'


@given(st.lists(st.text(min_size=1)))
def test_from_lines__gives_the_names_back(names: list[str]) -> None:
    assert from_lines(to_lines(names)) == names
