import numpy as np
import pyarrow as pa

from worker.analysis.explain import Explanation, explain
from worker.analysis.goals import Goal, Goals
from worker.device import Device
from worker.explained import objective_slugs, with_explanation
from worker.selection.terms import Diversity, Term, Weights

LINE = np.array([[0.0], [1.0], [3.0], [6.0], [10.0]], np.float32)
TABLE = pa.table({"sample": ["a", "b", "c", "d", "e"]})


def explained(*terms: tuple[str, Term], selected: tuple[int, ...] = (0, 4, 2)) -> Explanation:
    return explain(
        LINE,
        goals=Goals(terms=tuple(Goal(name, term) for name, term in terms)),
        selected=np.array(selected, np.int64),
        candidates=np.ones(5, bool),
        before=np.array([], np.int64),
        asked=3,
        seed=0,
        device=Device("cpu", "CPU", 1),
    )


def test_with_explanation__fills_the_rows_that_were_picked() -> None:
    found = with_explanation(TABLE, explained(("diversity", Diversity()))).to_pydict()
    assert found["distance_to_selected"] == [None, None, 3, None, 10]
    assert found["nearest_kept"] == ["c", None, "a", None, "c"]
    assert found["nearest_dropped"] == ["b", None, "b", None, "d"]
    assert found["nearest_dropped_distance"] == [1, None, 2, None, 4]
    assert found["objective_diversity_before"] == [0, None, 200, None, 0]
    assert found["objective_diversity_after"] == [0, None, 67, None, 200]
    assert not {"decided_by", "lead_diversity"} & set(found)


def test_with_explanation__several_strategies_have_leads_and_a_winner() -> None:
    weights = Weights(np.array([9.0, 1, 1, 1, 1]))
    found = with_explanation(TABLE, explained(("diversity", Diversity()), ("weights of size", weights)))
    assert found["decided_by"].to_pylist()[0] == "weights of size"
    assert found["lead_weights_of_size"].to_pylist()[0] > 0
    assert found["lead_diversity"].to_pylist()[0] is None


def test_with_explanation__nothing_picked_gives_the_same_columns() -> None:
    full, empty = (
        with_explanation(TABLE, explained(("diversity", Diversity()), selected=rows)) for rows in ((0, 4), ())
    )
    assert empty.schema == full.schema
    assert empty["nearest_kept"].null_count == 5


def test_objective_slugs__are_plain_and_different() -> None:
    assert objective_slugs(["balance of weather.kind", "balance of weather kind", "Ä" * 9, "x" * 99]) == [
        "balance_of_weather_kind",
        "balance_of_weather_kind_2",
        "strategy",
        "x" * 60,
    ]
