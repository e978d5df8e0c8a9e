"""A canary in every place where a secret can enter a run.

Each canary is a secret of the profile; each entrance is a check of its own, or a run of its own where it ends
the run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator

from rollproof.redaction.redactor import forms_of
from tests.conftest import write_profile
from tests.plugin_sandbox import Sandbox

ISSUED = "Vb3Xc8Kq1Lm5Zp0Rt7Yw2Na9Se4Dh6Jg"
CHECKS = """
import json, logging, os, sys, warnings
from pathlib import Path
import allure, pytest
from rollproof.errors import Mismatch
from fixtures.gating.verification import VERIFICATION
from rollback_actions.session.session import Journal

pytestmark = pytest.mark.phase1
C = json.loads(Path("canaries.json").read_text())


class Driver:
    def __init__(self, password):
        self.password = password

    def __repr__(self):
        return f"Driver({self.password!r})"


def test_assertion():
    assert C["assertion"] == "other", f"password is {C['assertion']}"

def test_mismatch():
    raise Mismatch(what="a", expected="b", observed=C["mismatch"], source="c", hint="d")

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

def test_warning():
    warnings.warn(UserWarning(C["warning"]))

def test_cause():
    try:
        raise KeyError(C["cause"])
    except KeyError as error:
        raise ValueError("later") from error

def test_note():
    error = ValueError("x")
    error.add_note(C["note"])
    raise error

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
PROGRAM = """
from rollproof.system.command import Deadline, run_command

def test_program():
    script = "import sys; sys.exit(sys.argv[1])"
    run_command([sys.executable, "-c", script, C["program"]], what="program", deadline=Deadline(30))
"""
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
NAMES = sorted({*re.findall(r"C\[[\"'](\w+)[\"']\]", CHECKS + PROGRAM), *ENDINGS})


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
        for path in sorted((project.folder / folder).rglob("*")):
            name = str(path.relative_to(project.folder))
            yield name, name
            if path.is_file():
                yield name, path.read_bytes().decode(errors="replace")


def leaks_of(project: Sandbox) -> dict[str, list[str]]:
    """Return the canaries that are in what the run wrote, by file."""
    return {name: found for name, text in written(project) if (found := leaks(text))}


def hold_canaries(sandbox: Sandbox) -> None:
    """Make every canary a secret of the profile, and have runs write all that they can."""
    folder = sandbox.folder
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


def require_all_reported(project: Sandbox, checks: str) -> None:
    """See that every check ran, and was reported everywhere."""
    texts = dict(written(project))
    results = [name for name in texts if name.endswith("-result.json")]
    assert len(results) == checks.count("\ndef test_")
    for name in ("out/junit.xml", "out/run.log"):
        assert re.search(r"\[redacted\\?\]", texts[name]), name
    assert "[redacted]" in next(text for name, text in texts.items() if name.endswith("verdict.json"))
