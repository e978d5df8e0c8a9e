"""A bundle of an incident: the same bytes twice, without users' data, and each way to tamper is refused."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.bundle import bundle
from reports.bundle.bundle import MANIFEST, write_bundle
from reports.bundle.bundle_check import BundleWrong, verify_bundle
from rollproof.cli.command_line import main
from rollproof.errors import ActionFailed, ExitCode
from rollproof.profile.profile import load_target
from rollproof.redaction.redactor import Redactor
from rollproof.system.files import canonical_json
from tests.conftest import PROFILE
from tests.unit.clock import Clock
from tests.unit.made_incident import MadeIncident, clock

__all__ = ["clock"]
SECRET = "s3cret-of-the-canary"  # noqa: S105 - what must not be seen
# The incidents here have no chain: their bundles are as they were made, and nothing vouches for the records.
UNSEALED = ExitCode.BROKEN
Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def made(profile: Path, clock: Clock) -> MadeIncident:
    found = MadeIncident(load_target(profile), clock)
    found.roll_back()
    return found


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
            found.append((member, stream.read() if stream else b""))
        return found


def pack(path: Path, wanted: Members, after: bytes = b"") -> Path:
    """Write an archive as `bundle` does, of any members."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in wanted:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    path.write_bytes(packed(raw.getvalue() + after))
    return path


def packed(data: bytes) -> bytes:
    """Return data packed as `bundle` packs."""
    raw = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
        stream.write(data)
    return raw.getvalue()


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
    assert [member.name for member, _ in members(Path("one.tar.gz"))] == [
        "one/bundle.json",
        "one/incident.json",
        "one/journal.head",
        "one/journal.jsonl",
        "one/rollback.json",
        "one/verify_record.py",
    ]
    run("verify-bundle", "one.tar.gz", "--sha256", digest, code=UNSEALED)
    assert "expected the SHA-256 00" in run(
        "verify-bundle", "one.tar.gz", "--sha256", "00", code=ExitCode.FAILED
    )


@pytest.mark.usefixtures("made")
def test_records_of_users_stay_unless_they_are_asked_for(run: Command) -> None:
    left = run("bundle", "one")
    taken = run("bundle", "one", "--with-records", "--output", "all.tar.gz")

    assert "left out: lost-window (records of users: --with-records includes them)" in left
    assert "WITH RECORDS" in taken
    without, whole = members(Path("one.tar.gz")), members(Path("all.tar.gz"))
    assert json.loads(without[0][1])["content"]["left_out"].keys() == {"lost-window"}
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

    left = json.loads(members(Path("one.tar.gz"))[0][1])["content"]["left_out"]
    assert left.keys() == {"link", ".verdict.json.7.part", "ledger/link", "pipe", "lost-window"}
    assert said.count("left out: ") == 5


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


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("wanted", ["two", "..", "/", "empty"])
def test_what_is_no_incident_is_not_bundled(run: Command, wanted: str, tmp_path: Path) -> None:
    (tmp_path / "incidents" / "empty").mkdir()

    said = run("bundle", wanted, code=ExitCode.USAGE)

    assert "HINT" in said
    assert ("there are: one" in said) is (wanted != "empty")


def test_a_corrupt_incident_is_a_problem(made: MadeIncident, run: Command) -> None:
    (made.folder / "incident.json").write_bytes(b"\xff")

    assert "a readable incident.json" in run("bundle", "one", code=ExitCode.USAGE)


@pytest.mark.parametrize(
    "written",
    [lambda content: content.replace(b"passed", b"failed"), lambda content: content + b"\n"],
    ids=["others", "more"],
)
def test_a_file_that_is_written_meanwhile_is_a_problem(
    made: MadeIncident, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: Callable[[bytes], bytes]
) -> None:
    whole = bundle.sealed

    def late(manifest: bundle.Manifest) -> bytes:
        path = made.folder / "rollback.json"
        path.write_bytes(written(path.read_bytes()))
        return whole(manifest)

    monkeypatch.setattr(bundle, "sealed", late)

    with pytest.raises(ActionFailed, match="one that nobody writes"):
        write_bundle(made.incident, tmp_path / "one.tar.gz", Redactor())
    assert not list(tmp_path.glob("*.tar.gz*"))
    assert not list(tmp_path.glob(".*.part"))


