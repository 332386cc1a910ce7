import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.selection.gates.apart import Apart, Spans
from worker.selection.gates.gate import Gate


def spans_of(rows):
    """Return spans of (owner, line, start, end)."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    kinds = (np.int64, np.int64, np.float64, np.float64)
    return Spans(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


def distance(one, other):
    return max(other[2] - one[3], one[2] - other[3])


@st.composite
def equal_spans(draw):
    """Spans of one length on small grids, so that many are exactly as far apart as asked; each unit has a few."""
    length = draw(st.integers(0, 2))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 6), st.integers(-1, 2), st.integers(0, 12)), min_size=1, max_size=14
        )
    )
    return [(owner, line, start, start + length) for owner, line, start in rows]


@settings(max_examples=200, deadline=None)
@given(equal_spans(), st.integers(1, 4))
def test_apart__finds_what_every_pair_tells(rows, least):
    apart = Apart(spans_of(rows), float(least))

    def are_near(one, other):
        return one[1] == other[1] >= 0 and distance(one, other) < least

    for unit in {row[0] for row in rows}:
        own = [row for row in rows if row[0] == unit]
        expected = {row[0] for row in rows for one in own if are_near(one, row)}
        assert apart.near(unit).tolist() == sorted(expected)
    broken = {
        row[0]
        for at, row in enumerate(rows)
        for other in rows[at + 1 :]
        if other[0] == row[0] and are_near(row, other)
    }
    assert apart.broken().tolist() == sorted(broken)


def test_gate__closes_what_is_near_once():
    rows = np.array([0, 1, 2, 3, 5])
    spans = spans_of([(row, 0, 0.5 * row, 0.5 * row) for row in rows.tolist()])
    gate = Gate(rows, 5, apart=[Apart(spans, 1.0), Apart(spans, 0.6)], rows=6)

    assert gate.start().tolist() == []
    assert gate.picked(2).tolist() == [1, 3]
    assert gate.picked(0).tolist() == []
    assert not gate.done
    assert gate.picked(5).tolist() == []
    assert (gate.done, gate.ended) == (True, "rules")


def test_gate__closes_a_unit_that_is_near_to_itself():
    spans = spans_of([(0, 0, 0, 0), (0, 0, 0.5, 0.5), (1, 0, 3, 3)])
    gate = Gate(np.array([0, 1]), 2, apart=[Apart(spans, 1.0)], rows=2)

    assert gate.start().tolist() == [0]
