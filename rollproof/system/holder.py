"""The holder of a lock: a process somewhere, and what it does."""

from __future__ import annotations

import os
import pwd
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

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
