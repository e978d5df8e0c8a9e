"""Maintenance around a rollback: when it is on and off, and what happens when it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollproof.application.client import in_maintenance, kept_out
from rollproof.errors import ActionFailed
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step
from rollproof.planning.plan import Plan, plan_database, plan_emergency, plan_full
from rollproof.profile.profile import Target
from tests.world.sandbox import MAINTAINED, WAY_IN, WRITERS, Sandbox, StandInProxy, begun, image, proxied

Planned = Callable[[Target, str], Plan]


@pytest.fixture
def proxy(sandbox: Sandbox) -> StandInProxy:
    return proxied(sandbox)


def _done(sandbox: Sandbox) -> list[tuple[str, Any]]:
    """Return what was done to the application's containers, in that order."""
    done = []
    for name, arguments, _ in sandbox.control.method_calls:
        if name == "run_in_each":
            done.append((arguments[1][0], arguments[0]))
        elif name in {"stop", "start", "recreate"} and set(arguments[0]) <= {*WRITERS, MAINTAINED}:
            done.append((name, tuple(arguments[0])))
    return done


def test_it_is_on_before_a_writer_stops_and_off_when_all_are_healthy(
    sandbox: Sandbox, proxy: StandInProxy, incident: Incident
) -> None:
    seen: list[bool] = []
    sandbox.keepers["mysql"].meanwhile = lambda: seen.append(proxy.on)
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert _done(sandbox) == [
        ("touch", MAINTAINED),
        ("stop", WRITERS),
        ("start", WRITERS),
        ("rm", MAINTAINED),
        ("start", (MAINTAINED,)),
    ]
    assert (seen, proxy.on) == ([True], False)


@pytest.mark.parametrize("planned", [plan_full, plan_emergency])
def test_its_service_is_re_created_last(
    sandbox: Sandbox, proxy: StandInProxy, incident: Incident, planned: Planned
) -> None:
    sandbox.run(planned(sandbox.target, sandbox.commit), incident)
    assert _done(sandbox) == [
        ("touch", MAINTAINED),
        ("stop", WRITERS),
        ("recreate", WRITERS),
        ("rm", MAINTAINED),
        ("recreate", (MAINTAINED,)),
    ]
    *_, last = sandbox.control.recreate.call_args_list
    assert last.args[0] == {MAINTAINED: image(MAINTAINED)}
    assert not proxy.on


@pytest.mark.parametrize("how", ["it does not run", "it changes nothing", "it does not answer"])
def test_what_cannot_be_in_maintenance_is_stopped_too(
    sandbox: Sandbox, proxy: StandInProxy, incident: Incident, how: str
) -> None:
    match how:
        case "it does not run":
            proxy.broken = True
        case "it changes nothing":
            sandbox.control.run_in_each.side_effect = lambda *_, **__: ""
        case _:
            proxy.stand_in.answers["GET /"] = lambda _: None
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    done = [step for step in _done(sandbox) if step[0] in {"stop", "start"}]
    assert done == [("stop", WRITERS), ("stop", (MAINTAINED,)), ("start", WRITERS), ("start", (MAINTAINED,))]
    assert sandbox.keepers["mysql"].words["a"] == "of release 1"
    journal = (incident.folder / "journal.jsonl").read_text()
    assert f"{MAINTAINED} is stopped too, maintenance is not on: " in journal


def test_it_stays_on_after_a_failure(sandbox: Sandbox, proxy: StandInProxy, incident: Incident) -> None:
    def fail() -> None:
        raise ActionFailed(what="restore", expected="a", observed="b", source="c", hint="d")

    sandbox.keepers["mysql"].meanwhile = fail
    with pytest.raises(ActionFailed, match="restore"):
        sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert proxy.on
    sandbox.keepers["mysql"].meanwhile = lambda: None
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert not proxy.on


def test_one_that_cannot_be_taken_off_is_no_success(
    sandbox: Sandbox, proxy: StandInProxy, incident: Incident
) -> None:
    def run(service: str, command: tuple[str, ...], **_: object) -> str:
        return proxy.run(service, command) if command[0] == "touch" else ""

    sandbox.control.run_in_each.side_effect = run
    with pytest.raises(ActionFailed, match="expected an answer other than 503 with Retry-After"):
        sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert (incident.folder / "unfinished.json").exists()


@pytest.fixture
def kept_proxy(sandbox: Sandbox) -> StandInProxy:
    return proxied(sandbox, WAY_IN)


@pytest.mark.parametrize("planned", [plan_full, plan_emergency])
def test_with_a_way_in_users_stay_out_after_it(
    sandbox: Sandbox, kept_proxy: StandInProxy, incident: Incident, planned: Planned
) -> None:
    sandbox.run(planned(sandbox.target, sandbox.commit), incident)
    # What is created again is in no maintenance: it is put on again, last.
    assert _done(sandbox)[-3:] == [("rm", MAINTAINED), ("recreate", (MAINTAINED,)), ("touch", MAINTAINED)]
    assert [*begun(incident)][-1] == Step.KEEP_OUT
    application, transport = sandbox.target.application, kept_proxy.stand_in
    assert (kept_proxy.on, kept_out(application, transport)) == (True, True)
    assert not in_maintenance(application, 60, by_way_in=True, transport=transport)


def test_a_way_in_that_the_proxy_does_not_know_lets_everybody_in(
    sandbox: Sandbox, kept_proxy: StandInProxy, incident: Incident
) -> None:
    kept_proxy.lets_in = False
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert not kept_proxy.on
    journal = (incident.folder / "journal.jsonl").read_text()
    assert "users are let in before the rollback is verified: " in journal


@pytest.mark.parametrize("step", [Step.MAINTENANCE_OFF, Step.KEEP_OUT])
def test_users_stay_out_too_after_an_interruption_near_the_end(
    sandbox: Sandbox, kept_proxy: StandInProxy, incident: Incident, step: Step
) -> None:
    plan = plan_emergency(sandbox.target, sandbox.commit)
    (planned,) = plan.of(step)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=planned.id)
    kept_proxy.on = False
    sandbox.run(plan, incident)
    assert kept_out(sandbox.target.application, kept_proxy.stand_in)
    assert not (incident.folder / "unfinished.json").exists()
