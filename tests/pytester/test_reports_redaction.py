"""No secret leaves a run: not by the terminal, JUnit, Allure, a log, or the way from an xdist worker."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parent.parent.parent
DECLARED = "kT9v'Qx2_R7mW\"pL4sZ8nB1cY6hD3fG0"
ISSUED = "Vb3Xc8Kq1Lm5Zp0Rt7Yw2Na9Se4Dh6Jg"
UNDECLARED = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJlLW9mLXRlc3Q"

CONFTEST = """
import json
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from rollproof.system.clock import Moment
from rollproof.incident.incident import find_incident
from rollproof.profile.premigration import Premigration
from rollproof.incident.ledger import Planned, Run, runs
from rollproof.redaction.secret import secrets_in
from rollproof.redaction.personal import Personal
from rollproof.profile.functions import Functions
from rollproof.profile.profile import Signing, Windows
from fixtures.gating.verification import VERIFICATION, Verification

pytest_plugins = [
    "fixtures.gating.evidence",
    "reports.run.scrubbing",
    "reports.allure.results",
    "reports.run.record",
]


class Canary(BaseModel):
    upload: None = None


class Application(BaseModel):
    canary: Canary = Canary()
    way_in: None = None
    canary: Canary = Canary()
    functions: Functions = Functions()
    verifiable: frozenset[str] = frozenset()

class Profile(BaseModel):
    password: SecretStr
    short: SecretStr = SecretStr("abc")
    windows: Windows = Windows()
    name: str = "canary"
    baseline_key: None = None
    premigration: Premigration = Premigration()
    stores: dict[str, object] = {}
    signing: Signing = Signing()
    application: Application = Application()

    @property
    def personal(self):
        return Personal(["email"], self.secrets())

    def secrets(self):
        return frozenset(secrets_in(self))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.__dict__["reason"] = {"text": str(call.excinfo.value) if call.excinfo else ""}
    return report


