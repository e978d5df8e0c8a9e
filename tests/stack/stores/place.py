"""A place of the tests' own in a store's server, and what is exported from it, or backed up and restored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest
from pydantic import SecretStr

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import ActionFailed
from rollproof.profile.sections import StoreProfile
from rollproof.stores.contract import ExportedRecord, RecordHash
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import keeper_at
from rollproof.stores.package import Kept
from rollproof.stores.reader import Reader
from rollproof.stores.registry import reader_at
from tests.stack.scratch_stores import changed

ROLES = ("reader", "operator")
WRONG = "another-horse-battery-staple"
WHOLE_SECONDS = 60.0
"""The deadline of a backup or restore."""


class Watched:
    """A control whose calls are written down: what was on a command line can be looked at afterwards."""

    def __init__(self, control: ComposeControl) -> None:
        self._control = control
        self.calls: list[tuple[str, tuple[object, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._control, name)

        def call(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - whatever the control returns
            self.calls.append((name, arguments, named))
            return method(*arguments, **named)

        return call

    def die(self, part: float, patch: pytest.MonkeyPatch, spared: str = "") -> None:
        """Let the client die once a program has read a part of its input, but not of one with `spared`."""

        def run(service: str, command: Sequence[str], *, stdin: Path, **options: Any) -> str:  # noqa: ANN401
            if spared in command:
                return self._control.run(service, command, stdin=stdin, **options)
            dump = stdin.read_bytes()
            beginning = stdin.with_suffix(".part")
            beginning.write_bytes(dump[: int(len(dump) * part)])
            with suppress(ActionFailed):
                self._control.run(service, command, stdin=beginning, **options)
            beginning.unlink()
            raise KeyboardInterrupt

        patch.setattr(self, "run", run, raising=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Names of the tests' own in a running server, and the ways in that a profile of them opens."""

    name: str
    profile: StoreProfile
    endpoint: Endpoint
    control: ComposeControl
    engine: ContainerEngine | None = None
    """For a store that is no server."""

    def at(self, endpoint: Endpoint) -> Self:
        """Return this place with the server elsewhere."""
        return replace(self, endpoint=endpoint)

    def but(self, **changes: object) -> Self:
        """Return this place with some fields of its profile changed."""
        return replace(self, profile=changed(self.profile, **changes))

    def locked(self) -> Self:
        """Return this place with secrets that the server refuses."""
        wrong = {}
        for role in ROLES:
            account = getattr(self.profile, role, None)
            if account is not None:
                secret = "key" if hasattr(account, "key") else "password"
                wrong[role] = account.model_copy(update={secret: SecretStr(WRONG)})
        return self.but(**wrong)

    def view(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def content(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def export(self) -> Reader:
        return reader_at(self.name, self.profile, self.endpoint, self.engine)

    def keeper(self, *, deadline: float = WHOLE_SECONDS) -> StoreKeeper:
        return keeper_at(self.name, self.profile, self.endpoint, self.control, deadline, self.engine)

    def secrets(self) -> list[str]:
        """Return every secret of the profile."""
        accounts = [getattr(self.profile, role, None) for role in ROLES]
        secrets = [
            getattr(account, "password", None) or getattr(account, "key", None) for account in accounts
        ]
        return [secret.get_secret_value() for secret in secrets if secret is not None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A collection whose records are exported, spoiled, and written again from their lines."""

    name: str
    damage: Callable[[], object]
    """Leaves no record as it was."""
    size: int = 7
    """Records of a part."""
    exact: Callable[[], object] = lambda: None
    """What must be as it was too, though no digest tells of it."""
    look: Callable[[Sequence[ExportedRecord], Path], object] = lambda _records, _folder: None
    """What else is to be seen in what was exported."""
    stays: Callable[[RecordHash], Hashable] = lambda record: (record.key, record.hash)
    """What of a record is as it was; less where the server gives names of its own."""
    small: bool = False
    """Export it in the smallest requests that there are: see `Subject.small`."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Records of a collection that are wanted; `spoil` removes or changes all of them but those `left`."""

    name: str
    keys: Collection[str]
    spoil: Callable[[], object]
    left: Collection[str]
    size: int = 5


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of what a subject was filled with, and what was seen before and after it was taken."""

    subject: object
    kind: str
    folder: Path
    kept: Kept
    records: Mapping[str, int]
    before: object
    after: object
    unlisted: object
    keeper: StoreKeeper
