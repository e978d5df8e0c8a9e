"""`./run faults`: every change that readers must see is made in the real stores, and phase 4 must be red.

The changes are those of the contract of readers, `tests/stack/stores`: this sends them through a capture and
the checks. In addition there are faults between stores of the application, which only its references show.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, SecretStr

from reports.terminal.progress import Progress
from rollback_actions.containers.compose import ComposeControl
from rollproof.contract.subject import filled
from rollproof.engines.engine import open_engine
from rollproof.profile.profile import load_target
from staging.rounds import Round, RoundResult
from staging.stack.stack import Stack
from staging.target.operators import Operators, operators_of
from tests.stack import damage
from tests.stack.stores.registry import SUBJECTS
from tests.stack.stores.subject import Given, Subject
from tests.stack.verifier import Verifier

Kind = Literal["content", "vectors", "schema", "positions", "references", "index", "restart"]
NOBODY = "user:nobody"
RESTART_SECONDS = 120.0
# Of more records phase 4 names some alone.
FEW = 3
REFERENCES: Mapping[str, Callable[[Operators], AbstractContextManager[object]]] = {
    "files_of_documents": damage.row_names_no_file,
    "settings_of_users": lambda operators: damage.document_gone(operators, "model_config", {}),
    "files_of_knowledge_bases": lambda operators: damage.document_changed(
        operators, "knowledge_bases", {"files.0": {"$exists": True}}, **{"files.0.file_id": "nowhere"}
    ),
    "documents_of_files": lambda operators: damage.document_changed(
        operators, "files", {}, username="nobody"
    ),
    "objects_of_pages": lambda operators: damage.object_gone(operators, "minio-file"),
    "files_of_points": damage.point_names_no_file,
    "files_of_points-complete": damage.point_gone,
    "pages_of_vectors": damage.vector_names_no_file,
    "pages_of_vectors-complete": lambda operators: damage.entities_gone(
        operators,
        operators.target.application.canary.references["pages_of_vectors"].referencing.collection,
        "page_number == 1",
    ),
    "users_of_sessions": lambda operators: damage.redis_command(
        operators, ["SET", NOBODY, "x"], ["DEL", NOBODY]
    ),
}
"""Faults between stores, by the reference of the profile that shows them."""
_APART = frozenset({"documents_of_files", "files_of_points-complete", "pages_of_vectors-complete"})
TOGETHER = (REFERENCES.keys() - _APART, _APART)
"""Faults between stores that can stand at the same time: none turns the check of another one red."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its subject of the contract, "references" without one, and its name there."""

    subject: str
    what: str
    kind: Kind

    @property
    def name(self) -> str:
        """Its name in a command line."""
        return f"{self.subject}-{self.what}".replace(" ", "-")


def _faults() -> Iterator[Fault]:
    for name, subject in SUBJECTS.items():
        # A file that a mount holds is compared like a record of the others; variants read the same.
        if subject.variant or name in {"mounts", "mariadb"}:
            continue
        yield from (Fault(name, what, "content") for what in subject.changes)
        yield from (Fault(name, what, "vectors") for what in subject.vector_changes)
        yield from (Fault(name, what, "index") for what in subject.index_changes)
        yield from (Fault(name, what, "schema") for what in subject.schema_changes)
        yield from (Fault(name, what, "positions") for what in subject.position_changes)
        yield from (Fault(name, what, "restart") for what in subject.restart_changes)
    yield from (Fault("references", what, "references") for what in REFERENCES)


