"""What is inside a container: bound files wherever they are read, and changes of its own layer."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from docker import APIClient
from docker.errors import APIError

from rollproof.baseline.configuration import ConfigurationKey
from rollproof.engines.address import engine_is_here
from rollproof.engines.engine import Inside
from rollproof.engines.insides import inside

SEAL = ConfigurationKey(b"k" * 32)
FOLDER = 1 << 31


@dataclass
class StandInApi:
    """The engine: `files` by their path in the container, and what it says of the container's layer."""

    files: dict[str, bytes] = field(default_factory=dict)
    changes: list[dict[str, Any]] | None = None
    asked: list[str] = field(default_factory=list)
    owner: int = 0

    def diff(self, _: str) -> list[dict[str, Any]] | None:
        return self.changes

    def get_archive(self, _: str, path: str) -> tuple[Iterator[bytes], dict[str, Any]]:
        self.asked.append(path)
        below = {
            name: data for name, data in self.files.items() if name == path or name.startswith(f"{path}/")
        }
        if not below:
            raise APIError("archive/tar: sockets not supported")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, data in below.items():
                member = tarfile.TarInfo(name.removeprefix(f"{path.rpartition('/')[0]}/"))
                member.size, member.uid = len(data), self.owner
                archive.addfile(member, io.BytesIO(data))
        whole = buffer.getvalue()
        blocks = (whole[start : start + 700] for start in range(0, len(whole), 700))
        return blocks, {"mode": 0 if path in self.files else FOLDER}


def found(
    api: StandInApi,
    *mounts: dict[str, Any],
    ignored: tuple[str, ...] = (),
    more: dict[str, Any] | None = None,
) -> Inside:
    raw = {"Id": "a", "Mounts": mounts, "HostConfig": {"Tmpfs": {"/scratch": ""}}}
    raw |= {"State": {"Pid": 0}, **(more or {})}
    return inside(cast("APIClient", api), raw, SEAL, ignored, here=engine_is_here())


def bind(source: Path, place: str, *, writable: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Destination": place, "RW": writable}


@pytest.fixture
def bound(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "a").write_bytes(b"A" * 3000)
    (tmp_path / "conf" / "b").write_bytes(b"B")
    return tmp_path / "conf"


def test_a_bound_file_has_one_hash_wherever_it_is_read(bound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = StandInApi({"/etc/conf/a": b"A" * 3000, "/etc/conf/b": b"B", "/etc/b": b"B"})
    mounts = (bind(bound, "/etc/conf"), bind(bound / "b", "/etc/b", writable=True))
    here = found(api, *mounts)
    assert api.asked == []
    assert set(here.bound) == {"/etc/conf/a", "/etc/conf/b", "/etc/b"}
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    there = found(api, *mounts)
    assert api.asked == ["/etc/conf", "/etc/b"]
    assert there.bound == here.bound
    (bound / "b").write_bytes(b"C")
    monkeypatch.delenv("DOCKER_HOST")
    assert {path for path, text in found(api, *mounts).bound.items() if text != here.bound[path]} == {
        "/etc/conf/b",
        "/etc/b",
    }


def test_a_file_that_was_replaced_under_a_running_container_is_read_as_that_sees_it(
    bound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_inside = tmp_path / "proc" / "7" / "root" / "etc" / "b.conf"
    seen_inside.parent.mkdir(parents=True)
    monkeypatch.setattr("rollproof.engines.insides._PROCESSES", tmp_path / "proc")

    def read() -> Mapping[str, str]:
        return found(StandInApi(), bind(bound / "b", "/etc/b.conf"), more={"State": {"Pid": 7}}).bound

    # An account that may not look, and a container that does not run, have no such file.
    old = read()
    (bound / "b").write_bytes(b"new")
    assert read() != old
    seen_inside.write_bytes(b"B")
    assert read() == old


def test_changes_are_told_without_the_noise_of_a_running_container() -> None:
    api = StandInApi({"/app/main.py": b"x", "/etc/motd": b"y"})
    modified = ("/", "/app", "/app/main.py", "/etc", "/etc/motd", "/var", "/var/log")
    noise = ("/var/log/y", "/app/__pycache__/m.pyc", "/run/p.pid", "/data/file", "/scratch/x", "/app/living")
    api.changes = [
        *({"Path": path, "Kind": 0} for path in modified),
        *({"Path": path, "Kind": 1} for path in ("/app/evil", "/database", *noise)),
        {"Path": "/app/guard.py", "Kind": 2},
    ]
    seen = found(api, {"Type": "volume", "Destination": "/data"}, ignored=("/app/liv*",))
    assert set(seen.modified) == {"/app/main.py", "/etc/motd"}
    assert seen.added == ("/app/evil", "/database")
    assert seen.deleted == ("/app/guard.py",)
    api.files["/app/main.py"] = b"z"
    again = found(api, {"Type": "volume", "Destination": "/data"})
    assert again.modified["/app/main.py"] != seen.modified["/app/main.py"]
    assert again.modified["/etc/motd"] == seen.modified["/etc/motd"]
    # Another owner of the same content is another file.
    api.owner = 1000
    theirs = found(api, {"Type": "volume", "Destination": "/data"})
    assert theirs.modified["/etc/motd"] != again.modified["/etc/motd"]
