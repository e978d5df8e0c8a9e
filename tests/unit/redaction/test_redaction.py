"""A known secret is found in each form, in texts and in files; personal data is shown as pseudonyms."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import cast
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rollback_actions.rollback import rollback_run
from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, ExitCode, Mismatch
from rollproof.incident.incident import Incident, report_paths
from rollproof.incident.leaks import SecretInRecord, without_leaks
from rollproof.observation.observation import findings_on
from rollproof.observation.store import StoreReading
from rollproof.planning.plan import Plan
from rollproof.planning.unfinished import Unfinished
from rollproof.profile.kinds import kinds
from rollproof.profile.profile import load_target
from rollproof.profile.sections import NamePlace, Reference
from rollproof.record_names import SAMPLES
from rollproof.redaction.personal import FIELDS, Personal
from rollproof.redaction.redactor import Redactor
from rollproof.redaction.secret import remember
from rollproof.redaction.shapes import MARKER
from rollproof.stores.contract import RecordHash
from rollproof.stores.names import Name
from rollproof.stores.references import require_whole
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict
from tests.conftest import write_profile
from tests.unit.command_line import Ran
from tests.world.sandbox import SECRET
from tests.world.stores import BaselineRecorder, Content, Searchable, opener

TOKEN = "kT9vQx2R7mWpL4sZ8nB1cY6hD3fG0aJ5"  # noqa: S105 - a canary

# Each form of a secret as it stands inside a longer text.
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda secret: json.dumps(secret)[1:-1],
    "JSON in UTF-8": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "Python": lambda secret: repr(secret)[1:-1],
    "name of a parameter": lambda secret: secret.encode("unicode_escape").decode(),
    "URL": lambda secret: quote(secret, safe=""),
    "URL, path": quote,
    "URL, form": quote_plus,
    "HTML": html.escape,
    "HTML of JSON": lambda secret: html.escape(json.dumps(secret)[1:-1]),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
    "base64, URL": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
}
# Signs that some form writes otherwise, and letters of one to four bytes.
secrets = st.text("aZ09'\"\\/&<>%+= $é\u2603\U0001f511-_.:\n\t", min_size=8, max_size=24).map(str.strip)


@pytest.mark.parametrize("form", FORMS)
@given(secrets, st.text("xyz {}[](),;", max_size=6))
@example('p@ss/wörd\'with "all" <of>\\them&', " ")
@example("erste Zeile: schlüssel\nzweite\t& Schloß\r\n日本語の鍵", "")
@example(TOKEN, "x")
@example("aaaaaaaa", "x")
def test_no_form_of_a_secret_survives(form: str, secret: str, around: str) -> None:
    assume(len(secret) >= 8)
    written = FORMS[form](secret)
    redactor = Redactor([secret])
    shown = redactor.text(f"{around}{written}{around}")
    assert written not in shown
    assert MARKER in shown
    assert redactor.text(shown) == shown
    assert redactor.data(f"{around}{written}{around}".encode()).decode() == shown


@given(secrets, st.binary(max_size=4), st.binary(max_size=4), st.booleans())
def test_no_secret_survives_inside_base64_of_more(
    secret: str,
    before: bytes,
    after: bytes,
    url: bool,  # noqa: FBT001 - made up
) -> None:
    assume(len(secret) >= 8)
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    data = secret.encode()
    text = encode(before + data + after).decode()
    # Of what is before and after, the characters that share their six bits with it may stay.
    first, end = -(-len(before) * 8 // 6), (len(before) + len(data)) * 8 // 6
    assert text[first:end] not in Redactor([secret]).text(f"X-Credentials: {text}")


@given(st.lists(secrets, min_size=1, max_size=3), st.text("xyz ,", max_size=3))
def test_secrets_that_contain_one_another_leave_no_rest(every: list[str], between: str) -> None:
    assume(all(len(secret) >= 8 for secret in every))
    longer = every[0] + "Q7" + every[-1]
    shown = Redactor([*every, longer]).text(between.join([*every, longer]))
    assert not any(secret in shown for secret in [*every, longer])


def test_a_secret_around_another_and_words_around_it_are_told_apart() -> None:
    assert Redactor(["secret", "secret-and-more"]).text("a secret-and-more b") == f"a {MARKER} b"
    redactor = Redactor(["application-password-of-the-canary"])
    assert redactor.text("the application-server is down...") == "the application-server is down..."


def test_a_secret_of_several_lines_is_redacted_line_by_line() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq83vVl1mXk2pQw==\n-----END KEY-----"
    text = Redactor([key]).text("E    MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nE    q83vVl1mXk2pQw==")
    assert text == f"E    {MARKER}\nE    {MARKER}"


def test_the_end_of_a_line_is_no_part_of_a_secret_and_short_ones_are_counted() -> None:
    redactor = Redactor(["abc", "", "abcd\n"])
    assert redactor.too_short == 1
    assert redactor.text("abc abcd.") == f"abc {MARKER}."


def test_a_secret_that_is_learned_later_is_redacted() -> None:
    redactor = Redactor()
    assert redactor.text(f"{TOKEN} first-of-two") == f"{TOKEN} first-of-two"
    redactor.add("first-of-two")
    remember(TOKEN)
    assert redactor.text(f"{TOKEN} first-of-two") == f"{MARKER} {MARKER}"
    assert set(redactor.known()) == {"first-of-two", TOKEN}
    assert TOKEN not in repr(redactor)


def test_binary_data_is_redacted_and_otherwise_kept() -> None:
    token = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl"
    data = b"\xff\x00" + TOKEN.encode() + b"\xfe " + token + b" \x80"
    assert Redactor([TOKEN]).data(data) == b"\xff\x00[redacted]\xfe [redacted] \x80"


AWKWARD = 'p@ss/wörd\'with "all" <of>\\them&'


def test_scan_says_where_and_not_what(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "page.html").write_text(
        f"<p>\nline\n{base64.b64encode(f'xx{TOKEN}xx'.encode()).decode()}</p>"
    )
    (tmp_path / "dump.bin").write_bytes(b"\x00\xff\n" + TOKEN.encode())
    (tmp_path / "jwt.txt").write_text("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjEyMzQ1fQ.c2lnbmF0dXJl")
    (tmp_path / "clean.txt").write_text("nothing here")
    (tmp_path / "empty.txt").touch()

    findings = Redactor([TOKEN]).scan(tmp_path)

    places = {(finding.file.name, finding.line, finding.kind) for finding in findings}
    assert {
        ("page.html", 3, "base64"),
        ("dump.bin", 2, "plain"),
        ("jwt.txt", 1, "token"),
    } <= places
    assert {finding.file.name for finding in findings} == {"page.html", "dump.bin", "jwt.txt"}
    assert all(TOKEN[:12] not in finding.problem for finding in findings)


def test_an_attachment_in_base64_is_found_and_a_page_may_have_examples(tmp_path: Path) -> None:
    attached = base64.b64encode(json.dumps({"password": AWKWARD}).encode()).decode()
    example = f"<html>\n<p>{attached}, or mysql://app:hunter2@db"
    for name in ("report.html", "a.txt"):
        (tmp_path / name).write_text(example)
    found = {(one.file.name, one.line, one.kind) for one in Redactor([AWKWARD]).scan(tmp_path)}
    assert found == {("report.html", 2, "base64"), ("a.txt", 2, "base64"), ("a.txt", 2, "password")}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mysql://app:hunter2@db", "password"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----",
            "private key",
        ),
        ("a?X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835", "signature"),
        ("key AKIAIOSFODNN7EXAMPLE", "key"),
    ],
)
def test_what_can_only_be_a_secret_is_found_undeclared(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "a.log").write_text(text)

    assert [finding.kind for finding in Redactor().scan(tmp_path)] == [kind]


def test_a_secret_that_only_a_later_stretch_of_a_file_holds_is_found(tmp_path: Path) -> None:
    size = 4 * 1024 * 1024
    (tmp_path / "a.log").write_text("x" * (size - 10) + " mysql://app:hunter2@db and mysql://app:hunter3@db")

    assert [finding.offset for finding in Redactor().scan(tmp_path)] == [size + 3, size + 30]


def test_what_a_restore_overwrote_is_no_report(tmp_path: Path) -> None:
    for name in ("lost-window", "lost-window-2", "allure-results", "pictures"):
        (tmp_path / name).mkdir()
    (tmp_path / "postmortem.md").touch()

    assert [path.name for path in report_paths(tmp_path)] == ["allure-results", "pictures", "postmortem.md"]


FAILURE = ActionFailed(what="restore", expected="b", observed="c", source="d", hint="e")


@pytest.mark.parametrize("error", [None, FAILURE], ids=["passed", "failed"])
def test_a_rollback_whose_record_holds_a_secret_says_so_and_how_it_went(
    run: Ran, monkeypatch: pytest.MonkeyPatch, error: ActionFailed | None
) -> None:
    def roll_back(_: object, plan: Plan, incident: Incident, *__: object) -> object:
        unfinished = Unfinished.begin(incident, plan.request)
        (incident.folder / SAMPLES).write_text(f"first line\n{SECRET}\n")
        if error is not None:
            raise error
        unfinished.end()
        return unfinished.outcome(Verdict.PASSED, Moment.now())

    monkeypatch.setattr(rollback_run, "roll_back", roll_back)
    said = run("rollback", "service", "backend", code=ExitCode.FAILED)
    (folder,) = run.sandbox.target.folders.incidents.glob("*-sandbox-*")
    assert f"(from {folder / SAMPLES}:2)" in said
    assert "secret in the record: expected none, observed one (" in said
    assert ("rollback: passed in" in said) is (error is None)
    assert ("MANUAL INTERVENTION" in said) is (error is not None)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError(), FAILURE], ids=repr)
def test_the_record_is_scanned_however_the_command_ends(tmp_path: Path, error: BaseException) -> None:
    said: list[str] = []
    (tmp_path / "a.txt").write_text(SECRET)
    with pytest.raises(type(error)) as raised, without_leaks(tmp_path, Redactor([SECRET]), said.append):
        raise error
    note = raised.value.__notes__[-1]
    assert f"(from {tmp_path / 'a.txt'}:1)" in note
    assert said == ([] if error is FAILURE else [note])


def test_a_file_that_cannot_be_read_is_not_known_to_be_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.txt")

    monkeypatch.setattr("rollproof.redaction.redactor.open_regular", refuse)
    with pytest.raises(SecretInRecord) as raised, without_leaks(tmp_path, Redactor(), print):
        pass
    (note,) = raised.value.__notes__
    assert (
        "scan for secrets: expected files that can be read, observed Permission denied (from a.txt)" in note
    )


ANNA, BERT = "anna.öst@example.org", "bert@example.org"
PERSONAL = Personal(FIELDS, lambda: ["secret-of-a-store"], public=["canary"])


POSTGRESQL: dict[str, Json] = {"columns": {"a": {"position": 1}, "b": {"position": 2}}}
PRIMARY_B: Json = {"pk": {"unique": True, "primary": True, "columns": ["b"]}}


def table(**indexes: Sequence[tuple[str | None, int | None]]) -> Json:
    """Return the schema of a table of three columns, by its unique indexes: columns, each with its prefix."""
    return {
        "columns": {
            name: {"ordinal_position": at} for at, name in enumerate(("email", "id", "size"), start=1)
        },
        "indexes": {
            "by_size": {"1": {"non_unique": 1, "column_name": "size", "sub_part": None}},
            **{
                name: {
                    str(number): {"non_unique": 0, "column_name": column, "sub_part": prefix}
                    for number, (column, prefix) in enumerate(parts, start=1)
                }
                for name, parts in indexes.items()
            },
        },
    }


def test_a_pseudonym_tells_people_apart_and_not_who_they_are() -> None:
    one, other = PERSONAL.pseudonym(ANNA), PERSONAL.pseudonym(BERT)

    assert one != other
    assert one == Personal((), lambda: ["secret-of-a-store"]).pseudonym(ANNA)
    assert one != Personal((), lambda: ["secret-of-another"]).pseudonym(ANNA)
    assert len(one) == len("~1a2b3c4d")
    assert PERSONAL.pseudonym(one) == one
    assert PERSONAL.pseudonym("canary") == "canary"


@pytest.mark.parametrize(
    ("place", "covered"),
    [
        (("mysql", "imagedb.users", "email"), True),
        (("mysql", "imagedb.users", "EMail"), True),
        (("mongodb", "mongodb.users", "profile.email"), True),
        (("mongodb", "mongodb.users", "emails_sent"), False),
        (("redis", "0:token:*", "key"), True),
        (("redis", "1:task:*", "key"), False),
        (("mysql", "imagedb.files", "id"), False),
    ],
)
def test_fields_are_known_by_name_and_by_place(place: tuple[str, str, str], covered: bool) -> None:  # noqa: FBT001
    assert PERSONAL.covers(*place) is covered


def test_a_pattern_of_one_place_covers_no_other() -> None:
    personal = Personal(["mysql/imagedb.*.nick", "minio/avatars.key"])

    assert personal.covers("mysql", "imagedb.users", "nick")
    assert not personal.covers("mongodb", "imagedb.users", "nick")
    assert not personal.covers("mysql", "imagedb.users", "email")
    s3 = kinds()["s3"]
    assert personal.keys("minio", s3.key_fields, s3.place_of("versions avatars"), None)(ANNA) != ANNA
    assert personal.keys("minio", s3.key_fields, s3.place_of("minio-file"), None)(ANNA) == ANNA


@pytest.mark.parametrize(
    ("kind", "schema", "fields"),
    [
        ("mysql", table(PRIMARY=[("id", None)], by_mail=[("email", None)]), ("id",)),
        ("mysql", table(PRIMARY=[("email", None), ("id", None)]), ("email", "id")),
        ("mysql", table(PRIMARY=[("email", 10)], by_id=[("id", None)]), ("id", "email")),
        ("mysql", table(by_hash=[(None, None), ("id", None)]), ("id", "email")),
        ("mysql", table(), ("email",)),
        ("mysql", {"columns": {}}, None),
        ("mysql", None, None),
        ("milvus", {"fields": [{"name": "email", "is_primary": True}, {"name": "v"}]}, ("email",)),
        ("milvus", {}, None),
        ("mongodb", None, ("_id",)),
        ("postgresql", {**POSTGRESQL, "indexes": PRIMARY_B}, ("b",)),
        ("postgresql", POSTGRESQL, ("a",)),
        ("postgresql", {}, None),
        ("redis", {}, ("key",)),
        ("kafka", {}, ()),
    ],
)
def test_the_fields_of_a_key(kind: str, schema: Json, fields: tuple[str, ...] | None) -> None:
    assert kinds()[kind].key_fields(schema) == fields


@pytest.mark.parametrize(
    ("schemas", "shown"),
    [
        ((table(PRIMARY=[("id", None)]), table(PRIMARY=[("id", None)])), ANNA),
        ((table(PRIMARY=[("email", None)]), table(PRIMARY=[("id", None)])), PERSONAL.pseudonym(ANNA)),
        ((table(PRIMARY=[("id", None)]), table(PRIMARY=[("email", None)])), PERSONAL.pseudonym(ANNA)),
        ((table(PRIMARY=[("id", None)]), None), PERSONAL.pseudonym(ANNA)),
    ],
    ids=["no personal key", "it was", "it is", "nobody knows"],
)
def test_a_key_is_a_pseudonym_where_it_is_or_was_personal(schemas: tuple[Json, Json], shown: str) -> None:
    assert PERSONAL.keys("mysql", kinds()["mysql"].key_fields, "imagedb.users", *schemas)(ANNA) == shown


class Names(Content):
    """A store in which each of two records names one that is not there."""

    def names(self, *_: object) -> Iterator[Name | None]:
        return iter([(ANNA, "7"), (BERT, "8")])

    def held(self, *_: object) -> set[Name]:
        return set()


@pytest.mark.parametrize("personal_in", ["referencing", "referenced"])
def test_names_that_nothing_holds_are_pseudonyms_where_they_are_personal(personal_in: str) -> None:
    fields = {"referencing": ("owner", "id"), "referenced": ("owner", "id"), personal_in: ("email", "id")}
    places = {
        name: NamePlace(store="mysql", collection="imagedb.users", fields=of) for name, of in fields.items()
    }

    with pytest.raises(Mismatch) as raised:
        require_whole(Reference(**places), lambda _: Names("mysql", {}), PERSONAL, sleep=lambda _: None)

    one, other = f"{PERSONAL.pseudonym(ANNA)}/7", f"{PERSONAL.pseudonym(BERT)}/8"
    assert f"first: {one}, {other}" in str(raised.value)


SESSIONS = "0:session:*"
BEFORE = {
    SESSIONS: [RecordHash(ANNA, 1, {"size": 1}), RecordHash(BERT, 2)],
    "0:task:*": [RecordHash("t1", 1)],
}
NOW = {SESSIONS: [RecordHash(ANNA, 3, {"size": 2}), RecordHash("carl", 4)], "0:task:*": [RecordHash("t2", 2)]}


def test_a_comparison_names_records_by_pseudonyms(tmp_path: Path) -> None:
    target = load_target(write_profile(tmp_path))
    baseline = BaselineRecorder(tmp_path).add(Searchable("redis", BEFORE)).baseline
    content = Searchable("redis", NOW)
    reading = StoreReading(
        target, cast("ContainerEngine", None), lambda: baseline, open_reader=opener(content)
    )
    findings = findings_on(reading)

    said = "\n".join(finding.text for finding in findings)
    shown = target.personal.pseudonym
    assert f"(missing {shown(BERT)}; added {shown('carl')}; changed {shown(ANNA)}: size)" in said
    assert "1 missing, 1 added, 0 changed (missing t1; added t2)" in said
    assert not [value for value in (ANNA, BERT, "carl") if value in said]


@pytest.mark.parametrize(
    ("key", "owner"),
    [
        ("anna_3ad08408-2f9a-5103-82a9-579282a0bbd7", "anna"),
        ("anna_lamp_65f0c3a1b2c3d4e5f6a7b8c9.png", "anna"),
        ("canary_3ad08408-2f9a-5103-82a9-579282a0bbd7", ""),
        ("3ad08408-2f9a-5103-82a9-579282a0bbd7", ""),
        ("pages/a_b", ""),
        ("4711", ""),
    ],
)
def test_of_a_key_with_its_owners_name_the_name_is_a_pseudonym(key: str, owner: str) -> None:
    personal = Personal(["email"], public=["canary"])
    shown = personal.keys("mongodb", lambda _: ("id",), "a.b", {})(key)
    assert shown == key.replace(owner, personal.pseudonym(owner), 1) if owner else shown == key


def test_a_profile_says_what_is_personal(tmp_path: Path) -> None:
    target = load_target(write_profile(tmp_path, '[redaction]\nfields = ["redis/*.nick"]\n'))
    assert not target.personal.covers("mysql", "imagedb.users", "email")
    assert target.personal.covers("redis", "0:*", "nick")
