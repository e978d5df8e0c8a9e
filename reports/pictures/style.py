"""The pictures' common style: A4's width, white, readable without colour, the same bytes each time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from matplotlib.typing import RcKeyType

from reports.incident.events import Timeline
from rollproof.system.clock import t_plus

WIDTH = 9.0
"""The width of a picture in inches."""
SMALL = 7.5
_STEPS, _MOST_TICKS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 24 * 3600), 9
INK, PALE = "#111111", "#8a8a8a"
# Text stays text: readers can search it, and the scan for secrets sees it. Texts are measured by the first
# family, which comes with Matplotlib and is wider than its substitutes.
_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": SMALL,
    # Dollar signs in the record's texts make no formula.
    "text.parse_math": False,
    "axes.titlesize": SMALL + 1,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    # Without a fixed salt, the file's ids would differ each time.
    "svg.hashsalt": "rollproof",
}


@contextmanager
def settings() -> Iterator[None]:
    """Draw with these settings alone, whatever the machine's own are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        # Only measuring lacks another script's letters: the reader's own font has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def new_figure(height: float) -> Figure:
    """Return an empty picture that is `height` inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def show_clock(axes: Axes, timeline: Timeline) -> None:
    """Label the x axis, which has seconds after T+0, as the runbook counts."""
    show_ticks(axes)
    axes.set_xlabel(f"minutes after {timeline.zero_is}, {timeline.zero:%d %B %Y, %H:%M:%S} UTC")


def show_ticks(axes: Axes, most: int = _MOST_TICKS) -> None:
    """Label at most so many ticks of the x axis, which has seconds after T+0."""
    first, last = axes.get_xlim()
    step = next((step for step in _STEPS if (last - first) / step <= most), (last - first) / most)
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: t_plus(seconds)))


def svg(figure: Figure, title: str) -> bytes:
    """Return the picture as SVG."""
    stream = io.BytesIO()
    figure.savefig(
        stream, format="svg", metadata={"Date": None, "Creator": "Rollproof", "Title": plain(title)}
    )
    return stream.getvalue()


def plain(text: str) -> str:
    """Return `text` on one line, without unprintable characters, which XML cannot hold."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())