FAULTS = tuple(_faults())


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault that stands at the same time as those of other stores."""

    fault: Fault
    checks: Sequence[str]
    """The checks that must be red."""
    words: Sequence[str] = ()
    """What the first of them says of this fault, and of no other."""
    store: str = "references"


def run_faults(
    stack: Stack, folder: Path, faults: Sequence[Fault], clean_runs: int, progress: Progress, found: Round
) -> None:
    """Run phase 4 `clean_runs` times without a fault, and then with each of `faults`.

    A run has a fault of each store at once: no check of a store sees what becomes of another store.
    """
    looks = _Looks(Verifier(stack, folder), progress, found)
    looks.capture()
    for number in range(1, clean_runs + 1):
        looks.clean(f"run {number} of {clean_runs} without a fault")
    target = load_target(stack.profile)
    with operators_of(target) as operators:
        for together in TOGETHER:
            _references(looks, operators, [fault for fault in faults if fault.what in together])
    given = Given(stack, target, open_engine(target.engine), ComposeControl(target.engine), folder)
    of_stores = [fault for fault in faults if fault.kind != "references"]
    with ExitStack() as opened:
        subjects = {
            name: opened.enter_context(filled(SUBJECTS[name](given)))
            for name in dict.fromkeys(fault.subject for fault in of_stores)
        }
        if subjects:
            _stores(looks, subjects, of_stores)
    found.finish()


def _references(looks: _Looks, operators: Operators, faults: Sequence[Fault]) -> None:
    """Make faults between stores, all at once."""
    with ExitStack() as opened:
        for fault in faults:
            opened.enter_context(REFERENCES[fault.what](operators))
        if faults:
            looks.red([Planted(one, [f"test_references[{one.what}]"], [" dangling, "]) for one in faults])


def _stores(looks: _Looks, subjects: Mapping[str, Subject], faults: Sequence[Fault]) -> None:
    """Make the faults of stores that are filled, one of each store at a time."""
    looks.look_at(subjects.values())
    with ExitStack() as opened:
        for name, subject in subjects.items():
            opened.callback(subject.undefine)
            subject.define()
            if any(fault.kind == "index" for fault in faults if fault.subject == name):
                subject.index()
        looks.capture()
        for batch in _batches(fault for fault in faults if fault.kind not in {"schema", "restart"}):
            looks.red([_plant(fault, subjects[fault.subject]) for fault in batch])
            for fault in batch:
                subject = subjects[fault.subject]
                (subject.index if fault.kind == "index" else subject.repair)()
        for fault in (fault for fault in faults if fault.kind == "restart"):
            subject = subjects[fault.subject]
            subject.restart_changes[fault.what](subject)
            looks.clean(f"{fault.name}, until the restart", subject.store)
            _restart(subject)
            looks.red([Planted(fault, [f"test_collection_content{_of_full(subject)}"], [], subject.store)])
            subject.fill()
        looks.clean("all faults of records mended", *(subject.store for subject in subjects.values()))
        _schemas(looks, subjects, [fault for fault in faults if fault.kind == "schema"])


def _schemas(looks: _Looks, subjects: Mapping[str, Subject], faults: Sequence[Fault]) -> None:
    """Change schemas; each change is made after those before it, and must change what phase 4 says."""
    before = dict[str, str]()
    for batch in _batches(faults):
        stores = {subjects[fault.subject].store: fault for fault in batch}
        if any("unrecorded" in check and _store_of(check) in stores for check in before):
            # Of what no baseline has, phase 4 says the name alone, whatever becomes of it. A store without
            # further faults is left out: its last one may have removed what would be captured.
            for fault in batch:
                subjects[fault.subject].make_capturable()
            looks.look_at(subjects[fault.subject] for fault in batch)
            looks.capture()
            before.clear()
        for fault in batch:
            subject = subjects[fault.subject]
            subject.schema_changes[fault.what](subject)
        looks.changed(stores, before)


def _batches(faults: Iterable[Fault]) -> Iterator[list[Fault]]:
    """Give the first fault of every store, then the second ones, and so on."""
    by_subject: dict[str, list[Fault]] = {}
    for fault in faults:
        by_subject.setdefault(fault.subject, []).append(fault)
    for batch in zip_longest(*by_subject.values()):
        yield [fault for fault in batch if fault is not None]


def _restart(subject: Subject) -> None:
    services, control = subject.profile.services, subject.given.control
    control.stop(services, deadline=RESTART_SECONDS)
    control.start(services, deadline=RESTART_SECONDS)


def _of_full(subject: Subject) -> str:
    return f"[{subject.store}/{subject.full}]"


def _plant(fault: Fault, subject: Subject) -> Planted:
    """Make a fault of records or of their readers."""
    match fault.kind:
        case "vectors":
            subject.vector_changes[fault.what](subject)
            return Planted(fault, [f"test_collection_content{_of_full(subject)}"], [], subject.store)
        case "index":
            subject.index_changes[fault.what](subject)
            return Planted(fault, [f"test_recall[{subject.store}/{subject.indexed}]"], [], subject.store)
        case "positions":
            subject.position_changes[fault.what](subject)
            return Planted(fault, [f"test_positions[{subject.store}]"], [], subject.store)
    subject.damage(fault.what)
    counts = [f"test_collection_count{_of_full(subject)}"] if fault.what in {"lost", "added"} else []
    checks = [f"test_collection_content{_of_full(subject)}", *counts]
    return Planted(fault, checks, _difference(subject, fault.what), subject.store)


def _difference(subject: Subject, change: str) -> list[str]:
    """Return what phase 4 says of a change: how many records, and of a few their keys and fields."""
    seen = subject.changes[change][1]
    changed = {key: sorted(fields) for key, fields in seen.items() if fields is not None}
    gone = sorted(key for key in seen if key not in changed and key in subject.keys)
    come = sorted(key for key in seen if key not in changed and key not in subject.keys)
    counted = f"observed {len(gone)} missing, {len(come)} added, {len(changed)} changed ("
    if len(seen) > FEW:
        return [counted]
    moved = [f"{how} {', '.join(keys)}" for how, keys in (("missing", gone), ("added", come)) if keys]
    return [counted, *moved, *(word for key, fields in changed.items() for word in (f"{key}: ", *fields))]


def _item_of(check: str) -> str:
    """Return the store, the ``store/collection`` or the reference that a check is of."""
    return check.partition("[")[2].removesuffix("]")


def _store_of(check: str) -> str:
    """Return the store that a check is of, or "" for one of several."""
    found = re.search(r"\[([a-z0-9]+)[]/]", check)
    return found[1] if found else ""


@dataclass
class _Looks:
    """Runs of phase 4, whose results are added to `found`."""

    verifier: Verifier
    progress: Progress
    found: Round
    settings: Mapping[str, str] = field(default_factory=dict)
    """Keys of the profile that differ, as environment variables."""

    def look_at(self, subjects: Iterable[Subject]) -> None:
        """Look at these collections, in place of those of the profile, from now on."""
        self.settings = {name: text for subject in subjects for name, text in settings_of(subject).items()}

    def capture(self) -> None:
        with self.progress.step("capture a baseline"):
            self.verifier.capture("--take-over", **self.settings)

    def clean(self, title: str, *stores: str) -> None:
        with self._timed(title) as add:
            checks, red = self._look(stores)
            add(title, f"{checks} checks, {len(red)} red", "; ".join(red))

    def red(self, planted: Sequence[Planted]) -> None:
        """Look for faults: each must be caught by its checks, for its own reason, and by `compare`."""
        with self._timed(", ".join(one.fault.name for one in planted)) as add:
            _, red = self._look(one.store for one in planted)
            compared = self.verifier.differing(**self.settings)
            for one in planted:
                reasons = [red.get(check) for check in one.checks]
                caught = all(reasons) and all(word in str(reasons[0]) for word in one.words)
                wrong = f"NOT CAUGHT by {', '.join(one.checks)} as {one.words}; red: {red}"
                if missed := [check for check in one.checks if _item_of(check) not in compared]:
                    caught, wrong = False, f"NOT SEEN by compare, as by {', '.join(missed)}: {compared}"
                add(one.fault.name, f"caught by {', '.join(one.checks)}", "" if caught else wrong)

    def changed(self, stores: Mapping[str, Fault], before: dict[str, str]) -> None:
        """Look for a fault of each store, which must change what is red of it since `before`; update that."""
        with self._timed(", ".join(fault.name for fault in stores.values())) as add:
            _, red = self._look(stores)
            for store, fault in stores.items():
                was = {check: before.pop(check) for check in [*before] if _store_of(check) == store}
                now = {check: reason for check, reason in red.items() if _store_of(check) == store}
                before.update(now)
                # One that takes the change before it back makes a check green again.
                told = sorted(name for name in now.keys() | was if now.get(name) != was.get(name))
                add(fault.name, f"caught by {', '.join(told)}", "" if told else "NOT CAUGHT")

    def _look(self, named: Iterable[str]) -> tuple[int, Mapping[str, str]]:
        """Return the number of checks with these words in their names, and by name why some are red."""
        wanted = " or ".join(dict.fromkeys(named))
        outcome = self.verifier.run("phase4", "--no-gate", f"-k={wanted}", **self.settings)
        results = outcome.results()
        red = {name: one["reason"] for name, one in results.items() if one["verdict"] != "passed"}
        assert results, outcome.text
        assert bool(outcome.code) == bool(red), outcome.text
        return len(results), red

    @contextmanager
    def _timed(self, title: str) -> Iterator[Callable[[str, str, str], None]]:
        started = time.monotonic()

        def add(name: str, seen: str, wrong: str) -> None:
            step.result = "; ".join(filter(None, [step.result, wrong]))
            self.found.add(RoundResult(name, seen, wrong, time.monotonic() - started))

        with self.progress.step(title) as step:
            yield add


def settings_of(subject: Subject) -> dict[str, str]:
    """Return the subject's profile as the environment of a command: by key, what the target's differs in.

    A store that the target does not have is a store more.
    """
    stored, folder = subject.given.target.stores.get(subject.store), subject.given.folder

    def text(value: object) -> object:
        match value:
            case SecretStr():
                file = folder / f"secret of {subject.store}"
                file.touch(mode=0o600)
                file.write_text(value.get_secret_value())
                return {"file": str(file)}
            case BaseModel():
                return {name: text(getattr(value, name)) for name in type(value).model_fields}
            case _:
                return value

    given = {
        name: text(value)
        for name in type(subject.profile).model_fields
        if (value := getattr(subject.profile, name)) != getattr(stored, name, None)
    }
    given["policy"] = subject.policy
    if stored is None:  # its containers are not the target's
        given["services"] = subject.given.target.services[:1]
    return {
        f"STORES__{subject.store.upper()}__{name.upper()}": value
        if isinstance(value, str)
        else json.dumps(value)
        for name, value in given.items()
    }
