"""`./run faults`: every change that readers must see is made in the real stores, and phase 4 must be red.

The changes are those of the contract of readers, `tests/stack/reading`: this sends them through a capture and
the checks. Beside them are faults between stores of the application, which only its references show.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, SecretStr

from reports.terminal.progress import Progress
from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.factory import open_engine
from rollproof.profile.profile import load_target
from staging.rounds import Result, Round
from staging.stack.stack import Stack
from staging.target.operators import Operators, operators_of
from tests.stack import damage
from tests.stack.reading.contract import filled
from tests.stack.reading.registry import SUBJECTS
from tests.stack.reading.subject import Given, Subject
from tests.stack.verifier import Verifier

Kind = Literal["content", "golden", "schema", "positions", "references", "index", "restart"]
NOBODY = "user:nobody"
RESTART_SECONDS = 120.0
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
        yield from (Fault(name, what, "golden") for what in subject.golden_changes)
        yield from (Fault(name, what, "index") for what in subject.index_changes)
        yield from (Fault(name, what, "schema") for what in subject.schema_changes)
        yield from (Fault(name, what, "positions") for what in subject.position_changes)
        yield from (Fault(name, what, "restart") for what in subject.restart_changes)
    yield from (Fault("references", what, "references") for what in REFERENCES)


FAULTS = tuple(_faults())


def run_faults(
    stack: Stack, folder: Path, faults: Sequence[Fault], clean_runs: int, progress: Progress, found: Round
) -> None:
    """Run phase 4 `clean_runs` times without a fault, and then with each of `faults`."""
    looks = _Looks(Verifier(stack, folder), progress, found)
    looks.capture({})
    for number in range(1, clean_runs + 1):
        looks.clean(f"run {number} of {clean_runs} without a fault", {})
    target = load_target(stack.profile)
    with operators_of(target) as operators:
        for fault in (fault for fault in faults if fault.kind == "references"):
            with REFERENCES[fault.what](operators):
                looks.red(fault, [f"test_references[{fault.what}]"], "references", {}, " dangling, ")
    given = Given(stack, target, open_engine(target.engine), ComposeControl(target.engine), folder)
    for name in dict.fromkeys(fault.subject for fault in faults if fault.kind != "references"):
        with filled(SUBJECTS[name], given) as subject:
            _store(looks, subject, [fault for fault in faults if fault.subject == name])
    found.finish()


def _store(looks: _Looks, subject: Subject, faults: Sequence[Fault]) -> None:
    """Make the faults of a store that is filled."""
    store, settings = subject.store, settings_of(subject)
    subject.define()
    if any(fault.kind == "index" for fault in faults):
        subject.index()
    try:
        looks.capture(settings)
        for fault in (fault for fault in faults if fault.kind not in {"schema", "restart"}):
            try:
                checks = _make(fault, subject)
            except pytest.skip.Exception:
                continue
            looks.red(fault, checks, store, settings, _exchanged(fault, subject))
            if fault.kind == "index":
                subject.index()
            else:
                subject.repair()
        for fault in (fault for fault in faults if fault.kind == "restart"):
            subject.restart_changes[fault.what](subject)
            looks.clean(f"{fault.name}, until the restart", settings, "-k", store)
            _restart(subject)
            looks.red(fault, [f"test_collection_content[{store}/{subject.full}]"], store, settings)
            subject.fill()
        looks.clean(f"{faults[0].subject}, without a fault", settings, "-k", store)
        # Each is made after those before it: it must change what phase 4 says.
        before: Mapping[str, str] = {}
        for fault in (fault for fault in faults if fault.kind == "schema"):
            subject.schema_changes[fault.what](subject)
            before = looks.changed(fault, before, store, settings)
            if any("unrecorded" in check for check in before):
                # Of what no baseline has, phase 4 says the name alone, whatever becomes of it.
                looks.capture(settings)
                before = {}
    finally:
        subject.undefine()


def _restart(subject: Subject) -> None:
    services, control = subject.profile.services, subject.given.control
    control.stop(services, deadline=RESTART_SECONDS)
    control.start(services, deadline=RESTART_SECONDS)


def _make(fault: Fault, subject: Subject) -> list[str]:
    """Make a fault of records or of their readers; return the checks that must be red."""
    of_full = f"[{subject.store}/{subject.full}]"
    match fault.kind:
        case "golden":
            subject.golden_changes[fault.what](subject)
            return [f"test_golden_queries{of_full}"]
        case "index":
            subject.index_changes[fault.what](subject)
            return [f"test_recall[{subject.store}/{subject.indexed}]"]
        case "positions":
            subject.position_changes[fault.what](subject)
            return [f"test_positions[{subject.store}]"]
    subject.damage(fault.what)
    counts = [f"test_collection_count{of_full}"] if fault.what in {"lost", "added"} else []
    return [f"test_collection_content{of_full}", *counts]


def _exchanged(fault: Fault, subject: Subject) -> str:
    """Return how records that are lost and as many that are added are told apart, or "" for other faults."""
    seen = subject.changes[fault.what][1] if fault.kind == "content" else {}
    moved = {key for key, fields in seen.items() if fields is None}
    lost, added = sorted(moved & subject.keys), sorted(moved - subject.keys)
    if not lost or len(lost) != len(added):
        return ""
    examples = f"missing {', '.join(lost)}; added {', '.join(added)}"
    return f"observed {len(lost)} missing, {len(added)} added, 0 changed ({examples})"


@dataclass(frozen=True)
class _Looks:
    """Runs of phase 4, whose results are added to `found`."""

    verifier: Verifier
    progress: Progress
    found: Round

    def capture(self, settings: Mapping[str, str]) -> None:
        with self.progress.step("capture a baseline"):
            self.verifier.capture("--take-over", **settings)

    def clean(self, title: str, settings: Mapping[str, str], *options: str) -> None:
        with self._timed(title) as add:
            checks, red = self._look(settings, *options)
            add(f"{checks} checks, {len(red)} red", "; ".join(red))

    def red(
        self,
        fault: Fault,
        checks: Sequence[str],
        which: str,
        settings: Mapping[str, str],
        said: str = "",
    ) -> None:
        """Look for a fault that `checks` must catch; the first of them says `said`."""
        with self._timed(fault.name) as add:
            _, red = self._look(settings, "-k", which)
            green = [check for check in checks if check not in red or said not in red[checks[0]]]
            wrong = f"NOT CAUGHT by {', '.join(green)}; red: {sorted(red)}" if green else ""
            add(f"caught by {', '.join(checks)}", wrong)

    def changed(
        self, fault: Fault, before: Mapping[str, str], store: str, settings: Mapping[str, str]
    ) -> Mapping[str, str]:
        with self._timed(fault.name) as add:
            _, red = self._look(settings, "-k", store)
            # One that takes the change before it back makes a check green again.
            told = sorted(name for name in red.keys() | before if red.get(name) != before.get(name))
            add(f"caught by {', '.join(told)}", "" if told else "NOT CAUGHT")
        return red

    def _look(self, settings: Mapping[str, str], *options: str) -> tuple[int, Mapping[str, str]]:
        """Return the number of checks, and the reasons of those that are red."""
        outcome = self.verifier.run("phase4", "--no-gate", *options, **settings)
        results = outcome.results()
        red = {name: one["reason"] for name, one in results.items() if one["verdict"] != "passed"}
        assert results, outcome.text
        assert bool(outcome.code) == bool(red), outcome.text
        return len(results), red

    @contextmanager
    def _timed(self, title: str) -> Iterator[Callable[[str, str], None]]:
        started = time.monotonic()

        def add(seen: str, wrong: str) -> None:
            step.result = wrong or seen
            self.found.add(Result(title, seen, wrong, time.monotonic() - started))

        with self.progress.step(title) as step:
            yield add


def settings_of(subject: Subject) -> dict[str, str]:
    """Return the subject's profile as the environment of a command: by key, what the target's differs in."""
    stored, folder = subject.given.target.stores[subject.store], subject.given.folder

    def text(value: object) -> object:
        match value:
            case SecretStr():
                file = folder / "secret"
                file.touch(mode=0o600)
                file.write_text(value.get_secret_value())
                return {"file": str(file)}
            case BaseModel():
                return {name: text(getattr(value, name)) for name in type(value).model_fields}
            case _:
                return value

    given = {
        name: text(value)
        for name in type(stored).model_fields
        if (value := getattr(subject.profile, name)) != getattr(stored, name)
    }
    given["policy"] = subject.policy
    return {
        f"STORES__{subject.store.upper()}__{name.upper()}": value
        if isinstance(value, str)
        else json.dumps(value)
        for name, value in given.items()
    }
