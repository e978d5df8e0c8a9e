"""What one reader of the judgement finds, every other finds: a table of damages, and five readers of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from checks.verification import test_phase4_data_integrity as phase4
from rollback_actions.backup.restore_trial import findings_on_restored
from rollproof.baseline.folder import MANIFEST, Baseline
from rollproof.cli.command_line import main
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable
from rollproof.judgement.finding import Aspect, Finding, items_of
from rollproof.judgement.judge import Judge
from rollproof.migrations.effects import effects_of
from rollproof.observation.observation import Observation
from rollproof.observation.store import StoreReading
from rollproof.profile.profile import Target
from rollproof.stores.contract import Recall, RecordHash, Unlisted, Vector
from rollproof.verdict import Verdict
from tests.unit.command_line import read_document
from tests.world.stores import BaselineRecorder, Searchable, opener

ENGINE = cast("ContainerEngine", None)
FIRST, SECOND, THIRD = (RecordHash(f"k{number}", number, {"name": number}) for number in (1, 2, 3))


@dataclass
class Store(Searchable):
    """A store with everything that a judgement has an aspect for."""

    columns: Mapping[str, Json] = field(default_factory=lambda: {"a": {"type": "int"}})
    lacking: Mapping[str, str] = field(default_factory=lambda: {"triggers": ""})
    accounts: Mapping[str, Json] = field(default_factory=lambda: {"reader": "may read"})
    finds: float = 1.0

    def schemas(self) -> Mapping[str, Json]:
        return {**{name: {} for name in self.content}, **self.columns}

    def sight(self, _schemas: Mapping[str, Json]) -> Mapping[str, str]:
        return self.lacking

    def unlisted(self) -> Unlisted | None:
        return Unlisted(compared=self.accounts)

    def recall(self, collection: str, queries: Sequence[Vector]) -> Recall:
        return Recall(self.finds, self.finds)


def store(**damage: Any) -> Store:  # noqa: ANN401 - any field of `Store`
    return replace(Store("redis", {"a": [FIRST, SECOND]}), **damage)


DAMAGES: Mapping[str, tuple[Store, set[Aspect]]] = {
    "none": (store(), set()),
    "a record is gone": (store(content={"a": [FIRST]}), {Aspect.COUNT, Aspect.RECORDS}),
    "a record is altered": (
        store(content={"a": [FIRST, RecordHash("k2", 9, {"name": 9})]}),
        {Aspect.RECORDS},
    ),
    "a record is added": (store(content={"a": [FIRST, SECOND, THIRD]}), {Aspect.COUNT, Aspect.RECORDS}),
    "a collection is gone": (store(content={}, columns={}), {Aspect.COUNT, Aspect.SCHEMA}),
    "a collection is new": (
        store(content={"a": [FIRST, SECOND], "b": []}),
        {Aspect.COUNT, Aspect.SCHEMA},
    ),
    "a schema is altered": (store(columns={"a": {"type": "text"}}), {Aspect.SCHEMA}),
    "a view is new": (store(columns={"a": {"type": "int"}, "view b": {}}), {Aspect.SCHEMA}),
    "the account lost a right": (store(lacking={"triggers": "TRIGGER"}), {Aspect.SIGHT}),
    "the index finds less": (store(finds=0.1), {Aspect.RECALL}),
    "a position moved back": (store(astray=["group moved back"]), {Aspect.POSITIONS}),
    "an account may do more": (store(accounts={"reader": "may write"}), {Aspect.ACCOUNTS}),
}


@pytest.fixture
def baseline(tmp_path: Path) -> Baseline:
    recorder = BaselineRecorder(tmp_path).add(store())
    recorder.contents["redis"] = replace(recorder.contents["redis"], unlisted=store().unlisted())
    (tmp_path / MANIFEST).touch()
    return recorder.baseline


def seen_by_phase4(reading: StoreReading) -> set[Aspect]:
    """Run every check of phase 4 on its items."""
    baseline, found = reading.baseline(), list[Finding]()
    checks = [check for name, check in vars(phase4).items() if name.startswith("test_")]
    with Observation(reading) as observed:
        judge = Judge(reading.target, baseline, observed)
        for check in checks:
            item, *others = inspect.signature(check).parameters
            if others == ["judge", "verify"]:
                for at in items_of(reading.target, baseline.facts)[item]:
                    with suppress(Unverifiable):  # the records of a collection that is gone
                        check(at, judge, found.append)
    return {finding.aspect for finding in found if finding.verdict is not Verdict.PASSED}


def seen_by_trial(reading: StoreReading) -> set[Aspect]:
    findings = findings_on_restored("redis", reading)
    return {finding.aspect for finding in findings if finding.verdict is not Verdict.PASSED}


@pytest.mark.parametrize("damage", DAMAGES)
def test_readers_find_the_same(
    target: Target,
    profile: Path,
    baseline: Baseline,
    damage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged, aspects = DAMAGES[damage]
    reading = StoreReading(target, ENGINE, lambda: baseline, open_reader=opener(damaged))
    assert seen_by_phase4(reading) == aspects
    # A scratch instance has its own accounts.
    assert seen_by_trial(reading) == aspects - {Aspect.ACCOUNTS}
    # Step 5, and the rehearsal, whose record has the same: records say more than their number.
    effects = effects_of(target, ENGINE, lambda _: baseline, opener(damaged))
    assert bool(effects.unknown) == (Aspect.SIGHT in aspects)
    assert bool(effects.lost or effects.altered or effects.noted) == bool(aspects - {Aspect.SIGHT})

    monkeypatch.setattr("rollproof.baseline.folder.load_baseline", lambda *_: baseline)
    monkeypatch.setattr(
        "rollproof.observation.store.StoreReading", partial(StoreReading, open_reader=opener(damaged))
    )
    monkeypatch.setattr("rollproof.engines.engine.open_engine", lambda _: ENGINE)
    monkeypatch.setattr("sys.argv", ["x", "compare", str(baseline.folder), f"--target={profile}", "--json"])
    code = main()
    result: Any = read_document(*capsys.readouterr(), code).result
    assert {one.aspect for one in result.findings if one.verdict is not Verdict.PASSED} == aspects
