"""Forgeries of one record that its readers must name: links, hidden results, another's key."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from reports.bundle.bundle import write_bundle
from reports.bundle.bundle_check import BundleWrong, verify_bundle
from reports.bundle.record_check import check_record
from reports.incident.incident_record import read_record
from reports.verdict.recount import recounted
from reports.verdict.verdict import read_verdict, write_verdict
from rollproof.errors import ExitCode, UsageProblem
from rollproof.profile.profile import Signing
from rollproof.record_names import CHAIN, HEAD
from rollproof.redaction.redactor import Redactor
from rollproof.sealing.chain import Sealing, standing
from rollproof.sealing.signature import sign
from rollproof.verdict import Verdict
from tests.unit.record.forged_bundles import packed as packed_tar
from tests.unit.record.forged_bundles import tar_of
from tests.unit.record.test_sealing import chained_again, record, signed_once, unsigned, unsigned_once
from tests.unit.sealed_record import SealedRecord, new_key, packed, unpacked

__all__ = ["record", "signed_once", "unsigned", "unsigned_once"]


@pytest.mark.parametrize(
    "name", ["ledger/0002", "contacts.jsonl", "superseded.json", "lost-window-9", "x.html"]
)
def test_a_link_is_no_part_of_a_record(record: SealedRecord, name: str) -> None:
    """Readers follow it, and no seal has what is behind it."""
    (record.folder / name).symlink_to(record.folder / "ledger/0001")

    found = standing(record.folder, record.signing)
    assert found.wrong == {name: "it is a link, and what is behind it is under no seal"}
    assert recounted(read_record(record.folder, record.signing)).verdict is Verdict.BROKEN


def test_a_link_among_the_pictures_is_wrong_too(record: SealedRecord) -> None:
    """Pages are made again from the rest: no verdict hangs on them."""
    (record.folder / "pictures").mkdir(exist_ok=True)
    (record.folder / "pictures/x").symlink_to("/")

    found = read_record(record.folder, record.signing)
    assert found.doubts == ("pictures/x: it is a link, and what is behind it is under no seal",)
    assert recounted(found).verdict is Verdict.PASSED


def test_a_link_that_no_reader_follows_is_not_sealed(record: SealedRecord) -> None:
    (record.folder / "notes").symlink_to("/")
    (record.folder / "untracked").symlink_to("/")
    found = standing(record.folder, record.signing)
    assert (found.wrong, found.open) == ({}, ("notes",))


def test_a_hidden_result_is_named(record: SealedRecord) -> None:
    """Allure shows it as any other."""
    (record.folder / "allure-results/.x-result.json").write_text("{}")
    (record.folder / "allure-results/.x-container.json").write_text("{}")
    (record.folder / "allure-results/.y-result.json.12.part").write_text("{}")
    hidden = ("allure-results/.x-container.json", "allure-results/.x-result.json")
    assert standing(record.folder, record.signing).open == hidden


def test_a_key_that_the_verdict_does_not_name_is_said(record: SealedRecord, tmp_path: Path) -> None:
    """The pages say who signed it, too."""
    line = (record.folder / HEAD).read_bytes().partition(b"\n")[0] + b"\n"
    (record.folder / HEAD).write_bytes(line + sign(line, new_key(tmp_path, "other")).encode())
    key = read_verdict(record.folder).signature
    record.signing = Signing()

    found = standing(record.folder)
    assert found.open == ("verdict.json",)
    assert found.signature.endswith(f"; verdict.json names the key {key}")
    checked = check_record(record.bundle)
    assert checked.code is ExitCode.BROKEN
    assert f"not sealed: by {key!r}, which verdict.json says" in "\n".join(checked.lines)


def test_a_verdict_of_before_the_key_names_no_other(record: SealedRecord) -> None:
    write_verdict(record.folder, replace(read_verdict(record.folder), signature="unsigned"))
    Sealing(record.folder, record.signing).seal("report")
    found = standing(record.folder, record.signing)
    assert (found.wrong, found.open, found.signed) == ({}, (), True)


def test_a_chain_that_is_gone_is_wrong_where_signers_are_named(record: SealedRecord) -> None:
    (record.folder / CHAIN).unlink()
    (record.folder / HEAD).unlink()
    write_verdict(record.folder, replace(read_verdict(record.folder), signature="unsigned"))

    found = standing(record.folder, record.signing)
    assert "nobody has signed it" in found.wrong[HEAD]


@pytest.mark.parametrize(
    "name", ["Verdict.json", "VERDICT.JSON", "ledger/0001/Plan.json", "LEDGER/0001/x", "LEDGER/0009/x"]
)
def test_names_that_are_one_on_other_machines_are_refused(
    record: SealedRecord, tmp_path: Path, name: str
) -> None:
    """Unpacked there, the second takes the place of the first."""
    path = tmp_path / "forged.tar.gz"
    path.write_bytes(packed_tar(tar_of({**unpacked(record.bundle), name: b"{}"})))

    with pytest.raises(BundleWrong, match="expected names that differ on every machine"):
        verify_bundle(path)
    assert "two of its names are one, where case makes no difference" in check_record(path).lines[0]
    (record.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (record.folder / name).write_text("{}")
    with pytest.raises(UsageProblem, match="differ on every machine"):
        write_bundle(record.made.incident, tmp_path / "x.tar.gz", Redactor())


def test_a_journal_that_was_sealed_is_only_added_to(record: SealedRecord, tmp_path: Path) -> None:
    """Whatever has begun since: journals grow, and a broken one is kept beside the new one."""
    files = unpacked(record.bundle)
    with (record.folder / "samples.jsonl").open("a") as samples:
        samples.write("{}\n")
    journal = record.folder / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    chained_again(journal)

    found = standing(record.folder, record.signing)
    assert found.wrong == {"journal.jsonl": "it is not what was sealed"}
    names = ("samples.jsonl", "journal.jsonl", "journal.head")
    path = tmp_path / "forged.tar.gz"
    path.write_bytes(packed({**files, **{name: (record.folder / name).read_bytes() for name in names}}))
    assert "WRONG: chain: 'journal.jsonl' is not what was sealed" in check_record(path).lines

    (record.folder / "journal-broken-1.jsonl").write_bytes(whole + b"and more\n")
    (record.folder / "journal-end.txt").unlink()
    found = standing(record.folder, record.signing)
    assert (found.wrong, found.excused) == ({}, ("journal.head", "journal.jsonl"))
    checked = check_record(write_bundle(record.made.incident, tmp_path / "x.tar.gz", Redactor()).path)
    assert checked.code is ExitCode.BROKEN, checked.lines


def test_a_torn_journal_is_sealed_once_it_is_mended(record: SealedRecord) -> None:
    """Its next writer cuts off the torn line: what was sealed with it would not be its beginning."""
    with (record.folder / "journal.jsonl").open("a") as journal:
        journal.write('{"torn')
    record.seal("report")
    assert standing(record.folder, record.signing).open == ("journal.jsonl",)


def test_the_counts_of_a_verdict_are_derived_again(unsigned: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(unsigned.bundle)
    del files[CHAIN], files[HEAD]
    path = tmp_path / "forged.tar.gz"
    for old, new, said in [
        (b'"passed": 11,', b'"passed": 99,', "counts otherwise in phase2"),
        (b'"seconds": 45.2', b'"seconds": 4.2', "is of another incident, or of another rollback"),
    ]:
        forged = files["verdict.json"].replace(old, new)
        assert forged != files["verdict.json"]
        path.write_bytes(packed({**files, "verdict.json": forged}))
        assert check_record(path).lines[0] == f"WRONG: verdict: verdict.json {said}"


def test_an_unfinished_rollback_does_not_pass(unsigned: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(unsigned.bundle)
    del files[CHAIN], files[HEAD]
    path = tmp_path / "forged.tar.gz"
    path.write_bytes(packed(dict(sorted({**files, "unfinished.json": b"{}"}.items()))))
    assert check_record(path).lines[0].endswith("verdict.json says 'passed', and the ledger says broken")


def test_each_journal_is_checked_by_its_own_chain(unsigned: SealedRecord, tmp_path: Path) -> None:
    files = unpacked(unsigned.bundle)
    del files[CHAIN], files[HEAD]
    lines = files["response.jsonl"].splitlines(keepends=True)
    path = tmp_path / "forged.tar.gz"
    for kept, said in [
        (lines[1:], "the chain of response.jsonl breaks"),
        (lines[:1], "response.jsonl was cut"),
    ]:
        path.write_bytes(packed({**files, "response.jsonl": b"".join(kept)}))
        assert said in check_record(path).lines[0]


def test_an_unpacked_bundle_is_bundled_again(unsigned: SealedRecord, tmp_path: Path) -> None:
    """What every bundle has of its own is not left out: it is there."""
    shutil.rmtree(unsigned.folder / "lost-window")
    for name in (CHAIN, HEAD):
        (unsigned.folder / name).unlink()
    unsigned.seal("checks, run 1")
    for name, text in unpacked(unsigned.bundle).items():
        (unsigned.folder / name).write_bytes(text)

    again = write_bundle(unsigned.made.incident, tmp_path / "again.tar.gz", Redactor())
    assert again.path.read_bytes() == unsigned.bundle.read_bytes()
    assert verify_bundle(again.path).manifest.left_out == {}


def test_a_run_that_nobody_sealed_does_not_pass_for_one(record: SealedRecord, tmp_path: Path) -> None:
    """The verdict counts it, as one that a kill left: so that is said beside it."""
    files = unpacked(record.bundle)
    again = {name.replace("0001", "0002"): files[name] for name in files if name.startswith("ledger/")}
    path = tmp_path / "forged.tar.gz"
    path.write_bytes(packed_tar(tar_of({**files, **again})))

    for signers in (None, record.signing.allowed_signers):
        checked = check_record(path, signers)
        assert checked.code is ExitCode.BROKEN
        assert "not sealed: 'ledger/0002/results.jsonl'" in checked.lines
        assert checked.lines[-1] == "what is sealed holds; all was counted"
