"""What holds for every section, whatever it shows."""

from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from tests.worker.made_videos import made_videos, with_videos
from worker.facts import Facts
from worker.rendering.pages import render_html, report_sections, wanted_pictures
from worker.section import Section

VOID = {"meta", "img", "link", "br", "hr", "input", "col"}
BY_TYPE = pytest.mark.parametrize("section", report_sections(), ids=lambda section: section.type)
SIZES = pytest.mark.parametrize(("n", "k"), [(40, 8), (40, 0), (1, 1), (0, 0)])


class Wellformed(HTMLParser):
    """Remembers open elements, and the headings in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag != "script"
        assert tag != "img" or given.get("alt"), "a picture without a text"
        assert tag != "th" or given.get("scope")
        assert not [name for name in given if name.startswith("on")]
        for address in (given.get("src"), given.get("href")):
            assert address is None or address.startswith(("data:image/", "#"))
        if tag in {"h1", "h2", "h3"}:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(html: str) -> None:
    parser = Wellformed()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert parser.headings[0] == 1
    assert all(
        later - earlier <= 1 for earlier, later in zip(parser.headings, parser.headings[1:], strict=False)
    )


def test_sections__have_places_of_their_own() -> None:
    sections = report_sections()
    assert len({section.order for section in sections}) == len(sections)
    assert len({section.title for section in sections}) == len(sections)


@BY_TYPE
def test_section__gives_the_same_blocks_twice(
    section: Section, make_facts: Callable[..., Facts], jpeg: bytes
) -> None:
    facts = make_facts()
    pictures = dict.fromkeys(wanted_pictures(facts), jpeg)
    assert section.blocks(facts, pictures) == section.blocks(facts, pictures)


@SIZES
def test_page__is_well_formed_without_pictures(n: int, k: int, make_facts: Callable[..., Facts]) -> None:
    check(render_html(make_facts(n, k), {}))


@pytest.mark.parametrize("videos", [1, 30])
def test_page__is_well_formed_with_videos(videos: int, make_facts: Callable[..., Facts]) -> None:
    check(render_html(with_videos(make_facts(), made_videos(videos, length=2)), {}))


def test_page__is_well_formed_with_pictures(make_facts: Callable[..., Facts], jpeg: bytes) -> None:
    facts = make_facts()
    check(render_html(facts, dict.fromkeys(wanted_pictures(facts), jpeg)))
