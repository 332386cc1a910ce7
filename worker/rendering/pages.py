"""Facts and pictures to one self-contained HTML page."""

import base64
from functools import cache

import jinja2
from markupsafe import Markup

from jobs.visible import visible
from worker import sections
from worker.blocks import Block
from worker.facts import Facts
from worker.registry import Registry
from worker.rendering import palette
from worker.rendering.templates import template_dir
from worker.rendering.text import shortened
from worker.section import Pictures, Section

PICTURE_BUDGET_BYTES = 3_200_000
TITLE_LIMIT = 120


def wanted_pictures(facts: Facts) -> list[str]:
    """Return the names of the samples whose pictures the report shows, the most important first; about 100."""
    return facts.analysis.pictured()


def render_html(facts: Facts, pictures: Pictures) -> str:
    """Return the report as one page that asks for nothing from anywhere: no script, no font, no address.

    `pictures` maps sample names to JPEG thumbnails. Those beyond PICTURE_BUDGET_BYTES are shown by name, so that
    the page stays below 5 MB.
    """
    affordable = within_budget(facts, pictures)
    shown = [
        (section, blocks) for section in report_sections() if (blocks := section.blocks(facts, affordable))
    ]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=shortened(facts.job.name, TITLE_LIMIT),
            job=facts.job,
            run=facts.run,
            sections=shown,
            palette=_colours(),
        )
    )


def within_budget(facts: Facts, pictures: Pictures) -> dict[str, bytes]:
    """Return the wanted pictures that fit, in order of importance."""
    left = PICTURE_BUDGET_BYTES
    affordable: dict[str, bytes] = {}
    for name in wanted_pictures(facts):
        body = pictures.get(name)
        if body is not None and len(body) <= left:
            affordable[name] = body
            left -= len(body)
    return affordable


@cache
def report_sections() -> tuple[Section, ...]:
    """Return one section of each type, in page order."""
    registry: Registry[Section] = Registry(sections, Section)
    found = (section(type=name) for name, section in registry.by_name.items())
    return tuple(sorted(found, key=lambda section: section.order))


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"kind": _kind, "base64": _base64, "shortened": shortened}
    return environment


def _harmless(value: object) -> object:
    """Make hidden characters visible in every text that a template prints; markup of the templates passes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _kind(block: Block) -> str:
    return type(block).__name__


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode("ascii")


def _colours() -> dict[str, str]:
    return {
        name.lower().replace("_", "-"): value
        for name, value in vars(palette).items()
        if isinstance(value, str) and value.startswith("#")
    }
