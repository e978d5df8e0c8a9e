"""Progress that people read: a live line a step on a terminal, a plain line a finished step elsewhere."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TextIO, cast

from rich.console import Console
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


@dataclass(slots=True)
class Step:
    """A running step; `result` is what its line says at the end."""

    title: str
    result: str = ""


class Lasting(io.TextIOBase):
    """A stream that says no more once nobody reads it: who has stopped reading ends no rollback by that."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed has a plain attribute
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        stream = self._stream
        return stream is not None and not stream.closed and stream.isatty()

    def write(self, text: str) -> int:
        """Write, while somebody reads."""
        self._do(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, while somebody reads."""
        self._do(lambda stream: stream.flush())

    def _do(self, what: Callable[[TextIO], object]) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            what(stream)
        except OSError:
            self._stream = None
        except ValueError:
            # A closed stream says no more than this.
            if not stream.closed:
                raise
            self._stream = None


class Progress:
    """Shows steps, several at a time if they overlap. Usable from threads. A context manager."""

    def __init__(self, stream: TextIO | None = None, redact: Callable[[str], str] = str) -> None:
        """Write to `stream`, standard error by default: standard output is for results.

        Every line goes through `redact` before it is shown.
        """
        self._redact = redact
        lasting = cast("TextIO", Lasting(stream or sys.stderr))
        self._console = Console(file=lasting, highlight=False)
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._live: RichProgress | None = None

    def __enter__(self) -> Self:
        """Start the live display where there is a terminal."""
        if self._console.is_terminal:
            self._live = RichProgress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop the live display, also on Ctrl-C, so that the terminal is left as it was."""
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` while the body runs, then one line with how it went and how long it took."""
        step = Step(title)
        started = time.monotonic()
        task = self._add(title)
        mark = "FAIL"
        try:
            yield step
            mark = "ok"
        finally:
            self._finish(task, mark, step, time.monotonic() - started)

    def say(self, text: str) -> None:
        """Print a line above the running steps."""
        with self._lock:
            self._console.print(self._redact(text), markup=False, soft_wrap=True)

    def _add(self, title: str) -> TaskID | None:
        if self._live is None:
            return None
        with self._lock:
            return self._live.add_task(title, total=None)

    def _finish(self, task: TaskID | None, mark: str, step: Step, seconds: float) -> None:
        elapsed = time.monotonic() - self._started
        detail = f": {step.result}" if step.result else ""
        if self._live is not None and task is not None:
            with self._lock:
                self._live.remove_task(task)
        self.say(f"[{elapsed:6.1f} s] {mark:<4} {step.title}{detail} ({seconds:.1f} s)")
