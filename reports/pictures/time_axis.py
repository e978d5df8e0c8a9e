"""An axis of time: seconds after a moment, shown as what clocks in UTC said."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_MOST_TICKS = 9
_MINUTE, _DAY = 60, 86400


def show_clock(axes: Axes, origin: datetime, low: float, high: float) -> None:
    """Show the x axis, in seconds after `origin`, from `low` to `high`, as the time of day in UTC."""
    span = max(high - low, 1.0)
    step = next(
        (step for step in _STEPS if span / step <= _MOST_TICKS), _DAY * math.ceil(span / _DAY / _MOST_TICKS)
    )
    midnight = origin.replace(hour=0, minute=0, second=0, microsecond=0)
    offset = (origin - midnight).total_seconds()
    first = math.ceil((low + offset) / step) * step - offset
    places = [first + step * number for number in range(int((high - first) // step) + 1)]
    shape = "%H:%M:%S" if step < _MINUTE else "%H:%M" if step < _DAY else "%d %b"
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda seconds, _: f"{origin + timedelta(seconds=round(seconds)):{shape}}")
    )
