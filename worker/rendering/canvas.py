"""A blank figure in the report's style, and its bytes: the same drawing gives the same bytes."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from worker.rendering import palette

RASTER_DPI = 200
JPEG_QUALITY = 85
_MM_PER_INCH = 25.4
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "text.parse_math": False,
    "axes.edgecolor": palette.RULE,
    "axes.labelcolor": palette.MUTED,
    "axes.labelsize": 8,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.axisbelow": True,
    "grid.color": palette.RULE,
    "grid.linewidth": 0.6,
    "text.color": palette.INK,
    "xtick.color": palette.RULE,
    "ytick.color": palette.RULE,
    "xtick.labelcolor": palette.MUTED,
    "ytick.labelcolor": palette.MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "path",  # glyphs as outlines: looks the same where no font is installed
    "svg.hashsalt": "framesift",
}
# The page has a dark form, so a drawing on it needs one as well; printing never asks for it.
_DARK = {
    palette.INK: palette.INK_DARK,
    palette.MUTED: palette.MUTED_DARK,
    palette.RULE: palette.RULE_DARK,
}


@contextmanager
def drawing(width_mm: float, height_mm: float) -> Iterator[tuple[Figure, Axes]]:
    """Give a figure with one pair of axes; the style holds until the block ends, so make the bytes inside it."""
    with mpl.rc_context(_STYLE):
        figure = Figure(
            figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH),
            layout="constrained",
            facecolor="none",
        )
        axes = figure.add_subplot()
        axes.set_facecolor("none")
        yield figure, axes


def svg(figure: Figure) -> bytes:
    """Return the drawing as SVG, with colours for a dark page beside those for a light one."""
    out = io.BytesIO()
    FigureCanvasSVG(figure)
    figure.savefig(
        out,
        format="svg",
        dpi=RASTER_DPI,
        metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
    )
    text = out.getvalue().decode("utf-8")
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{_dark_style()}</style>", text, count=1).encode("utf-8")


def jpeg(figure: Figure) -> bytes:
    """Return the drawing as JPEG on white: for pictures, which would be large as anything else."""
    out = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(
        out,
        format="jpeg",
        dpi=RASTER_DPI,
        facecolor="white",
        pil_kwargs={"quality": JPEG_QUALITY, "optimize": True},
    )
    return out.getvalue()


def _dark_style() -> str:
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark} !important}}'
        for light, dark in _DARK.items()
        for part in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme: dark){{{rules}}}"
