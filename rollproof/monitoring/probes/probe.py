"""The base of the monitor's probes, and their readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rollproof.engines.engine import EngineUnreached
from rollproof.errors import Described, Meaning
from rollproof.incident.samples import ProbeId, ProbeKind, Unreached

# Questions to a store, whose address may be the engine's to tell.
_PLACED_BY_ENGINE = frozenset({ProbeKind.STORE, ProbeKind.VECTORS})
_UNREACHED = {Meaning.UNREACHABLE: Unreached.REFUSED, Meaning.TIMEOUT: Unreached.SILENT}
COLLECTED = 0.8
"""The part of a beat after which a sample is made of the answers so far; the rest is for writing it."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """A probe's result: whether it is well, a text, and the figures behind it; `ok` is None if nobody knows.

    `services` are the target's services in trouble. `unreached` is as in a sample.
    """

    ok: bool | None
    text: str
    value: float | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    unreached: Unreached | None = None


def unreached_by(error: Described, kind: ProbeKind) -> Unreached | None:
    """Return why a question of `kind` that ended with `error` reached nobody; None if it may have."""
    if kind in _PLACED_BY_ENGINE and isinstance(error, EngineUnreached):
        return Unreached.UNPLACED
    return _UNREACHED.get(error.means)


class Probe:
    """One question, asked again only after its answer; raises `Problem` when the answer cannot be known."""

    id: ProbeId

    def ask(self) -> ProbeResult:
        """Ask, and return the answer within about the deadline that the probe was made with."""
        raise NotImplementedError

    def close(self) -> None:
        """Release the held connections; by default there are none."""


class FunctionOf(Probe):
    """A probe that keeps nothing from one question to the next."""

    def __init__(self, kind: ProbeKind, ask: Callable[[], ProbeResult]) -> None:
        self.id = ProbeId(kind)
        self._ask = ask

    def ask(self) -> ProbeResult:
        """Ask."""
        return self._ask()
