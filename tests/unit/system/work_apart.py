"""Work that tests have done apart: its process imports this module, and not the tests with all of theirs."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rollproof.errors import ActionFailed, Meaning


def fail(*, full: bool = False) -> None:
    """Fail, or fill the disk."""
    problem = ActionFailed(what="a", expected="b", observed="c", source="d", hint="e", means=Meaning.LATE)
    problem.add_note("and this")
    if full:
        raise problem from OSError(28, "No space left on device")
    raise problem


def print_and_add(one: int, *, other: int) -> int:
    """Print, as drivers do."""
    print("not an answer")  # noqa: T201
    return one + other


def leave() -> None:
    """End without a result."""
    os._exit(0)


class Stays(list[object]):
    """What cannot be sent to another process."""

    def __reduce__(self) -> str:
        raise TypeError("it stays here")


def stay() -> Stays:
    """Return what cannot be sent."""
    return Stays()


def write_and_wait(file: Path) -> None:
    """Tell the own process id, then wait to be ended."""
    part = file.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(file)
    time.sleep(600)
