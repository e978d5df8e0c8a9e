"""What looks like a secret is replaced, declared or not; what only resembles one is left as it is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.redaction.redactor import Redactor
from rollproof.redaction.shapes import MARKER, replaced, shaped
from tests.long.unit.test_linear import BETWEEN, SECRET, TRIGGERS

PASSWORD = "hunter2-Rosebud"  # noqa: S105 - a canary
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJlLW9mLXRlc3Q"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\nq83vVl1mXk2pQw==\n-----END PRIVATE KEY-----"
BASIC = base64.b64encode(f"app:{PASSWORD}".encode()).decode()
SIGNATURE = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
PRESIGNED = (
    "http://minio:9000/minio-file/a.pdf?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z"
    f"&X-Amz-Security-Token=FwoGZXIvYXdzEBYaDK&X-Amz-Signature={SIGNATURE}"
)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2ln is stale", f"token {MARKER} is stale"),
        ("'eyJhbGciOiJIUzI1N...2ln'", f"'{MARKER}'"),
        ("Authorization: Bearer abcdef", f"Authorization: Bearer {MARKER}"),
        ("{'authorization': 'Basic YXBw'}", f"{{'authorization': 'Basic {MARKER}'}}"),
        ("bearer 0123456789abcdef0123", f"bearer {MARKER}"),
        ("mysql://app:hunter2@db:3306/x", f"mysql://app:{MARKER}@db:3306/x"),
        ("redis://:p@ss@cache", f"redis://:{MARKER}@cache"),
    ],
)
def test_what_looks_like_a_secret_is_redacted(text: str, clean: str) -> None:
    assert Redactor().text(text) == clean


@pytest.mark.parametrize(
    "places", [[(2, 6), (4, 8)], [(2, 8), (3, 5)], [(2, 5), (5, 8)], [(2, 8), (2, 4)], [(4, 8), (2, 5)]]
)
def test_places_that_overlap_show_no_part_of_either(places: list[tuple[int, int]]) -> None:
    assert replaced("01secret89", places).replace(MARKER, "") == "0189"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"mysql://app:{PASSWORD}@db:3306/imagedb?charset=utf8mb4", "@db:3306/imagedb?charset=utf8mb4"),
        (f"mongodb://app:{PASSWORD}@one:27017,two:27017/?replicaSet=rs0", "@one:27017,two:27017/"),
        (f"redis://:{PASSWORD}@cache:6379/0", "@cache:6379/0"),
        (f"GET http://admin:{PASSWORD}@localhost:8090/health 200", "@localhost:8090/health 200"),
        (f'"mysql:\\/\\/app:{PASSWORD}@db\\/x"', "@db"),
        (json.dumps({"url": f"mysql://app:{PASSWORD}@db/x"}), '@db/x"}'),
        (repr(f"mysql://app:{PASSWORD}@db/x"), "@db/x'"),
        (f"Authorization: Basic {BASIC}", "Authorization: Basic "),
        (f"-H 'Authorization: Token {PASSWORD}'", "Authorization: Token "),
        (f"Cookie: theme=dark; session={PASSWORD}\nHost: x", "\nHost: x"),
        (f"Set-Cookie: session={PASSWORD}; Path=/; HttpOnly", "Set-Cookie: "),
        (json.dumps({"set-cookie": f"session={PASSWORD}; Path=/", "server": "nginx"}), '"server": "nginx"'),
        (json.dumps(json.dumps({"cookie": f"session={PASSWORD}"})), "cookie"),
        (f"api-key: {PASSWORD}\nserver: qdrant", "server: qdrant"),
        (f"X-Auth-Token: {PASSWORD}", "X-Auth-Token: "),
        (f"Server=db;Uid=app;Pwd={PASSWORD};Database=x", ";Database=x"),
        (f"host=db user=app password={PASSWORD} dbname=x", " dbname=x"),
        (f"MYSQL_ROOT_PASSWORD={PASSWORD}", "MYSQL_ROOT_PASSWORD="),
        (json.dumps({"client_secret": PASSWORD, "kept": 1}), '"kept": 1'),
        (json.dumps(json.dumps({"password": PASSWORD, "kept": 1})), "kept"),
        (f"username=app&password={PASSWORD}&scope=x", "&scope=x"),
        (f"{{'access_token': '{PASSWORD}', 'token_type': 'bearer'}}", "'token_type': 'bearer'"),
        (f"secret_access_key = '{PASSWORD}'", "secret_access_key = "),
    ],
)
def test_a_password_is_redacted_where_passwords_stand(text: str, kept: str) -> None:
    clean = Redactor().text(text)

    assert PASSWORD not in clean
    assert quote(PASSWORD, safe="") not in clean
    assert BASIC not in clean
    assert MARKER in clean
    assert kept in clean
    assert Redactor().text(clean) == clean


@pytest.mark.parametrize(
    "text",
    [PRESIGNED, PRESIGNED.replace("&", "&amp;"), json.dumps({"url": PRESIGNED}), quote(PRESIGNED, safe="")],
    ids=["url", "html", "json", "quoted"],
)
def test_what_signs_a_url_is_redacted(text: str) -> None:
    clean = Redactor().text(text)

    assert SIGNATURE not in clean
    assert "AKIA" not in clean
    assert "FwoGZXIvYXdzEBYaDK" not in clean
    assert "20260101T000000Z" in clean
    assert "a.pdf" in clean


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.replace("PRIVATE", "RSA PRIVATE"),
        json.dumps(PEM),
        repr(PEM),
        PEM.replace("\n", "\r\n"),
        PEM.replace("\n", "\nE     "),
        json.dumps(PEM.partition("\n-----END")[0]),
    ],
    ids=["plain", "rsa", "json", "python", "windows", "assertion", "cut in json"],
)
def test_a_private_key_is_redacted(text: str) -> None:
    clean = Redactor().text(f"before {text}\nafter it come words")

    assert BODY[:20] not in clean
    assert "q83vVl1mXk2pQw" not in clean
    assert clean.startswith("before ")
    assert clean.endswith("after it come words")


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8090/users?mail=anna@example.org",
        "bearer authentication is required",
        "basic authentication is required",
        "authorization failed for user app",
        "authorization: expected 401, observed 200",
        "postgres://db:5432/x",
        "checks/verification/test_phase1_infrastructure.py::test_running[mysql]",
        "image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "registry.example.org:5000/app/backend@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d",
        "commit 5e3f1c9b2a7d4e6f8091a2b3c4d5e6f708192a3b of main",
        "incident 20260101T000000Z-staging-1a2b, 3f4e5d6c7b8a, 3ad08408-2f9a-5103-82a9-579282a0bbd7",
        "records of imagedb.users: 2 missing, 0 added, 1 changed (missing 4711; changed 17: password, email)",
        'password: expected {env = "VARIABLE"}, {file = "path"} or {command = ["program", "…"]}, observed no',
        "password=SecretStr('**********') token=None user='reader'",
        "    session = client.login(canary.user, password=canary.password)",
        "session = Session(user, token=tokens[0])",
        "MYSQL_PASSWORD_FILE=/run/secrets/mysql PWD=/srv/application",
        "cookie: expected one of the application, observed none",
        "a token of the canary is stale; the secret is read from a file",
        "ALTER USER app IDENTIFIED BY RANDOM PASSWORD; records are identified by their keys",
        "git clone ssh://git@example.org/x.git",
        "give --password TEXT, --token <token> or --secret ${SECRET}; --password-file /run/secrets/x",
        "new_token=secrets.token_urlsafe(16); client_secret=os.environ['X']; db_password=/run/secrets/db",
        "hashed_password VARCHAR(100) NOT NULL, reset_token char(36)",
        json.dumps(["session-token", "order-7"]),
        "for name in SHOP_MYSQL_READER_PASSWORD SHOP_S3_SECRET_KEY; do export",
        "docker service create --secret shop-db-password web; git push -u origin:main-2",
        "--password string   Password; [--password PASSWORD] [--token TOKEN]; --password requires a value",
        "pg_dump --no-password shopdata; site.yml --ask-become-pass web; --max-token 40960; --two-pass on",
        'exec redis-server --requirepass "$$(cat /run/secrets/redis)" --appendonly yes',
        "the pass of phase1 is on >= 3 hosts; a two-pass check_of_phase4 and a by-pass mysql/imagedb",
        "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0B\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKC\n-----END PUBLIC KEY-----",
        "a key begins with -----BEGIN PRIVATE KEY----- and ends",
        "the asia region; akiaiosfodnn7example",
        "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE} token: none",
    ],
)
def test_what_does_not_stays(text: str) -> None:
    assert Redactor().text(text) == text


KEYS = (
    (f"ghp_{'a1B2c3' * 6}", True),
    (f"github_pat_{'a1B2c3_x' * 10}zz", True),
    (f"glpat-{'a1B2c3_x' * 3}", True),
    (f"AIza{'a1B2c-_' * 5}", True),
    (f"gsk_{'a1B2' * 13}", True),
    (f"sk-{'a1B2' * 12}", False),
    (f"sk-proj-{'a1B2_-' * 20}", False),
    (f"sk-ant-api03-{'a1B2_-' * 15}AA", False),
    (f"sk_live_{'a1B2' * 6}", False),
    ("xoxb-123456789012-1234567890123-a1B2c3D4e5F6g7H8i9J0k1L2", False),
    ("xapp-1-A0123456789-1234567890123-0123456789abcdef", False),
    (f"AccountKey={'a1B2' * 21}a1==", False),
    (f"https://discord.com/api/webhooks/123456789012345678/{'a1B2_-' * 11}", False),
    (f"https://api.telegram.org/bot123456789:{'a1B2_-' * 6}", False),
    (f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{'a1B2' * 6}", False),
)
"""Keys of vendors, and whether each is surely one."""


@pytest.mark.parametrize(("key", "surely"), KEYS, ids=[str(number) for number, _ in enumerate(KEYS)])
def test_a_key_is_known_by_its_vendors_sign(key: str, surely: bool) -> None:  # noqa: FBT001 - a column
    clean = Redactor().text(f"OPENAI={key}, then ({key})")

    assert key not in clean
    assert key[-12:] not in clean
    assert clean.endswith(")")
    assert bool([kind for *_, kind in shaped(key) if kind]) is surely


@pytest.mark.parametrize(
    "text",
    [
        "task-force-of-many-people-2 and disk-usage-of-the-volume-12",
        "sk-container-id-of-the-estimator",
        "sk-learn-and-more-words-in-a-row-2",
        "xoxb- is a prefix, as is ghp_ and sk-",
        "risk-assessment-of-the-migration-2026-11-27",
    ],
)
def test_a_word_with_a_vendors_sign_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_a_letter_whose_small_form_is_longer_moves_nothing() -> None:
    letters = "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 5
    text = f"{letters} mysql://app:{PASSWORD}@db"

    assert Redactor().text(text).endswith(f"mysql://app:{MARKER}@db")


@pytest.mark.parametrize("text", [f"mysql://app:{PASSWORD}@db", JWT, PEM, PRESIGNED])
def test_what_a_redactor_leaves_is_no_finding(text: str) -> None:
    clean = Redactor().text(text)

    assert [kind for *_, kind in shaped(text) if kind]
    assert not [kind for *_, kind in shaped(clean) if kind]


@given(st.lists(st.sampled_from([*TRIGGERS, *BETWEEN, SECRET]), max_size=12).map("".join))
@example("first_name: a@'a'")
def test_what_was_redacted_holds_no_secret_and_stays(text: str) -> None:
    redactor = Redactor([SECRET])
    once = redactor.text(text)
    assert SECRET not in once
    assert redactor.text(once) == once
