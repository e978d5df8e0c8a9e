"""What the checks of a migrated target compare it with: itself, but for a store that was emptied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest.mock import create_autospec

import pytest

from rollproof.application.client import ApplicationClient
from rollproof.baseline.facts import RecordedContent, RecordedStore
from rollproof.baseline.folder import load_baseline
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.migrations import migrated_baseline
from rollproof.profile.profile import Target, load_target
from rollproof.stores.reader import Reader
from tests.conftest import write_profile
from tests.unit.baseline.test_baseline import FACTS
from tests.unit.sandbox import MYSQL
from tests.unit.saved_baseline import save_baseline

ENGINE = cast("ContainerEngine", None)
OLD = {"users": 4, "old": 2}


def told(now: Mapping[str, int] | None) -> Reader:
    """Return a store that holds these records now, or does not answer."""
    silent = Unverifiable(what="store", expected="an answer", observed="none", source="s", hint="h")
    reader = create_autospec(Reader, instance=True)
    reader.__enter__.return_value = reader
    reader.counts.side_effect = [silent if now is None else now]
    return cast("Reader", reader)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    target = load_target(write_profile(tmp_path, MYSQL))
    stores = {"mysql": RecordedStore("mysql", "1", OLD)}
    contents = {"mysql": RecordedContent({}, {}, {}, ())}
    facts = replace(FACTS, stores=stores, interface="a" * 64, page="c" * 64, contents=contents)
    save_baseline(target.folders.baselines, target.name, facts, target.baseline_key)
    return target


@pytest.mark.parametrize(
    ("now", "recorded"),
    [
        ({"users": 4, "new": 1}, {"users": 4, "new": 1}),
        ({"users": 0, "new": 0}, OLD),
        ({}, OLD),
        (None, OLD),
    ],
    ids=["migrated", "emptied", "dropped", "silent"],
)
def test_a_store_may_have_other_collections_but_not_lose_all_records(
    target: Target,
    monkeypatch: pytest.MonkeyPatch,
    now: Mapping[str, int] | None,
    recorded: Mapping[str, int],
) -> None:
    monkeypatch.setattr(migrated_baseline, "open_reader", lambda *_: told(now))
    monkeypatch.setattr(ApplicationClient, "interface_digest", lambda _: "b" * 64)
    before = (target.folders.baselines / "current").resolve()
    folder = migrated_baseline.baseline_of_migrated(target, ENGINE)
    facts = load_baseline(folder, target.name, target.baseline_key).facts
    assert facts.stores["mysql"].counts == recorded
    assert (facts.interface, facts.page, facts.contents) == ("b" * 64, "", {})
    assert (facts.canary, facts.commit) == (FACTS.canary, FACTS.commit)
    # A rollback still goes back to the baseline before the migration.
    assert (target.folders.baselines / "current").resolve() == before


def test_an_interface_that_does_not_answer_is_that_of_before(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrated_baseline, "open_reader", lambda *_: told(OLD))

    def refuse(_: ApplicationClient) -> str:
        raise Unverifiable(what="interface", expected="an answer", observed="none", source="s", hint="h")

    monkeypatch.setattr(ApplicationClient, "interface_digest", refuse)
    folder = migrated_baseline.baseline_of_migrated(target, ENGINE)
    assert load_baseline(folder, target.name, target.baseline_key).facts.interface == "a" * 64
