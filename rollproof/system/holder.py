"""Locks in files, and their holder: a process somewhere, and what it does."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from rollproof.errors import UsageProblem
from rollproof.system.clock import Moment
from rollproof.system.process import Process
from rollproof.system.record_files import record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder(Process):
    """One holder, which does `what`; `token` is unique to it."""

    token: str
    user: str
    what: str
    since: str

    @classmethod
    def doing(cls, what: str) -> Self:
        """Return this process as the holder, from now on, of a lock for doing `what`."""
        token, since = secrets.token_hex(16), Moment.now().wall
        return cls(**asdict(Process.this()), token=token, user=_user(), what=what, since=since)

    @classmethod
    def of_record(cls, record: Mapping[str, str]) -> Self:
        """Return the holder that made `record`; raises `ValueError` or `KeyError` if none did."""
        return record_of(cls, {**record, "pid": int(record["pid"]), "started": int(record["started"])})

    def record(self) -> dict[str, str]:
        """Return the fields as text, by name."""
        return {name: str(value) for name, value in asdict(self).items()}

    def __str__(self) -> str:
        """Return the holder's place, action and beginning, in words."""
        return f"{self.user}@{self.host}, process {self.pid} ({self.what}, since {self.since})"


def author() -> dict[str, str]:
    """Return the user, host and process id for a record's author, as text, by name."""
    me = Process.this()
    return {"user": _user(), "host": me.host, "pid": str(me.pid)}


def _user() -> str:
    """Return the name of the person to ask: the user behind sudo, or this process's user."""
    person = os.environ.get("SUDO_USER", "")
    if person:
        return person
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


_POLL_SECONDS = 0.05


@contextmanager
def file_lock(path: Path, what: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock `path`, to do `what`, while the body runs; the file names the holder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageProblem.of_file(
            path,
            error,
            what=f"lock to {what}",
            expected="a file that can be written",
            hint="correct the permissions of that folder, or name another one in the profile",
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if not locked_within(descriptor, fcntl.LOCK_EX, wait_seconds):
            holder = file.read(1000).decode(errors="replace").strip()
            raise UsageProblem(
                what=f"lock to {what}",
                expected="free",
                observed=f"held by {holder or 'a process that has not said who it is'}",
                source=str(path),
                hint="one at a time: leave it to that one, or end it first",
            )
        file.truncate(0)
        file.write(f"{Holder.doing(what)}\n".encode())
        yield


def locked_within(descriptor: int, how: int, seconds: float) -> bool:
    """Lock an open file, until it is closed; return whether that was possible within `seconds`.

    `how` is `fcntl.LOCK_EX`, or `fcntl.LOCK_SH` to hold it with others who do.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
