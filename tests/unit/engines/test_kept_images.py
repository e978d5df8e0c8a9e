"""Images that are kept next to the backup sets: written whole or not at all, and loaded where gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollback_actions.backup.taking import bring_images, keep_images
from rollproof.backups.images import FILE, image_folder, images_to_load, is_kept, kept_image
from rollproof.errors import ActionFailed
from rollproof.incident.incident import Incident
from rollproof.incident.journal import verify_journal
from rollproof.planning.plan import plan_full
from rollproof.system.files import part_of
from tests.world.sandbox import SERVICES, Sandbox, control_with_images, image, save_image, steps_in

IMAGES = {service: image(service) for service in SERVICES}
SECONDS = 60.0
# A mock.
Control = Any


@pytest.fixture
def control() -> Control:
    return control_with_images()


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    return tmp_path / "backups"


def _keep(backups: Path, control: Control, images: dict[str, str] = IMAGES) -> str:
    """Keep `images`; return what the step said of it."""
    backups.parent.mkdir(exist_ok=True)
    journal = backups.parent / "journal.jsonl"
    with steps_in(journal) as steps:
        keep_images(backups, images, control, steps)
    return str(verify_journal(journal)[-1]["result"])


def _bring(backups: Path, control: Control) -> str:
    return bring_images(backups, IMAGES, control, deadline=SECONDS)


def _gone(control: Control, *services: str) -> None:
    """Let the engine have no image of `services` until it is loaded."""
    there = set(IMAGES.values()) - {IMAGES[service] for service in services}
    control.image_ids.return_value = frozenset(there)

    def load(file: Path, *, deadline: float) -> None:
        assert deadline > 0
        there.add(file.read_text())

    def require(images: dict[str, str], *, deadline: float) -> None:
        assert deadline > 0
        if missing := set(images.values()) - there:
            raise ActionFailed(what="image", expected="there", observed=str(missing), source="s", hint="h")

    control.load_image.side_effect, control.require_images.side_effect = load, require


def test_each_image_is_kept_once_for_all_sets(backups: Path, control: Control) -> None:
    assert _keep(backups, control).startswith("3 images, 3 of them new, ")
    assert all(kept_image(backups, one).read_text() == one for one in IMAGES.values())
    assert _keep(backups, control) == "3 images, 0 of them new, 0.0 MB"
    assert control.save_image.call_count == len(IMAGES)


def test_what_was_begun_is_removed_and_made_again(backups: Path, control: Control) -> None:
    def cut(image: str, file: Path, *, deadline: float) -> None:
        save_image(image, file, deadline=deadline)
        raise KeyboardInterrupt

    control.save_image.side_effect = cut
    with pytest.raises(KeyboardInterrupt):
        _keep(backups, control)
    assert not list((backups / "images").iterdir())
    # As a process that was killed leaves it, before and after it got its name.
    one, other = (image_folder(backups, image(service)) for service in SERVICES[:2])
    part_of(one).mkdir()
    (part_of(one) / FILE).write_text("the beginning of an image")
    other.mkdir()
    assert not any(is_kept(backups, image(service)) for service in SERVICES)
    control.save_image.side_effect = save_image
    _keep(backups, control)
    assert all(kept_image(backups, one).read_text() == one for one in IMAGES.values())


def test_a_load_that_brings_another_image_is_refused(backups: Path, control: Control) -> None:
    _keep(backups, control)
    _gone(control, SERVICES[0])
    control.load_image.side_effect = None
    with pytest.raises(ActionFailed, match="expected there"):
        _bring(backups, control)


@pytest.mark.parametrize("look", [_bring, lambda b, c: images_to_load(b, IMAGES, c, deadline=SECONDS)])
def test_a_damaged_copy_is_refused_before_it_is_loaded(
    backups: Path, control: Control, look: Callable[[Path, Control], object]
) -> None:
    _keep(backups, control)
    _gone(control, SERVICES[0])
    file = kept_image(backups, image(SERVICES[0]))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ActionFailed, match="it was cut"):
        look(backups, control)
    control.load_image.assert_not_called()


def test_a_rollback_loads_what_was_pruned(sandbox: Sandbox, incident: Incident) -> None:
    backups = sandbox.target.folders.backups
    _keep(backups, sandbox.control)
    _gone(sandbox.control, *SERVICES)
    sandbox.run(plan_full(sandbox.target, sandbox.commit), incident)
    assert sandbox.control.load_image.call_count == len(IMAGES)


def test_a_rollback_stops_nothing_where_an_image_is_in_neither_place(
    sandbox: Sandbox, incident: Incident
) -> None:
    _gone(sandbox.control, *SERVICES)
    with pytest.raises(ActionFailed, match="expected there"):
        sandbox.run(plan_full(sandbox.target, sandbox.commit), incident)
    sandbox.control.stop.assert_not_called()
