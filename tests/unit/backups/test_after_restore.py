"""What a plan says before a restore: what cannot match the baseline, and which references will dangle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from reports.answers.outline import mismatches
from rollproof.baseline.facts import RecordedContent
from rollproof.baseline.folder import BaselineDraft
from rollproof.baseline.recording import record_collection
from rollproof.losses.after_restore import dangling, unmatched
from rollproof.planning.plan import Plan, plan_database, plan_emergency
from rollproof.profile.profile import Target
from rollproof.profile.sections import Place, Policy, Reference
from rollproof.stores.reader import Reader
from rollproof.stores.snapshot import Snapshot
from tests.unit.sandbox import Releases, Sandbox, facts, make_sandbox
from tests.unit.word_store import COLLECTION, WordReader, WordStore, readable

# The backup holds "a" of release 1, and "b".
WHOLE = {"a": "of release 1", "b": "of both"}
NEWER = {**WHOLE, "c": "came between"}
CHANGED = {**WHOLE, "a": "of another release"}
REFERENCE = Reference(
    referencing=Place(store="redis", collection=COLLECTION, fields=("x",)),
    referenced=Place(store="mysql", collection=COLLECTION, fields=("y",)),
)


@pytest.fixture
def sandbox(tmp_path: Path, releases: Releases) -> Sandbox:
    return make_sandbox(tmp_path, releases)


def _capture(sandbox: Sandbox, words: Mapping[str, str], *, excluded: tuple[str, ...] = ()) -> None:
    """Capture a baseline in which mysql holds `words`."""
    target = sandbox.target
    reader = cast("Reader", WordReader(WordStore("mysql", "mysql", dict(words))))
    with BaselineDraft(target.folders.baselines, target.name) as draft:
        file = "records/mysql.db"
        with Snapshot(draft.folder / file, new=True) as snapshot:
            found = record_collection(reader, target.stores["mysql"], COLLECTION, snapshot, file)
        content = RecordedContent({COLLECTION: {}}, {COLLECTION: replace(found, excluded=excluded)}, {}, ())
        draft.finish(replace(facts(sandbox.commit), contents={"mysql": content}))


def _with(target: Target, *, policy: Policy = "exact", reference: Reference | None = None) -> Target:
    stores = {**target.stores}
    stores["mysql"] = stores["mysql"].model_copy(update={"policy": {"*": policy}})
    return target.model_copy(update={"stores": stores, "references": {"r": reference} if reference else {}})


def _said(sandbox: Sandbox, target: Target, plan: Plan) -> list[str]:
    assert plan.backup is not None
    with readable(sandbox.keepers):
        return list(
            mismatches(
                plan,
                unmatched(target, plan.baseline, plan.backup, plan.stores),
                dangling(target, sandbox.engine, plan.backup, plan.stores),
            )
        )


@pytest.mark.parametrize(
    ("words", "policy", "expected"),
    [
        (WHOLE, "exact", ""),
        (NEWER, "exact", "1 missing records"),
        (NEWER, "grows", "1 missing records"),
        (CHANGED, "exact", "1 changed records"),
        ({**CHANGED, "c": "came between"}, "grows", "1 missing, 1 changed records"),
        ({"a": "of release 1"}, "exact", "1 added records"),
        ({"a": "of release 1"}, "grows", ""),
        (NEWER, "volatile", ""),
    ],
)
def test_a_backup_that_is_older_than_the_baseline_is_said(
    sandbox: Sandbox, words: Mapping[str, str], policy: Policy, expected: str
) -> None:
    _capture(sandbox, words)
    plan = plan_emergency(sandbox.target, sandbox.commit)
    said = _said(sandbox, _with(sandbox.target, policy=policy), plan)
    assert len(said) == bool(expected)
    if expected:
        assert plan.backup is not None
        assert f"mysql, words cannot match baseline {plan.baseline.id}" in said[0]
        assert f"{expected}, beside the baseline's; the backup is of {plan.backup.finished.wall}" in said[0]


@pytest.mark.parametrize(("words", "expected"), [(CHANGED, ""), (NEWER, "2 records, 3 in the baseline")])
def test_without_some_fields_the_numbers_are_compared(
    sandbox: Sandbox, words: Mapping[str, str], expected: str
) -> None:
    _capture(sandbox, words, excluded=("field",))
    said = _said(sandbox, _with(sandbox.target), plan_database(sandbox.target, "mysql"))
    assert [expected in line for line in said] == ([True] if expected else [])


def test_an_index_that_cannot_be_read_is_said(sandbox: Sandbox) -> None:
    _capture(sandbox, NEWER)
    plan = plan_database(sandbox.target, "mysql")
    assert plan.backup is not None
    (plan.backup.folder / "index" / "mysql.db").write_text("{}")
    (said,) = _said(sandbox, _with(sandbox.target), plan)
    assert "mysql cannot match baseline" in said
    assert "not known: index of a backup set" in said


@pytest.mark.parametrize(
    ("store", "now", "expected"),
    [
        # The referenced store goes back: what came since is lost.
        ("mysql", NEWER, 1),
        ("mysql", {**CHANGED, "c": "new", "d": "new"}, 3),
        ("mysql", WHOLE, 0),
        ("mysql", {"a": "of release 1"}, 0),
        # The referencing one goes back: what was deleted since is missing.
        ("redis", NEWER, 0),
        ("redis", {"a": "of release 1"}, 1),
    ],
)
def test_a_reference_that_will_dangle_is_said(
    sandbox: Sandbox, store: str, now: Mapping[str, str], expected: int
) -> None:
    sandbox.keepers["mysql"].words = dict(now)
    target = _with(sandbox.target, reference=REFERENCE)
    said = _said(sandbox, target, plan_database(sandbox.target, store))
    assert len(said) == bool(expected)
    if expected:
        other = "redis" if store == "mysql" else "mysql"
        assert said[0].startswith(f"reference r: {store} goes back and {other} stays; {expected} records of")


def test_where_both_sides_go_back_no_reference_dangles(sandbox: Sandbox) -> None:
    sandbox.keepers["mysql"].words = dict(NEWER)
    target = _with(sandbox.target, reference=REFERENCE)
    assert _said(sandbox, target, plan_emergency(sandbox.target, sandbox.commit)) == []


def test_a_store_that_does_not_answer_leaves_it_unknown(sandbox: Sandbox) -> None:
    sandbox.keepers["mysql"].dead = True
    target = _with(sandbox.target, reference=REFERENCE)
    (said,) = _said(sandbox, target, plan_database(sandbox.target, "mysql"))
    assert "not known" in said
