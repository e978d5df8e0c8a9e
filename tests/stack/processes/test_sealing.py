"""The seal of a record: what is changed is found, what a kill left is not sealed, and who signed is said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reports.bundle.bundle import CHECKER_FILE, write_bundle
from reports.bundle.verify_record import check
from reports.incident.record import read_incident_record
from reports.run import record as run_record
from reports.run import renewal
from reports.run.renewal import renew
from reports.verdict.verdict import read_verdict, recounted
from rollproof.errors import ActionFailed, ExitCode, Unverifiable
from rollproof.incident.journal import hash_of
from rollproof.profile.profile import Signing
from rollproof.record_names import DOWNTIME, SEAL, SIGNATURE
from rollproof.redaction.redactor import Redactor
from rollproof.sealing import seal
from rollproof.sealing.seal import CHECKER, Sealing, promised, seal_state, sealed
from rollproof.system.files import rename_whole, write_whole
from rollproof.verdict import Verdict
from tests.unit.sealed_record import (
    SealedRecord,
    edits,
    header_of,
    packed,
    packed_members,
    padded,
    sealed_again,
    unpacked,
    whole_incident,
)

_UNSIGNED = Signing()


def new_key(folder: Path, name: str = "key") -> Signing:
    """Make an SSH key without a passphrase; the file of signers next to it has this one."""
    key = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().split()[:2]
    signers = folder / f"{name}.signers"
    signers.write_text(f"ada@example.org {' '.join(public)}\n")
    return Signing(key=key, allowed_signers=signers)


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory) -> SealedRecord:
    """A record that is sealed and signed; nobody changes it."""
    folder = tmp_path_factory.mktemp("signed")
    return SealedRecord.of(folder, new_key(folder))


@pytest.fixture(scope="module")
def unsigned_once(tmp_path_factory: pytest.TempPathFactory) -> SealedRecord:
    """A record that is sealed by nobody who has a key; nobody changes it."""
    return SealedRecord.of(tmp_path_factory.mktemp("unsigned"), _UNSIGNED)


@pytest.fixture
def record(tmp_path: Path, signed_once: SealedRecord) -> SealedRecord:
    """A record that is sealed and signed, for one test alone."""
    return signed_once.copied(tmp_path)


@pytest.fixture
def unsigned(tmp_path: Path, unsigned_once: SealedRecord) -> SealedRecord:
    """A record that is sealed by nobody who has a key, for one test alone."""
    return unsigned_once.copied(tmp_path)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Node and Allure are tried elsewhere."""
    monkeypatch.setattr(renewal, "render", lambda *_, **__: None)
    monkeypatch.setattr(run_record, "draw_timeline", lambda *_, **__: ())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def add_line(journal: Path, **details: str) -> None:
    """Add a record to a journal, as a command does."""
    last = json.loads(journal.read_text().splitlines()[-1])
    record = {"sequence": last["sequence"] + 1, "at": last["at"], "event": "noted", **details}
    record["previous"] = last["hash"]
    record["hash"] = hash_of(record)
    journal.write_text(journal.read_text() + json.dumps(record, sort_keys=True) + "\n")


def chained_again(path: Path) -> None:
    """Make the chain of a journal again, as a forger can, and its head."""
    before, lines = "0" * 64, []
    for number, line in enumerate(path.read_text().splitlines()):
        record = {**json.loads(line), "previous": before, "sequence": number}
        del record["hash"]
        before = record["hash"] = hash_of(record)
        lines.append(json.dumps(record, sort_keys=True))
    path.write_text("".join(f"{line}\n" for line in lines))


def edit_chained(path: Path, old: str, new: str) -> None:
    edit(path, old, new)
    chained_again(path)


def bundled(record: SealedRecord, *, anyway: bool = False) -> Path:
    return write_bundle(
        record.incident,
        record.folder.with_suffix(".tgz"),
        Redactor(),
        anyway=anyway,
        signing=record.signing,
    ).path


def forged(files: dict[str, bytes], folder: Path) -> Path:
    path = folder / "forged.tar.gz"
    path.write_bytes(packed(files))
    return path


