from __future__ import annotations

import pytest

from fixtures.system.command import Deadline
from rollback_actions.containers import volumes


def test_a_helper_sees_one_volume_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: object) -> str:
        commands.append(command)
        return ""

    monkeypatch.setattr(volumes, "run_command", record)
    volumes._help("project_data", "sha256:1", ["tar", "--list"], Deadline(1), read_only=True)
    (command,) = commands
    options, arguments = command[: command.index("sha256:1")], command[command.index("sha256:1") + 1 :]
    assert arguments == ["--list"]
    assert "--network=none" in options
    # With a log, a volume of 500 MB took four times as long to save, and its size on the engine's disk again.
    assert "--log-driver=none" in options
    assert [option for option in options if option.startswith("type=")] == [
        "type=volume,source=project_data,destination=/volume,volume-nocopy,readonly"
    ]
