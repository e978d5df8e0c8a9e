"""A canary in every place where a secret can enter a run: none is in anything that the run wrote or printed.

Each canary is a secret of the profile; each entrance is a check of its own, or a run of its own where it ends
the run. With the redaction of an entrance taken away, the last scan finds its canary, and the run is red.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

import pytest

from rollproof.redaction.redactor import forms_of
from tests.conftest import write_profile
from tests.pytester.conftest import Sandbox

ISSUED = "Vb3Xc8Kq1Lm5Zp0Rt7Yw2Na9Se4Dh6Jg"
CHECKS = """
import json, logging, os, sys, warnings
from pathlib import Path
import allure, pytest
from rollproof.system.command import Deadline, run_command
from rollproof.errors import Mismatch, Unverifiable
from fixtures.gating.verification import VERIFICATION
from rollback_actions.session.journal import Journal

pytestmark = pytest.mark.phase1
C = json.loads(Path("canaries.json").read_text())


class Driver:
    def __init__(self, password):
        self.password = password

    def __repr__(self):
        return f"Driver({self.password!r})"


def test_assertion():
    assert C["assertion"] == "other", f"password is {C['assertion']}"

def test_comparison():
    assert {"user": "app", "password": C["comparison"]} == {"password": "x"}

def test_mismatch():
    raise Mismatch(what="a", expected="b", observed=C["mismatch"], source="c", hint="d")

def test_problem():
    raise Unverifiable(what="a", expected="b", observed="c", source=C["problem"], hint="d")

def test_stdout():
    print(C["stdout"])
    assert not "it fails"

def test_stderr():
    print(C["stderr"], file=sys.stderr)
    assert not "it fails"

def test_printed_and_passed():
    print(C["passed"])

def test_descriptor():
    os.write(1, C["descriptor"].encode())
    assert not "it fails"

def test_log():
    logging.getLogger().warning("log %s", C["log"])

def test_log_of_a_failure():
    logging.getLogger().warning("log %s", C["logged"])
    assert not "it fails"

def test_warning():
    warnings.warn(UserWarning(C["warning"]))

def test_cause():
    try:
        raise KeyError(C["cause"])
    except KeyError as error:
        raise ValueError("later") from error

def test_context():
    try:
        raise KeyError(C["context"])
    except KeyError:
        raise ValueError("later")

def test_note():
    error = ValueError("x")
    error.add_note(C["note"])
    raise error

def test_group():
    raise ExceptionGroup("several", [ValueError(C["group"])])

def test_locals():
    driver = Driver(C["locals"])
    several = [driver] * 20
    assert not several

def test_arguments(tmp_path):
    open(tmp_path / C["arguments"] / "x")

@pytest.mark.parametrize("value", [C["name"]])
def test_name(value):
    pass

@pytest.mark.parametrize("value", [C["value"]])
def test_value(value):
    assert not value

@pytest.fixture
def refused():
    raise ConnectionError(C["fixture"])

def test_fixture(refused):
    pass

@pytest.fixture
def untidy():
    yield
    raise RuntimeError(C["teardown"])

def test_teardown(untidy):
    pass

def test_skipped():
    pytest.skip(C["skipped"])

def test_failed():
    pytest.fail(C["failed"])

@pytest.mark.xfail(reason=C["expected"], strict=False)
def test_expected():
    assert False

def test_property(record_property):
    record_property("password", C["property"])

def test_evidence(evidence):
    evidence(C["evidence"], json.dumps({"p": C["evidence"]}), "application/json")

def test_said(note):
    note(f"sampled as {C['said']}")

def test_bytes():
    allure.attach(b"\\xff" + C["bytes"].encode(), name="bytes")

def test_file(tmp_path):
    (tmp_path / "a.txt").write_text(C["file"])
    allure.attach.file(str(tmp_path / "a.txt"), name=C["file"])

@allure.step("log in as {user}")
def log_in(user, password):
    pass

def test_step():
    with allure.step(C["step"]):
        log_in("app", C["step"])

def test_description():
    allure.dynamic.description(C["description"])
    allure.dynamic.title(C["description"])
    allure.dynamic.parameter("p", C["description"])
    allure.dynamic.link(f"http://x/{C['description']}", name=C["description"])

def test_docstring():
    pass

test_docstring.__doc__ = C["docstring"]

