"""Prints what the image of a variant installs, one requirement a line, so that the packages are a layer apart from the code."""

import sys
import tomllib
from pathlib import Path

VARIANTS = ("gpu", "cpu")


def requirements(pyproject: Path, variant: str) -> list[str]:
    """Return what a worker needs: the base, the extra `worker` and the extra named like the variant.

    Raises:
        ValueError: no such variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant: {variant!r}: choose from {', '.join(VARIANTS)}")
    project = tomllib.loads(pyproject.read_text())["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *extras["worker"], *extras[variant]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2])) + "\n")
