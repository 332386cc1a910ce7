import numpy as np

from worker.analysis.goals import NamedQuota
from worker.analysis.quotas import quota_facts
from worker.selection.rules import Quota


def test_quota_facts__values_with_a_bound_and_what_is_missing() -> None:
    quota = Quota(
        labels=np.array([0, 0, 1, 1, 2, -1]), at_least=np.array([2, 0, 0]), at_most=np.array([2**62, 1, 6])
    )
    named = NamedQuota("camera", ("left", "right", "rear"), quota)
    left, right = quota_facts(named, selected=np.array([0, 3, 4, 5]), candidates=np.arange(6)).values
    assert (left.value, left.at_least, left.at_most, left.candidates, left.picked, left.missing) == (
        "left",
        2,
        None,
        2,
        1,
        1,
    )
    assert (right.value, right.at_most, right.picked, right.missing) == ("right", 1, 1, 0)