def test_program():
    script = "import sys; sys.exit(sys.argv[1])"
    run_command([sys.executable, "-c", script, C["program"]], what="program", deadline=Deadline(30))

def test_journal(pytestconfig):
    verification = pytestconfig.stash[VERIFICATION]
    path = verification.incident.folder / "journal.jsonl"
    journal = Journal(path, verification.target.redactor().text)
    with pytest.raises(ValueError), journal.step("restore", command=C["journal"]) as result:
        result["text"] = C["journal"]
        raise ValueError(C["journal"])

def test_issued(redact):
    redact("ISSUED")
    print("ISSUED")
    raise LookupError("ISSUED")
""".replace("ISSUED", ISSUED)
CRASHES = """
import json, os
from pathlib import Path
import pytest

pytestmark = pytest.mark.phase1
C = json.loads(Path("canaries.json").read_text())

def test_crash():
    print(C["stdout"], flush=True)
    os.write(2, C["stderr"].encode())
    os._exit(3)
"""
PASSES = "import pytest\n\n@pytest.mark.phase1\ndef test_passed():\n    pass\n"
READ = "import json\nfrom pathlib import Path\nC = json.loads(Path('canaries.json').read_text())\n"
# They end the run, each by itself: the text of the checks, and more of the conftest.
ENDINGS = {
    "collection": (f"{READ}raise OSError(C['collection'])", ""),
    "internal": (PASSES, f"{READ}def pytest_collection_finish():\n    raise OSError(C['internal'])"),
    "started": (PASSES, f"{READ}def pytest_sessionstart():\n    raise OSError(C['started'])"),
}
NAMES = sorted({*re.findall(r"C\[[\"'](\w+)[\"']\]", CHECKS), *ENDINGS})


def canary(name: str) -> str:
    """Return the canary of one entrance; one in three is awkward to write."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    token = f"K{digest[:14].upper()}z{digest[14:30]}"
    return f"{token[:9]}'\"/ö<{token[9:]}" if int(digest, 16) % 3 == 0 and name not in _PLAIN else token


# What is a name cannot have a quote in it.
_PLAIN = {"name", "arguments"}
CANARIES = {name: canary(name) for name in NAMES} | {"issued": ISSUED}


def leaks(text: str) -> list[str]:
    """Return the names of those canaries that stand in `text`, whole or in part, in any spelling."""
    found = []
    for name, secret in CANARIES.items():
        parts = {secret[at : at + 12] for at in range(0, len(secret) - 11, 4)}
        if any(part in text for part in parts) or any(form in text for form in forms_of(secret)):
            found.append(name)
    return found


def written(project: Sandbox) -> Iterator[tuple[str, str]]:
    """Yield what the run wrote, name and text of each file."""
    for folder in ("incidents", "out", ".pytest_cache"):
        for path in sorted((project.pytester.path / folder).rglob("*")):
            name = str(path.relative_to(project.pytester.path))
            yield name, name
            if path.is_file():
                yield name, path.read_bytes().decode(errors="replace")


def leaks_of(project: Sandbox) -> dict[str, list[str]]:
    """Return the canaries that are in what the run wrote, by file."""
    return {name: found for name, text in written(project) if (found := leaks(text))}


@pytest.fixture
def project(sandbox: Sandbox) -> Sandbox:
    """A project whose profile has every canary for a secret, and whose runs write all that they can."""
    folder = sandbox.pytester.path
    (folder / "out").mkdir()
    stores = []
    for number, name in enumerate(NAMES):
        (folder / f"secret-{number}").write_text(CANARIES[name], encoding="utf-8")
        account = f'{{user = "reader", password = {{file = "secret-{number}"}}}}'
        stores.append(
            f'[stores.store{number}]\nkind = "redis"\naddress = {{host = "127.0.0.1", port = 9}}\n'
            f'services = ["redis"]\nrisk = "low"\nreader = {account}\noperator = {account}\n'
        )
    write_profile(folder, "".join(stores))
    declared = {name: CANARIES[name] for name in NAMES}
    (folder / "canaries.json").write_text(json.dumps(declared), encoding="utf-8")
    sandbox.recorded("fixtures.gating.evidence")
    sandbox.options += ["-ra", "-vv", "--showlocals", "-m", "phase1"]
    sandbox.options += ["--junitxml=out/junit.xml", "--log-file=out/run.log", "-o", "junit_logging=all"]
    return sandbox


