"""The holder of a target's lock: a process somewhere, its action, and whether it still runs."""

from __future__ import annotations

import os
import pwd
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from rollproof.system.clock import Moment, this_boot
from rollproof.system.process import Process, this_namespace


class Life(StrEnum):
    """Whether a holder still runs, as far as this process can tell."""

    RUNS = "which still runs"
    ENDED = "which has ended"
    UNKNOWN = "which may still run (this process cannot tell)"


@dataclass(frozen=True, slots=True)
class Holder:
    """One holder; `token` is unique to it, `incident` is empty until there is one.

    A process id means something only in its own container: `namespace` identifies that.
    """

    token: str
    user: str
    host: str
    process: Process
    namespace: str
    what: str
    incident: str
    since: str

    @classmethod
    def this(cls, what: str) -> Self:
        """Return this process as the holder, from now on, of a lock for doing `what`."""
        return cls(
            token=secrets.token_hex(16),
            user=_user(),
            host=socket.gethostname(),
            process=Process.this(),
            namespace=this_namespace(),
            what=what,
            incident="",
            since=Moment.now().wall,
        )

    @classmethod
    def of_record(cls, record: Mapping[str, str]) -> Self:
        """Return the holder that made `record`; raises `ValueError` or `KeyError` if none did."""
        fields = dict(record)
        process = Process(int(fields.pop("pid")), int(fields.pop("started")), fields.pop("boot"))
        if {*fields} | {"process"} != {*cls.__slots__} or not fields["token"]:
            raise ValueError("not a holder's record")
        datetime.fromisoformat(fields["since"])
        return cls(process=process, **fields)

    def record(self) -> dict[str, str]:
        """Return the fields of holder and process as text, by name."""
        fields = asdict(self)
        fields |= fields.pop("process")
        return {name: str(value) for name, value in fields.items()}

    def life(self) -> Life:
        """Return its life, as far as known."""
        return life_of(self.process, self.namespace)

    @property
    def place(self) -> str:
        """Where it runs, in words."""
        return f"{self.user}@{self.host}, process {self.process.pid}"

    def __str__(self) -> str:
        """Return the holder's place, action and beginning, in words."""
        incident = f", incident {self.incident}" if self.incident else ""
        return f"{self.place} ({self.what}{incident}, since {self.since})"


def life_of(process: Process, namespace: str) -> Life:
    """Return the life of a process; on another machine or in another container, it is *unknown*."""
    if (process.boot, namespace) != (this_boot(), this_namespace()):
        return Life.UNKNOWN
    there = Process.of(process.pid)
    if there is None and process.hidden:
        return Life.UNKNOWN
    return Life.RUNS if there == process else Life.ENDED


def author(what: str) -> dict[str, str]:
    """Return the user, host and process id for a record's author, as text, by name."""
    me = Holder.this(what)
    return {"user": me.user, "host": me.host, "pid": str(me.process.pid)}


def _user() -> str:
    """Return the name of the person to ask: the user behind sudo, or this process's user."""
    person = os.environ.get("SUDO_USER", "")
    if person:
        return person
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
