"""A stack as strangers deploy theirs, verified while its users go on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from app import canary

from fixtures.errors import ExitCode
from fixtures.target.profile import load_target
from reports.terminal.progress import Progress
from staging.rehearsal.live_users import LiveUsers, Visit
from staging.releases.deployment import bring_up_application
from staging.stack.fresh_stacks import fresh_stores
from staging.stack.shape import Shape
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from tests.conftest import ROOT
from tests.running.cut import STACKS
from tests.stack.verifier import Verifier, expect

SCALE = 0.05
USERS_SECONDS = 900.0
RUNS = 20
SECONDS = 300


# What a person answers to the questions of `init` about the canary, which seeding has made.
ANSWERS = {
    "user": canary.USERNAME,
    "knowledge_base": canary.KNOWLEDGE_BASE,
    "question": canary.QUESTION,
    "expected_file": canary.ANSWER_FILE,
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    # In the slot behind those of the workers and of the other test that brings up a stack.
    stack = Stack(ROOT, Slot(first_slot() + STACKS + 1), wanted=Shape.STRANGER)
    with Progress() as progress, fresh_stores(stack, progress):
        bring_up_application(stack, progress, SCALE)
        yield stack


@pytest.mark.long(minutes=2)
@pytest.mark.timeout(1800)
def test_what_the_tool_says_is_all_that_is_typed_from_nothing_to_a_verified_stack(
    stack: Stack, tmp_path: Path
) -> None:
    """Nobody wrote a profile of this stack: `init` does, and asks; its answers are a person's."""
    said = _typed(tmp_path, f"init --project {stack.project}", "")
    profile, statements = (tmp_path / f"{stack.project}.{kind}" for kind in ("toml", "accounts.sh"))
    asked = dict(re.findall(r"^ +\d+\. application\.canary\.(\w+): .*\n +(.+)$", said, re.MULTILINE))
    assert asked.keys() == ANSWERS.keys()
    text = profile.read_text()
    for key, answer in ANSWERS.items():
        assert text.count(f'{key} = "change-me"') == 1
        text = text.replace(f'{key} = "change-me"', f'{key} = "{answer}"')
    profile.write_text(text)
    subprocess.run(["sh", statements], check=True, timeout=SECONDS)
    _typed(tmp_path, "doctor", profile, ExitCode.BROKEN)
    # What it says at its end.
    (following,) = re.findall(r"^then: .* (capture --target .*)$", said, re.MULTILINE)
    _typed(tmp_path, following, "")
    _typed(tmp_path, "backup", profile)
    lines = {
        line["name"]: line["state"]
        for line in json.loads(_typed(tmp_path, "doctor --json", profile, None))["result"]["lines"]
    }
    assert {lines[name] for name in ("baseline", "backup", "images")} == {"ok"}
    verified = _typed(tmp_path, "verify -n 2", profile)
    assert verified.splitlines()[-1].startswith("PASSED: every check of all four phases ran and passed")


def _typed(folder: Path, line: str, profile: Path | str, code: ExitCode | None = ExitCode.VERIFIED) -> str:
    """Type `line` after ``rollproof`` in `folder`, for the target of `profile`; return what is printed."""
    done = subprocess.run(
        [sys.executable, "-m", "rollback_actions", *line.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "ROLLPROOF_TARGET": str(profile)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long(minutes=12)
@pytest.mark.timeout(1800)
def test_a_stranger_s_stack_is_verified_while_its_users_go_on(stack: Stack, tmp_path: Path) -> None:
    verifier = Verifier(stack, tmp_path)
    verifier.capture()
    expect(verifier.run("verification", "-n2"), {})
    users = LiveUsers(str(load_target(stack.profile).application.url))
    with users.running(USERS_SECONDS):
        for _ in range(RUNS):
            expect(verifier.run("verification", "-n2"), {})
    assert set(users.visits) == set(users.old) == {Visit.ANSWERED}
