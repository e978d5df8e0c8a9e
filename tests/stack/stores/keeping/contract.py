"""How subjects of any registry are given to the contract of keepers and exports: cases, and a backup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path

import pytest

from tests.running.cut import VARIANT
from tests.stack.stores.keeping.subject import Backup, Subject

WAYS = ("silent", "closed", "locked")
# What a test asks for beside a subject, and what that is for each.
CASES: Mapping[str, Callable[[type[Subject]], Iterable[object]]] = {
    "collection": lambda subject: subject.exported,
    "small": lambda subject: (False, True) if subject.sizes else (False,),
    "absent": lambda subject: [subject.absent] if subject.absent else [],
    "kind": lambda subject: subject.kinds,
    "damage": lambda subject: subject.rounds,
    "part": lambda subject: subject.kills,
    "stranger": lambda subject: subject.strangers,
    "what": lambda subject: subject.drops,
    "disturbed": lambda subject: [subject.disturbed] if subject.disturbed else [],
    "overtaken": lambda subject: [subject.overtaken] if subject.overtaken else [],
    "way": lambda subject: (WAYS if subject.locked else WAYS[:-1]) if subject.served else (),
}
# Of which the first one of a store shows the rule.
VARIED = frozenset({"small", "part", "way", "what"})
# Of which there is one for a store at most, which needs no name.
SINGLE = frozenset({"absent", "disturbed", "overtaken"})
MARKERS = (
    "of(store, ...): these stores alone, of those that keep the contract",
    "restarts: long where the keeper stops the server",
)


def parametrize(metafunc: pytest.Metafunc, subjects: Mapping[str, type[Subject]]) -> None:
    """Let each test have its subject, and of what else it asks for what there is of that subject."""
    if "subject" not in metafunc.fixturenames:
        return
    chosen = metafunc.definition.get_closest_marker("of")
    asked = [name for name in CASES if name in metafunc.fixturenames]
    restarts = metafunc.definition.get_closest_marker("restarts") is not None
    cases = []
    for store in chosen.args if chosen else subjects:
        subject = subjects[store]
        long = [pytest.mark.long(minutes=1)] if restarts and subject.stops else []
        choices = {name: list(CASES[name](subject)) for name in asked}
        for values in product(*choices.values()):
            told = [_told(name, value) for name, value in zip(asked, values, strict=True)]
            case = "-".join(text for text in (store, *told) if text)
            given = zip(asked, values, strict=True)
            varied = subject.variant or any(
                name in VARIED and value != choices[name][0] for name, value in given
            )
            cases.append(pytest.param(store, *values, id=case, marks=long or [VARIANT] * varied))
    metafunc.parametrize(("subject", *asked), cases, indirect=["subject"], scope="package")


def _told(name: str, value: object) -> str:
    """Return what the name of a test says of a case."""
    match name:
        case "small":
            return "small requests" if value else ""
        case "part":
            return f"after {value}"
        case _:
            return "" if name in SINGLE else str(value)


@pytest.fixture(scope="package")
def latest() -> list[Backup]:
    """The latest backup, if there is one."""
    return []


@pytest.fixture
def kept(
    request: pytest.FixtureRequest,
    subject: Subject,
    latest: list[Backup],
    tmp_path_factory: pytest.TempPathFactory,
) -> Backup:
    """A backup of the subject, which holds just what is in that: taken by an earlier test, or now."""
    kind = request.node.callspec.params.get("kind", subject.kinds[0])
    same = [backup for backup in latest if backup.subject is subject and backup.kind == kind]
    if same and subject.observe() == same[0].before:
        return same[0]
    latest[:] = [_taken(subject, kind, tmp_path_factory.mktemp("backup"))]
    return latest[0]


def _taken(subject: Subject, kind: str, folder: Path) -> Backup:
    records = subject.fill(kind)
    before, beside = subject.observe(), subject.beside()
    keeper = subject.place.keeper()
    kept = keeper.back_up(folder)
    return Backup(subject, kind, folder, kept, records, before, subject.observe(), beside, keeper)
