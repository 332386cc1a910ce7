from collections.abc import Callable

from worker.blocks import Table
from worker.facts import Facts
from worker.sections.explain import Explain

SECTION = Explain(type="explain")


def tables(facts: Facts) -> list[Table]:
    return [block for block in SECTION.blocks(facts, {}) if isinstance(block, Table)]


def test_explain__lists_neighbours_and_objectives(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    neighbours, objectives = tables(facts)
    first = facts.analysis.picks[0]
    assert len(neighbours.rows) == len(objectives.rows) == 8
    assert neighbours.rows[0][0] == "1. day/0.jpg"
    assert neighbours.rows[0][3].endswith(first.nearest_dropped)
    assert neighbours.columns[-1] == "Decided by"
    assert objectives.columns == ("Pick", "diversity", "weights of day/0.jpg", "balance of day/1.jpg")
    assert "→" in objectives.rows[1][1]


def with_picks(facts: Facts, *, strategies: int, **changes: object) -> Facts:
    """Return facts whose picks have the first strategies only, changed."""
    picks = tuple(
        pick.model_copy(
            update={
                "decided_by": None,
                "objectives": tuple(one.model_copy(update=changes) for one in pick.objectives[:strategies]),
            }
        )
        for pick in facts.analysis.picks
    )
    outcomes = facts.analysis.outcomes[:strategies]
    return facts.model_copy(
        update={"analysis": facts.analysis.model_copy(update={"picks": picks, "outcomes": outcomes})}
    )


def test_explain__a_single_strategy_needs_no_objectives(make_facts: Callable[..., Facts]) -> None:
    (neighbours,) = tables(with_picks(make_facts(), strategies=1, lead=None))
    assert "Decided by" not in neighbours.columns


def test_explain__without_leads_none_is_explained(make_facts: Callable[..., Facts]) -> None:
    facts = with_picks(make_facts(), strategies=2, lead=None)
    assert "(" not in tables(facts)[1].rows[1][1]
    assert len(SECTION.blocks(facts, {})) == 3


def test_explain__many_strategies_are_split_over_tables(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    picks = tuple(
        pick.model_copy(update={"objectives": pick.objectives * 3}) for pick in facts.analysis.picks
    )
    many = facts.model_copy(update={"analysis": facts.analysis.model_copy(update={"picks": picks})})
    assert [len(table.columns) for table in tables(many)[1:]] == [4, 4, 4]


def test_explain__nothing_where_nobody_has_a_neighbour(make_facts: Callable[..., Facts]) -> None:
    assert SECTION.blocks(make_facts(1, 1), {}) == ()
    assert SECTION.blocks(make_facts(5, 0), {}) == ()
