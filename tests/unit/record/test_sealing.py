"""The seal of a record: what is edited is found, what a kill left is not sealed, and who signed is said."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from reports.bundle.bundle import write_bundle
from reports.bundle.bundle_check import BundleWrong, verify_bundle
from reports.bundle.record_check import CHECKER, check_record
from reports.incident.incident_record import read_record
from reports.run import completion, renewal
from reports.run.renewal import renew
from reports.verdict.recount import recounted
from reports.verdict.verdict import read_verdict, write_verdict
from rollproof.errors import ActionFailed, ExitCode, Problem, Unverifiable, UsageProblem
from rollproof.incident.downtime import Downtime, Since
from rollproof.incident.incident import load_incident
from rollproof.incident.journal import hash_of, head_of
from rollproof.profile.profile import Signing
from rollproof.record_names import CHAIN, DOWNTIME, HEAD
from rollproof.redaction.redactor import Redactor
from rollproof.sealing import chain
from rollproof.sealing.chain import Sealing, promised, seal_text_of_people, sealed, standing
from rollproof.sealing.signature import sign
from rollproof.system.files import canonical_json, sha256_of
from rollproof.system.record_files import write_record
from rollproof.verdict import Verdict
from tests.fork_server import ForkServer
from tests.unit.drawn_incident import IDENTITY, drawn_incident, moment
from tests.unit.record.forged_bundles import ALONE, OF_BUNDLES, OF_FILES, Forger, chained, tar_of
from tests.unit.record.forged_bundles import packed as packed_tar
from tests.unit.sealed_record import SealedRecord, add_results, edits, new_key, packed, unpacked

_UNSIGNED = Signing()


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


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def chained_again(path: Path) -> None:
    """Make the chain of a journal, or of a record, again, as a forger can, and its head."""
    before, lines = "0" * 64, []
    for number, line in enumerate(path.read_text().splitlines()):
        record = {**json.loads(line), "previous": before, "sequence": number}
        del record["hash"]
        before = record["hash"] = hash_of(record)
        lines.append(json.dumps(record, sort_keys=True))
    path.write_text("".join(f"{line}\n" for line in lines))
    head_of(path).write_text(f"{len(lines) - 1:012d} {before}\n")


def add_line(journal: Path, **details: str) -> None:
    """Add a record to a journal, as anybody can: its chain holds."""
    last = json.loads(journal.read_text().splitlines()[-1])
    record = {"sequence": last["sequence"] + 1, "at": last["at"], "event": "noted", **details}
    record["previous"] = last["hash"]
    record["hash"] = hash_of(record)
    journal.write_text(journal.read_text() + json.dumps(record, sort_keys=True) + "\n")
    head_of(journal).write_text(f"{record['sequence']} {record['hash']}\n")


def test_a_whole_record_holds_and_says_who_signed_it(record: SealedRecord) -> None:
    found, checked = standing(record.folder, record.signing), check_record(record.bundle)

    assert (found.doubts, found.open) == ([], ())
    assert found.signature.startswith("signed by ada@example.org with the key SHA256:")
    assert read_verdict(record.folder).signature in found.signature
    assert read_record(record.folder).doubts == ()
    assert checked.holds
    assert checked.lines[1:] == ("verdict, derived again: passed", "all of it holds")
    assert read_verdict(record.folder).signature in checked.lines[0]
    assert "ada@example.org" in check_record(record.bundle, record.signing.allowed_signers).lines[0]


def test_what_is_unsigned_says_so_everywhere(unsigned: SealedRecord) -> None:
    assert json.loads((unsigned.folder / "verdict.json").read_text())["signature"] == "unsigned"
    assert "This record and its timeline: unsigned." in (unsigned.folder / "postmortem.md").read_text()
    assert str(standing(unsigned.folder)) == "sealed, unsigned"
    assert "signature: unsigned" in check_record(unsigned.bundle).lines


_EDITS: dict[str, Callable[[Path], None]] = {
    "ledger/0001/results.jsonl": lambda path: edit(path, '"seconds": ', '"seconds": 1'),
    "ledger/0001/plan.json": lambda path: edit(path, "test_3", "test_2"),
    "samples.jsonl": lambda path: edit(path, '"missed": 0', '"missed": 1'),
    "rollback.json": lambda path: edit(path, "45.2", "44.2"),
    "pictures/timeline.svg": lambda path: edit(path, "a timeline", "another"),
    "verdict.json": lambda path: edit(path, "passed", "failed"),
    "closed.json": Path.unlink,
    "response.jsonl": chained_again,
}


@pytest.mark.parametrize("name", _EDITS)
def test_an_edited_file_is_named_by_every_reader(unsigned: SealedRecord, name: str) -> None:
    path = unsigned.folder / name
    if name == "response.jsonl":
        edit(path, "critical", "healthy!")
    _EDITS[name](path)

    assert name in standing(unsigned.folder).wrong
    assert any(doubt.startswith(name) for doubt in read_record(unsigned.folder).doubts)
    with pytest.raises(ActionFailed, match=f"'{name}' is") as refused:
        write_bundle(unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor())
    assert "expected one that holds" in str(refused.value)
    assert not unsigned.folder.with_suffix(".tgz").exists()
    anyway = write_bundle(
        unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor(), anyway=True
    )
    assert not check_record(anyway.path).holds


def test_a_ledger_set_to_passed_gives_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Node and Allure are tried elsewhere.
    monkeypatch.setattr(renewal, "render", lambda *_, **__: None)
    monkeypatch.setattr(completion, "draw", lambda *_, **__: [])
    record = SealedRecord.of(tmp_path, _UNSIGNED, wrong="phase4")
    assert read_verdict(record.folder).verdict is Verdict.FAILED
    path = record.folder / "ledger/0001/results.jsonl"
    edit(path, '"verdict": "failed"', '"verdict": "passed"')

    found = recounted(read_record(record.folder))
    renew(record.folder, lambda _: None)

    assert found.verdict is Verdict.BROKEN
    assert found.partial == (
        "the record does not hold: ledger/0001/results.jsonl: it is not what was sealed",
    )
    # A rebuild seals the pages again, and never that file.
    assert read_verdict(record.folder).verdict is Verdict.BROKEN
    assert "ledger/0001/results.jsonl" in standing(record.folder).wrong


def test_a_verdict_whose_hash_is_in_the_journal_is_no_better_than_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "render", lambda *_, **__: None)
    monkeypatch.setattr(completion, "draw", lambda *_, **__: [])
    record = SealedRecord.of(tmp_path, _UNSIGNED, wrong="phase4")
    forged = replace(read_verdict(record.folder), verdict=Verdict.PASSED)
    path = write_verdict(record.folder, forged)
    add_line(record.folder / "journal.jsonl", verdict_sha256=sha256_of(path))

    assert renew(record.folder, lambda _: None).verdict is Verdict.FAILED
    assert read_verdict(record.folder).verdict is Verdict.FAILED
    # One that is no better stays as it was recorded.
    worse = write_verdict(record.folder, replace(forged, verdict=Verdict.FAILED, notes=("rehearsed",)))
    add_line(record.folder / "journal.jsonl", verdict_sha256=sha256_of(worse))
    assert renew(record.folder, lambda _: None).notes == ("rehearsed",)


def test_a_late_verdict_stays_when_its_downtime_is_removed(
    unsigned: SealedRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "render", lambda *_, **__: None)
    monkeypatch.setattr(completion, "draw", lambda *_, **__: [])
    late = Downtime(moment(-255), Since.MONITOR, 9999.0, 900.0, moment(57.2))
    write_record(unsigned.folder / DOWNTIME, late)
    unsigned.seal("checks, run 1")
    assert renew(unsigned.folder, lambda _: None).verdict is Verdict.FAILED
    (unsigned.folder / DOWNTIME).unlink()

    # The first rebuild seals no removal that the second would take for granted.
    for _ in range(2):
        again = renew(unsigned.folder, lambda _: None)
        assert again.verdict is Verdict.BROKEN
        assert "the record does not hold: downtime.json: it was sealed, and is gone" in again.partial
        assert standing(unsigned.folder).open == (DOWNTIME,)


def test_a_forged_verdict_is_refused_even_without_a_chain(tmp_path: Path) -> None:
    made = drawn_incident(tmp_path)
    made.rolled_back(verdict=Verdict.FAILED)

    with pytest.raises(ActionFailed, match=r"verdict\.json says 'passed', and the ledger says failed"):
        write_bundle(made.incident, tmp_path / "a.tgz", Redactor())


def test_results_of_allure_that_contradict_the_ledger_are_named(tmp_path: Path) -> None:
    made = drawn_incident(tmp_path)
    check = "checks/test_phase2.py::test_5"
    add_results(made, {check: "failed"})

    assert (
        f"allure-results: passed by the ledger, and not by Allure: {check}" in read_record(made.folder).doubts
    )
    with pytest.raises(ActionFailed, match="'failed' by Allure, and passed by the ledger"):
        write_bundle(made.incident, tmp_path / "a.tgz", Redactor())


def test_of_several_results_of_allure_the_latest_is_asked(tmp_path: Path) -> None:
    """Its file has any name: that of an earlier one may come after it."""
    made = drawn_incident(tmp_path)
    add_results(made)
    for path in list((made.folder / "allure-results").glob("*-result.json")):
        earlier = {**json.loads(path.read_text()), "status": "failed", "start": 0}
        for name in ("0", "z"):
            path.with_name(f"{name}{path.name}").write_text(json.dumps(earlier))
    assert not [doubt for doubt in read_record(made.folder).doubts if "allure-results" in doubt]


def test_a_journal_that_was_cut_with_its_head_is_found_by_its_end(unsigned: SealedRecord) -> None:
    (unsigned.folder / CHAIN).unlink()
    (unsigned.folder / HEAD).unlink()
    path = unsigned.folder / "journal.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    chained_again(path)

    doubts = read_record(unsigned.folder).doubts
    assert any("journal-end.txt: it has record 2" in doubt for doubt in doubts), doubts
    with pytest.raises(ActionFailed, match=r"journal-end\.txt has another record 2"):
        write_bundle(unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor())


def test_a_chain_made_again_is_found_by_the_signature(record: SealedRecord) -> None:
    edit(record.folder / "rollback.json", "45.2", "44.2")
    chain = record.folder / CHAIN
    entries = [json.loads(line) for line in chain.read_text().splitlines()]
    entries[0]["files"] = [line for line in entries[0]["files"] if "rollback.json" not in line]
    chain.write_text("".join(f"{json.dumps(entry, sort_keys=True)}\n" for entry in entries))
    signature = (record.folder / HEAD).read_text().partition("\n")[2]
    chained_again(chain)

    unsigned = standing(record.folder, record.signing)
    assert "signs the record, and it is not signed" in unsigned.wrong[HEAD]
    (record.folder / HEAD).write_text((record.folder / HEAD).read_text() + signature)
    signed = standing(record.folder, record.signing)
    assert "the signature of entry 0 does not hold" in signed.wrong[HEAD]
    # The key signs nothing on top of it.
    with pytest.raises(Unverifiable, match="chain of the record"):
        Sealing(record.folder, record.signing).seal("the next run")
    with pytest.raises(ActionFailed, match="signature does not hold"):
        write_bundle(record.made.incident, record.folder.with_suffix(".tgz"), Redactor())


def test_a_key_that_is_not_allowed_is_wrong(record: SealedRecord, tmp_path: Path) -> None:
    other = new_key(tmp_path, "other")

    found = standing(record.folder, replace_signers(record.signing, other))
    assert "is no key of" in found.wrong[HEAD]
    assert not check_record(record.bundle, other.allowed_signers).holds


def replace_signers(signing: Signing, other: Signing) -> Signing:
    return signing.model_copy(update={"allowed_signers": other.allowed_signers})


def test_what_a_kill_left_is_not_sealed_and_counts(unsigned: SealedRecord) -> None:
    add_line(unsigned.folder / "journal.jsonl")
    edit(unsigned.folder / "rollback.json", "45.2", "44.2")

    found = standing(unsigned.folder)
    assert (found.doubts, found.open) == ([], ("journal.head", "journal.jsonl", "rollback.json"))
    assert found.excused == ("rollback.json",)
    assert str(found).startswith("not sealed: journal.head, journal.jsonl, rollback.json")
    write_verdict(unsigned.folder, recounted(read_record(unsigned.folder)))
    bundle = write_bundle(unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor())
    assert "not sealed: 'rollback.json'" in bundle.said
    said = list[str]()
    with sealed(unsigned.folder, _UNSIGNED, "report", said.append, lambda name: name == "verdict.json"):
        pass
    assert said == ["not sealed when this began, and changed: rollback.json"]
    # What is wrong is so whatever has begun since.
    edit(unsigned.folder / "ledger/0001/plan.json", "test_3", "test_2")
    assert list(standing(unsigned.folder).wrong) == ["ledger/0001/plan.json"]


def test_what_was_found_wrong_is_not_sealed_by_the_next_command(unsigned: SealedRecord) -> None:
    path, said = unsigned.folder / "rollback.json", list[str]()
    edit(path, "45.2", "44.2")
    for _ in range(2):
        with sealed(unsigned.folder, _UNSIGNED, "a command", said.append) as wrong:
            assert wrong == ["rollback.json: it is not what was sealed"]
            (unsigned.folder / "response.jsonl").open("a").close()
    assert list(standing(unsigned.folder).wrong) == ["rollback.json"]
    with (unsigned.folder / "samples.jsonl").open("a") as samples:
        samples.write("{}\n")
    assert list(standing(unsigned.folder).wrong) == ["rollback.json"], "whatever has begun since"

    with sealed(unsigned.folder, _UNSIGNED, "another rollback", said.append):
        edit(path, "44.2", "60.0")
    found = standing(unsigned.folder)
    assert found.wrong == {}
    assert "it was not what was sealed when this began: a command" in found.doubts[0]
    assert not said


def test_a_chain_without_its_last_entry_or_with_one_behind_its_head(unsigned: SealedRecord) -> None:
    (unsigned.folder / "more.json").write_text("{}")
    before = (unsigned.folder / HEAD).read_text()
    unsigned.seal("again")
    after = (unsigned.folder / HEAD).read_text()

    # A kill between the entry and the head.
    (unsigned.folder / HEAD).write_text(before)
    assert CHAIN not in standing(unsigned.folder).wrong
    assert "more.json" in standing(unsigned.folder).open
    (unsigned.folder / HEAD).write_text(after)
    path = unsigned.folder / CHAIN
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert "it was truncated or rewritten" in standing(unsigned.folder).wrong[CHAIN]
    with pytest.raises(Unverifiable, match="chain of the record"):
        Sealing(unsigned.folder, _UNSIGNED).seal("never")


def test_an_entry_keeps_the_signature_before_it(record: SealedRecord) -> None:
    path = record.folder / "postmortem.md"
    path.write_text(path.read_text() + "The cause was a missing index.\n")

    bundle = write_bundle(record.made.incident, record.folder.with_suffix(".tgz"), Redactor())

    signature = standing(record.folder, record.signing).signature
    assert signature.startswith("unsigned at its end, before that signed by")
    assert signature.endswith("not signed: entry 1 (the post-mortem, as people completed it)")
    assert "ada@example.org" in signature
    checked = check_record(bundle.path, record.signing.allowed_signers)
    assert checked.holds, checked.lines
    assert "before that" in checked.lines[0]


def test_the_post_mortem_of_people_is_replaced_by_the_next_signature(record: SealedRecord) -> None:
    path = record.folder / "postmortem.md"
    path.write_text(path.read_text() + "The cause was a missing index.\n")
    seal_text_of_people(record.folder, _UNSIGNED)
    assert standing(record.folder, record.signing).wrong == {}
    kept = json.loads((record.folder / CHAIN).read_text().splitlines()[1])["signature"]
    assert kept.startswith("-----BEGIN SSH SIGNATURE")

    record.seal("the next command")
    found, chain = standing(record.folder, record.signing), (record.folder / CHAIN).read_text()
    assert (found.wrong, found.open) == ({}, ())
    assert [json.loads(line)["by"] for line in chain.splitlines()] == ["checks, run 1", "the next command"]
    # No earlier end is handed out, to which the record could be set back.
    assert "BEGIN SSH SIGNATURE" not in chain


def test_without_the_key_nothing_is_added_to_what_was_signed(record: SealedRecord) -> None:
    before = (record.folder / CHAIN).read_bytes(), (record.folder / HEAD).read_bytes()
    (record.folder / "more.json").write_text("{}")

    with pytest.raises(Unverifiable, match="the key that signs it, as it was signed before"):
        Sealing(record.folder, _UNSIGNED).seal("report")
    assert ((record.folder / CHAIN).read_bytes(), (record.folder / HEAD).read_bytes()) == before
    assert standing(record.folder, record.signing).open == ("more.json",)


@pytest.mark.parametrize("step", range(1, 4))
def test_a_kill_while_the_post_mortem_is_replaced_leaves_a_chain_that_holds(
    record: SealedRecord, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = record.folder / "postmortem.md"
    path.write_text(path.read_text() + "The cause was a missing index.\n")
    seal_text_of_people(record.folder, _UNSIGNED)
    written = list[Path]()

    def write(path: Path, data: bytes) -> None:
        if len(written) == step:
            raise KeyboardInterrupt
        written.append(path)
        path.write_bytes(data)

    with monkeypatch.context() as patched:
        patched.setattr(chain, "write_whole", write)
        with suppress(KeyboardInterrupt):
            Sealing(record.folder, record.signing).seal("killed")
    assert standing(record.folder, record.signing).wrong == {}
    Sealing(record.folder, record.signing).seal("the next command")
    found = standing(record.folder, record.signing)
    assert (found.wrong, found.open) == ({}, ())


def test_an_earlier_form_is_verified_and_goes_on(record: SealedRecord) -> None:
    """Its entries keep whole signatures: what that does not prove is said, and the next seal mends it."""
    assert record.signing.key is not None
    entry = json.loads((record.folder / CHAIN).read_text())
    del entry["version"]
    files = chained([entry])
    line = files[HEAD]
    signature = sign(line, record.signing)
    (record.folder / CHAIN).write_bytes(files[CHAIN])
    (record.folder / HEAD).write_bytes(line + signature.encode())
    first = standing(record.folder, record.signing)
    second = chained([entry, {**entry, "by": "later", "files": [], "signature": signature}])
    (record.folder / CHAIN).write_bytes(second[CHAIN])
    (record.folder / HEAD).write_bytes(second[HEAD] + sign(second[HEAD], record.signing).encode())

    for found in (first, standing(record.folder, record.signing)):
        assert (found.wrong, found.open) == ({}, ())
        assert "in an earlier form, which does not tell whether it was set back" in found.signature
    older = check_record(record.bundle, record.signing.allowed_signers)
    assert older.code is ExitCode.VERIFIED
    assert "in an earlier form: it may be an earlier end" in older.lines[0]
    (record.folder / "more.json").write_text("{}")
    record.seal("the next command")
    assert "earlier form" not in standing(record.folder, record.signing).signature


def test_a_signature_that_is_not_checked_holds_for_nobody(
    record: SealedRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, signers = record.bundle, record.signing.allowed_signers
    monkeypatch.setenv("PATH", str(tmp_path))

    assert "cannot be checked" in standing(record.folder, record.signing).wrong[HEAD]
    assert HEAD in standing(record.folder).open
    assert check_record(bundle, signers).code is ExitCode.FAILED
    assert check_record(bundle).code is ExitCode.BROKEN


def test_a_record_that_nobody_signed_is_wrong_where_signers_are_named(
    unsigned: SealedRecord, tmp_path: Path
) -> None:
    signing = new_key(tmp_path, "later")
    assert "nobody has signed it" in standing(unsigned.folder, signing).wrong[HEAD]
    assert recounted(read_record(unsigned.folder, signing)).verdict is Verdict.BROKEN
    assert check_record(unsigned.bundle, signing.allowed_signers).code is ExitCode.FAILED
    # From here on it may be signed, and says what was not.
    (unsigned.folder / "more.json").write_text("{}")
    Sealing(unsigned.folder, signing).seal("a command")
    found = standing(unsigned.folder, signing)
    assert found.wrong == {}
    assert "not signed: entry 0" in found.signature


def test_a_key_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """Also one that took the place of the file since the profile was read, which refuses it too."""
    os.mkfifo(tmp_path / "pipe")
    _, problem = promised(Signing.model_construct(key=tmp_path / "pipe"))
    assert "expected a regular file" in str(problem)


def test_a_copy_under_another_name_is_no_other_incident(unsigned: SealedRecord) -> None:
    copy = Path(shutil.copytree(unsigned.folder, unsigned.folder.with_name("other")))
    own = json.loads((copy / "incident.json").read_text())
    own.pop("id", None)
    (copy / "incident.json").chmod(0o600)
    (copy / "incident.json").write_bytes(canonical_json(own))
    # A record of before does not say its id.
    assert load_incident(copy).id == "other"
    (copy / "incident.json").write_bytes(canonical_json({**own, "id": unsigned.folder.name}))
    with pytest.raises(UsageProblem, match="folder of an incident: expected the one named"):
        load_incident(copy)


def test_an_old_record_is_not_sealed_and_is_bundled(tmp_path: Path) -> None:
    made = drawn_incident(tmp_path)

    assert str(standing(made.folder)) == "not sealed, unsigned"
    bundle = write_bundle(made.incident, tmp_path / "a.tgz", Redactor())
    assert "not sealed: the whole record" in " ".join(bundle.said)
    assert not (made.folder / CHAIN).exists()


def test_nothing_new_adds_no_entry_and_hashes_what_is_final_once(unsigned: SealedRecord) -> None:
    before = (unsigned.folder / CHAIN).read_bytes()
    Sealing(unsigned.folder, _UNSIGNED).seal("again")

    assert (unsigned.folder / CHAIN).read_bytes() == before


def test_a_chain_that_nobody_would_read_is_not_written(
    unsigned: SealedRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (unsigned.folder / CHAIN).read_bytes()
    (unsigned.folder / "new.txt").write_text("new")
    monkeypatch.setattr(chain, "_LARGEST", len(before))
    with pytest.raises(Problem, match=r"a chain of at most .*what is new is not sealed"):
        Sealing(unsigned.folder, unsigned.signing).seal("test")
    assert (unsigned.folder / CHAIN).read_bytes() == before
    assert not standing(unsigned.folder, unsigned.signing).wrong


def test_runs_that_go_on_are_left_out(unsigned: SealedRecord) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        from rollproof.incident.ledger import Run  # noqa: PLC0415
        from rollproof.system.clock import Moment  # noqa: PLC0415

        run = Run.begin(unsigned.folder, Moment.now(), gated=True)
        edit(run.folder / "run.json", f'"pid": {os.getpid()}', f'"pid": {child.pid}')
        Sealing(unsigned.folder, _UNSIGNED).seal("another command")
        assert standing(unsigned.folder).open == ("ledger/0002/run.json",)
    finally:
        child.communicate()
    Sealing(unsigned.folder, _UNSIGNED).seal("another command")
    assert standing(unsigned.folder).open == ()


def test_without_ssh_keygen_only_a_key_is_an_error(
    unsigned: SealedRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing = new_key(tmp_path, "later")
    monkeypatch.setenv("PATH", str(tmp_path))
    (unsigned.folder / "more.json").write_text("{}")

    assert promised(_UNSIGNED) == ("unsigned", None)
    said, problem = promised(signing)
    assert said == "unsigned"
    assert "apt-get install openssh-client" in str(problem)
    with pytest.raises(Unverifiable, match="ssh-keygen"):
        Sealing(unsigned.folder, signing).seal("a command")
    assert (standing(unsigned.folder).open, standing(unsigned.folder).signature) == ((), "unsigned")


def test_a_key_of_the_agent_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signing = new_key(tmp_path)
    assert signing.key is not None
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        for _ in range(1000):
            if subprocess.run(["ssh-add", "-q", signing.key], check=False).returncode == 0:
                break
        signing.key.unlink()
        of_agent = signing.model_copy(update={"key": signing.key.with_suffix(".pub")})
        record = SealedRecord.of(tmp_path, of_agent)
        assert "ada@example.org" in standing(record.folder, of_agent).signature
    finally:
        agent.terminate()
        agent.wait(60)


def test_a_key_with_a_passphrase_is_refused_and_asks_nobody(tmp_path: Path) -> None:
    signing = new_key(tmp_path)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(signing.key)], check=True)

    _, problem = promised(signing)
    assert "ssh-add KEY" in str(problem)


# The checker as it is started, in a process that has imported what it imports.
CHECK = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def imported_by_the_checker() -> list[str]:
    lines = CHECKER.read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(("import ", "from "))]


def is_found(ran: subprocess.CompletedProcess[str]) -> bool:
    assert ran.returncode in {0, 1, 3}, ran.stderr
    assert not ran.stderr
    return ran.returncode != 0


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.long(minutes=2))])
@pytest.mark.timeout(900)
def test_edits_of_one_byte_or_line_are_found(record: SealedRecord, tmp_path: Path, count: int) -> None:
    files = unpacked(record.bundle)
    assert packed(files) == record.bundle.read_bytes()
    alone = [sys.executable, "-I", str(CHECKER), str(record.bundle)]
    assert not is_found(subprocess.run(alone, capture_output=True, text=True, check=False))
    edited = tmp_path / "edited.tar.gz"
    with closing(ForkServer(imported_by_the_checker(), bare=True)) as server:
        assert not is_found(server.run("-c", CHECK, str(CHECKER), str(record.bundle)))
        for what, text in edits(record.bundle, count, seed=count):
            edited.write_bytes(text)
            assert is_found(server.run("-c", CHECK, str(CHECKER), str(edited))), what


@pytest.fixture(scope="module")
def signed_twice(tmp_path_factory: pytest.TempPathFactory) -> SealedRecord:
    """A record that two commands sealed and signed; nobody changes it."""
    folder = tmp_path_factory.mktemp("twice")
    record = SealedRecord.of(folder, new_key(folder))
    (record.folder / "notes.json").write_text("{}")
    record.seal("another command")
    return record


def is_wrong_in_its_folder(files: Mapping[str, bytes], record: SealedRecord, folder: Path) -> bool:
    """Whether the suite finds something in a copy of the record with these files in the place of its own."""
    folder, signing = Path(shutil.copytree(record.folder, folder / IDENTITY)), record.signing
    for name in unpacked(record.bundle).keys() - files.keys():
        (folder / name).unlink()
    for name, text in files.items():
        if name not in {"bundle.json", CHECKER.name}:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).unlink(missing_ok=True)
            (folder / name).write_bytes(text)
    try:
        found = standing(folder, signing)
        return bool(found.wrong or found.open) or (
            recounted(read_record(folder, signing)).verdict is not Verdict.PASSED
        )
    except Problem:
        return True


@pytest.mark.parametrize("count", [3, pytest.param(40, marks=pytest.mark.long(minutes=10))])
@pytest.mark.timeout(1800)
def test_forgeries_of_every_kind_are_found_by_all(
    signed_twice: SealedRecord, tmp_path: Path, count: int
) -> None:
    """The long variant makes 1,000."""
    bundle, signing = signed_twice.bundle, signed_twice.signing
    assert packed_tar(tar_of(unpacked(bundle))) == bundle.read_bytes()
    assert not is_wrong_in_its_folder(unpacked(bundle), signed_twice, tmp_path / "same")
    forger, path, missed = Forger(bundle, seed=count), tmp_path / "forged.tar.gz", list[str]()
    every: dict[str, Callable[[Forger], bytes | dict[str, bytes]]] = {**OF_FILES, **OF_BUNDLES, **ALONE}
    with closing(ForkServer(imported_by_the_checker(), bare=True)) as server:
        assert not is_found(server.run("-c", CHECK, str(CHECKER), str(bundle), str(signing.allowed_signers)))
        for number, (kind, forge) in enumerate([*every.items()] * count):
            made: bytes | dict[str, bytes] = forge(forger)
            path.write_bytes(made if isinstance(made, bytes) else packed_tar(tar_of(made)))
            ran = server.run("-c", CHECK, str(CHECKER), str(path), str(signing.allowed_signers))
            assert ran.stdout.isascii()
            assert "\x1b" not in ran.stdout
            by_checker = is_found(ran)
            if not by_checker and kind not in ALONE:
                missed.append(f"{number}: {kind}: the checker")
            try:
                verify_bundle(path)
            except BundleWrong:
                by_checker = True
            if not by_checker:
                missed.append(f"{number}: {kind}: verify-bundle")
            if not isinstance(made, bytes):
                folder = tmp_path / str(number)
                if not is_wrong_in_its_folder(made, signed_twice, folder):
                    missed.append(f"{number}: {kind}: the suite, in its folder")
                shutil.rmtree(folder)
    assert not missed


def test_the_checker_stands_alone(record: SealedRecord) -> None:
    text = CHECKER.read_text()
    assert len(text.splitlines()) < 300
    assert unpacked(record.bundle)[CHECKER.name] == text.encode()
    imported = imported_by_the_checker()
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ["journal.jsonl", "ledger/0001/results.jsonl"])
def test_a_file_that_the_checker_cannot_read_is_named(
    unsigned: SealedRecord, tmp_path: Path, name: str
) -> None:
    files = unpacked(unsigned.bundle)
    path = tmp_path / "long.tar.gz"
    path.write_bytes(packed({**files, name: files[name] + b" " * 9 * 1024**2}))

    checked = check_record(path)
    said = "\n".join(checked.lines)
    assert not checked.holds
    assert f"'{name}' cannot be read: it has more than 8,388,608 bytes" in said
    assert "KeyError" not in said


def test_a_bundle_of_another_version_has_another_checker(record: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(record.bundle)
    (tmp_path / "a.tar.gz").write_bytes(packed({**files, CHECKER.name: b"print('all of it holds')"}))
    older = {name: text for name, text in files.items() if name != CHECKER.name}
    (tmp_path / "b.tar.gz").write_bytes(packed(older))

    other = check_record(tmp_path / "a.tar.gz")
    assert other.holds
    assert "not sealed: verify_record.py, which is another one than this" in other.lines
    assert check_record(tmp_path / "b.tar.gz").lines[-1] == "all of it holds"


def test_what_is_kept_aside_stays_out_of_bundles(unsigned: SealedRecord) -> None:
    (unsigned.folder / "working-copy-1.patch").write_text("a change")
    (unsigned.folder / "untracked").mkdir()
    (unsigned.folder / "untracked/notes.txt").write_text("mine")

    assert standing(unsigned.folder).open == ()
    left = set(unpacked(unsigned.bundle))
    whole = write_bundle(
        unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor(), with_work=True
    )
    assert set(unpacked(whole.path)) - left == {"working-copy-1.patch", "untracked/notes.txt"}


def test_canonical_json_is_the_checkers(unsigned: SealedRecord) -> None:
    # Both spell it on their own: a change of one is seen here, and not at a customer's.
    value = {"b": ["ä", 1.5, None], "a": {"c": "\udcff"}}
    code = "import json, runpy, sys; made = runpy.run_path(sys.argv[1])['canonical'](json.load(sys.stdin))"
    command = [sys.executable, "-c", f"{code}; sys.stdout.buffer.write(made)", str(CHECKER)]
    ran = subprocess.run(command, input=json.dumps(value).encode(), capture_output=True, check=True)
    assert ran.stdout == canonical_json(value)
    assert check_record(unsigned.bundle).holds


def test_the_checker_knows_the_same_journals_and_final_files() -> None:
    made = runpy.run_path(str(CHECKER))
    assert {*made["CHAINED"]} == chain._CHAINED
    assert made["FINAL"].pattern.replace("\\", "") == chain._FINAL.pattern.replace("\\", "")


def test_a_verdict_of_another_record_is_refused(unsigned: SealedRecord) -> None:
    write_verdict(unsigned.folder, replace(read_verdict(unsigned.folder), incident="another"))

    with pytest.raises(ActionFailed, match=r"verdict\.json is of another incident"):
        write_bundle(unsigned.made.incident, unsigned.folder.with_suffix(".tgz"), Redactor())
