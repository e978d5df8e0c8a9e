"""An examination in lines of 80 columns: one a question, with what to type below what is not ok."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from textwrap import wrap

from rollproof.doctor.examination import Examination, Line, NeedState
from rollproof.errors import listed

_WIDTH = 80
_MOST_NAME = 24
# Names that were not asked; `--json` has all.
_SHOWN = 6
_NOT_ASKED = "not asked"
_OTHER = "\N{REPLACEMENT CHARACTER}"
_STATE = max(len(state) for state in NeedState) + 2


def doctor_lines(found: Examination) -> Iterator[str]:
    """Yield the lines; what was not asked for one cause is one line, below all others."""
    asked = [line for line in found.lines if not line.after]
    width = min(max((len(line.name) for line in asked), default=0), _MOST_NAME)
    width = max(width, len(_NOT_ASKED)) + 2
    for line, after in zip_longest(asked, asked[1:]):
        # A hint of several lines, such as of secrets that are not there, is said once, below the last.
        same = after is not None and after.hint == line.hint and after.state is not NeedState.OK
        yield from _shown(replace(line, hint="") if same else line, width)
    for cause in dict.fromkeys(line.after for line in found.lines if line.after):
        left = [line.name for line in found.lines if line.after == cause]
        text = f"{cause} first, then {listed(left, _SHOWN)}"
        yield from _columns(_NOT_ASKED, NeedState.UNKNOWN, text, width)
    yield f"{found.target}: {summary(found.lines)}; {found.seconds:.1f} s"


def _shown(line: Line, width: int) -> Iterator[str]:
    """Yield one line, its name in `width` columns, and what to type below it."""
    yield from _columns(line.name, line.state, line.text, width)
    if line.state is not NeedState.OK and line.hint:
        # On one line, however long: a command in it is pasted whole.
        yield f"    HINT: {_printable(line.hint)}"


def summary(lines: tuple[Line, ...]) -> str:
    """Return the number of lines in each state that any is in, in words."""
    states = [line.state for line in lines]
    return ", ".join(f"{states.count(state)} {state}" for state in NeedState if state in states)


def _columns(name: str, state: NeedState, text: str, width: int) -> Iterator[str]:
    begin = f"{name:<{width}}{state:<{_STATE}}"
    # A path may be pasted: it is not cut in the middle.
    lines = wrap(
        _printable(text),
        _WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * (width + _STATE),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from lines or [begin.rstrip()]


def _printable(text: str) -> str:
    """Return what a server answers, which may hold anything, as a line of a terminal."""
    return "".join(one if one.isprintable() else _OTHER for one in " ".join(text.split()))
