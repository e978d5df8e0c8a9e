"""What is true of mounts alone: volumes that a release left, and mounts inside of mounts."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from rollproof.stores.package import read_package
from tests.stack.mounted_project import put, seen
from tests.stack.scratch_project import docker
from tests.stack.stores.mounts import Mounts
from tests.stack.stores.place import Backup

pytestmark = pytest.mark.of("mounts")


def test_a_volume_that_a_release_has_left_is_kept_before_it_is_filled(
    subject: Mounts, kept: Backup, tmp_path: Path
) -> None:
    project, volume, before = subject.project, f"{subject.project.name}_state", seen(subject.state)
    put(subject.state / "late", b"of a user")
    text = project.file.read_text()
    create = ("compose", "--project-name", project.name, "--file", str(project.file), "create", "--no-build")
    moved = text.replace("- state:/app/state", "- moved:/app/state").replace(
        "volumes:\n  state", "volumes:\n  moved: {}\n  state"
    )
    project.file.write_text(moved)
    try:
        docker(*create)
        keeper = subject.place.keeper()
        safe = keeper.keep_safe(tmp_path, up=True, backup=kept.folder)
        assert f"and of {volume}, where the backup had one" in safe.method
        keeper.restore(kept.folder)
        assert seen(subject.state) == before
        package = read_package(tmp_path, kind="mounts")
        with tarfile.open(package.path(package.details["left"][volume])) as tar:
            late = tar.extractfile("volume/late")
            assert late is not None
            assert late.read() == b"of a user"
    finally:
        project.file.write_text(text)
        docker(*create)
        docker("volume", "rm", "--force", f"{project.name}_moved")


def test_what_another_mount_has_inside_is_left_alone(subject: Mounts, tmp_path: Path) -> None:
    project, uploads = subject.project, subject.data / "of users"
    text = project.file.read_text()
    create = ("compose", "--project-name", project.name, "--file", str(project.file), "create", "--no-build")
    subject.populate()
    before = seen(subject.data)
    uploads.mkdir()
    put(uploads / "one", b"1")
    inner = f"      - {{type: bind, source: '{uploads}', target: /data/of users}}"
    project.file.write_text(text.replace("target: /data}", f"target: /data}}\n{inner}"))
    try:
        docker(*create)
        keeper = subject.place.keeper()
        keeper.back_up(tmp_path)
        subject.add()
        put(uploads / "two", b"2")
        keeper.restore(tmp_path)
        assert {path.name: path.read_bytes() for path in uploads.iterdir()} == {"one": b"1", "two": b"2"}
    finally:
        project.file.write_text(text)
        docker(*create)
    shutil.rmtree(uploads)
    after = seen(subject.data)
    assert {name: one for name, one in after.items() if name != "b'.'"} == {
        name: one for name, one in before.items() if name != "b'.'"
    }
