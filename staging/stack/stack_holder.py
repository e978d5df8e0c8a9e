"""The holder of a stack: the command that brought it up for itself, recorded next to the stack.

A killed command cannot take its stack down. The next command clears away such a stack, but not one that
somebody uses, so it has to tell them apart. The note is an empty volume of the stack's project: it is found
from any checkout, and removed with the stack's other volumes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from rollproof.engines.compose import PROJECT_LABEL
from rollproof.system.process import Process
from staging.processes import run

LABEL = "rollproof.holder"
ASK_SECONDS = 30
HINT = "see that the Docker engine answers"


@dataclass(frozen=True)
class Holder:
    """The process that holds a stack."""

    process: Process

    @classmethod
    def read(cls, project: str) -> Self | None:
        """Return the holder of the stack of `project`, or None if none is recorded, as after `./run up`.

        Raises:
            Problem: The engine does not answer.
        """
        listing = ["docker", "volume", "ls", f"--filter=name=^{note(project)}$", f"--filter=label={LABEL}"]
        named = run([*listing, f'--format={{{{.Label "{LABEL}"}}}}'], seconds=ASK_SECONDS, hint=HINT).strip()
        if not named:
            return None
        pid, started, boot = json.loads(named)
        return cls(Process(int(pid), int(started), str(boot)))

    @property
    def lives(self) -> bool:
        """Whether the holder, the very same process, still runs."""
        return Process.of(self.process.pid) == self.process


def hold(project: str) -> None:
    """Record this process as the holder of the stack of `project`; nobody may hold it yet.

    Raises:
        Problem: The engine does not answer.
    """
    me = Process.this()
    identity = json.dumps([me.pid, me.started, me.boot])
    labels = [f"--label={LABEL}={identity}", f"--label={PROJECT_LABEL}={project}"]
    run(["docker", "volume", "create", *labels, note(project)], seconds=ASK_SECONDS, hint=HINT)


def release(project: str) -> None:
    """Remove the holder's note, if there is one."""
    run(["docker", "volume", "rm", "--force", note(project)], seconds=ASK_SECONDS, hint=HINT)


def note(project: str) -> str:
    """Return the name of the volume that is the note."""
    return f"{project}-holder"
