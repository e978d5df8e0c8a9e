"""All that the engine holds of a stack, found by its labels: from any checkout, and whatever its shape."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rollback_actions.backup.scratch import SUFFIX
from rollproof.engines.compose import PROJECT_LABEL
from rollproof.errors import Problem
from rollproof.system.command import Deadline
from staging.processes import finish, run, tail
from staging.stack.stack_holder import note

_ASK_SECONDS = 30
_ENDING_SECONDS = 10
_POLL_SECONDS = 0.5
_REMOVE_SECONDS = 180
_HINT = "see that the Docker engine answers"


@dataclass(frozen=True)
class Remains:
    """The containers, volumes and networks of the compose project `project` and of its scratch instance.

    Compose finds only what its files describe, and a stack may have been brought up from others: of another
    checkout, or of another shape. No file describes the helpers of a rollback that was killed, which keep a
    volume in use. The holder's note is no part of them: it goes last, so that whoever meets half a removal
    finds that it is nobody's.
    """

    project: str

    def remove(self) -> None:
        """Remove all of them, and whatever container uses these volumes.

        Raises:
            Problem: The engine does not answer, or keeps a part.
        """
        # One that ends just now is removed by the engine itself: what is left in the end counts.
        said = [
            self._remove("rm", "--volumes", names=self._containers(self._volumes())),
            self._remove("volume", "rm", names=self._volumes()),
            self._remove("network", "rm", names=self._labelled("network", "ls")),
        ]
        limit = Deadline(_ENDING_SECONDS)
        while (left := self._left()) and not limit.passed:
            time.sleep(_POLL_SECONDS)
        if left:
            raise Problem(
                what=f"project {self.project}",
                expected="nothing left of it",
                observed="; ".join([", ".join(left), *filter(None, said)]),
                source="the Docker engine",
                hint=f"remove what `docker ps --all --filter label={PROJECT_LABEL}={self.project}` lists",
            )

    def _left(self) -> list[str]:
        volumes = self._volumes()
        kinds = {
            "container": self._containers(volumes),
            "volume": volumes,
            "network": self._labelled("network", "ls"),
        }
        return [f"{kind} {name}" for kind, names in kinds.items() for name in names]

    def _containers(self, volumes: list[str]) -> list[str]:
        """Return the labelled containers, and those that use one of `volumes`."""
        users = [f"--filter=volume={volume}" for volume in volumes]
        using = self._listed("ps", "--all", "--no-trunc", *users) if users else []
        return sorted({*self._labelled("ps", "--all", "--no-trunc"), *using})

    def _volumes(self) -> list[str]:
        return [name for name in self._labelled("volume", "ls") if name != note(self.project)]

    def _labelled(self, *listing: str) -> list[str]:
        """Return what `listing` finds with the label of either project."""
        projects = (self.project, f"{self.project}{SUFFIX}")
        return [
            name
            for project in projects
            for name in self._listed(*listing, f"--filter=label={PROJECT_LABEL}={project}")
        ]

    def _listed(self, *listing: str) -> list[str]:
        return run(["docker", *listing, "--quiet"], seconds=_ASK_SECONDS, hint=_HINT).split()

    def _remove(self, *removal: str, names: list[str]) -> str:
        """Remove `names`; return the engine's complaint, if it has one."""
        if not names:
            return ""
        done = finish(["docker", *removal, "--force", *names], seconds=_REMOVE_SECONDS, hint=_HINT)
        return tail(done.stderr) if done.returncode else ""
