"""A bundle of an incident: the same bytes twice, without users' data, and each way to tamper is refused."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollproof.cli.command_line import main
from rollproof.errors import ExitCode
from tests.unit.made_incident import MadeIncident
from tests.unit.sealed_record import header_of, packed_members, padded

SECRET = "s3cret-of-the-canary"  # noqa: S105 - what must not be seen
# The incidents here have no seal: their bundles are as they were made, and nothing vouches for the records.
UNSEALED = ExitCode.BROKEN
NAMES = [
    f"one/{name}"
    for name in (
        *("incident.json", "journal.jsonl", "lost-window/accounting.json"),
        *("rollback.json", "verify_record.py"),
    )
]
Members = list[tuple[str, bytes]]


@pytest.fixture
def made(made: MadeIncident) -> MadeIncident:
    made.roll_back()
    return made


@dataclass
class Command:
    """The command line, run in this process in a folder of its own."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: object, code: ExitCode = ExitCode.VERIFIED) -> str:
        self.monkeypatch.setattr("sys.argv", ["rollproof", *map(str, arguments)])
        ended = main()
        said = "".join(self.capsys.readouterr())
        assert ended is code, said
        assert "Traceback" not in said
        return said


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: Path
) -> Command:
    monkeypatch.setenv("ROLLPROOF_TARGET", str(profile))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Command(capsys, monkeypatch)


def members(path: Path) -> Members:
    with tarfile.open(path) as archive:
        found = []
        for member in archive:
            stream = archive.extractfile(member)
            found.append((member.name, stream.read() if stream else b""))
        return found


def test_a_bundle_is_verified_and_made_again_byte_for_byte(made: MadeIncident, run: Command) -> None:
    first = run("bundle", "one")
    for path in made.folder.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    run("bundle", made.folder, "--output", "again.tar.gz")
    verified = run("verify-bundle", "one.tar.gz", code=UNSEALED)

    assert Path("one.tar.gz").read_bytes() == Path("again.tar.gz").read_bytes()
    assert Path("one.tar.gz").stat().st_mode & 0o777 == 0o600
    digest = hashlib.sha256(Path("one.tar.gz").read_bytes()).hexdigest()
    assert digest in first
    assert digest in verified
    assert [name for name, _ in members(Path("one.tar.gz"))] == NAMES


@pytest.mark.usefixtures("made")
def test_records_of_users_stay_unless_they_are_asked_for(run: Command) -> None:
    left = run("bundle", "one")
    taken = run("bundle", "one", "--with-records", "--output", "all.tar.gz")

    assert "left out: lost-window (records of users: --with-records includes them)" in left
    assert "WITH RECORDS" in taken
    without, whole = members(Path("one.tar.gz")), members(Path("all.tar.gz"))
    assert b"someone@example.org" not in b"".join(content for _, content in without)
    assert b"someone@example.org" in b"".join(content for _, content in whole)
    assert "left out" not in taken
    run("verify-bundle", "all.tar.gz", code=UNSEALED)


def test_links_and_remains_of_a_kill_stay(made: MadeIncident, run: Command) -> None:
    (made.folder / "link").symlink_to("/etc/passwd")
    (made.folder / ".verdict.json.7.part").write_text("{")
    (made.folder / "ledger").mkdir()
    (made.folder / "ledger" / "link").symlink_to("/etc")
    os.mkfifo(made.folder / "pipe")

    said = run("bundle", "one")

    assert {name for name, _ in members(Path("one.tar.gz"))} == {*NAMES}
    assert said.count("left out: ") == 3


def test_a_secret_is_not_bundled(made: MadeIncident, run: Command) -> None:
    (made.folder / "notes.txt").write_text(f"the password is {SECRET}")

    said = run("bundle", "one", code=ExitCode.FAILED)

    assert "secret in the record: expected none" in said
    assert SECRET not in said
    assert list(Path.cwd().iterdir()) == []


def test_a_bundle_overwrites_nothing(made: MadeIncident, run: Command) -> None:
    Path("one.tar.gz").write_text("mine")

    assert "a file that is there" in run("bundle", "one", code=ExitCode.USAGE)
    assert Path("one.tar.gz").read_text() == "mine"
    inside = made.folder / "one.tar.gz"
    assert "one within it" in run("bundle", "one", "--output", inside, code=ExitCode.USAGE)
    run("bundle", "one", "--output", "missing/one.tar.gz", code=ExitCode.FAILED)


def _plain(found: Members) -> bytes:
    return b"".join(header_of(name, len(text)) + padded(text) for name, text in found)


def _kind(kind: bytes) -> Callable[[Members], bytes]:
    def tamper(found: Members) -> bytes:
        member = tarfile.TarInfo("one/more")
        member.type, member.linkname, member.mode = kind, "/etc/passwd", 0o644
        return _plain(found) + member.tobuf(tarfile.USTAR_FORMAT)

    return tamper


TAMPERED: dict[str, Callable[[Members], bytes]] = {
    "twice": lambda found: _plain([*found, found[0]]),
    "climbs": lambda found: _plain([*found, ("one/../../etc/cron", b"x")]),
    "absolute": lambda found: _plain([*found, ("/etc/cron", b"x")]),
    "another folder": lambda found: _plain([*found, ("two/incident.json", b"x")]),
    "hostile name": lambda found: _plain([*found, ("one/\x1b[2Jx", b"x")]),
    **{f"kind {kind!r}": _kind(kind) for kind in (b"1", b"2", b"3", b"5", b"6", b"x", b"L")},
    "too large": lambda found: _plain(found) + header_of("one/more", 8 * 1024**3 - 1),
    "empty": lambda _: b"",
}


@pytest.mark.parametrize("name", TAMPERED)
@pytest.mark.usefixtures("made")
def test_what_is_no_bundle_is_refused(run: Command, name: str) -> None:
    run("bundle", "one")
    found = members(Path("one.tar.gz"))
    assert packed_members(_plain(found)) == Path("one.tar.gz").read_bytes()
    Path("other.tar.gz").write_bytes(packed_members(TAMPERED[name](found)))

    refused = run("verify-bundle", "other.tar.gz", code=ExitCode.FAILED)

    assert "\nWRONG: " in f"\n{refused}"
    assert "\x1b" not in refused
    assert len(refused) < 2000