def test_a_whole_record_holds_and_says_who_signed_it(record: SealedRecord) -> None:
    found, checked = seal_state(record.folder, record.signing), check(record.bundle)

    assert (found.doubts, found.unsealed) == ([], ())
    assert found.signature.startswith("signed by ada@example.org with the key SHA256:")
    assert read_verdict(record.folder).signature in found.signature
    assert read_incident_record(record.folder).doubts == ()
    assert (checked.code, checked.wrong, checked.unsealed) == (0, [], [])
    assert checked.facts[1:] == ["verdict, as recorded: 'passed'"]
    assert read_verdict(record.folder).signature in checked.facts[0]
    assert "ada@example.org" in check(record.bundle, record.signing.allowed_signers).facts[0]


_EDITS: dict[str, Callable[[Path], None]] = {
    "ledger/0001/results.jsonl": lambda path: edit(path, '"seconds": ', '"seconds": 1'),
    "ledger/0001/plan.json": lambda path: edit(path, "test_b", "test_a"),
    "samples.jsonl": lambda path: edit(path, '"missed": 0', '"missed": 1'),
    "rollback.json": lambda path: edit(path, "62.0", "61.0"),
    "pictures/timeline.svg": lambda path: edit(path, "a timeline", "another"),
    "verdict.json": lambda path: edit(path, "passed", "failed"),
    "closed.json": Path.unlink,
    "response.jsonl": lambda path: edit_chained(path, "critical", "healthy!"),
}


@pytest.mark.parametrize("name", _EDITS)
def test_a_changed_file_is_named_by_every_reader(unsigned: SealedRecord, name: str) -> None:
    _EDITS[name](unsigned.folder / name)

    assert name in seal_state(unsigned.folder).wrong
    assert any(doubt.startswith(name) for doubt in read_incident_record(unsigned.folder).doubts)
    with pytest.raises(ActionFailed, match=f"'{name}' is"):
        bundled(unsigned)
    assert not unsigned.folder.with_suffix(".tgz").exists()
    assert check(bundled(unsigned, anyway=True)).code == 1


def test_an_added_file_and_a_link_are_found(unsigned: SealedRecord) -> None:
    (unsigned.folder / "more.json").write_text("{}")
    assert seal_state(unsigned.folder).unsealed == ("more.json",)
    assert "'more.json' was added after it was sealed" in check(bundled(unsigned, anyway=True)).wrong
    (unsigned.folder / "superseded.json").symlink_to(unsigned.folder / "rollback.json")
    assert seal_state(unsigned.folder).wrong == {"superseded.json": "it is a link"}
    assert recounted(read_incident_record(unsigned.folder)).verdict is Verdict.BROKEN


@pytest.mark.usefixtures("undrawn")
def test_a_ledger_set_to_passed_gives_no_pass(tmp_path: Path) -> None:
    record = SealedRecord.of(tmp_path, _UNSIGNED, ExitCode.FAILED)
    assert read_verdict(record.folder).verdict is Verdict.FAILED
    path = record.folder / "ledger/0001/results.jsonl"
    edit(path, '"verdict": "failed"', '"verdict": "passed"')

    # A rebuild does not seal what does not hold: the second sees the same.
    for _ in range(2):
        verdict = renew(record.folder, lambda _: None)
        assert verdict.verdict is Verdict.BROKEN
        assert "ledger/0001/results.jsonl" in verdict.partial[0]
        assert "ledger/0001/results.jsonl" in seal_state(record.folder).wrong


@pytest.mark.usefixtures("undrawn")
def test_a_late_verdict_stays_when_its_downtime_is_removed(tmp_path: Path) -> None:
    record = SealedRecord.of(tmp_path, _UNSIGNED, rto_seconds=5)
    assert renew(record.folder, lambda _: None).verdict is Verdict.FAILED
    (record.folder / DOWNTIME).unlink()
    add_line(record.folder / "journal.jsonl")

    for _ in range(2):
        assert renew(record.folder, lambda _: None).verdict is Verdict.BROKEN
        assert list(seal_state(record.folder).wrong) == [DOWNTIME]


