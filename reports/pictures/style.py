"""The pictures' common style: A4's width, white, readable without colour, the same bytes each time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.typing import RcKeyType

from rollproof.verdict import Verdict

WIDTH = 7.1
"""The width of a picture in inches: A4 less its margins."""
TEXT, SMALL = 8.0, 7.0
"""Sizes of text in points, as printed."""
INK, PALE = "#111111", "#8a8a8a"
_POINTS, _SUBPIXELS = 72.0, 64.0

# Text stays text: readers can search it, and the scan for secrets sees it. The first family comes with
# Matplotlib, and is wider than its substitutes: a text that fits in it fits in them.
_FAMILIES = ["DejaVu Sans", "Verdana", "Arial", "sans-serif"]
_SETTINGS: dict[RcKeyType, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": _FAMILIES,
    "font.size": TEXT,
    # Dollar signs in the record's texts make no formula.
    "text.parse_math": False,
    "axes.titlesize": TEXT,
    "axes.titlelocation": "left",
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "grid.color": "#d9d9d9",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    # Without a fixed salt, the file's ids would differ each time.
    "svg.hashsalt": "rollproof",
}


@dataclass(frozen=True, slots=True)
class Look:
    """A fill: no two are told apart by colour alone."""

    colour: str
    hatch: str


LOOKS: Mapping[Verdict, Look] = {
    Verdict.PASSED: Look("#bfe3d0", ""),
    Verdict.FAILED: Look("#333333", ""),
    Verdict.BROKEN: Look("#f2c66d", "////"),
    Verdict.BLOCKED: Look("#ffffff", "----"),
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
    figure = Figure(figsize=(WIDTH, height))
    FigureCanvasSVG(figure)
    return figure


def svg(figure: Figure, title: str, description: str) -> bytes:
    """Return the picture as SVG, described in words in its metadata."""
    stream = io.BytesIO()
    metadata = {
        "Date": None,
        "Creator": "Rollproof",
        "Title": plain(title),
        "Description": plain(description),
    }
    figure.savefig(stream, format="svg", metadata=metadata)
    return stream.getvalue()


def plain(text: str) -> str:
    """Return `text` on one line, without unprintable characters, which XML cannot hold."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


def width_of(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Return the width of `text` in inches."""
    font = get_font(findfont(FontProperties(family=_FAMILIES[0], weight=weight)))
    font.set_size(size, _POINTS)
    font.set_text(text)
    return float(font.get_width_height()[0]) / _SUBPIXELS / _POINTS


def fitting(text: str, inches: float, size: float = TEXT, weight: str = "normal") -> str:
    """Return `text` on one line, cut with an ellipsis if it is wider than `inches`."""
    text = plain(text)
    if width_of(text, size, weight) <= inches:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(f"{text[:middle]}…", size, weight) <= inches:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low].rstrip()}…"


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the `wanted` ones, in their order, `gap` apart and between `low` and `high`.

    `wanted` is sorted. Without room for that gap, the places are as far apart as fits.
    """
    if not wanted:
        return []
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    # Neighbours that are too close become a group around the mean of their wanted places.
    groups: list[list[float]] = []
    for place in wanted:
        groups.append([place])
        while len(groups) > 1 and _start(groups[-1], gap, low, high) < _end(groups[-2], gap, low, high) + gap:
            last = groups.pop()
            groups[-1] += last
    return [_start(group, gap, low, high) + gap * number for group in groups for number in range(len(group))]


def _start(group: Sequence[float], gap: float, low: float, high: float) -> float:
    length = gap * (len(group) - 1)
    return max(low, min(high - length, sum(group) / len(group) - length / 2))


def _end(group: Sequence[float], gap: float, low: float, high: float) -> float:
    return _start(group, gap, low, high) + gap * (len(group) - 1)
