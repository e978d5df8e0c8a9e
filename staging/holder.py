"""Who holds a stack: the command that brought it up for itself, written where the stack is.

A command that is killed cannot take its stack down. The next one has to tell what such a command left, which
it clears away, from a stack that somebody uses. The note is an empty volume of the stack's project, so that
it is found from any checkout, and goes away with the stack's other volumes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from fixtures.process import Process
from staging.processes import run

LABEL = "rollproof.holder"
PROJECT_LABEL = "com.docker.compose.project"
ASK_SECONDS = 30
HINT = "see that the Docker engine answers"


@dataclass(frozen=True)
class Holder:
    """The process that holds a stack."""

    process: Process

    @classmethod
    def read(cls, project: str) -> Self | None:
        """Return who holds the stack of `project`; None when nobody wrote it down, as after `./run up`.

        Raises:
            Problem: The engine does not answer.
        """
        listing = ["docker", "volume", "ls", f"--filter=name=^{_volume(project)}$", f"--filter=label={LABEL}"]
        named = run([*listing, f'--format={{{{.Label "{LABEL}"}}}}'], seconds=ASK_SECONDS, hint=HINT).strip()
        if not named:
            return None
        pid, started, boot = json.loads(named)
        return cls(Process(int(pid), int(started), str(boot)))

    @property
    def lives(self) -> bool:
        """Whether that very process still runs."""
        return Process.of(self.process.pid) == self.process


def hold(project: str) -> None:
    """Write down that this process holds the stack of `project`; nobody may hold it yet.

    Raises:
        Problem: The engine does not answer.
    """
    me = Process.this()
    identity = json.dumps([me.pid, me.started, me.boot])
    labels = [f"--label={LABEL}={identity}", f"--label={PROJECT_LABEL}={project}"]
    run(["docker", "volume", "create", *labels, _volume(project)], seconds=ASK_SECONDS, hint=HINT)


def release(project: str) -> None:
    """Remove the note, if there is one."""
    run(["docker", "volume", "rm", "--force", _volume(project)], seconds=ASK_SECONDS, hint=HINT)


def _volume(project: str) -> str:
    return f"{project}-holder"
