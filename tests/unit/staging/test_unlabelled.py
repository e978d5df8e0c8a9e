"""Images without a label of their commit: whether a migration replaced them, and what names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from fixtures.target import known_commit
from rollback_actions.gate import rehearsal
from rollback_actions.gate.rehearsal import Rehearsal
from rollproof.baseline.facts import RecordedContainer
from rollproof.engines.engine import Container
from tests.unit.sandbox import Deployed

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
