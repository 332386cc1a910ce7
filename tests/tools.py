"""Programs from outside that tests compare with or check by; a machine without one skips, a machine that must not skip fails."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str, *, debian: str | None = None) -> str:
    """Return the path of a program, beside this Python or on PATH; skip the test where it is absent."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        reason = f"{name} is not installed" + (f" (Debian: {debian})" if debian else "")
        assert not os.environ.get("FRAMESIFT_TEST_NO_SKIP"), (
            f"{reason}, and FRAMESIFT_TEST_NO_SKIP forbids to skip"
        )
        pytest.skip(reason)
    return found
