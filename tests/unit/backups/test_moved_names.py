"""The names that move while a backup is taken: read before it and after it, compared, kept in its set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pytest

from rollback_actions.backup import whole_backup
from rollproof.backups.moved_names import MOST_NAMES, digests_at, read_names
from rollproof.backups.sets import BackupSet, read_backup
from rollproof.errors import Problem, Unverifiable
from rollproof.profile.sections import NamePlace, Reference
from rollproof.stores.contract import RecordHash
from rollproof.stores.names import Name
from rollproof.stores.package import Kept
from rollproof.stores.references import hash_of, sides_of, text_of
from rollproof.system.command import Deadline
from tests.world.sandbox import Sandbox, steps_in
from tests.world.stores import Content

USER = "anna@example.org"
ROWS = Reference(
    referencing=NamePlace(store="mysql", collection="shop.rows*", fields=("owner",)),
    referenced=NamePlace(store="redis", collection="shop.users", fields=("name",)),
)
Held = list[str | None] | Unverifiable


def refused(observed: str) -> Unverifiable:
    return Unverifiable(what="it", expected="an answer", observed=observed, source="it", hint="wait")


def hexadecimal(*names: str) -> tuple[str, ...]:
    return tuple(sorted(f"{hash_of((name,)):016x}" for name in names))


@dataclass
class Stores(Content):
    """All stores in one: the names in each collection, or the error with which it cannot be read."""

    lists: dict[str, Held] = field(default_factory=dict)
    down: set[str] = field(default_factory=set)

    def open(self, name: str, *_: object, **__: object) -> Self:
        if name in self.down:
            raise refused("nobody answers")
        return self

    def collections(self) -> Sequence[str]:
        return [*self.lists]

    def found(self, collection: str) -> Sequence[RecordHash]:
        return ()

    def names(
        self, collection: str, fields: Sequence[str], where: Mapping[str, str]
    ) -> Iterator[Name | None]:
        found = self.lists[collection]
        if isinstance(found, Unverifiable):
            raise found
        # As if the first record alone were chosen.
        yield from (None if name is None else (name,) for name in (found[:1] if where else found))


@pytest.fixture
def stores(sandbox: Sandbox) -> Stores:
    lists: dict[str, Held] = {"shop.rows": ["a", "b", None], "shop.rows2": ["c", "c"]}
    stores = Stores("it", {}, lists={**lists, "shop.users": ["a", "b", "c"]})
    sandbox.outside = replace(sandbox.outside, open_reader=stores.open)
    return stores


@pytest.fixture
def sandbox(sandbox: Sandbox) -> Sandbox:
    sandbox.target = sandbox.target.model_copy(update={"references": {"rows": ROWS}})
    return sandbox


def moved(
    sandbox: Sandbox, change: Callable[[], object], most: int = MOST_NAMES
) -> dict[str, tuple[str, ...]]:
    """Return what moves when `change` comes between two readings."""
    opened = sandbox.outside.open_reader
    before = read_names(sandbox.target, sandbox.engine, most, open_reader=opened)
    change()
    return before.moved(read_names(sandbox.target, sandbox.engine, most, open_reader=opened))


def test_names_that_came_or_went_at_either_side_have_moved(sandbox: Sandbox, stores: Stores) -> None:
    found = moved(
        sandbox, lambda: stores.lists.update({"shop.rows2": ["c", "new"], "shop.users": ["b", "c", "other"]})
    )
    assert found == {text_of(ROWS): hexadecimal("new", "a", "other")}
    # A collection of the pattern that a user makes meanwhile brings its names.
    found = moved(sandbox, lambda: stores.lists.update({"shop.rows3": ["made"]}))
    assert found == {text_of(ROWS): hexadecimal("made")}
    assert moved(sandbox, lambda: None) == {text_of(ROWS): ()}


@pytest.mark.parametrize("first", [True, False])
def test_what_could_not_be_read_once_leaves_its_reference_out(
    sandbox: Sandbox, stores: Stores, *, first: bool
) -> None:
    """Of a pattern each collection counts."""
    whole: Held = stores.lists["shop.rows2"]
    stores.lists["shop.rows2"] = refused("not loaded") if first else whole
    found = moved(
        sandbox, lambda: stores.lists.update({"shop.rows2": whole if first else refused("not loaded")})
    )
    assert found == {}
    stores.down = {"redis"}
    assert moved(sandbox, lambda: None) == {}


def back_up(sandbox: Sandbox, folder: Path, meanwhile: Callable[[], object]) -> BackupSet:
    """Back the sandbox up; `meanwhile` happens when its first store is copied."""
    first = sandbox.keepers["mysql"]
    copy = first.back_up

    def copied(below: Path) -> Kept:
        meanwhile()
        return copy(below)

    first.back_up = copied  # type: ignore[assignment,method-assign]
    with steps_in(folder / "backup.jsonl") as steps:
        return whole_backup.back_up(
            sandbox.target, sandbox.commit, sandbox.engine, sandbox.control, steps, sandbox.outside
        )


def results(folder: Path) -> list[str]:
    lines = map(json.loads, (folder / "backup.jsonl").read_text().splitlines())
    return [line["result"] for line in lines if line.get("id") == "names" and line["event"] == "ended"]


def test_a_set_has_the_digests_of_what_moved_under_its_seal(
    sandbox: Sandbox, stores: Stores, tmp_path: Path
) -> None:
    taken = back_up(sandbox, tmp_path, lambda: stores.lists.update({"shop.users": ["a", "b", "c", USER]}))
    assert taken.moved == {text_of(ROWS): hexadecimal(USER)}
    path = taken.folder / "set.json"
    assert read_backup(path) == taken
    assert results(tmp_path) == ["6 names at 2 of 2 places", "1 names moved; of 1 references 1 were read"]
    for text in (path.read_text(), (tmp_path / "backup.jsonl").read_text()):
        assert USER not in text
    path.write_bytes(path.read_bytes().replace(hexadecimal(USER)[0].encode(), b"0" * 16))
    with pytest.raises(Problem, match="does not match its SHA-256"):
        read_backup(path)


def test_a_side_of_too_many_names_is_not_remembered(sandbox: Sandbox, stores: Stores) -> None:
    # The same name twice is one.
    assert moved(sandbox, lambda: None, most=3) == {text_of(ROWS): ()}
    stores.lists["shop.users"] = ["a", "b", "c", "d"]
    assert moved(sandbox, lambda: None, most=3) == {}


def test_a_reading_has_a_deadline(stores: Stores) -> None:
    assert digests_at(sides_of(ROWS)[1], stores, 10, Deadline(0.0)) is None
