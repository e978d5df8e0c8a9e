"""The second shape of the staging stack, and what is told of a target like it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fixtures.target import known_commit
from rollback_actions.gate import rehearsal
from rollback_actions.gate.rehearsal import Rehearsal
from rollproof.baseline.facts import RecordedContainer
from rollproof.engines.engine import Container
from staging.releases.release_repository import create_repository
from staging.stack.shape import Shape
from staging.stack.slot import SLOTS, Slot
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.unit.sandbox import Deployed, git

Found = Mapping[str, tuple[Deployed, ...]]
BEFORE: Found = {"backend": (Deployed(None, "a"),), "nginx": (Deployed(None, "n"),)}


def not_migrated(monkeypatch: pytest.MonkeyPatch, before: Found, found: Found) -> list[str]:
    application = SimpleNamespace(services=("backend", "nginx"))
    target = SimpleNamespace(engine=None, application=application)
    monkeypatch.setattr(rehearsal, "open_engine", lambda _: SimpleNamespace(containers=lambda: found))
    given = cast("Rehearsal", SimpleNamespace(target=target, migration="new"))
    return Rehearsal._not_migrated(given, cast("Mapping[str, tuple[Container, ...]]", before))


def test_images_without_labels_are_migrated_when_one_of_them_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not_migrated(monkeypatch, BEFORE, {**BEFORE, "backend": (Deployed(None, "b"),)}) == []
    # A service may have a label beside others without one.
    labelled = {**BEFORE, "backend": (Deployed("new", "b"),)}
    assert not_migrated(monkeypatch, BEFORE, {**labelled, "nginx": (Deployed(None, "m"),)}) == []


def test_images_without_labels_that_are_those_of_before_are_not_migrated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not_migrated(monkeypatch, BEFORE, BEFORE) == [
        "backend, nginx (the images of before, without a label)"
    ]
    old = {**BEFORE, "backend": (Deployed("old", "b"),), "nginx": (Deployed(None, "m"),)}
    assert not_migrated(monkeypatch, BEFORE, old) == ["backend (old)"]
    assert not_migrated(monkeypatch, BEFORE, {"nginx": (Deployed(None, "m"),)}) == ["backend (no container)"]


def test_without_a_label_the_image_stands_for_its_commit() -> None:
    recorded = RecordedContainer("backend", "t-backend-1", "t/backend:current", "sha256:1", None, None, ())
    other = replace(recorded, image_id="sha256:2")
    labelled = replace(recorded, revision="c" * 40)
    assert known_commit(recorded) == "that of image sha256:1" != known_commit(other)
    assert known_commit(labelled) == "c" * 40 == known_commit(replace(labelled, image_id="sha256:2"))


def test_a_stack_has_the_shape_in_which_it_was_brought_up(tmp_path: Path) -> None:
    (tmp_path / "targets").mkdir()
    for shape in Shape:
        (tmp_path / shape.profile).write_text((ROOT / shape.profile).read_text())
    stack = Stack(tmp_path, Slot(2), wanted=Shape.STRANGER)
    assert (stack.shape, stack.profile.name) == (Shape.USUAL, "staging.toml")
    stack.state.take(stack.wanted)
    stack.prepare()
    met = Stack(tmp_path, Slot(2))
    assert (met.shape, met.profile.name) == (Shape.STRANGER, "stranger.toml")
    assert [file.name for file in met.files] == ["compose.yaml", "compose.stranger.yaml"]
    assert "kafka-host" not in met.shape.stores
    profile = tomllib.loads(met.profile.read_text())
    assert profile["engine"]["project"] == met.project
    assert '"../' not in met.profile.read_text()


def test_the_shapes_of_all_slots_share_no_profile() -> None:
    slots = [Slot(number) for number in range(1, SLOTS + 1)]
    assert len({slot.profile(ROOT, shape) for slot in slots for shape in Shape}) == SLOTS * len(Shape)


def test_a_stranger_s_release_2_adds_a_column_and_no_migration(tmp_path: Path) -> None:
    repository = tmp_path / "application"
    create_repository(repository, Shape.STRANGER)
    for release in ("release-1", "release-2"):
        held = git(repository, "ls-tree", "-r", "--name-only", release).split()
        # The migration is generated where the application starts, and no commit has it.
        assert not [path for path in held if path.endswith(".sql") or "/versions/" in path]
        assert {"migrations/env.py", "entrypoint.sh", "compose.stranger.yaml"} <= set(held)
        assert "changes.patch" not in held
        assert "LABEL" not in git(repository, "show", f"{release}:Dockerfile")
        second = release == "release-2"
        assert ("locale:" in git(repository, "show", f"{release}:app/models.py")) is second
        assert ("converter:" in git(repository, "show", f"{release}:compose.stranger.yaml")) is second
    assert git(repository, "diff", "--name-only", "release-1", "release-2", "--", "sandbox")
    asks = git(repository, "show", "release-2:app/chat.py")
    assert '["score_threshold"]' in asks
    assert "score_threshold" not in git(repository, "show", "release-1:app/routes/config.py")
