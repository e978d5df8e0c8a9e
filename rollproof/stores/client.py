"""One account's connection to a store: the first question opens it, and a driver's error becomes words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, ClassVar, Generic, Self, TypeVar

from rollproof.errors import unanswered
from rollproof.stores.reach import Reach

Driver = TypeVar("Driver")
"""A connection as the store's driver has it."""


class Client(ABC, Generic[Driver]):
    """A connection that opens with the first question, and again with the first one after it failed.

    Threads may share it if they may share the driver's. As a context manager it closes itself; it may be used
    again.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = ()
    """The driver's exceptions; an `OSError` counts as one."""

    def __init__(self, reach: Reach) -> None:
        """Keep the access data."""
        self.reach = reach
        self._driver: Driver | None = None
        self._opening = Lock()

    @abstractmethod
    def connect(self) -> Driver:
        """Return a new connection, logged in; may raise the driver's exceptions."""

    def disconnect(self, driver: Any) -> None:  # noqa: ANN401 - a `Driver`
        """Close a connection that `connect` returned."""
        driver.close()

    def words(self, error: Exception) -> str:
        """Return what went wrong, for one of `errors`."""
        return str(error) or type(error).__name__

    def refused(self, _error: Exception) -> bool:
        """Return whether one of `errors` is the server's own answer: it was reached, and said no."""
        return False

    def hint(self, _error: Exception) -> str | None:
        """Return what to do about one of `errors`; None for the general hint."""
        return None

    def close(self) -> None:
        """Close the connection, if one is open."""
        driver, self._driver = self._driver, None
        if driver is not None:
            with suppress(*self.errors, OSError):  # what was asked has been answered
                self.disconnect(driver)

    @contextmanager
    def asked(self, what: str = "an answer") -> Iterator[Driver]:
        """Yield the connection for a question; `what` it asks for stands in an error: ``a count of files``.

        The driver's exceptions inside, or in connecting, become `Unverifiable`. A connection stays open after
        a refusal alone.
        """
        errors: tuple[type[Exception], ...] = (*self.errors, OSError)
        try:
            with self._opening:
                if self._driver is None:
                    self._driver = self.connect()
                driver = self._driver
            yield driver
        except errors as error:
            of_driver = isinstance(error, self.errors)
            refused = of_driver and self.refused(error)
            if not refused:
                self.close()
            raise self.reach.failed(
                self.words(error) if of_driver else error,
                expected=f"{what} within {self.reach.deadline:g} s",
                hint=self.hint(error) if of_driver else None,
                means=unanswered(error, refused=refused),
            ) from None

    def wake(self) -> None:
        """See, before it is used again after a pause, that the connection is still open."""

    def __enter__(self) -> Self:
        """Return the client itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connection."""
        self.close()


class Idle(Generic[Driver]):
    """Connected clients, of one account, that wait for a question: threads that ask at once have one each."""

    def __init__(self, new: Callable[[], Client[Driver]]) -> None:
        """Take what makes a client; none is made before the first question."""
        self._new = new
        self._clients: list[Client[Driver]] = []

    @contextmanager
    def asked(self) -> Iterator[Driver]:
        """Yield a connection, as `Client.asked`; it waits for the next question unless the block raised."""
        try:
            client = self._clients.pop()
        except IndexError:  # a check before pop() would race with other threads
            client = self._new()
        else:
            client.wake()
        try:
            with client.asked() as driver:
                yield driver
        except BaseException:
            client.close()
            raise
        self._clients.append(client)

    def close(self) -> None:
        """Close those that wait."""
        while self._clients:
            self._clients.pop().close()
