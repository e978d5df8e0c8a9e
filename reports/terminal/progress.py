"""Progress for people: on a terminal a live line for each step, elsewhere a line for each finished step."""

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

from rollproof.errors import plain


@dataclass(slots=True)
class ProgressStep:
    """A running step; `result` is shown in its last line."""

    title: str
    result: str = ""


class Lasting(io.TextIOBase):
    """A stream that falls silent once nobody reads it: a reader who leaves must not end a rollback."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed has a plain attribute
        """The encoding of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return True if it is a terminal."""
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
        if self._stream is not None and not self._stream.closed:
            try:
                what(self._stream)
            except OSError:
                self._stream = None


class Progress:
    """Shows steps, several at a time if they overlap. Usable from threads. A context manager."""

    def __init__(self, stream: TextIO | None = None, redact: Callable[[str], str] = str) -> None:
        """Write to `stream`, standard error by default: standard output is for results.

        Every line goes through `redact` before it is shown.
        """

        def clean(text: str) -> str:
            return plain(redact(text))

        self._redact = clean
        lasting = cast("TextIO", Lasting(stream or sys.stderr))
        self._console = Console(file=lasting, highlight=False)
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._live: RichProgress | None = None

    def __enter__(self) -> Self:
        """Start the live display if there is a terminal."""
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
    def step(self, title: str) -> Iterator[ProgressStep]:
        """Show `title` while the body runs, then one line with its result and its duration."""
        step = ProgressStep(title)
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

    def _finish(self, task: TaskID | None, mark: str, step: ProgressStep, seconds: float) -> None:
        elapsed = time.monotonic() - self._started
        detail = f": {step.result}" if step.result else ""
        if self._live is not None and task is not None:
            with self._lock:
                self._live.remove_task(task)
        self.say(f"[{elapsed:6.1f} s] {mark:<4} {step.title}{detail} ({seconds:.1f} s)")
