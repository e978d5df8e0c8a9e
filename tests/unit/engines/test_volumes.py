from __future__ import annotations

import subprocess
from contextlib import nullcontext
from pathlib import Path
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


def test_what_is_of_another_mount_is_not_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spared = ("uploads", "-a b/'$(id)*/.kept", "gone/for/long")
    left = {"uploads/of a user", "uploads/.hidden/deep", "-a b/'$(id)*/.kept/one"}
    doomed = {"file", ".hidden", "..two", "-rf", "uploads2/one", "-a b/other", "-a b/'$(id)x/.kept/one", "*"}
    for name in (*left, *doomed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "gone").symlink_to("uploads")
    ran: list[str] = []

    def run(command: list[str], **_: object) -> str:
        if "run" in command:
            assert "--entrypoint=find" in command
            words = [
                word.replace(volumes.INSIDE, str(tmp_path)) for word in command[command.index("i") + 1 :]
            ]
            subprocess.run(["find", *words], check=True, timeout=60)
        ran.append(command[1])
        return ""

    monkeypatch.setattr(volumes, "run_command", run)
    monkeypatch.setattr(volumes, "_refuse_users", lambda *_, **__: None)
    mount = Mount("/srv/data", "bind", "/data", "/srv/data")
    volumes.replace(mount, ["i"], tmp_path / "tar", Deadline(60), spared)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == left
    assert "cp" in ran
    volumes.replace(mount, ["i"], tmp_path / "tar", Deadline(60))
    assert not [*tmp_path.iterdir()]
