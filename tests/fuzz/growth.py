"""The growth of work with its input. Work is processor time, which other processes do not change."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Input = TypeVar("Input")
TIMES = 8
"""How much larger the large input is: linear work grows 8 times, quadratic work 64 times."""
_BOUND = 3 * TIMES
_RUNS = 3
# Less is the cost of a call, not of its input.
_LEAST_SECONDS = 0.0005


def is_linear(work: Callable[[Input], object], small: Input, large: Input) -> bool:
    """Return whether `work` grows as its input does; `large` is `TIMES` times `small`."""
    least = max(_LEAST_SECONDS, _best(work, small))
    return any(_spent(work, large) <= _BOUND * least for _ in range(_RUNS))


def _best(work: Callable[[Input], object], given: Input) -> float:
    return min(_spent(work, given) for _ in range(_RUNS))


def _spent(work: Callable[[Input], object], given: Input) -> float:
    began = time.process_time()
    work(given)
    return time.process_time() - began
