"""What the checks of a migrated target compare it with: itself, except for a store that was emptied."""

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
from rollproof.migrations.effects import baseline_of_migrated
from rollproof.profile.profile import Target, load_target
from rollproof.stores.reader import Reader
from tests.conftest import write_profile
from tests.world.application import Nobody, StandIn, answer
from tests.world.baseline import FACTS, save_baseline
from tests.world.sandbox import MYSQL

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
    [({"users": 4, "new": 1}, {"users": 4, "new": 1}), ({"users": 0, "new": 0}, OLD), ({}, OLD), (None, OLD)],
    ids=["migrated", "emptied", "dropped", "silent"],
)
def test_a_store_may_have_other_collections_but_not_lose_all_records(
    target: Target, now: Mapping[str, int] | None, recorded: Mapping[str, int]
) -> None:
    application = StandIn(answers={"GET /openapi.json": answer(200, {"info": "another"})})
    before = (target.folders.baselines / "current").resolve()
    folder = baseline_of_migrated(target, ENGINE, lambda *_, **__: told(now), application)
    facts = load_baseline(folder, target.name, target.baseline_key).facts
    assert facts.stores["mysql"].counts == recorded
    interface = ApplicationClient(target.application, application).interface_digest()
    assert (facts.interface, facts.page, facts.contents) == (interface, "", {})
    assert (facts.canary, facts.commit) == (FACTS.canary, FACTS.commit)
    # A rollback still goes back to the baseline before the migration.
    assert (target.folders.baselines / "current").resolve() == before


def test_an_interface_that_does_not_answer_is_that_of_before(target: Target) -> None:
    folder = baseline_of_migrated(target, ENGINE, lambda *_, **__: told(OLD), Nobody())
    assert load_baseline(folder, target.name, target.baseline_key).facts.interface == "a" * 64
