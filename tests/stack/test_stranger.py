"""A stack as strangers deploy theirs, verified while its users go on."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.long(minutes=12)
@pytest.mark.timeout(1800)
def test_a_stranger_s_stack_is_verified_while_its_users_go_on(tmp_path: Path) -> None:
    # In the slot behind those of the workers and of the other test that brings up a stack.
    stack = Stack(ROOT, Slot(first_slot() + STACKS + 1), wanted=Shape.STRANGER)
    with Progress() as progress, fresh_stores(stack, progress):
        bring_up_application(stack, progress, SCALE)
        verifier = Verifier(stack, tmp_path)
        verifier.capture()
        expect(verifier.run("verification", "-n2"), {})
        users = LiveUsers(str(load_target(stack.profile).application.url))
        with users.running(USERS_SECONDS):
            for _ in range(RUNS):
                expect(verifier.run("verification", "-n2"), {})
        assert set(users.visits) == set(users.old) == {Visit.ANSWERED}
