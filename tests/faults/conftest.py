"""What the fault tests share: photos, and what a run without any trouble makes of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.deployment import undisturbed
from tests.photos import make_photos

PHOTOS = 96


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 96 photos: 12 chunks."""
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, PHOTOS)
    return folder


@pytest.fixture(scope="session")
def calm(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run without any trouble leaves behind."""
    return undisturbed(photos, tmp_path_factory.mktemp("calm") / "out")
