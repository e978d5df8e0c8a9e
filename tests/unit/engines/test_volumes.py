from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from rollback_actions.containers import volumes
from rollproof.engines.engine import Mount
from rollproof.errors import ActionFailed
from rollproof.system.command import Deadline


def test_a_helper_sees_one_volume_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def record(command: list[str], **_: object) -> str:
        commands.append(command)
        return ""

    monkeypatch.setattr(volumes, "run_command", record)
    volumes._help("project_data", "sha256:1", ["tar", "--list"], Deadline(60), read_only=True)
    (command,) = commands
    options, arguments = command[: command.index("sha256:1")], command[command.index("sha256:1") + 1 :]
    assert arguments == ["--list"]
    assert "--network=none" in options
    # With a log, a volume of 500 MB took four times as long to save, and its size on the engine's disk again.
    assert "--log-driver=none" in options
    assert [option for option in options if option.startswith("type=")] == [
        "type=volume,source=project_data,destination=/volume,volume-nocopy,readonly"
    ]


@pytest.mark.parametrize(
    ("mount", "other", "refused"),
    [
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data/below"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data-of-another"}, False),
        # An agent that watches the whole host.
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/"}, False),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "state"}, True),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "other"}, False),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_nobody_may_write_while_files_are_put_back(
    mount: Mount, other: dict[str, object], monkeypatch: pytest.MonkeyPatch, *, refused: bool, writable: bool
) -> None:
    asked: list[object] = []

    def containers(*, filters: object) -> list[dict[str, object]]:
        asked.append(filters)
        return [{"Names": ["/writer"], "State": "running", "Mounts": [{**other, "RW": writable}]}]

    monkeypatch.setattr(volumes, "asking", lambda *_: nullcontext(SimpleNamespace(containers=containers)))
    for writers in (True, False):
        if refused and (writable or not writers):
            with pytest.raises(ActionFailed, match="writer is running"):
                volumes._refuse_users(mount, Deadline(60), writers=writers)
        else:
            volumes._refuse_users(mount, Deadline(60), writers=writers)
    # Stopped ones are none, and those of other projects are.
    assert asked == [{"status": ["running", "restarting", "paused"]}] * 2
