"""Finds the page templates: inside the installed package, or beside it in a checkout."""

from pathlib import Path

import worker


def template_dir() -> Path:
    """Return the folder of the templates.

    Raises:
        FileNotFoundError: neither place has them, so the installation is broken.
    """
    package = Path(worker.__file__).parent
    for place in (package / "templates", package.parent / "templates"):
        if (place / "report.html.j2").is_file():
            return place
    raise FileNotFoundError(f"no report templates in {package} or beside it; the installation is incomplete")
