"""report.html in a real browser."""

import os
import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.worker.made_videos import made_videos, with_videos
from worker.facts import Facts
from worker.rendering.pages import render_html, wanted_pictures

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
ORANGE = (200, 80, 20)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("FRAMESIFT_TEST_NO_SKIP"),
        reason="Chromium is not installed: apt-get install chromium",
    ),
]


def browse(page: Path, profile: Path, *options: str) -> str:
    assert CHROMIUM, "Chromium is not installed, and FRAMESIFT_TEST_NO_SKIP forbids to skip"
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture
def page(make_facts: Callable[..., Facts], tmp_path: Path) -> Path:
    """A report with videos and an orange picture for every sample, whose names try to change the page's title."""
    facts = make_facts(n=60, k=12, name=lambda row: f"<script>document.title='taken {row}'</script>.jpg")
    facts = with_videos(facts, made_videos(30, length=2))
    picture = BytesIO()
    Image.new("RGB", (64, 64), ORANGE).save(picture, "JPEG", quality=95)
    path = tmp_path / "report.html"
    path.write_text(render_html(facts, dict.fromkeys(wanted_pictures(facts), picture.getvalue())))
    return path


def screenshot(page: Path, folder: Path, *, width: int, dark: bool = False) -> NDArray[np.int16]:
    shot = folder / f"{width}-{dark}.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browse(
        page,
        folder / f"profile-{width}-{dark}",
        f"--screenshot={shot}",
        f"--window-size={width},9000",
        *scheme,
    )
    return np.asarray(Image.open(shot).convert("RGB")).astype(np.int16)


def test_report__names_stay_text_in_a_browser(page: Path, tmp_path: Path) -> None:
    seen = browse(page, tmp_path / "profile", "--dump-dom")
    title = seen.partition("<title>")[2].partition("</title>")[0]
    assert title
    assert "taken" not in title
    assert "&lt;script&gt;" in seen


def test_report__shows_its_pictures_and_fits_the_window(page: Path, tmp_path: Path) -> None:
    wide = screenshot(page, tmp_path, width=1200)
    orange = (np.abs(wide - np.array(ORANGE)) < 12).all(axis=2)
    assert orange.mean() > 0.01
    paper = wide[5, 5]
    assert (np.abs(wide[:, -8:] - paper) <= 2).all(), "something reaches over the right edge"


def test_report__is_dark_where_the_reader_wants_it(page: Path, tmp_path: Path) -> None:
    light, dark = (screenshot(page, tmp_path, width=900, dark=wanted) for wanted in (False, True))
    assert light[5, 5].mean() > 230
    assert dark[5, 5].mean() < 60