def _of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _changed(found: Members) -> None:
    member, content = found[4]
    found[4] = member, content.replace(b"passed", b"failed")


def _longer(found: Members) -> None:
    found[4] = found[4][0], found[4][1] + b" "


def _missing(found: Members) -> None:
    del found[3]


def _added(found: Members) -> None:
    found.append((_of("one/more"), b"x"))


def _twice(found: Members) -> None:
    found.append(found[1])


def _climbs(found: Members) -> None:
    found.append((_of("one/../../etc/cron"), b"x"))


def _absolute(found: Members) -> None:
    found.append((_of("/etc/cron"), b"x"))


def _beside(found: Members) -> None:
    found.append((_of("two/incident.json"), b"x"))


def _dotted(found: Members) -> None:
    found[1][0].name = "one/./incident.json"


def _symbolic(found: Members) -> None:
    found[1] = (_of("one/incident.json", tarfile.SYMTYPE, "/etc/passwd"), b"")


def _hard(found: Members) -> None:
    found[1] = (_of("one/incident.json", tarfile.LNKTYPE, "one/rollback.json"), b"")


def _device(found: Members) -> None:
    found[1] = (_of("one/incident.json", tarfile.CHRTYPE), b"")


def _folder(found: Members) -> None:
    found.append((_of("one/ledger", tarfile.DIRTYPE), b""))


def _set_user_id(found: Members) -> None:
    found[1][0].mode = 0o4755


def _owned(found: Members) -> None:
    found[1][0].uid = 1000


def _commented(found: Members) -> None:
    found[1][0].pax_headers = {"comment": "hidden"}


def _not_first(found: Members) -> None:
    found[0], found[1] = found[1], found[0]


def _no_manifest(found: Members) -> None:
    del found[0]


def _foul_manifest(found: Members) -> None:
    found[0] = found[0][0], b"{"


def _edited_manifest(found: Members) -> None:
    found[0] = found[0][0], found[0][1].replace(b'"sandbox"', b'"another"')


def _of_another_shape(found: Members) -> None:
    content = {**json.loads(found[0][1])["content"], "files": {"a": {"size": -1, "sha256": "x"}}}
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    found[0] = found[0][0], canonical_json({"content": content, "sha256": digest})


def _of_a_hostile_name(found: Members) -> None:
    content = {**json.loads(found[0][1])["content"], "\x1b[2Jä": 1}
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    found[0] = found[0][0], canonical_json({"content": content, "sha256": digest})


def _too_large(found: Members) -> None:
    content = json.loads(found[0][1])["content"]
    content["files"]["rollback.json"]["size"] = bundle.most_bytes(0) + 64 * 1024**2
    digest = hashlib.sha256(canonical_json(content)).hexdigest()
    found[0] = found[0][0], canonical_json({"content": content, "sha256": digest})


