"""`rollproof doctor`: questions side by side, one page, and what to type."""

from __future__ import annotations

from typing import Any

import pytest

from rollproof.doctor.every_need import every_need
from rollproof.doctor.examination import Examination, Line, Need, NeedState, UnmetNeed, examine
from rollproof.engines.compose import ComposeEngine
from rollproof.errors import ActionFailed, ExitCode, Mismatch, Unverifiable
from rollproof.stores.contract import Withheld
from rollproof.system.clock import Moment
from tests.world.containers import container
from tests.world.sandbox import Sandbox, stand_in

FAR = 60.0
SIDES: dict[str, Any] = {"what": "w", "expected": "good", "observed": "bad", "source": "s", "hint": "mend it"}


def fails(kind: type[Mismatch | Unverifiable | ActionFailed]) -> str:
    raise kind(**SIDES)


def page(*lines: Line, seconds: float = 1.0) -> Examination:
    return Examination("t", Moment.now(), seconds, lines)


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (UnmetNeed("good", "bad", "mend it"), NeedState.WRONG),
        (UnmetNeed("good", "bad", "mend it", NeedState.ABSENT), NeedState.ABSENT),
        (Unverifiable(**SIDES), NeedState.WRONG),
        (Withheld(**SIDES), NeedState.UNKNOWN),
    ],
)
def test_an_error_tells_the_state(error: Exception, state: NeedState) -> None:
    def fails() -> str:
        raise error

    found, next_one = examine([Need("a", fails), Need("b", lambda: "", after=("a",))])
    assert (found.line.state, found.line.hint) == (state, "mend it")
    assert found.line.text == "expected good, observed bad"
    assert (next_one.line.state, next_one.line.after) == (NeedState.UNKNOWN, "a")


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([NeedState.OK, NeedState.ABSENT], ExitCode.VERIFIED),
        ([NeedState.ABSENT, NeedState.UNKNOWN], ExitCode.BROKEN),
        ([NeedState.UNKNOWN, NeedState.WRONG], ExitCode.FAILED),
    ],
)
def test_the_exit_code(found: list[NeedState], code: ExitCode) -> None:
    assert page(*(Line("a", state, "") for state in found)).code is code


def test_services_that_are_not_well_or_not_there_are_wrong(sandbox: Sandbox) -> None:
    engine = stand_in(ComposeEngine)
    there = {name: (container(f"{name}-1", health="healthy"),) for name in sandbox.target.services}
    engine.containers.return_value = there
    (services,) = (need for need in every_need(sandbox.target, engine) if need.name == "services")
    services.ask()
    there["backend"] = (container("backend-1", health="unhealthy"),)
    del there["worker"]
    with pytest.raises(ActionFailed, match=r"(?=.*backend: unhealthy)(?=.*worker: no container)"):
        services.ask()
