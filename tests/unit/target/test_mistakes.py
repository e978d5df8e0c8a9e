"""Mistakes in a profile, weaknesses against the data safety matrix too: both sides of each, and its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.backups import sets as backup_sets
from rollproof.backups.sets import FOLDER as INDEX
from rollproof.errors import ExitCode, Unverifiable
from rollproof.losses import lost_window
from rollproof.profile.mistakes import ProfileProblem
from rollproof.profile.profile import load_target, load_target_for_checks
from rollproof.profile.sections import Account, Policy, StoreProfile
from rollproof.record_names import ACCOUNTS
from rollproof.stores.policy import in_proportion
from tests.conftest import write_profile

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
        (READER, '"hunter22"}\noperator', "stores.redis.reader.password", '{env = "VARIABLE"}, {file = "path"} or {command = ["program", "…"]}', "text"),
        (READER, '{env = "NOT_SET"}}\noperator', "stores.redis.reader.password", "the environment variable NOT_SET to be set", "none"),
        (READER, '{env = "EMPTY"}}\noperator', "stores.redis.reader.password", "the environment variable EMPTY to be set", "an empty one"),
        (READER, '{file = "empty"}}\noperator', "stores.redis.reader.password", "a secret", "an empty file: "),
        (ADDRESS, 'host = "a", service = "b", port = 9}', "stores.redis.address", "exactly one of host and service", "both"),
        ("port = 9}", 'port = 9, ca = "canary_password"}', "stores.redis.address", "tls = true with ca", "tls = false"),
        ('kind = "redis"', 'kind = "redis"\npatterns = ["token:*"]', "stores.redis", "patterns such as", "'token:*'"),
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
        (SERVICES, "services = []", "application.services", "tuple should have at least 1 item", "a list of 0 items"),
        ("", "[limits]\nmemory_percent = nan", "limits.memory_percent", "", "nan"),
        ("project =", "projekt =", "engine.projekt", "one of", "the unknown key projekt"),
        ('host = "127.0.0.1"', 'hots = "127.0.0.1"', "stores.redis.address.hots", "one of", "the unknown key hots"),
        ('kind = "redis"', 'kind = "rediss"', "stores.redis.kind", "'kafka'", "'rediss'"),
        ('name = "sandbox"\n', "", "name", "a value", "none"),
        ('name = "sandbox"', 'name = "sandbox"\n_env_file = "x"', "_env_file", "one of", "the unknown key _env_file"),
        *(
            ("[stores.redis]", f'[stores."{name}"]', f"stores.{name}", "another name, since backups and lost windows have", name)
            for name in (INDEX, backup_sets.MANIFEST, lost_window.MANIFEST, ACCOUNTS)
        ),
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


def test_an_unknown_key_is_told_the_nearest_one(tmp_path: Path) -> None:
    assert _mistakes(_written(tmp_path, "project =", "projekt =")).hint == "did you mean project?"


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
    ("name", "value", "key"),
    [
        ("ROLLPROOF_APPLICATION__URL", "ftp://app:correct-horse@host", "application.url"),
        ("ROLLPROOF_LIMITS", '{"memory_percent": 101}', "limits.memory_percent"),
        ("ROLLPROOF_LIMITS__MEMORY_PERCENT", "1" * 5000, "limits.memory_percent"),
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


def test_an_unknown_variable_is_refused(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLPROOF_APLICATION__URL", "http://127.0.0.1:8099")
    assert refused(profile).startswith("ROLLPROOF_APLICATION__URL: expected one of ")


@pytest.mark.parametrize("value", ["[" * 100_000, "no json"], ids=["nested", "text"])
def test_a_variable_that_is_no_json_is_refused(
    profile: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("ROLLPROOF_STORES", value)
    assert refused(profile).startswith("variables ROLLPROOF_…: expected JSON")


ACCOUNT = '{user = "reader", password = {file = "canary_password"}}'
ACCOUNTS = f"reader = {ACCOUNT}\noperator = {ACCOUNT}"
MORE = {
    "mysql": f'databases = ["imagedb"]\n{ACCOUNTS}',
    "mongodb": f'databases = ["mongodb"]\n{ACCOUNTS}',
    "redis": ACCOUNTS,
    "s3": f'buckets = ["files"]\n{ACCOUNTS}',
    "kafka": 'topics = ["*"]',
    "qdrant": "",
    "milvus": "",
}
FLUSHED, VERSIONS = 'restore = "flush"', 'backup = "versions"'


def store(folder: Path, kind: str, risk: str, more: str = "") -> StoreProfile:
    """Load a profile with a store of that kind and risk."""
    text = (
        f'[stores.one]\nkind = "{kind}"\naddress = {{host = "127.0.0.1", port = 9}}\n'
        f'services = ["one"]\nrisk = "{risk}"\n{MORE[kind]}\n{more}\n'
    )
    return load_target(write_profile(folder, text)).stores["one"]


@pytest.mark.parametrize(
    ("kind", "risk", "more", "said"),
    [
        ("mongodb", "low", "", "expected medium or stricter, by the data safety matrix for mongodb"),
        ("qdrant", "low", "", "expected medium or stricter"),
        ("milvus", "low", "", "expected high or stricter"),
        ("milvus", "medium", "", "expected high or stricter, by the data safety matrix for milvus"),
        *((kind, "high", "", "expected low or medium, since no snap") for kind in MORE if kind != "milvus"),
        ("redis", "medium", FLUSHED, "expected low with restore = 'flush', which keeps no backup"),
        ("s3", "medium", VERSIONS, "expected low with backup = 'versions', which keeps no copy"),
    ],
)
def test_what_is_weaker_is_refused(tmp_path: Path, kind: str, risk: str, more: str, said: str) -> None:
    with pytest.raises(ProfileProblem) as raised:
        store(tmp_path, kind, risk, more)
    assert str(raised.value).startswith(f"stores.one.risk: {said}")


@pytest.mark.parametrize(
    ("policy", "kept", "live", "recorded", "enough"),
    [
        (Policy.EXACT, 95, 100, 100, True),
        (Policy.EXACT, 94, 100, 100, False),
        (Policy.EXACT, 106, 100, 100, False),
        (Policy.EXACT, None, 0, None, False),
        # Users add records, before the backup and after it.
        (Policy.GROWS, 56, 99, 50, True),
        (Policy.CHANGES, 56, 99, 50, True),
        (Policy.GROWS, 47, 99, 50, False),
        (Policy.GROWS, None, 99, 50, False),
        (Policy.GROWS, None, 0, 0, False),
        # Made since the baseline.
        (Policy.GROWS, None, 1, None, True),
        # Users removed some since.
        (Policy.CHANGES, 20, 20, 50, True),
        (Policy.VOLATILE, 1, 100, 100, True),
        (Policy.VOLATILE, 0, 100, 100, False),
        (Policy.VOLATILE, None, 0, 100, True),
    ],
)
def test_what_users_add_is_no_lack_of_a_backup(
    policy: Policy, kept: int | None, live: int, recorded: int | None, *, enough: bool
) -> None:
    assert in_proportion(kept, live, 5.0, policy, recorded) is enough


def test_a_secret_is_read_when_a_check_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    program = f'{{command = ["sh", "-c", "touch {ran}; echo of-a-program"]}}}}\noperator'
    path = _written(tmp_path, READER, program)
    target = load_target_for_checks(path)
    reader = target.stores["redis"].reader
    assert isinstance(reader, Account)
    assert not ran.exists()
    assert reader.password.get_secret_value() == "of-a-program"
    assert target.redactor().text("it is of-a-program") == "it is [redacted]"

    path = _written(tmp_path, READER, '{env = "NOT_SET"}}\noperator')
    reader = load_target_for_checks(path).stores["redis"].reader
    assert isinstance(reader, Account)
    with pytest.raises(Unverifiable, match="secret NOT_SET: expected the environment variable NOT_SET"):
        reader.password.get_secret_value()
    monkeypatch.setenv("NOT_SET", "now-it-is")
    assert reader.password.get_secret_value() == "now-it-is"
    path = _written(tmp_path, READER, '"hunter22"}\noperator')
    with pytest.raises(ProfileProblem):
        load_target_for_checks(path)
