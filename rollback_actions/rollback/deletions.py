"""The records that users had deleted and a restore brought back: listed, and deleted again when asked for."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from rollback_actions.containers.compose import ComposeControl
from rollback_actions.containers.control import open_control
from rollback_actions.outside import Outside
from rollback_actions.rollback.replay import incident_of, writing
from rollproof.backups.sets import every_field
from rollproof.engines.engine import ContainerEngine, open_engine
from rollproof.errors import Meaning, Problem
from rollproof.incident.journal import Step
from rollproof.losses.lost_window import Pair, read_revived
from rollproof.profile.profile import Target, load_target
from rollproof.stores.contract import Pace, Selection
from rollproof.stores.keeper import Put
from rollproof.stores.keepers import BACKUP_SECONDS
from rollproof.stores.reader import Reader

ANOTHER = "another version is there: a user has written it since"
NOT_SINGLY = "no single record of this collection can be deleted from outside: the application has to"
STAYED = "deleted, and still there"
SHOWN = 20
"""So many records of a list are shown."""


@dataclass(frozen=True, slots=True)
class DeletedAgain:
    """Of so many `records` that came back, those that are still there are `left`, each with the reason."""

    records: int
    left: Mapping[str, str]

    def __str__(self) -> str:
        """Return the counts in words."""
        return f"gone: {self.records - len(self.left):,}; left: {len(self.left):,}"


def delete_again(profile: Path, file: Path, *, yes: bool, take_over: bool) -> bool:
    """List the records that `file` names, ask unless `yes`, delete them; return True if all are deleted."""
    target, file = load_target(profile), file.resolve()
    incident, revived = incident_of(target, file), read_revived(file)
    store, redact = file.parent.name, target.redactor().text
    for collection, records in revived.items():
        typer.echo(redact(f"{store}: {collection}: {len(records):,} came back"))
        for key, _ in sorted(records)[:SHOWN]:
            typer.echo(redact(f"  {key}"))
        if len(records) > SHOWN:
            typer.echo(f"  and {len(records) - SHOWN:,} more: see {file}")
    count = sum(map(len, revived.values()))
    if not count or not (yes or typer.confirm(f"Delete these {count:,} records from {target.name}?")):
        typer.echo("nothing was deleted")
        return not count
    with writing(target, incident, Step.DELETE_AGAIN, store, take_over=take_over) as step:
        engine, control = open_engine(target.engine), open_control(target.engine)
        found = delete_revived(target, engine, control, store, revived)
        step.result = str(found)
    typer.echo(f"{store}: {found}")
    for record, reason in islice(found.left.items(), SHOWN):
        typer.echo(redact(f"  {record}: {reason}"))
    return not found.left


def delete_revived(
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    store: str,
    revived: Mapping[str, frozenset[Pair]],
    outside: Outside | None = None,
) -> DeletedAgain:
    """Delete those `revived` records of `store` that are as they came back, one by one, and look again.

    Raises:
        Problem: the store does not answer.
    """
    outside = outside or Outside()
    profile = target.stores[store]
    keeper = outside.open_keeper(store, profile, engine, control, BACKUP_SECONDS)
    left = dict[str, str]()
    for collection, records in revived.items():
        with (
            outside.open_reader(store, every_field(profile), engine) as content,
            outside.open_exporter(store, every_field(profile), engine) as export,
            TemporaryDirectory() as folder,
            keeper.putting(collection, Path(folder), overwrite=False) as put,
        ):
            found = _delete(collection, records, content, export, put, Path(folder))
        left |= {f"{collection} {key}": reason for key, reason in found.items()}
    return DeletedAgain(sum(map(len, revived.values())), left)


def _delete(
    collection: str, records: frozenset[Pair], content: Reader, export: Reader, put: Put, folder: Path
) -> dict[str, str]:
    """Delete `records`; return the keys of those that are left, with the reason."""
    division = content.divide(collection, content.count(collection))
    keys = {key for key, _ in records}
    there = _with_keys(content, collection, division, keys)
    present = {part: pairs & records for part, pairs in there.items()}
    left = {key: ANOTHER for pairs in there.values() for key, _ in pairs - records}
    if put.remove is None:
        return left | {key: NOT_SINGLY for pairs in present.values() for key, _ in pairs}
    # A record that is changed from now on is no longer exported, so it stays.
    for record in export.export(Selection(collection, division, present), folder, Pace()):
        try:
            put.remove(record)
        except Problem as problem:
            if problem.means in {Meaning.TIMEOUT, Meaning.UNREACHABLE}:
                raise
            left[record.key] = str(problem.observed)
    after = _with_keys(content, collection, division, keys)
    return {key: STAYED for pairs in after.values() for key, _ in pairs} | left


def _with_keys(
    content: Reader, collection: str, division: Sequence[str], keys: Container[str]
) -> dict[int, frozenset[Pair]]:
    """Return the records with one of `keys`, by part."""
    found: dict[int, set[Pair]] = {}
    for part, record in content.records(collection, division, range(len(division)), Pace()):
        if record.key in keys:
            found.setdefault(part, set()).add((record.key, record.hash))
    return {part: frozenset(pairs) for part, pairs in found.items()}