def _empty(found: Members) -> None:
    found.clear()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_changed, "expected 'rollback.json' with the SHA-256"),
        (_longer, "expected 'rollback.json' with"),
        (_missing, "1 missing, such as 'journal.jsonl'"),
        (_added, "observed 'more' too"),
        (_twice, "'incident.json' twice"),
        (_climbs, "expected names below one/"),
        (_absolute, "expected names below one/"),
        (_beside, "expected names below one/"),
        (_dotted, "expected names below one/"),
        (_symbolic, "plain files only"),
        (_hard, "plain files only"),
        (_device, "plain files only"),
        (_folder, "plain files only"),
        (_set_user_id, "the mode, owner and time"),
        (_owned, "the mode, owner and time"),
        (_commented, "no further headers"),
        (_not_first, "expected bundle.json first"),
        (_no_manifest, "expected bundle.json first"),
        (_foul_manifest, "expected a manifest"),
        (_edited_manifest, "expected a manifest with the SHA-256"),
        (_of_another_shape, "expected a manifest, observed -1 as content.files.a.size, not 0 or more"),
        (_of_a_hostile_name, r"expected a manifest, observed the unknown name content.\x1b[2J\xe4"),
        (_too_large, "bytes at most"),
        (_empty, "bundle"),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_was_tampered_with_is_refused(
    run: Command, tamper: Callable[[Members], None], said: str
) -> None:
    run("bundle", "one")
    found = members(Path("one.tar.gz"))
    run("verify-bundle", pack(Path("same.tar.gz"), found), code=UNSEALED)
    tamper(found)

    refused = run("verify-bundle", pack(Path("other.tar.gz"), found), code=ExitCode.FAILED)

    assert said in refused
    assert "HINT: do not use it" in refused


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no archive": lambda _: b"no archive",
    "its end cut": lambda data: data[:-9],
    "its half": lambda data: data[: len(data) // 2],
    "other sums": lambda data: data[:-8] + b"\0" * 8,
    "one bit": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "more after it": lambda data: data + b"more",
    "another after it": lambda data: data + packed(b"more"),
    "zeros": lambda _: packed(b"\0" * 100_000),
    "ones": lambda _: packed(b"\xff" * 100_000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.usefixtures("made")
def test_what_is_no_whole_archive_is_refused(run: Command, damage: Callable[[bytes], bytes]) -> None:
    run("bundle", "one")
    path = Path("one.tar.gz")
    path.write_bytes(damage(path.read_bytes()))

    assert "bundle: expected" in run("verify-bundle", path, code=ExitCode.FAILED)


@pytest.mark.usefixtures("made")
def test_a_header_that_would_fill_the_memory_is_refused(run: Command) -> None:
    run("bundle", "one")
    raw = io.BytesIO()
    header = _of("one/x", tarfile.XHDTYPE)
    header.size = 1024**3
    raw.write(header.tobuf(tarfile.USTAR_FORMAT))
    path = Path("huge.tar.gz")
    path.write_bytes(packed(raw.getvalue() + b"\0" * 10240))

    assert "bytes at most at once" in run("verify-bundle", path, code=ExitCode.FAILED)


def test_a_bundle_that_is_not_there_or_cannot_be_read(run: Command, tmp_path: Path) -> None:
    run("verify-bundle", "none.tar.gz", code=ExitCode.USAGE)
    run("verify-bundle", tmp_path, code=ExitCode.USAGE)
    run("verify-bundle", os.devnull, code=ExitCode.BROKEN)


def test_signers_that_are_not_there_are_a_mistake_and_no_wrong_bundle(
    made: MadeIncident, run: Command
) -> None:
    run("bundle", made.incident.id)
    path = f"{made.incident.id}.tar.gz"
    said = run("verify-bundle", path, "--signers", "no-such-file", code=ExitCode.USAGE)
    assert "--signers: expected a file of allowed signers, a line for each person, observed none" in said


def test_a_folder_that_can_only_be_read_is_a_problem_and_no_bug(
    made: MadeIncident, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def read_only(path: Path, *, missing_ok: bool = False) -> None:
        if path.name.endswith(".tar.gz.part"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        unlink(path, missing_ok=missing_ok)

    def refused(temporary: Path, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(temporary))

    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(bundle, "_write", refused)
    said = run("bundle", made.incident.id, code=ExitCode.FAILED)
    assert "bundle: expected a file that can be written, observed Read-only file system" in said


def test_the_reason_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(BundleWrong) as refused:
        verify_bundle(tmp_path / "x")
    assert refused.value.exit_code is ExitCode.FAILED
    assert MANIFEST == "bundle.json"
    assert 'name = "sandbox"' in PROFILE
