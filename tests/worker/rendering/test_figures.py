from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest

from worker.facts import Curve, Facts
from worker.rendering import explanations, figures
from worker.rendering.picture_map import moved_apart, picture_map


def test_figures__are_svg_with_a_dark_form_and_without_a_date(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    for body in (
        figures.scatter(facts.analysis.scatter),
        figures.distances(facts.analysis.coverage, "distance"),
        figures.headlines(facts.analysis.baseline.headlines),
        figures.waterfall(facts.counts),
        figures.insertion(facts.analysis.proof.insertion, 0.5),
        figures.measure(facts.analysis.measures[0]),
        figures.timings(facts.run.stages),
        explanations.diversity(),
        explanations.coverage(),
    ):
        assert ElementTree.fromstring(body).tag.endswith("svg")
        assert b"prefers-color-scheme: dark" in body
        assert b"<dc:date>" not in body


def test_insertion__one_step_is_drawn() -> None:
    assert b"<svg" in figures.insertion(Curve(picks=2, steps=(2,), distances=(0.0,)), None)


def test_scatter__many_points_stay_small(make_facts: Callable[..., Facts]) -> None:
    many = make_facts().analysis.scatter.model_copy(
        update={"input": tuple((float(x), float(y)) for x, y in np.random.default_rng(0).random((10_000, 2)))}
    )
    assert len(figures.scatter(many)) < 700_000


def test_moved_apart__squares_hardly_overlap_and_stay_inside() -> None:
    placed = moved_apart(np.full((6, 2), 50.0), gap=10, box=(100, 100))
    apart = np.abs(placed[:, None] - placed[None]).max(axis=2)[~np.eye(6, dtype=bool)]
    assert apart.min() > 9.9
    assert placed.min() >= 5
    assert placed.max() <= 95


def test_picture_map__needs_a_picture(make_facts: Callable[..., Facts], jpeg: bytes) -> None:
    scatter = make_facts().analysis.scatter
    assert picture_map(scatter, {}) is None
    body = picture_map(scatter, {scatter.examples[0].sample: jpeg})
    assert body is not None
    assert body[:3] == b"\xff\xd8\xff"


def test_moved_apart__points_far_apart_stay() -> None:
    points = np.array([[20.0, 20.0], [70.0, 70.0]])
    assert moved_apart(points, gap=10, box=(100, 100)) == pytest.approx(points)
