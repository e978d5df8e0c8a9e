from __future__ import annotations

import json
import subprocess
from contextlib import nullcontext
from pathlib import Path

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
    def answer(command: list[str], **_: object) -> str:
        if command[1] == "ps":
            # The engine finds the mount itself alone.
            found = mount.kind == "volume" and f"--filter=volume={mount.name}" in command
            assert found or not any("volume" in option for option in command)
            return "1"
        return json.dumps({"name": "/writer", "has": [{**other, "RW": writable}]})

    monkeypatch.setattr(volumes, "run_command", answer)
    if refused and writable:
        with pytest.raises(ActionFailed, match="not stopped: writer"):
            volumes._refuse_writers(mount, Deadline(60))
    else:
        volumes._refuse_writers(mount, Deadline(60))


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
            script = [
                word.replace(volumes.INSIDE, str(tmp_path)) for word in command[command.index("i") + 1 :]
            ]
            subprocess.run(["sh", *script], check=True, timeout=60)
        ran.append(command[1])
        return ""

    monkeypatch.setattr(volumes, "run_command", run)
    mount = Mount("/srv/data", "bind", "/data", "/srv/data")
    volumes.replace(mount, ["i"], tmp_path / "tar", Deadline(60), spared)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == left
    assert "cp" in ran
    volumes.replace(mount, ["i"], tmp_path / "tar", Deadline(60))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("several", [False, True])
def test_a_volume_without_a_name_is_loaded_into_the_one_that_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, several: bool
) -> None:
    old, new = ("a" * 64, "c" * 64), ("b" * 64, "d" * 64)
    number = 2 if several else 1
    for name in ("data", *old[:number]):
        (tmp_path / f"{name}.tar").touch()
    loaded: dict[str, str] = {}

    def load(volume: str, *_: object, stdin: Path, **__: object) -> None:
        loaded[volume] = stdin.name

    monkeypatch.setattr(
        volumes, "helper_images", lambda *_: dict.fromkeys(("data", *new[:number]), "sha256:1")
    )
    for name in ("remove_helpers", "_refuse_users", "_refuse_cut"):
        monkeypatch.setattr(volumes, name, lambda *_: None)
    monkeypatch.setattr(volumes, "_help", load)
    with pytest.raises(ActionFailed, match="saved volumes") if several else nullcontext():
        volumes.load([], tmp_path, Deadline(60))
    assert loaded == ({} if several else {"data": "data.tar", new[0]: f"{old[0]}.tar"})