def test_what_a_kill_left_is_not_sealed_and_counts(unsigned: SealedRecord) -> None:
    add_line(unsigned.folder / "journal.jsonl")
    edit(unsigned.folder / "rollback.json", "62.0", "61.0")

    found = seal_state(unsigned.folder)
    assert (found.doubts, found.unsealed) == ([], ("journal.jsonl", "rollback.json"))
    with pytest.raises(ActionFailed):
        bundled(unsigned)
    # What was written once is wrong, whatever has begun since.
    plan = unsigned.folder / "ledger/0001/plan.json"
    whole = plan.read_bytes()
    edit(plan, "test_b", "test_a")
    assert list(seal_state(unsigned.folder).wrong) == ["ledger/0001/plan.json"]
    plan.write_bytes(whole)
    edit(unsigned.folder / "rollback.json", "61.0", "62.0")
    unsigned.seal("report")
    assert check(bundled(unsigned)).code == 0


def test_what_does_not_hold_is_never_sealed(record: SealedRecord) -> None:
    edit(record.folder / "rollback.json", "62.0", "61.0")
    said = list[str]()
    for _ in range(2):
        with sealed(record.folder, record.signing, "a command", said.append) as wrong:
            assert wrong == ["rollback.json: it is not what was sealed"]
            add_line(record.folder / "response.jsonl")
    found = seal_state(record.folder, record.signing)
    assert (list(found.wrong), found.unsealed, len(said)) == (["rollback.json"], (), 2)
    edit(record.folder / "rollback.json", "61.0", "62.0")
    assert check(bundled(record), record.signing.allowed_signers).code == 0


def test_each_command_seals_again(unsigned: SealedRecord) -> None:
    first = (unsigned.folder / SEAL).read_bytes()
    Sealing(unsigned.folder, _UNSIGNED).seal("nothing new")
    assert (unsigned.folder / SEAL).read_bytes() == first
    (unsigned.folder / "more.json").write_text("{}")
    Sealing(unsigned.folder, _UNSIGNED).seal("another", lambda name: name == "no.json")
    assert seal_state(unsigned.folder).unsealed == ("more.json",)
    Sealing(unsigned.folder, _UNSIGNED).seal("another")
    assert json.loads((unsigned.folder / SEAL).read_text())["by"] == "another"
    assert seal_state(unsigned.folder).unsealed == ()


def test_a_sealed_journal_is_only_added_to(unsigned: SealedRecord) -> None:
    journal = unsigned.folder / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    chained_again(journal)
    with (unsigned.folder / "samples.jsonl").open("a") as samples:
        samples.write("{}\n")
    assert list(seal_state(unsigned.folder).wrong) == ["journal.jsonl"]


def test_a_torn_journal_is_sealed_once_it_is_mended(record: SealedRecord) -> None:
    """Its next writer cuts off the torn line: what was sealed with it would not be its beginning."""
    with (record.folder / "journal.jsonl").open("a") as journal:
        journal.write('{"torn')
    record.seal("report")
    assert seal_state(record.folder).unsealed == ("journal.jsonl",)


def test_a_seal_made_again_is_found_by_the_signature(record: SealedRecord, tmp_path: Path) -> None:
    files = sealed_again({**unpacked(record.bundle), "rollback.json": b"{}"})
    assert "does not hold" in check(forged(files, tmp_path)).wrong[0]
    (record.folder / SEAL).write_bytes(files[SEAL])
    assert SIGNATURE in seal_state(record.folder).wrong
    with pytest.raises(Unverifiable, match="as it was sealed"):
        Sealing(record.folder, record.signing).seal("the next run")

    # Without the signature it is unsigned, and refused where signers are named.
    del files[SIGNATURE]
    (record.folder / SIGNATURE).unlink()
    assert "its signature was taken away" in check(forged(files, tmp_path)).wrong[0]
    assert "nobody has signed it" in check(forged(files, tmp_path), record.signing.allowed_signers).wrong
    assert "nobody has signed it" in seal_state(record.folder, record.signing).wrong[SIGNATURE]
    (record.folder / SEAL).unlink()
    assert "nobody has signed it" in seal_state(record.folder, record.signing).wrong[SIGNATURE]


