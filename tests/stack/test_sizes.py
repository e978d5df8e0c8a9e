"""A stack of other sizes than the other tests', from empty to a verified emergency rollback."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from rollproof.engines.factory import open_engine
from rollproof.errors import ExitCode
from rollproof.git.repository import head
from rollproof.profile.profile import load_target
from staging.kills.wreckage import wreck_stores
from staging.releases.deployment import bring_up_application
from staging.stack.fresh_stacks import fresh_stacks
from staging.stack.slot import Slot, first_slot
from staging.stack.stack import Stack
from staging.target.operators import Operators
from tests.conftest import ROOT
from tests.running.cut import STACKS
from tests.stack.verifier import Verifier, expect


@pytest.mark.long(minutes=6)
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scale", [0.01, 1.0], ids=["smallest", "usual"])
def test_a_rollback_of_this_size_is_verified(tmp_path: Path, scale: float) -> None:
    # In the slot behind those of the workers.
    stack = Stack(ROOT, Slot(first_slot() + STACKS))
    with Progress() as progress, fresh_stacks([stack], progress):
        bring_up_application(stack, progress, scale)
        verifier = Verifier(stack, tmp_path)
        verifier.back_up()
        target = load_target(stack.profile)
        with ExitStack() as opened:
            wreck_stores(Operators(target, open_engine(target.engine), opened))
        done = verifier.script("rollback/emergency_rollback.sh", head(stack.state.application))
        assert done.returncode == ExitCode.VERIFIED, done.stderr
        (incident,) = (line[10:] for line in done.stdout.splitlines() if line.startswith("incident: "))
        expect(verifier.run("verification", incident=Path(incident).name), {})
