"""The protocol of the monitor's probes, and their readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rollproof.engines.engine import EngineUnreached
from rollproof.errors import Described, Meaning
from rollproof.monitoring.samples import ProbeId, ProbeKind, Unreached
from rollproof.system.http import Unconnected

# Questions to a store, whose address may be the engine's to tell.
_PLACED = frozenset({ProbeKind.STORE, ProbeKind.VECTORS})
_UNREACHED = {Meaning.UNREACHABLE: Unreached.REFUSED, Meaning.TIMEOUT: Unreached.SILENT}


@dataclass(frozen=True, slots=True)
class Reading:
    """A probe's result: whether it is well, a text, and the figures behind it.

    `services` are the target's services in trouble. `unreached` is as in a sample.
    """

    ok: bool
    text: str
    value: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    unreached: Unreached | None = None


def unreached_by(error: Described, kind: ProbeKind) -> Unreached | None:
    """Return why a question of `kind` that ended with `error` reached nobody, or None if it may have."""
    if isinstance(error, Unconnected):
        return Unreached.UNCONNECTED
    if kind in _PLACED and isinstance(error, EngineUnreached):
        return Unreached.UNPLACED
    return _UNREACHED.get(error.means)


class Probe(Protocol):
    """One question, asked again only after its answer; raises `Problem` when the answer cannot be known."""

    id: ProbeId
    deadline: float

    def ask(self) -> Reading:
        """Ask, and return the answer within about `deadline` seconds."""
        ...

    def close(self) -> None:
        """Release the held connections."""
        ...


class Unheld:
    """A probe without connections between two questions."""

    def close(self) -> None:
        """Do nothing."""