def test_a_key_that_is_not_allowed_is_wrong(record: SealedRecord, tmp_path: Path) -> None:
    other = new_key(tmp_path, "other").allowed_signers
    signing = record.signing.model_copy(update={"allowed_signers": other})

    assert "No principal matched" in seal_state(record.folder, signing).wrong[SIGNATURE]
    assert check(record.bundle, other).code == 1


def test_without_the_key_nothing_is_added_to_what_was_signed(record: SealedRecord) -> None:
    before = (record.folder / SEAL).read_bytes()
    (record.folder / "more.json").write_text("{}")

    with pytest.raises(Unverifiable, match="the key that signs it"):
        Sealing(record.folder, _UNSIGNED).seal("report")
    assert (record.folder / SEAL).read_bytes() == before
    assert seal_state(record.folder, record.signing).unsealed == ("more.json",)


def test_the_text_of_people_is_sealed_by_the_bundle(record: SealedRecord) -> None:
    path = record.folder / "postmortem.md"
    path.write_text(path.read_text() + "The cause was a missing index.\n")
    assert seal_state(record.folder, record.signing).unsealed == ("postmortem.md",)
    with pytest.raises(Unverifiable, match="the key that signs it"):
        write_bundle(record.incident, record.folder.with_suffix(".tgz"), Redactor())

    assert check(bundled(record), record.signing.allowed_signers).code == 0


@pytest.mark.parametrize("step", range(4))
def test_a_kill_while_it_is_sealed_leaves_a_seal_that_holds(
    record: SealedRecord, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    (record.folder / "more.json").write_text("{}")
    written = list[str]()

    def killed(do: Callable[..., None]) -> Callable[..., None]:
        def write(*arguments: object) -> None:
            if len(written) == step:
                raise KeyboardInterrupt
            written.append(str(arguments[0]))
            do(*arguments)

        return write

    with monkeypatch.context() as patched:
        patched.setattr(seal, "write_whole", killed(write_whole))
        patched.setattr(seal, "rename_whole", killed(rename_whole))
        try:
            Sealing(record.folder, record.signing).seal("killed")
        except KeyboardInterrupt:
            assert step < 3
    Sealing(record.folder, record.signing).seal("the next command")
    found = seal_state(record.folder, record.signing)
    assert (found.wrong, found.unsealed) == ({}, ())


def test_a_signature_that_cannot_be_checked_holds_for_nobody(
    record: SealedRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, signers = record.bundle, record.signing.allowed_signers
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "cannot be checked" in seal_state(record.folder, record.signing).wrong[SIGNATURE]
    assert "cannot be checked" in seal_state(record.folder).signature
    assert (check(bundle, signers).code, check(bundle).code) == (1, 3)


def test_a_record_that_nobody_signed_is_wrong_where_signers_are_named(
    unsigned: SealedRecord, tmp_path: Path
) -> None:
    signing = new_key(tmp_path, "later")
    assert "nobody has signed it" in seal_state(unsigned.folder, signing).wrong[SIGNATURE]
    assert recounted(read_incident_record(unsigned.folder, signing)).verdict is Verdict.BROKEN
    assert check(unsigned.bundle, signing.allowed_signers).code == 1
    with pytest.raises(Unverifiable):
        Sealing(unsigned.folder, signing).seal("a command")


@pytest.mark.parametrize("harm", ["passphrase", "no ssh-keygen"])
def test_a_key_that_cannot_sign_seals_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    made, signing = whole_incident(tmp_path), new_key(tmp_path)
    assert signing.key is not None
    if harm == "passphrase":
        subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "x", "-f", str(signing.key)], check=True)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    said, problem = promised(signing)
    assert (said, problem is None) == ("unsigned", False)
    with pytest.raises(Unverifiable):
        Sealing(made.folder, signing).seal("a command")
    assert not (made.folder / SEAL).exists()


