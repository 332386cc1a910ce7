import json
from collections.abc import Callable
from typing import get_args

import pytest

from tests.worker.made_videos import made_videos, with_videos
from worker.blocks import Block
from worker.facts import Facts, JobFacts
from worker.rendering import pages
from worker.rendering.lightly_v2 import lightly_v2
from worker.rendering.pages import render_html, wanted_pictures, within_budget
from worker.rendering.templates import template_dir

HOSTILE = [
    "<script>alert(1)</script>",
    "a\u202egpj.exe",
    "x" * 500,
    "bell\x07\x1b[31m",
    "{{ 7 * 7 }}",
    '" onload="x',
]


def test_render_html__same_facts_same_bytes(make_facts: Callable[..., Facts], jpeg: bytes) -> None:
    facts = make_facts()
    pictures = dict.fromkeys(wanted_pictures(facts), jpeg)
    assert render_html(facts, pictures) == render_html(facts, pictures)


def test_render_html__hostile_names_are_text(make_facts: Callable[..., Facts]) -> None:
    html = render_html(
        make_facts(
            name=lambda row: f"{HOSTILE[row % len(HOSTILE)]}{row}",
            job=JobFacts(id="1", name=HOSTILE[0], config={"name": HOSTILE[0]}, seed=0),
        ),
        {},
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\u202e" not in html
    assert r"a\u{202e}gpj" in html
    assert "\x07" not in html
    assert "x" * 200 not in html
    assert "{{ 7 * 7 }}" in html
    assert '" onload="x' not in html


def test_render_html__forbids_everything_but_itself(make_facts: Callable[..., Facts]) -> None:
    html = render_html(make_facts(), {})
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html
    assert '<html lang="en">' in html
    assert "http://" not in html
    assert "https://" not in html


def test_render_html__says_the_verdict_first(make_facts: Callable[..., Facts]) -> None:
    html = render_html(make_facts(), {})
    places = [html.index(f'<section id="{name}"') for name in ("summary", "diversity", "reproducibility")]
    assert places == sorted(places)


def test_wanted_pictures__names_each_once_and_not_many(make_facts: Callable[..., Facts]) -> None:
    wanted = wanted_pictures(make_facts(500, 100))
    assert len(wanted) == len(set(wanted)) <= 100


def test_within_budget__leaves_out_what_does_not_fit(
    make_facts: Callable[..., Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = make_facts()
    monkeypatch.setattr(pages, "PICTURE_BUDGET_BYTES", 25)
    affordable = within_budget(facts, dict.fromkeys([*wanted_pictures(facts), "unknown"], b"x" * 10))
    assert list(affordable) == wanted_pictures(facts)[:2]


def test_blocks__each_has_a_macro() -> None:
    source = (template_dir() / "blocks.html.j2").read_text()
    macros = {line.split()[2].split("(")[0] for line in source.splitlines() if line.startswith("{% macro ")}
    assert {name for name in macros if not name.startswith("_")} == {one.__name__ for one in get_args(Block)}


def test_template_dir__is_found_in_a_checkout() -> None:
    assert (template_dir() / "report.css").is_file()


def test_lightly_v2__has_the_same_numbers(make_facts: Callable[..., Facts]) -> None:
    facts = make_facts()
    content = json.loads(json.dumps(lightly_v2(facts)))
    spread = content["datasetAnalysis"]["embeddingInformation"]["distanceToNearestNeighborInSet"]
    assert spread["selected"]["metrics"] == facts.analysis.diversity.of("selected").metrics.model_dump()
    assert len(spread["input"]["counts"]) == spread["bins"]
    sizes = content["generalInformation"]["datasetInformation"]["datasetSizes"]
    assert (sizes["nInput"], sizes["nSelected"], sizes["nCorrupt"]) == (40, 8, 3)
    assert "videoLevelSizes" not in content["generalInformation"]["datasetInformation"]


def test_lightly_v2__counts_videos_where_no_datapool_hides_them(make_facts: Callable[..., Facts]) -> None:
    facts = with_videos(make_facts(), made_videos(3))
    information = lightly_v2(facts)["generalInformation"]["datasetInformation"]
    assert information["videoLevelSizes"] == {
        "nInput": 3,
        "nCorrupt": 1,
        "nDuplicate": 0,
        "nRemoved": 0,
        "nSelected": 3,
        "nPreselectedDatapool": 0,
        "nSelectedWithDatapool": 3,
    }
    earlier = facts.model_copy(update={"counts": facts.counts.model_copy(update={"preselected": 5})})
    assert "videoLevelSizes" not in lightly_v2(earlier)["generalInformation"]["datasetInformation"]
