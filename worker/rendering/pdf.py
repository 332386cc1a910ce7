"""HTML to PDF in a child process that may be stopped: layout of a hostile page must not cost the job."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl

import worker

MEMORY_LIMIT_BYTES = 3 * 2**30
TIME_LIMIT_S = 180.0
_FONTS_CONF = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


class PdfFailed(Exception):
    """There is no PDF; the text says why in one line. HTML and JSON are not touched by it."""


def render_pdf(
    html: str, *, memory_limit_bytes: int = MEMORY_LIMIT_BYTES, time_limit_s: float = TIME_LIMIT_S
) -> bytes:
    """Return the page as a tagged PDF; the same page gives the same bytes on one installation.

    Raises:
        PdfFailed: it took too long or too much memory, Pango is missing, or the page cannot be laid out.
    """
    with tempfile.TemporaryDirectory(prefix="framesift-pdf-") as folder:
        try:
            done = subprocess.run(  # noqa: S603  # our own module, in the interpreter that runs us
                [sys.executable, "-m", "worker.rendering.pdf_child", str(memory_limit_bytes)],
                input=html.encode("utf-8"),
                capture_output=True,
                timeout=time_limit_s,
                env=_environment(Path(folder)),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PdfFailed(f"rendering took longer than {time_limit_s:g} s") from error
        except OSError as error:
            raise PdfFailed(f"the rendering process could not be started: {error}") from error
    if done.returncode < 0:
        raise PdfFailed(f"the rendering process was ended by signal {-done.returncode}")
    if done.returncode or not done.stdout.startswith(b"%PDF-"):
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise PdfFailed(lines[-1] if lines else f"the rendering process ended with code {done.returncode}")
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    """Give the child no credentials, and fonts where the machine has none: matplotlib brings DejaVu."""
    config = folder / "fonts.conf"
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    config.write_text(_FONTS_CONF.format(fonts=fonts, cache=folder / "cache"), encoding="utf-8")
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    return {
        **inherited,
        "FONTCONFIG_FILE": str(config),
        "HOME": str(folder),
        "PYTHONPATH": str(Path(worker.__file__).parent.parent),
        "PYTHONHASHSEED": "0",
    }
