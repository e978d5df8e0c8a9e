"""What a rollback is asked to do: of which kind, to which commit, of which services or stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """The four rollbacks of the decision tree."""

    SERVICE = "service"
    DATABASE = "database"
    FULL = "full"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Wish:
    """A rollback of `kind` to `commit`, a full id; `names` are the services or stores of a partial one."""

    kind: Kind
    commit: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as it is typed; a partial one says its commit too."""
        if self.kind in {Kind.FULL, Kind.EMERGENCY}:
            return f"{self.kind} {self.commit}"
        return f"{self.kind} {', '.join(self.names)} to {self.commit}"

    @property
    def restores_data(self) -> bool:
        """Whether it overwrites what stores hold."""
        return self.kind in {Kind.DATABASE, Kind.EMERGENCY}

    def covers(self, other: Wish) -> bool:
        """Tell whether nothing of `other` is left to do once this one has succeeded."""
        match self.kind:
            case Kind.EMERGENCY:
                return True
            case Kind.FULL:
                return not other.restores_data
            case _:
                return self.kind is other.kind and set(self.names) >= set(other.names)

    def record(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind, "commit": self.commit, "names": list(self.names)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the wish of `record`; without a kind it is one of the first kind that there was.

        Raises:
            KeyError, TypeError, ValueError: it is no such record.
        """
        commit, names = record["commit"], tuple(record.get("names", ()))
        if not all(isinstance(text, str) for text in (commit, *names)):
            raise TypeError("a commit and names are text")
        kind = Kind(record.get("kind", Kind.EMERGENCY))
        if len(names) != (kind in {Kind.SERVICE, Kind.DATABASE}):
            raise ValueError(f"{len(names)} names")
        return cls(kind, commit, names)
