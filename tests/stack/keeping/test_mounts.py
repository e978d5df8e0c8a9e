"""What is true of mounts alone: what fails their restore."""

from __future__ import annotations

from typing import Any

import pytest

from fixtures.errors import ActionFailed
from tests.stack.keeping.mounts import Mounts
from tests.stack.keeping.subject import Backup
from tests.stack.mounted_project import put

pytestmark = pytest.mark.of("mounts")


def test_what_changes_right_after_a_restore_fails_it(
    subject: Mounts, kept: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, replace = subject.place.keeper(), subject.project.control.replace_files

    def meanwhile(*given: Any, **more: Any) -> None:  # noqa: ANN401 - as it is called
        replace(*given, **more)
        put(subject.data / "later", b"of a user")

    with monkeypatch.context() as patched:
        patched.setattr(subject.project.control, "replace_files", meanwhile, raising=False)
        with pytest.raises(ActionFailed, match="observed other files"):
            keeper.restore(kept.folder)
    keeper.restore(kept.folder)
    assert subject.observe() == kept.before
