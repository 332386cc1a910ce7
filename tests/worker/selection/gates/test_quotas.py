import numpy as np
import pytest
from scipy.sparse import csr_array

from worker.selection.gates.gate import Gate
from worker.selection.gates.quotas import QuotaConflict, UnitQuota, profiles, table
from worker.selection.rules import Quota


def quota(labels, at_least, at_most):
    return Quota(*(np.array(numbers, np.int64) for numbers in (labels, at_least, at_most)))


def made(quotas, n, *, rows=4, candidates=None, sizes=None):
    chosen = np.arange(rows) if candidates is None else np.array(candidates)
    own = np.ones(len(chosen), np.int64) if sizes is None else np.array(sizes)
    return table(quotas, chosen, n, sizes=own, rows=rows)


def conflict(quotas, n, *, rows=4, **options):
    with pytest.raises(QuotaConflict) as caught:
        Gate(np.arange(rows), n, quotas=quotas, rows=rows, **options)
    return caught.value


def test_table__has_a_column_for_every_value_that_is_bounded():
    own = made([quota([0, 1, 2, -1], [0, 1, 0], [9, 9, 0]), quota([0, 0, 0, 1], [0, 0], [2, 1])], 3)
    assert own.quotas.tolist() == [0, 0, 1]
    assert own.labels.tolist() == [1, 2, 0]
    assert own.counts.toarray().tolist() == [[0, 0, 1], [1, 0, 1], [0, 1, 1], [0, 0, 0]]
    assert (own.at_least.tolist(), own.at_most.tolist()) == ([1, 0, 0], [9, 0, 2])


def test_table__is_about_candidates_only():
    own = made([quota([0, 1, 0, 1], [1, 0], [1, 1])], 3, candidates=[1, 2])
    assert own.counts.toarray().tolist() == [[0], [1]]
    assert own.labels.tolist() == [0]  # one candidate of value 1 cannot exceed 1


def test_table__counts_all_rows_of_a_unit():
    by_label = made([quota([0, 0, 1, 1], [1, 1], [9, 9])], 9, sizes=[3, 1, 2, 1])
    assert by_label.counts.toarray().tolist() == [[3, 0], [1, 0], [0, 2], [0, 1]]
    counts = csr_array(np.array([[1, 2], [0, 0], [0, 3], [1, 1]]))
    several = made([UnitQuota(counts, np.array([1, 1]), np.array([9, 9]))], 9)
    assert several.counts.toarray().tolist() == counts.toarray().tolist()


def test_profiles__are_equal_exactly_where_rows_are():
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 3, (300, 3)) * rng.integers(0, 2, (300, 3))
    numbers = profiles(csr_array(counts))
    same = (counts[:, None] == counts[None]).all(axis=2)
    assert ((numbers[:, None] == numbers[None]) == same).all()


@pytest.mark.parametrize(
    ("quotas", "n", "place", "text"),
    [
        ([quota([0] * 4, [3], [2])], 4, (0, 0), "at_least 3 is above at_most 2"),
        ([quota([0, 1, 1, 1], [0, 4], [9, 9])], 4, (0, 1), "at_least 4, but there are 3 to pick from"),
        ([quota([0, 0, 1, 1], [2, 2], [9, 9])], 3, (0, None), "adds up to 4, but 3 are to be picked"),
        (
            [quota([0] * 4, [0], [2]), quota([0, 0, 0, 1], [3, 0], [9, 9])],
            4,
            (1, 0),
            "at_least 3 cannot be met beside the other bounds: the best 4 to pick are 1 short of it, 1 in all",
        ),
    ],
)
def test_gate__refuses_quotas_that_cannot_be_met(quotas, n, place, text):
    found = conflict(quotas, n)
    assert (found.quota, found.label) == place
    assert text in found.message
    assert str(found).endswith(found.message)
    assert str(found).startswith(f"quota {place[0]}")


def test_gate__refuses_quotas_that_units_cannot_meet():
    labels = quota([0, 0, 1, 1], [2, 1], [9, 9])
    found = conflict([labels], 4, sizes=np.array([3, 3, 2, 2]))
    assert "cannot be met beside the other bounds" in found.message


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (quota([0, 0, 0], [0], [1]), r"quota 0: labels should be \(4,\)"),
        (quota([0, 0, 2, 0], [0, 0], [1, 1]), "quota 0: row 2 has label 2; choose from -1 to 1"),
        (quota([0, 0, -2, 0], [0], [1]), "row 2 has label -2"),
        (quota([0] * 4, [0], [1, 1]), r"at_most should be \(1,\) whole numbers of 0 or more"),
        (quota([0] * 4, [-1], [1]), "at_least should be"),
        (Quota(np.zeros(4), np.zeros(1, np.int64), np.ones(1, np.int64)), "got float64"),
        (
            UnitQuota(csr_array((4, 2), dtype=np.int64), np.zeros(1, np.int64), np.ones(1, np.int64)),
            r"quota 0: counts should be \(4, 1\), got \(4, 2\)",
        ),
    ],
)
def test_table__refuses(wrong, text):
    with pytest.raises(ValueError, match=text):
        made([wrong], 2)
