from xml.etree import ElementTree

import pytest

from tests.worker.made_videos import made_videos
from worker.rendering import timelines


@pytest.mark.parametrize("count", [1, 3, 25])
def test_lanes__are_svg_with_a_dark_form(count: int) -> None:
    body = timelines.lanes(made_videos(count, length=3).videos)
    assert ElementTree.fromstring(body).tag.endswith("svg")
    assert b"prefers-color-scheme: dark" in body
    assert body == timelines.lanes(made_videos(count, length=3).videos)


def test_lanes__many_frames_of_a_video_become_shades() -> None:
    assert b"<image" not in timelines.lanes(made_videos(2, length=3, each=300).videos)
    body = timelines.lanes(made_videos(2, length=150, each=300).videos)
    assert b"<image" in body


def test_lanes__videos_without_extent_are_drawn() -> None:
    assert b"<svg" in timelines.lanes(made_videos(2, each=1, duration_s=0.0).videos)


def test_heat_map__stays_small_and_on_a_page() -> None:
    body = timelines.heat_map(made_videos(500, length=4).videos)
    assert len(body) < 500_000
    height_mm = float(ElementTree.fromstring(body).attrib["height"].removesuffix("pt")) / 72 * 25.4
    assert height_mm < 230
