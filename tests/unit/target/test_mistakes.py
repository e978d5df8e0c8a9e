"""Mistakes in a profile and in variables that override it: both sides of each, and its place."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from rollproof.errors import ExitCode, Wrong
from rollproof.profile.mistakes import ProfileProblem, mistake
from rollproof.profile.profile import load_target
from tests.conftest import PROFILE, write_profile

READER = '{file = "canary_password"}}\noperator'
SERVICES = 'services = ["backend"]'
REQUESTS = f'{SERVICES}\nrequests = {{service = "backend"'
ADDRESS = 'host = "127.0.0.1", port = 9}'
POLICY = "[stores.redis.policy]\n"
WAIVER = '[[premigration.waivers]]\nitem = "backup"\nname = "a"\nreason = "b"\nexpires = 2030-01-01\n'
REDIS = '{store = "redis", collection = "x", fields = ["y"]}'
OTHER = '{store = "redi", collection = "x", fields = ["y", "z"]}'
KEYED = '{store = "redis", collection = "0:x:*", fields = ["key"]}'
NOWHERE = '{store = "redi", collection = "x", fields = ["y"]}'


def _mistakes(path: Path) -> ProfileProblem:
    with pytest.raises(ProfileProblem) as caught:
        load_target(path)
    return caught.value


def _written(folder: Path, old: str, new: str) -> Path:
    """Write a profile with `old` replaced by `new`, or with `new` at its end."""
    path = write_profile(folder, "" if old else f"\n{new}\n")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "key", "expected", "observed"),
    [
        ('incidents = "incidents"', 'incidents = "~nouser/x"', "folders.incidents", "a path", "Could not determine"),
        ("port = 9}", 'port = 9, tls = true, ca = "gone.pem"}', "stores.redis.address.ca", "a path that exists", "gone.pem"),
        (READER, '"hunter22"}\noperator', "stores.redis.reader.password", '{env = "VARIABLE"}, {file = "path"} or {command = ["program", "…"]}', "text"),
        (READER, '{env = "A", file = "b"}}\noperator', "stores.redis.reader.password", '{env = "VARIABLE"}, {file', "a table of 2 keys"),
        (READER, '{env = "NOT_SET"}}\noperator', "stores.redis.reader.password", "the environment variable NOT_SET to be set", "none"),
        (READER, '{env = "hunter 22"}}\noperator', "stores.redis.reader.password", "a variable's name after env", "another text"),
        (READER, '{env = "EMPTY"}}\noperator', "stores.redis.reader.password", "the environment variable EMPTY to be set", "an empty one"),
        (READER, '{file = "gone"}}\noperator', "stores.redis.reader.password", "a readable secret file", "No such file"),
        (READER, '{file = "empty"}}\noperator', "stores.redis.reader.password", "a secret", "an empty file: "),
        (ADDRESS, "port = 9}", "stores.redis.address", "exactly one of host and service", "none"),
        (ADDRESS, 'host = "a", service = "b", port = 9}', "stores.redis.address", "exactly one of host and service", "both"),
        ("port = 9}", 'port = 9, ca = "canary_password"}', "stores.redis.address", "tls = true beside ca", "tls = false"),
        ('kind = "redis"', 'kind = "redis"\npatterns = ["token:*"]', "stores.redis", "patterns such as", "'token:*'"),
        ('kind = "redis"', 'kind = "redis"\npatterns = ["3:token:*"]', "stores.redis", "patterns such as", "'3:token:*'"),
        ('kind = "redis"', "kind = \"redis\"\npatterns = ['0:\\*']", "stores.redis", "patterns such as", "0:"),
        ("", f"[references.one]\nreferencing = {REDIS}\nreferenced = {OTHER}", "references.one", "as many fields", "1 and 2"),
        ("", f"[references.one]\nreferencing = {REDIS}\nreferenced = {REDIS}", "references.one", "field key of a pattern with one *", "y of x"),
        ("", f"[references.one]\nwhere = {{a = 'b'}}\nreferencing = {KEYED}\nreferenced = {KEYED}", "references.one.where", "no condition, where a record is known by its name alone", "a"),
        ("", f"[references.one]\ncomplete = true\nwhere = {{a = 'b'}}\nreferencing = {REDIS}\nreferenced = {REDIS}", "references.one", "complete alone, or where alone", "both: "),
        ("", f"[references.one]\nreferencing = {NOWHERE}\nreferenced = {REDIS}", "references.one", "a store of redis", "redi"),
        ('risk = "low"', 'risk = "high"', "stores.redis.risk", "low or medium, since", "high"),
        ("", f'{POLICY}"*" = "volatile"\n"0:users" = "exact"', "stores.redis.policy.0:users", "'0:users' before '*'", "'0:users' behind it"),
        ("", '[stores.redis.touched]\n"*" = "at"\n"0:users" = "on"', "stores.redis.touched.0:users", "'0:users' before '*'", "'0:users' behind it"),
        ("", WAIVER, "premigration.waivers.0.item", "text of the pattern '^test_'", "'backup'"),
        ("", "[severity.critical.memory]\nlimit = 950", "severity.critical.memory.limit", "less than or equal to 100", "950"),
        (SERVICES, f'{REQUESTS}, notices = "("}}', "application.requests.notices", "a regular expression", "'(': missing )"),
        (SERVICES, f'{REQUESTS}, pattern = "x"}}', "application.requests.pattern", "the groups status", "none named status"),
        (SERVICES, f'{SERVICES}\nwriters = ["worker"]', "application.writers", "names among backend", "worker"),
        (SERVICES, f'{SERVICES}\nrequests = {{service = "proxy"}}', "application.requests.service", "names among backend", "proxy"),
        (SERVICES, f'{SERVICES}\nmaintenance = {{service = "nginx", on = ["a"], off = ["b"]}}', "application.maintenance.service", "names among backend", "nginx"),
        ("", "[windows.phase1]\nstart = 9\nend = 3", "windows.phase1", "start before end", "9 and 3"),
        # What pydantic itself refuses.
        ("", "[windows]\nphase1 = 120", "windows.phase1", "a table", "a whole number"),
        (SERVICES, 'services = "backend"', "application.services", "a list", "text"),
        ('risk = "low"', f'risk = "{"x" * 999}"', "stores.redis.risk", "'low', 'medium' or 'high'", "'xxx"),
        ('url = "http://127.0.0.1:9"', 'url = "http://a:hunter22@["', "application.url", "a valid URL", "text"),
        (SERVICES, "services = []", "application.services", "tuple should have at least 1 item", "a list of 0 items"),
        ("", "[limits]\nmemory_percent = nan", "limits.memory_percent", "", "nan"),
    ],
)  # fmt: skip
def test_a_mistake_has_both_sides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    old: str,
    new: str,
    key: str,
    expected: str,
    observed: str,
) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("EMPTY", "")
    problem = _mistakes(_written(tmp_path, old, new))
    (one,) = problem.mistakes
    assert (one.what, problem.what) == (key, key)
    assert str(one.expected).startswith(expected)
    assert observed in str(one.observed)
    assert len(str(one.observed)) < 200
    assert not str(one.observed).startswith("something else")
    assert "hunter22" not in str(problem)
    assert (problem.exit_code, len(str(problem).splitlines())) == (ExitCode.USAGE, 2)


def test_a_problem_survives_the_way_between_processes() -> None:
    one = mistake(what="a", expected="b", observed="c", source="d", hint="e")
    two = pickle.loads(pickle.dumps(ProfileProblem([one, one])))  # noqa: S301 - our own bytes
    assert (two.what, two.hint, len(two.mistakes)) == ("profile", "e", 2)
    assert str(two) == str(ProfileProblem([one, one]))
    wrong = pickle.loads(pickle.dumps(Wrong("b", "c", "a", hint="d")))  # noqa: S301
    assert (str(wrong), wrong.hint) == ("a: expected b, observed c", "d")


@pytest.mark.parametrize("place", ['"{}" = 1\n', '"{}".x = 1\n', 'limits."{}" = 1\n'])
def test_a_key_is_no_order_to_the_terminal(tmp_path: Path, place: str) -> None:
    path, name = write_profile(tmp_path), "\\u001b[31mx\\n\\u009b2J\\u202e\\r\\u0007\\u007f"
    path.write_text(place.format(name) + path.read_text(encoding="utf-8"), encoding="utf-8")
    text = str(_mistakes(path))
    assert all(one.isprintable() or one == "\n" for one in text)
    assert len(text.splitlines()) == 2


LINES = PROFILE.count("\n")


def refused(path: Path) -> str:
    """Return the only line of the error."""
    with pytest.raises(ProfileProblem) as error:
        load_target(path)
    assert error.value.exit_code is ExitCode.USAGE
    line, hint = str(error.value).split("\n")
    assert hint.startswith("HINT: ")
    assert len(line) < 1000
    return line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (f"\nx = {'[' * 3000}", "maximum recursion depth"),
        (f"\nx = {'1' * 5000}", "4300 digits"),
        (f"\n{'a.' * 3000}a = 1", "the unknown key a"),
        ("\nx = 1\nx = 2", f"Cannot overwrite a value (at line {LINES + 3}, column 6)"),
        ("\n[y]\n[y]", f"(at line {LINES + 3}, column 3)"),
        ("\nx = \udc80", "bytes that are not UTF-8"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_text_that_is_no_profile_is_refused(tmp_path: Path, more: str, said: str) -> None:
    path = write_profile(tmp_path)
    path.write_bytes((PROFILE + more).encode(errors="surrogateescape"))
    assert said in refused(path)


@pytest.mark.parametrize(
    ("place", "observed"), [("pipe", "Not a regular file"), ("folder", "Is a directory")]
)
def test_what_is_no_file_is_refused_and_not_read(tmp_path: Path, place: str, observed: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert observed in refused(tmp_path / place)


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("ROLLPROOF_APPLICATION__URL", "ftp://app:correct-horse@host", "application.url"),
        ("ROLLPROOF_APPLICATION__URLL", "http://x", "application.urll"),
        ("ROLLPROOF_LIMITS", '{"memory_percent": 101}', "limits.memory_percent"),
        ("ROLLPROOF_LIMITS__MEMORY_PERCENT", "1" * 5000, "limits.memory_percent"),
        ("ROLLPROOF_STORES__REDIS__RISK", "high", "stores.redis.risk"),
        (
            "ROLLPROOF_STORES",
            '{"redis": {"touched": {"*": "at", "0:a.b": "on"}}}',
            "stores.redis.touched.0:a.b",
        ),
        ("ROLLPROOF_LIMITS", '{"a": NaN}', ""),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_mistake_in_a_variable_names_it(
    profile: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, key: str
) -> None:
    monkeypatch.setenv(name, value)
    line = refused(profile)
    assert line.startswith(key)
    assert f"the variable {name})" in line
    assert "correct-horse" not in line


@pytest.mark.parametrize("value", ["[" * 100_000, "no json"], ids=["nested", "text"])
def test_a_variable_that_is_no_json_is_refused(
    profile: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ROLLPROOF_STORES", value)
    assert refused(profile).startswith("variables ROLLPROOF_…: expected JSON")
