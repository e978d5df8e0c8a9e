"""Parts side by side: the one place of the product that makes threads.

`Workers` do the parts of one job; most callers need only `each`, `every` or `ask_all`. A `Question` may hang
for good: the others are still answered.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sized
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from contextvars import copy_context
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar

from rollproof.errors import Mismatch, Problem, Unverifiable
from rollproof.system.clock import Moment
from rollproof.system.process import interrupts
from rollproof.system.steps import ReportStep, record, recorded_in, step

AHEAD = 16
"""Parts for each worker that `Workers.in_order` takes from an iterator before their turn."""
# A Ctrl-C may go unseen for this long.
_SLICE_SECONDS = 0.2

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")
Name = TypeVar("Name", bound=Hashable)
Result = TypeVar("Result")
NoAnswer = Mismatch | Problem
"""What may come instead of an answer."""


class Workers:
    """At most `most` threads, called `name`. A context manager: at its end, every part that began has ended.

    `stopped` is set when no more parts are wanted: at that end, which an error, Ctrl-C, or a caller who
    stops reading brings about early. From then on no part begins; a long part may check it, and end early.
    Each part has the context variables of its caller.
    """

    def __init__(self, most: int, name: str) -> None:
        """Create the pool; begin nothing yet."""
        self.stopped = threading.Event()
        self._most = max(1, most)
        self._pool = ThreadPoolExecutor(self._most, thread_name_prefix=name)
        self._awaited = True
        self._interrupts = interrupts()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close()
        if kind is None:
            self._require_uninterrupted()

    def close(self) -> None:
        """Begin no more parts; wait for the running ones, unless they had a deadline."""
        self.stopped.set()
        self._pool.shutdown(wait=self._awaited, cancel_futures=True)

    def begin(
        self, do: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Begin one part concurrently with the others."""
        context = copy_context()

        def part() -> Result:
            if self.stopped.is_set():
                raise CancelledError
            return context.run(do, *args, **kwargs)

        return self._pool.submit(part)

    def in_order(
        self, do: Callable[[Item], Result], items: Iterable[Item], *, seconds: float | None = None
    ) -> Iterator[Result]:
        """Yield the result of `do` for each item, in the items' order; raise the first error in its turn.

        A sized collection is begun at once; of an iterator, a few items are taken before their turn. With
        `seconds` for all, unfinished parts are abandoned after that time.

        Raises:
            TimeoutError: the `seconds` are over.
        """
        end = None if seconds is None else time.monotonic() + seconds
        self._awaited = self._awaited and end is None
        coming = (self.begin(do, item) for item in items)
        begun = deque(islice(coming, len(items) if isinstance(items, Sized) else self._most * AHEAD))
        while begun:
            part = begun.popleft()
            self.wait(part, end)
            yield part.result()
            begun.extend(islice(coming, 1))

    def wait(self, part: Future[Any], end: float | None = None) -> None:
        """Wait until a part has ended, until `end` of the monotonic clock at most.

        Raises:
            TimeoutError: the part has not ended by then.
        """
        self._require_uninterrupted()
        while not part.done():
            left = _SLICE_SECONDS if end is None else min(_SLICE_SECONDS, end - time.monotonic())
            if left <= 0:
                raise TimeoutError
            wait([part], left)
            self._require_uninterrupted()

    def _require_uninterrupted(self) -> None:
        """Raise `KeyboardInterrupt` again if Python has lost it: see `interrupts`."""
        if interrupts() > self._interrupts and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt

    def merged(self, do: Callable[[Item], Iterable[Result]], items: Iterable[Item]) -> Iterator[Result]:
        """Yield every result of `do` for each item, as it comes; raise the first error as soon as it comes.

        Items are taken as workers become free. Only results wait here, of the parts that have begun.
        """
        found: SimpleQueue[tuple[Result] | BaseException | None] = SimpleQueue()

        def part(item: Item) -> None:
            try:
                for one in do(item):
                    found.put((one,))
            except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
                found.put(error)
            else:
                found.put(None)

        # One more for each worker: it need not wait until the caller has used the last part's results.
        coming = (self.begin(part, item) for item in items)
        running = len([*islice(coming, 2 * self._most)])
        while running:
            self._require_uninterrupted()
            try:
                one = found.get(timeout=_SLICE_SECONDS)
            except Empty:
                continue
            if isinstance(one, tuple):
                yield one[0]
            elif one is not None:
                raise one
            else:
                running += len([*islice(coming, 1)]) - 1


def each(
    do: Callable[[Name], Result], items: Iterable[Name], *, workers: int, name: str
) -> dict[Name, Result]:
    """Return the result of `do` for each item, as `Workers.in_order` does: the first error ends it."""
    items = tuple(items)
    with Workers(min(workers, len(items)), name) as these:
        return dict(zip(items, these.in_order(do, items), strict=True))


def every(do: Callable[[Name], Result], items: Iterable[Name], *, name: str) -> dict[Name, Result]:
    """Return the result of `do` for each item, all at once; one part's error does not stop the others.

    When all have ended, the first error in the order of the items is raised, with the others in its notes.
    """
    items = tuple(items)
    with Workers(len(items), name) as these:
        futures = {item: these.begin(do, item) for item in items}
        for future in futures.values():
            these.wait(future)
        errors = [error for future in futures.values() if (error := future.exception()) is not None]
    for other in errors[1:]:
        errors[0].add_note(str(other))
    if errors:
        raise errors[0]
    return {item: future.result() for item, future in futures.items()}


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def ask_all(
    names: Iterable[Name], ask: Callable[[Name], Result], workers: int = 8, *, question: str
) -> Mapping[Name, Result | NoAnswer]:
    """Return the answer of `ask` for each name, or the problem that came instead.

    `question` and the name form the step's name in the report.
    """

    def asked(name: Name) -> Result:
        with step(f"{question}: {name}"):
            return ask(name)

    return each(lambda name: _answered(lambda: asked(name)), names, workers=workers, name="question")


