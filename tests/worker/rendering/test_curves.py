from collections.abc import Callable
from xml.etree import ElementTree

from worker.facts import Facts
from worker.rendering import curves
from worker.rendering.shares import shares


def test_curves__are_svg_with_a_dark_form_and_always_the_same(make_facts: Callable[..., Facts]) -> None:
    curve = make_facts().analysis.budgets
    mean, smallest = curve.of("coverage_mean")[0], curve.of("diversity_min")[0]
    for drawn in (
        lambda: curves.wide(curve, [("Mean", mean)], label="Distance"),
        lambda: curves.narrow(curve, [("Mean", mean), ("Smallest", smallest)], label="Share", share=True),
        lambda: shares(make_facts().analysis.balances[0].classes),
    ):
        body = drawn()
        assert ElementTree.fromstring(body).tag.endswith("svg")
        assert b"prefers-color-scheme: dark" in body
        assert body == drawn()


def test_wide__marks_where_the_selection_equals_random(make_facts: Callable[..., Facts]) -> None:
    curve = make_facts().analysis.budgets
    mean = [("Mean", curve.of("coverage_mean")[0])]
    drawn = [
        curves.wide(curve.model_copy(update={"like_random": at}), mean, label="Distance")
        for at in (None, 2, 8)
    ]
    assert len(drawn[1]) > len(drawn[0])
    assert len(drawn[2]) == len(drawn[0])
