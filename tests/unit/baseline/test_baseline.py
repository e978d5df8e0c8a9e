"""A baseline is whole or refused; a verification compares with the one that its rollback went back to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from fixtures.gating.verification import Verification
from rollproof.baseline.facts import Facts, RecordedCollection, RecordedContent
from rollproof.baseline.folder import MANIFEST, BaselineDraft, load_baseline, read_facts
from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident, RollbackRecord, new_incident
from rollproof.profile.profile import Target
from rollproof.stores.contract import Digest, RecordHash
from rollproof.stores.snapshot import Snapshot
from rollproof.system.clock import Moment
from rollproof.system.files import canonical_json
from rollproof.verdict import Verdict
from tests.world.baseline import FACTS, save_baseline
from tests.world.sandbox import facts


def rolled_back(target: Target, baseline: str) -> Incident:
    """Return an incident whose rollback went back to `baseline`."""
    incident = new_incident(target.folders.incidents, target.name)
    now = Moment.now()
    incident.write_rollback(RollbackRecord("c" * 40, Verdict.PASSED, 1.0, now, now, baseline=baseline))
    return incident


def begun(profile: Path, incident: Incident | None, baseline: Path | None = None) -> Verification:
    wanted = incident.id if incident else None
    return Verification.begin(profile, incident=wanted, baseline=baseline, gated=True, collect_only=False)


def test_it_is_the_one_that_the_rollback_went_back_to(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    found = begun(profile, rolled_back(target, older.name))
    assert found.baseline.resolve() == older
    assert f"compared with baseline {older.name}" in found.notice
    # Every worker compares with the same one.
    assert Verification.in_worker(found.to_worker()).baseline == found.baseline


def test_until_the_next_capture_it_is_so_in_a_new_incident_too(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    rolled_back(target, older.name).close()
    assert begun(profile, None).baseline.resolve() == older
    newest = save_baseline(target.folders.baselines, target.name, facts("c" * 40))
    assert begun(profile, None).baseline.resolve() == newest


def test_the_current_one_is_taken_without_a_word(profile: Path, target: Target) -> None:
    newest = save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    for incident in (None, rolled_back(target, ""), rolled_back(target, newest.name)):
        found = begun(profile, incident)
        assert (found.baseline.resolve(), found.notice) == (newest, "")


def test_one_that_was_named_is_taken(profile: Path, target: Target) -> None:
    older = save_baseline(target.folders.baselines, target.name, facts("a" * 40))
    newer = save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    assert begun(profile, rolled_back(target, older.name), newer).baseline == newer


def test_one_that_is_gone_is_not_replaced_by_the_current_one(profile: Path, target: Target) -> None:
    save_baseline(target.folders.baselines, target.name, facts("b" * 40))
    found = begun(profile, rolled_back(target, "gone"))
    assert found.baseline == target.folders.baselines / "gone"
    assert "compared with baseline gone" in found.notice


KEY = SecretStr("correct horse")
SNAPSHOT = "records/mysql.db"
RECORDS = [RecordHash("a\n\u2028", 2**59, {"name": 7}, expires=1.5), RecordHash("b", 3)]
Damage = Callable[[Path], object]
Load = Callable[[Path, str, SecretStr | None], object]


def saved(baselines: Path, key: SecretStr | None = None) -> tuple[Path, Facts]:
    """Write a baseline with the content of a store, and return its folder and facts."""
    with BaselineDraft(baselines, "staging") as draft:
        with Snapshot(draft.folder / SNAPSHOT, new=True) as snapshot:
            for number, bound in enumerate(("", "b")):
                snapshot.add("users", number, bound, RECORDS[number : number + 1])
        collection = RecordedCollection(
            division=("", "b"),
            digests=(Digest(1, 2**90), Digest(1, 3)),
            records=SNAPSHOT,
            excluded=("seen",),
            seconds=0.25,
            queries=((0.5, 1.0),),
        )
        schemas = {"users": {"columns": [1, 2.5, None, True]}}
        content = RecordedContent(schemas, {"users": collection}, {"group": {"0": 5}}, ("none",))
        facts = replace(FACTS, contents={"mysql": content}, milliseconds={"health": 3.25, "page": 1})
        return draft.finish(facts, key), facts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved(tmp_path)[0]


def refusal(
    folder: Path, key: SecretStr | None = None, *, target: str = "staging", load: Load = load_baseline
) -> str:
    with pytest.raises(Unverifiable) as caught:
        load(folder, target, key)
    text = str(caught.value)
    assert text.startswith("baseline: expected ")
    assert ", observed " in text
    assert "\nHINT: " in text
    return text


def put_right(folder: Path, **changes: object) -> None:
    """Change the manifest and put every hash right again, as someone who means to deceive would."""
    path = folder / MANIFEST
    manifest = {**json.loads(path.read_bytes()), **changes}
    for name in manifest["files"]:
        manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    path.write_bytes(canonical_json(manifest))


@pytest.mark.parametrize("key", [None, KEY])
def test_it_comes_back_as_it_was(tmp_path: Path, key: SecretStr | None) -> None:
    folder, facts = saved(tmp_path, key)
    loaded = load_baseline(tmp_path / "current", "staging", key)
    assert (loaded.id, loaded.facts) == (folder.name, facts)
    with Snapshot(folder / SNAPSHOT) as snapshot:
        assert list(snapshot.records("users")) == RECORDS


def test_current_is_the_last_one(folder: Path) -> None:
    second = save_baseline(folder.parent, "staging", FACTS)
    assert load_baseline(folder.parent / "current", "staging").id == second.name
    assert load_baseline(folder, "staging").id == folder.name


@pytest.mark.parametrize("name", [MANIFEST, "facts.json", "content/mysql.json", SNAPSHOT])
def test_a_changed_cut_or_missing_file_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    positions = () if name == MANIFEST else range(0, len(whole), max(7, len(whole) // 40))
    for position in positions:
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert str(path) in refusal(folder)
    path.write_bytes(whole[:-2])
    assert str(path) in refusal(folder)
    path.unlink()
    assert "No such file" in refusal(folder)


def test_another_target_is_refused(folder: Path) -> None:
    assert "expected target production, observed staging" in refusal(folder, target="production")


def _moved_and_linked(name: str) -> Damage:
    def damage(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return damage


def _pipe(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return damage


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_moved_and_linked("facts.json"), "facts.json"),
        (_moved_and_linked("records"), "records"),
        (_pipe(MANIFEST), MANIFEST),
        (_pipe(SNAPSHOT), SNAPSHOT),
        (_pipe("pipe"), "also pipe"),
        (lambda folder: (folder / "link").symlink_to("/nonexistent"), "also link"),
        (lambda folder: (folder / ".hidden").write_text(""), "also .hidden"),
    ],
)
def test_nothing_but_the_files_of_the_manifest(folder: Path, damage: Damage, named: str) -> None:
    damage(folder)
    assert named in refusal(folder)


def test_whoever_has_no_key_cannot_make_a_change_good(tmp_path: Path) -> None:
    """Every hash is put right again: the signature says no."""
    folder, _ = saved(tmp_path, KEY)
    for load in (load_baseline, read_facts):
        assert "expected no signature with" in refusal(folder, load=load)
        assert "observed another one" in refusal(folder, SecretStr("battery staple"), load=load)
    unsigned = save_baseline(tmp_path / "unsigned", "staging", FACTS)
    assert "observed none" in refusal(unsigned, KEY)
    facts = folder / "facts.json"
    facts.write_text(facts.read_text().replace(FACTS.commit, "d" * 40))
    put_right(folder)
    assert "observed another one" in refusal(folder, KEY)
    put_right(folder, signature="é")
    assert "observed another one" in refusal(folder, KEY)


def test_what_is_not_finished_is_no_baseline(folder: Path) -> None:
    with BaselineDraft(folder.parent, "staging") as draft:
        (draft.folder / "records").mkdir()
    assert [path.name for path in folder.parent.iterdir() if not path.is_symlink()] == [folder.name]
    assert load_baseline(folder.parent / "current", "staging").id == folder.name
