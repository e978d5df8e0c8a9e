"""How subjects of any registry are given to the contract of keepers and exports, and a backup of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path

import pytest

from tests.running.cut import VARIANT
from tests.stack.stores.place import Backup
from tests.stack.stores.subject import Subject

# What a test asks for in addition to a subject, and what that is for each.
CASES: Mapping[str, Callable[[type[Subject]], Iterable[object]]] = {
    "kind": lambda subject: subject.kinds,
    "part": lambda subject: subject.kills,
}
MARKERS = (
    "of(store, ...): these stores alone, of those that hold the contract",
    "restarts: long where the keeper stops the server",
)


def parametrize(metafunc: pytest.Metafunc, subjects: Mapping[str, type[Subject]]) -> None:
    """Let each test have its subjects: those that have what it is marked for, by `of` and `only`."""
    if "subject" not in metafunc.fixturenames:
        return
    chosen, only, restarts = map(metafunc.definition.get_closest_marker, ("of", "only", "restarts"))
    asked = [name for name in CASES if name in metafunc.fixturenames]
    cases = []
    for store in chosen.args if chosen else subjects:
        subject = subjects[store]
        if not subject.kept or (only and not getattr(subject, only.args[0])):
            continue
        long = [pytest.mark.long(minutes=1)] if restarts and subject.stops else []
        for number, values in enumerate(product(*(CASES[name](subject) for name in asked))):
            case = "-".join(filter(None, (store, *map(str, values))))
            # Where a restore is killed first shows the rule.
            varied = subject.variant or ("part" in asked and number > 0)
            cases.append(pytest.param(store, *values, id=case, marks=long or [VARIANT] * varied))
    metafunc.parametrize(("subject", *asked), cases, indirect=["subject"], scope="package")


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
    records = subject.populate(kind)
    before, unlisted = subject.observe(), subject.unlisted()
    keeper = subject.place.keeper()
    kept = keeper.back_up(folder)
    return Backup(subject, kind, folder, kept, records, before, subject.observe(), unlisted, keeper)