def pytest_runtest_logreport(report):
    with Path("incidents/one/reasons.txt").open("a") as stream:
        print(report.reason["text"], file=stream)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", "phase1: infrastructure")
    # Rendering has tests of its own.
    sys.modules["reports.run.record"].installed_allure = lambda: None
    incident = find_incident(Path("incidents").absolute(), "canary", "one")
    worker = hasattr(config, "workerinput")
    zero = Moment.now()
    run = runs(incident.folder)[-1] if worker else Run.begin(incident.folder, zero, gated=True)
    config.stash[VERIFICATION] = Verification(
        profile=Path("canary.toml"),
        target=Profile(password=SecretStr(json.loads(Path("secret.json").read_text()))),
        incident=incident,
        run=run,
        zero=zero,
        started=zero,
        gated=True,
        baseline=Path("baseline"),
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    planned = Planned(checks=tuple(item.nodeid for item in items))
    config.stash[VERIFICATION].run.write_plan({"phase1": planned})
"""

LEAKS = '''
import json
import logging
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.phase1
SECRET = json.loads(Path("secret.json").read_text())
ISSUED = "ISSUED-TOKEN"
JWT = "A-JWT"


class Client:
    """A driver whose repr shows its password."""

    def __init__(self, password):
        self.password = password

    def __repr__(self):
        return f"Client({self.password!r})"


@pytest.fixture
def client():
    return Client(SECRET)


@pytest.fixture
def refused():
    raise ConnectionError(f"mysql://app:{quote(SECRET, safe='')}@db/imagedb refused")


@pytest.fixture
def untidy():
    yield
    raise RuntimeError(f"logout with {JWT} and {SECRET}")


def helper(client, password):
    assert client == password, f"password is {password}"


def test_assertion(client):
    helper(client, SECRET)


def test_truncated(client):
    helper([client] * 40, SECRET)


def test_bare_comparison():
    assert {"user": "app", "password": SECRET} == {"user": "app", "password": "x"}


def test_setup(refused):
    pass


def test_teardown(untidy):
    pass


def test_output():
    print("stdout", SECRET)
    print("stderr", json.dumps({"password": SECRET}), file=sys.stderr)
    logging.getLogger().warning("log %s %s", SECRET, JWT)
    assert False


def test_chained(client):
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(f"Authorization: Bearer {JWT}") from error


def test_skipped():
    pytest.skip(f"blocked by {SECRET}")


def test_property(record_property):
    record_property("password", SECRET)


def test_issued(redact):
    redact(ISSUED)
    raise LookupError(f"token {ISSUED} is stale")


def test_evidence(evidence, tmp_path):
    import allure

    evidence("answer", json.dumps({"token": SECRET, "kept": "answer-kept"}), "application/json")
    source = tmp_path / "file.bin"
    source.write_bytes(b"\\xff\\xfe" + SECRET.encode())
    allure.attach.file(str(source), name="file")
    with allure.step(f"log in as app:{SECRET}"):
        pass
    allure.dynamic.parameter("password", SECRET)


@pytest.mark.parametrize("store", ["mysql/users"])
def test_passed(store):
    print(SECRET)
'''
CHECKS = 12
FAILING = 8


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    pytester.makeini("[pytest]\nstrict = true\nfilterwarnings = error\njunit_family = legacy\n")
    pytester.makeconftest(CONFTEST)
    pytester.path.joinpath("secret.json").write_text(json.dumps(DECLARED))
    pytester.makepyfile(test_leaks=LEAKS.replace("ISSUED-TOKEN", ISSUED).replace("A-JWT", UNDECLARED))
    return pytester


def forms(secret: str) -> list[str]:
    return [secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], base64.b64encode(secret.encode()).decode()]


def leaks(text: str) -> list[str]:
    """Return every part of a canary that stands in `text`: twelve characters give a secret away."""
    secrets = [DECLARED, ISSUED, UNDECLARED]
    pieces = [form[at : at + 12] for s in secrets for form in forms(s) for at in range(0, len(form) - 11, 4)]
    return [piece for piece in pieces if piece in text]


def written(project: pytest.Pytester) -> dict[str, str]:
    """Return what the run wrote, as text, by path."""
    paths = [project.path / "run.log", *project.path.joinpath("incidents").rglob("*")]
    return {
        str(path.relative_to(project.path)): path.read_bytes().decode(errors="replace")
        for path in paths
        if path.is_file()
    }


@pytest.mark.parametrize(
    "arguments",
    [["--tb=long"], ["--tb=native"], ["--tb=short", "-vv", "-n2"]],
    ids=" ".join,
)
def test_nothing_leaks(project: pytest.Pytester, arguments: list[str]) -> None:
    result = project.runpytest_subprocess(
        "-ra", "--showlocals", "--junitxml=incidents/one/junit.xml", "--log-file=run.log", *arguments
    )

    result.assert_outcomes(passed=4, failed=6, errors=2, skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    printed = result.stdout.str() + result.stderr.str()
    assert leaks(printed) == []
    assert printed.count("[redacted]") > 5
    assert "1 secret(s) of fewer than 4 characters cannot be redacted" in printed
    files = written(project)
    assert {name: leaks(text) for name, text in files.items() if leaks(text)} == {}
    assert all("[redacted]" in files[name] for name in ("run.log", "incidents/one/junit.xml"))
    results = [json.loads(text) for name, text in files.items() if name.endswith("-result.json")]
    assert len(results) == CHECKS
    assert {result["status"] for result in results} == {"passed", "failed", "broken", "skipped"}
    assert any("answer-kept" in text for name, text in files.items() if name.endswith("-attachment.attach"))


def test_the_canaries_would_leak(project: pytest.Pytester) -> None:
    """Without the plugin the same run shows them everywhere: the test above can fail."""
    project.makeconftest("import pytest\n\n\n@pytest.fixture\ndef redact():\n    return str\n")

    project.makeini("[pytest]\nmarkers = phase1\n")

    result = project.runpytest_subprocess(
        "--junitxml=incidents/junit.xml", "--log-file=run.log", "--alluredir=incidents/results"
    )

    files = written(project)
    assert leaks(result.stdout.str())
    assert leaks(files["run.log"])
    assert leaks(files["incidents/junit.xml"])
    assert any(leaks(text) for name, text in files.items() if name.endswith("-result.json"))
    assert any(leaks(text) for name, text in files.items() if "-attachment" in name)


@pytest.mark.parametrize("distribution", [[], ["-n2"]], ids=["alone", "xdist"])
def test_a_secret_in_the_record_fails_the_run(project: pytest.Pytester, distribution: list[str]) -> None:
    project.makepyfile(
        test_leaks=f"""
        import json
        from pathlib import Path

        def test_careless(redact):
            redact({ISSUED!r})
            Path("incidents/one/declared.txt").write_text(json.loads(Path("secret.json").read_text()))
            Path("incidents/one/issued.bin").write_bytes(b"\\xff\\n" + {ISSUED!r}.encode())
        """
    )

    result = project.runpytest_subprocess(*distribution)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1)
    found = "secret in the record: expected none, observed one (plain) at byte"
    result.stdout.fnmatch_lines([f"{found} 0 (from *declared.txt:1)", f"{found} 2 (from *issued.bin:2)"])
    assert leaks(result.stdout.str()) == []


@pytest.mark.parametrize("distribution", [[], ["-n2"]], ids=["alone", "xdist"])
def test_what_a_restore_overwrote_is_no_report(project: pytest.Pytester, distribution: list[str]) -> None:
    project.makepyfile(
        test_leaks=f"""
        from pathlib import Path

        def test_beside_a_lost_window(redact):
            redact({ISSUED!r})
            for name in ("lost-window", "lost-window-2"):
                folder = Path("incidents/one", name, "redis")
                folder.mkdir(parents=True)
                (folder / "revived.jsonl").write_text({ISSUED!r})
        """
    )
    result = project.runpytest_subprocess(*distribution)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.no_fnmatch_line("*secret in the record*")


def test_errors_outside_of_checks_are_scrubbed(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_leaks="""
        import json
        from pathlib import Path

        raise OSError(json.loads(Path("secret.json").read_text()))
        """
    )
    collection = project.runpytest_subprocess()
    project.makeconftest(
        f"{CONFTEST}\n\ndef pytest_collection_finish():\n"
        "    raise OSError(json.loads(Path('secret.json').read_text()))\n"
    )
    project.makepyfile(test_leaks="def test_nothing(): pass")
    internal = project.runpytest_subprocess()

    assert collection.ret == pytest.ExitCode.INTERRUPTED
    assert internal.ret == pytest.ExitCode.INTERNAL_ERROR
    for result in (collection, internal):
        printed = result.stdout.str() + result.stderr.str()
        assert "OSError" in printed
        assert "[redacted]" in printed
        assert leaks(printed) == []


def test_live_log_is_scrubbed(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("-k", "output", "-o", "log_cli=true", "--show-capture=no")

    assert "live log call" in result.stdout.str()
    assert leaks(result.stdout.str()) == []