def asked_once(ask: Callable[[str], Result]) -> Callable[[str], Result]:
    """Return `ask`, which then asks once for each name, and raises the same problem again.

    Threads that ask first at the same time may both call it.
    """
    answers: dict[str, Result | NoAnswer] = {}

    def answer(name: str) -> Result:
        if name not in answers:
            answers[name] = _answered(lambda: ask(name))
        return answer_of(answers, name)

    return answer


class Ahead:
    """Questions that are asked once each, and may be begun before their answers are needed.

    Those of one line are asked one after the other, in a thread that does not keep the process from ending;
    the lines are independent of each other.
    """

    def __init__(self) -> None:
        self._answers: dict[Hashable, Callable[[], Any]] = {}
        self._lines: dict[str, SimpleQueue[Callable[[], None]]] = {}

    def begin(self, line: str, name: Hashable, ask: Callable[[], Result]) -> Callable[[], Result]:
        """Ask a question after those of its `line` that were begun before, unless one of its name was begun.

        The returned function waits for the answer, or raises the problem that came instead. The check that
        waits first has the steps of the question. No question may wait for another of its own line.
        """
        if name not in self._answers:
            steps, answer = list[ReportStep](), Future[Result | NoAnswer]()

            def asked() -> None:
                try:
                    with recorded_in(steps):
                        answer.set_result(_answered(ask))
                except BaseException as error:  # noqa: BLE001 - raised where the answer is needed
                    answer.set_exception(error)

            def awaited() -> Result:
                found = answer.result()
                record(steps)
                steps.clear()
                return _or_raise(found)

            self._answers[name] = awaited
            if line not in self._lines:
                self._lines[line] = SimpleQueue()
                threading.Thread(
                    target=_ask_in_turn, args=(self._lines[line],), name=line, daemon=True
                ).start()
            self._lines[line].put(asked)
        return self._answers[name]


def _ask_in_turn(questions: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        questions.get()()


def answer_of(answers: Mapping[Name, Result | NoAnswer], name: Name) -> Result:
    """Return the answer for `name`; raise the problem that came instead."""
    return _or_raise(answers[name])


def _answered(ask: Callable[[], Result]) -> Result | NoAnswer:
    try:
        return ask()
    except (Mismatch, Problem) as wrong:
        return wrong


def _or_raise(answer: Result | NoAnswer) -> Result:
    if isinstance(answer, (Mismatch, Problem)):
        raise answer.with_traceback(None)
    return answer


class Closeable(Protocol):
    """What is closed after its use."""

    def close(self) -> None:
        """Release its resources."""


Reader = TypeVar("Reader", bound=Closeable)


class Opened(ExitStack, Generic[Reader]):
    """Readers by name, each opened by `open_one` at its first use. Threads share each reader."""

    def __init__(self, open_one: Callable[[str], Reader]) -> None:
        super().__init__()
        self._open_one = open_one
        self._readers: dict[str, Reader] = {}
        self._opening = threading.Lock()

    def __call__(self, name: str) -> Reader:
        """Return the reader called `name`."""
        with self._opening:
            if name not in self._readers:
                self._readers[name] = self._open_one(name)
                self.callback(self._readers[name].close)
            return self._readers[name]


class Question(Generic[Result]):
    """One question, in its own thread each time, and never twice at the same time.

    `asked` is the time of the last start, or of creation. `seconds` is the duration of the last answer,
    including time while the machine was suspended.
    """

    def __init__(self, name: str, ask: Callable[[], Result]) -> None:
        self.name = name
        self.asked = Moment.now()
        self.seconds = 0.0
        self._ask = ask
        self._thread: threading.Thread | None = None
        self._answer: Result | NoAnswer | None = None

    @property
    def waiting(self) -> bool:
        """Whether it was asked, and not answered yet."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Ask it, unless it is still waiting."""
        if self.waiting:
            return
        self.asked = Moment.now()
        # A question that hangs for good must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"question {self.name}", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for the answer, `seconds` at most."""
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))

    def answer(self) -> Result:
        """Return the last answer, or raise the problem that came instead, or that none came yet."""
        return _or_raise(self.unanswered("none yet") if self._answer is None else self._answer)

    def unanswered(self, observed: str) -> Unverifiable:
        """Return the error for a missing answer."""
        return Unverifiable(
            what=self.name,
            expected="an answer by now",
            observed=observed,
            source="a question of the monitor",
            hint="see that the store runs, and what else it is doing",
        )

    def _run(self) -> None:
        try:
            self._answer = _answered(self._ask)
        except Exception as error:  # noqa: BLE001 - what breaks says nothing; the others do
            self._answer = self.unanswered(f"{type(error).__name__}: {error}")
        self.seconds = self.asked.seconds_ago()


def wait_for(questions: Iterable[Question[Result]], seconds: float) -> None:
    """Wait until all are answered, `seconds` at most for all together."""
    give_up = time.monotonic() + seconds
    for question in questions:
        question.wait(give_up - time.monotonic())
