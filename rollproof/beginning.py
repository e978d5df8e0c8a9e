"""The beginning of a program, while it imports what it runs with: a signal ends it in a word."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

_INTERRUPTED = 2


def interruptible(program: Callable[[], int]) -> int:
    """Run `program`, which imports what it needs; return its exit code, or that of an interrupted one."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        return program()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _INTERRUPTED