@pytest.mark.parametrize(
    "arguments",
    [["--tb=long", "-o", "log_cli=true"], ["--tb=native", "-n2"]],
    ids=["alone with a live log", "two workers"],
)
def test_no_canary_leaves_a_run(project: Sandbox, arguments: list[str]) -> None:
    project.checks(test_entrances=CHECKS)

    outcome = project.run(*arguments)

    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.text
    assert "secret in the record" not in outcome.text
    assert leaks(outcome.text) == []
    assert leaks_of(project) == {}
    # Every check ran and was reported, everywhere.
    texts = dict(written(project))
    ran = CHECKS.count("\ndef test_")
    assert len([name for name in texts if name.endswith("-result.json")]) == ran
    for name in ("out/junit.xml", "out/run.log"):
        assert re.search(r"\[redacted\\?\]", texts[name]), name
    assert "[redacted]" in next(text for name, text in texts.items() if name.endswith("verdict.json"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_canary_leaves_a_run_that_ends_early(project: Sandbox, ending: str) -> None:
    distribution = [] if ending == "internal" else ["-n2"]
    checks, more = ENDINGS[ending]
    project.checks(test_entrances=checks)
    project.settings(more)

    outcome = project.run(*distribution)

    assert outcome.code not in {0, 5}, outcome.text
    assert leaks(outcome.text) == []
    assert "[redacted]" in outcome.text
    assert leaks_of(project) == {}


def test_no_canary_leaves_a_worker_that_dies(project: Sandbox) -> None:
    project.checks(test_entrances=CRASHES)

    outcome = project.run("-n2")

    assert outcome.code not in {0, 5}, outcome.text
    assert "crashed" in outcome.text
    assert leaks(outcome.text) == []
    assert leaks_of(project) == {}


WRITE_AS_IT_IS = """
import rollback_actions.session.journal as j
made = j.Journal.__init__
j.Journal.__init__ = lambda self, path, redact: made(self, path, str)
"""
FORMAT_AS_IT_IS = """
import reports.run.scrubbing as s
s._Formatter.format = lambda self, record: self._inner.format(record)
"""
# What takes the redaction of one entrance away, and a check that passes and leaks through it alone.
MUTATIONS = {
    "report": (
        "import reports.run.scrubbing as s\ns._Scrubber._scrub = lambda self, report: None",
        "property",
    ),
    "name": ("import reports.run.scrubbing as s\ndel s._Scrubber.pytest_make_parametrize_id", "name"),
    "log": (FORMAT_AS_IT_IS, "log"),
    "allure": ("import reports.allure.results as a\na._redacted = lambda value, redactor: value", "step"),
    "text": ("import reports.allure.results as a\na._text = lambda value, redactor: value", "evidence"),
    "bytes": ("import rollproof.redaction.redactor as r\nr.Redactor.data = lambda self, data: data", "bytes"),
    "journal": (WRITE_AS_IT_IS, "journal"),
}


def test_what_is_redacted_at_every_entrance_is_green(project: Sandbox) -> None:
    """Else the test below could be red for something else."""
    project.checks(test_entrances=CHECKS)
    checks = [f"checks/test_entrances.py::test_{name}" for _, name in MUTATIONS.values()]

    outcome = project.run(*checks)

    assert outcome.code == pytest.ExitCode.OK, outcome.text
    assert "secret in the record" not in outcome.text


# Workers matter where the controller writes what a worker reported.
@pytest.mark.parametrize("entrance", MUTATIONS)
def test_the_last_scan_finds_what_was_not_redacted(project: Sandbox, entrance: str) -> None:
    distribution = ["-n2"] if entrance in {"report", "name"} else []
    mutation, name = MUTATIONS[entrance]
    check = f"checks/test_entrances.py::test_{name}"
    project.checks(test_entrances=CHECKS)
    project.settings(mutation)

    outcome = project.run(*distribution, check)

    assert outcome.code == pytest.ExitCode.TESTS_FAILED, outcome.text
    assert " passed" in outcome.text
    assert "failed" not in outcome.text.splitlines()[-1]
    assert "secret in the record: expected none, observed one (" in outcome.text
    (verdict,) = (text for name, text in written(project) if name.endswith("/verdict.json") and "{" in text)
    assert "a secret is in the record of this incident" in verdict
    assert '"verdict": "passed",\n  "phases"' not in verdict