def test_results_of_a_run_that_goes_on_are_only_added_to(unsigned: SealedRecord) -> None:
    results = unsigned.folder / "ledger/0001/results.jsonl"
    whole = results.read_text()
    results.write_text("".join(whole.splitlines(keepends=True)[:-2]))
    (unsigned.folder / SEAL).unlink()
    Sealing(unsigned.folder, _UNSIGNED).seal("another command")
    results.write_text(whole)
    found = seal_state(unsigned.folder)
    assert (found.wrong, found.unsealed) == ({}, ("ledger/0001/results.jsonl",))
    Sealing(unsigned.folder, _UNSIGNED).seal("checks")
    assert str(seal_state(unsigned.folder)) == "sealed; unsigned"


# The checker.


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long(minutes=2))])
@pytest.mark.timeout(900)
def test_edits_of_one_byte_or_line_are_found(record: SealedRecord, tmp_path: Path, count: int) -> None:
    files = unpacked(record.bundle)
    assert packed(files) == record.bundle.read_bytes()
    edited = tmp_path / "edited.tar.gz"
    for what, text in edits(record.bundle, count, seed=count):
        edited.write_bytes(text)
        # Nobody reads the bytes around the files.
        assert check(edited).code == 1 or unpacked(edited) == files, what


def test_the_checker_stands_alone(record: SealedRecord) -> None:
    text = CHECKER_FILE.read_text()
    assert len(text.splitlines()) <= 300
    assert unpacked(record.bundle)[CHECKER] == text.encode()
    imported = [line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert {name.partition(".")[0] for name in imported} <= {*sys.stdlib_module_names}
    alone = [sys.executable, "-I", str(CHECKER_FILE), str(record.bundle)]
    ran = subprocess.run(alone, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[-1], ran.stderr) == (0, "all of it holds", "")


def test_a_bundle_of_another_version_has_another_checker(record: SealedRecord, tmp_path: Path) -> None:
    files = {**unpacked(record.bundle), CHECKER: b"print('all of it holds')"}
    checked = check(forged(files, tmp_path))
    assert (checked.code, checked.unsealed) == (3, ["verify_record.py in it, which is another one than this"])


def test_a_file_that_the_checker_cannot_read_is_named(unsigned: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(unsigned.bundle)
    long = files["verdict.json"] + b" " * 9 * 1024**2
    checked = check(forged(sealed_again({**files, "verdict.json": long}), tmp_path))
    assert any("'verdict.json' is too large to be read" in text for text in checked.wrong)


def test_a_verdict_of_another_incident_is_wrong(unsigned: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(unsigned.bundle)
    other = json.dumps({**json.loads(files["verdict.json"]), "incident": "another"}).encode()
    checked = check(forged(sealed_again({**files, "verdict.json": other}), tmp_path))
    assert checked.wrong == ["verdict.json is of incident 'another'"]


MOST_KIB = 600_000
# The checker as it is started, by the memory that its process took; its own limit holds.
CHECK = r"""
import re, resource, runpy, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
del sys.argv[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
"""


def _bundle(files: Mapping[str, bytes]) -> bytes:
    """Return a bundle with these files and an incident, every byte around them as it has to be."""
    own = json.dumps({"target": "x", "started": {"wall": "2026-03-14T09:10:00+00:00"}}).encode()
    every = {"incident.json": own, **files}
    return packed_members(
        *(header_of(f"one/{name}", len(text)) + padded(text) for name, text in every.items())
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros": lambda: packed_members(bytes(200_000_000)),
    "many lists": lambda: _bundle({"seal.json": b"[" + b"[]," * 2_700_000 + b"[]]"}),
    "deep lists": lambda: _bundle({"verdict.json": b"[" * 8_000_000}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_is_made_to_fill_the_memory_does_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(BOMBS[name]())
    command = [sys.executable, "-c", CHECK, str(CHECKER_FILE), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode in {1, 3}, done.stderr
    assert len(done.stdout) < 6000
    assert int(done.stderr) < MOST_KIB
