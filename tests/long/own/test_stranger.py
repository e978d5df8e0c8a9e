"""A stack as strangers deploy theirs: from a profile by `init` to a verified stack, by what is typed."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app import canary

from reports.terminal.progress import Progress
from rollproof.errors import ExitCode
from staging.releases.deployment import bring_up_application
from staging.stack.fresh_stacks import fresh_stacks
from staging.stack.shape import Shape
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from tests.conftest import ROOT

SCALE = 0.05
SECONDS = 300
READER = "mysql_reader"
# What a person answers to the questions of `init` about the canary, which seeding has made.
ANSWERS = {
    "user": canary.USERNAME,
    "knowledge_base": canary.KNOWLEDGE_BASE,
    "question": canary.QUESTION,
    "expected_file": canary.ANSWER_FILE,
}

# What `doctor` asks for, since the application writes there.
MIGRATIONS = """[stores.migrations]
kind = "mounts"
risk = "medium"
held = ["backend:/opt/application/migrations/versions"]
together = ["mysql"]
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # In the slot behind those of the other tests.
    stack = Stack(ROOT, Slot(first_slot()).next.next, wanted=Shape.STRANGER)
    with Progress() as progress, fresh_stacks([stack], progress):
        bring_up_application(stack, progress, SCALE)
        yield stack


def _compose(stack: Stack, *words: str) -> str:
    hint = f"docker compose ls --filter name={stack.project}"
    return stack.compose(*words, seconds=SECONDS, hint=hint)


@pytest.fixture
def compose_file(stack: Stack, tmp_path: Path) -> Path:
    """The compose file of a project that knows no reader of MySQL yet."""
    project = json.loads(_compose(stack, "config", "--format=json"))
    mysql = project["services"]["mysql"]
    mysql["secrets"] = [one for one in mysql["secrets"] if one["source"] != READER]
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(project))
    return file


@pytest.mark.long(minutes=2)
@pytest.mark.timeout(1800)
def test_what_the_tool_says_is_all_that_is_typed_from_nothing_to_a_verified_stack(
    stack: Stack, compose_file: Path
) -> None:
    """Nobody wrote a profile of this stack: `init` does, and asks; its answers are a person's."""
    shell = _Shell(compose_file.parent)
    profile, following = shell.answers(stack, f"--file {compose_file.name}")
    shell.makes_accounts(profile.with_suffix(".accounts.sh"), "mysql: rollproof_reader")
    shell.types(following)
    shell.environment["ROLLPROOF_TARGET"] = profile.name
    shell.types("backup")
    examined = json.loads(shell.types("doctor --json", None))["result"]["lines"]
    lines = {line["name"]: line["state"] for line in examined}
    wanted = ("baseline", "backup", "mysql reader", "mysql read-only", "mysql operator")
    assert {name: lines[name] for name in wanted} == dict.fromkeys(wanted, "ok")
    verified = shell.types("verify")
    assert verified.splitlines()[-1].startswith("PASSED: every check of all four phases ran and passed")


class _Shell:
    """A shell of somebody who has nothing but the command `rollproof`, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def types(self, line: str, code: ExitCode | None = ExitCode.VERIFIED) -> str:
        """Type `line` after ``rollproof``, and return what is printed; None takes any exit code."""
        done = self._run(sys.executable, "-m", "rollproof", *line.split())
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def answers(self, stack: Stack, options: str) -> tuple[Path, str]:
        """Let `init` propose a profile, and answer its questions; return it, and what to type then."""
        said = self.types(f"init --project {stack.project} {options}")
        profile = self.folder / f"{stack.project}.toml"
        asked = dict(re.findall(r"^ +\d+\. application\.canary\.(\w+): .*\n +(.+)$", said, re.MULTILINE))
        assert asked.keys() == ANSWERS.keys()
        text = profile.read_text()
        for key, answer in ANSWERS.items():
            assert text.count(f'{key} = "change-me"') == 1
            text = text.replace(f'{key} = "change-me"', f'{key} = "{answer}"')
        profile.write_text(f"{text}\n{MIGRATIONS}")
        (canary_s,) = re.findall(r'password = \{env = "(\w+_CANARY_PASSWORD)"\}', text)
        self.environment[canary_s] = (stack.state.secrets / "canary_password").read_text()
        (following,) = re.findall(r"^then: .* (capture --target .*)$", said, re.MULTILINE)
        return profile, following

    def makes_accounts(self, statements: Path, made: str) -> None:
        """Run the file of statements, and export each password that it asks for, until all are `made`."""
        asked = re.compile(r": (\w+): export it$", re.MULTILINE)
        while variables := asked.findall(self._run("sh", str(statements)).stderr):
            (variable,) = variables
            assert variable not in self.environment
            self.environment[variable] = secrets.token_hex(24)
        done = self._run("sh", str(statements))
        assert (done.returncode, done.stdout.splitlines()) == (0, [made]), done.stderr

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
