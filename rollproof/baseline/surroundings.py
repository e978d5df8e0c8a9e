"""The surroundings of a target's containers: engine, networks, volumes, strangers there, the working copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from rollproof.baseline.configuration_key import ConfigurationKey
from rollproof.baseline.containers import (
    differences,
    sealed_files,
    sealed_texts,
    shown_hash,
    shown_json,
    unexpected,
)
from rollproof.baseline.facts import RecordedResource, Surroundings
from rollproof.engines.engine import ContainerEngine, EngineUnreached, SharedResource, Stranger
from rollproof.errors import Unverifiable
from rollproof.git.repository import WorkingCopy


def record_surroundings(engine: ContainerEngine, copy: WorkingCopy, seal: ConfigurationKey) -> Surroundings:
    """Return them in the form that a baseline holds."""
    return replace(
        _record_copy(copy, seal),
        strangers=tuple(one.name for one in engine.strangers()),
        engine=_id_of(engine),
        resources={name: _recorded(name, one, seal) for name, one in engine.shared_resources().items()},
    )


def _id_of(engine: ContainerEngine) -> str:
    """Return the engine's ID; "" if it answers without one, as a proxy may have it."""
    try:
        return engine.id()
    except EngineUnreached:
        raise
    except Unverifiable:
        return ""


def _record_copy(copy: WorkingCopy, seal: ConfigurationKey) -> Surroundings:
    return Surroundings(
        key=seal.id,
        changed=copy.of_tracked,
        untracked=copy.untracked,
        files=sealed_files(copy.top, copy.changed, seal),
    )


def _recorded(name: str, found: SharedResource, seal: ConfigurationKey) -> RecordedResource:
    return RecordedResource(found.settings, sealed_texts(found.private, seal, of=name))


def resource_differences(
    recorded: Mapping[str, RecordedResource], found: Mapping[str, SharedResource], seal: ConfigurationKey
) -> Iterator[str]:
    """Yield, in words, how networks and volumes differ from those of the capture.

    One that is there no more, or new, is a difference of the containers that use it.
    """
    for name in sorted(recorded.keys() & found.keys()):
        before, now = recorded[name], _recorded(name, found[name], seal)
        # An engine of another version may not report a setting.
        both = before.settings.keys() & now.settings.keys()
        was, is_now = ({key: one.settings[key] for key in both} for one in (before, now))
        yield from (f"{name}: {text}" for text in differences(was, is_now, shown_json))
        yield from (f"{name}: {text}" for text in differences(before.sealed, now.sealed, shown_hash))


def new_strangers(recorded: Surroundings, strangers: Sequence[Stranger]) -> list[Stranger]:
    """Return the strangers that were not there at the capture, by their names."""
    return [one for one in strangers if one.name not in recorded.strangers]


def new_changes(recorded: Surroundings, copy: WorkingCopy, seal: ConfigurationKey) -> Iterator[str]:
    """Yield, in words, the uncommitted changes that were not there at the capture."""
    now = _record_copy(copy, seal)
    yield from (text for text in now.changed if text not in recorded.changed)
    yield from (
        f"changed {name}, otherwise than at the capture"
        for name, sealed in now.files.items()
        if recorded.files.get(name, sealed) != sealed
    )
    yield from (f"untracked {name}" for name in unexpected(recorded.untracked, now.untracked))
