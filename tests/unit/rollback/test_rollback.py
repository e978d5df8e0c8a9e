"""The engine of rollbacks, on stores that are words: what each kind does, and what an interruption leaves."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY, call

import pytest
from pydantic import SecretStr

from reports.answers.outline import outline
from rollback_actions.backup import taking
from rollback_actions.rollback.engine import RecordsUnknown
from rollproof.baseline.configuration import new_configuration_key
from rollproof.baseline.facts import RecordedContainer, Surroundings
from rollproof.errors import ActionFailed
from rollproof.git.repository import head
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step, StepId, steps_in, verify_journal
from rollproof.planning.plan import Plan, Stage, plan_database, plan_emergency, plan_full, plan_service
from rollproof.planning.unfinished import interrupted, unfinished_of
from rollproof.profile.profile import load_target
from rollproof.stores.package import Kept
from rollproof.verdict import Verdict
from tests.world.sandbox import (
    SERVICES,
    WAY_IN,
    Deployed,
    Sandbox,
    StandInProxy,
    facts,
    image,
    proxied,
    serve,
)
from tests.world.stores import WordStore

PLANS: dict[str, Callable[[Sandbox], Plan]] = {
    "service": lambda sandbox: plan_service(sandbox.target, "backend"),
    "database": lambda sandbox: plan_database(sandbox.target, "mysql"),
    "full": lambda sandbox: plan_full(sandbox.target, sandbox.commit),
    "emergency": lambda sandbox: plan_emergency(sandbox.target, sandbox.commit),
}
# How many steps each kind has, the exports and backups within the safety copy included: without what says
# that the application is down, and with it.
STEPS = {"service": (3, 3), "database": (10, 12), "full": (4, 6), "emergency": (17, 19)}


@pytest.fixture
def maintained(request: pytest.FixtureRequest, sandbox: Sandbox) -> StandInProxy | None:
    """What says that the application is down: nothing, or a service of it."""
    return proxied(sandbox) if request.param else None


def _steps(incident: Incident) -> list[StepId]:
    found, _ = steps_in(verify_journal(incident.folder / "journal.jsonl"))
    return [step.id for step in found if step.id is not None]


def _stopped(sandbox: Sandbox) -> list[tuple[str, ...]]:
    return [tuple(call.args[0]) for call in sandbox.control.stop.call_args_list]


def _safety(sandbox: Sandbox) -> list[Path]:
    return sorted((sandbox.target.folders.backups / "safety").glob("*"))


def _words(sandbox: Sandbox) -> dict[str, str]:
    return {name: keeper.words["a"] for name, keeper in sandbox.keepers.items()}


@pytest.mark.parametrize("maintained", [False, True], ids=["stopped", "in maintenance"], indirect=True)
@pytest.mark.parametrize("kind", PLANS)
def test_it_does_the_steps_that_were_shown(
    sandbox: Sandbox, incident: Incident, maintained: StandInProxy | None, kind: str
) -> None:
    plan = PLANS[kind](sandbox)
    record = sandbox.run(plan, incident)
    assert (record.verdict, record.kind, record.names) == (Verdict.PASSED, kind, plan.request.names)
    assert incident.rollback() is not None
    assert not unfinished_of(sandbox.target.folders.incidents, sandbox.target.name)
    assert len(_steps(incident)) == STEPS[kind][maintained is not None]
    done, planned = _steps(incident), [step.id for step in plan.steps]
    assert Counter(done) == Counter(planned)
    alone = [step.id for step in plan.steps if step.part_of is None and not step.side_by_side]
    assert [step for step in done if step in alone] == alone
    for store in plan.stores:
        assert [step for step in done if step.of == store] == [step for step in planned if step.of == store]
    shown = [step for step, _ in outline(sandbox.target, plan)]
    assert shown == [step for step in plan.steps if step.part_of is None]


@pytest.mark.parametrize("kind", ["database", "emergency"])
def test_no_store_is_overwritten_before_it_is_kept_and_nothing_is_started_before_all_are_back(
    sandbox: Sandbox, kind: str
) -> None:
    """The engine does what the plan lists: so the list itself has to be safe."""
    proxied(sandbox, WAY_IN)
    steps = [step.id.step for step in PLANS[kind](sandbox).steps]
    first, last = steps.index(Step.RESTORE), len(steps) - steps[::-1].index(Step.ACCOUNT)
    before = [Step.MAINTENANCE_ON, Step.STOP, Step.UP, Step.QUIET, Step.KEEP, Step.EXPORT, Step.BACK_UP]
    assert [*dict.fromkeys(step for step in steps[:first] if step in before)] == before
    after = {*steps[last:]}
    assert after >= {Step.WATCHED, Step.MAINTENANCE_OFF, Step.KEEP_OUT}
    assert not after & {*before, Step.CHECK_OUT, Step.RESTORE}
    assert not {*steps[:last]} & {Step.START, Step.RECREATE, *after}


def test_no_store_is_overwritten_where_the_keeper_of_another_cannot_be_opened(
    sandbox: Sandbox, incident: Incident
) -> None:
    def opened(name: str, *_: object) -> WordStore:
        if name == "mysql" and _safety(sandbox):
            raise ActionFailed(what="open", expected="b", observed="gone", source="d", hint="e")
        return sandbox.keepers[name]

    sandbox.outside = replace(sandbox.outside, open_keeper=opened)
    with pytest.raises(ActionFailed, match="gone"):
        sandbox.run(PLANS["emergency"](sandbox), incident)
    assert set(_words(sandbox).values()) == {"of release 2"}


def test_a_service_rollback_touches_that_service_only(sandbox: Sandbox, incident: Incident) -> None:
    read: list[str] = []
    sandbox.control.recreate.side_effect = lambda *_, files, **__: read.extend(
        json.loads(files[0].read_text())["services"]
    )
    sandbox.run(PLANS["service"](sandbox), incident)
    assert _stopped(sandbox) == [("backend",)]
    (up,) = sandbox.control.recreate.call_args_list
    assert up.args[0] == {"backend": image("backend")}
    # Its configuration is the known-good commit's; the working copy stays where the others are.
    assert read == ["backend"]
    assert head(sandbox.target.application.repository) == sandbox.bad
    assert _words(sandbox) == {"redis": "of release 2", "mysql": "of release 2"}
    assert _safety(sandbox) == []
    sandbox.control.start.assert_not_called()


def test_a_database_rollback_touches_that_store_only(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.run(PLANS["database"](sandbox), incident)
    assert _words(sandbox) == {"redis": "of release 2", "mysql": "of release 1"}
    assert _stopped(sandbox) == [("backend", "worker"), ("frontend",)]
    (safety,) = _safety(sandbox)
    assert [path.name for path in safety.iterdir() if path.is_dir()] == ["mysql"]
    assert (safety / "mysql" / "a").read_text() == "of release 2"
    assert [tuple(call.args[0]) for call in sandbox.control.start.call_args_list] == [
        ("database-server",),
        ("backend", "worker", "frontend"),
    ]
    sandbox.control.recreate.assert_not_called()
    assert head(sandbox.target.application.repository) == sandbox.bad


def test_a_full_rollback_leaves_data_alone(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.run(PLANS["full"](sandbox), incident)
    assert _words(sandbox) == {"redis": "of release 2", "mysql": "of release 2"}
    assert _safety(sandbox) == []
    assert head(sandbox.target.application.repository) == sandbox.commit
    (up,) = sandbox.control.recreate.call_args_list
    assert (up.args[0], up.kwargs["files"]) == (
        {service: image(service) for service in SERVICES},
        sandbox.target.engine.files,
    )


@pytest.mark.parametrize(
    ("maintained", "kind", "number"),
    [
        pytest.param(at, kind, number, id=f"{'in maintenance' if at else 'stopped'}-{kind}-{number}")
        for kind, counts in STEPS.items()
        for at, count in zip((False, True), counts, strict=True)
        # An emergency rollback in maintenance has the steps of one without it.
        if at is (kind == "emergency")
        for number in range(count)
    ],
    indirect=["maintained"],
)
def test_after_an_interruption_of_any_step_it_is_run_again(
    sandbox: Sandbox, incident: Incident, maintained: StandInProxy | None, kind: str, number: int
) -> None:
    plan, before = PLANS[kind](sandbox), _words(sandbox)
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, interrupt=plan.steps[number].id)
    begun = (incident.folder / "unfinished.json").exists()
    assert begun is (number > 0 or not plan.images)
    found = interrupted(sandbox.target.folders.incidents, sandbox.target.name, plan.request)
    assert (found and found.incident.id) == (incident.id if begun else None)
    before_it = len(_steps(incident))
    sandbox.run(plan, incident)
    # A resumed one does the rest, and repeats what is not known to be done.
    restored = plan.backup is not None and plan.steps[number].stage is Stage.START
    end = {Stage.LOOK, Stage.CHECK_OUT, Stage.START}
    left = [step for step in plan.steps if not restored or step.stage in end]
    done, whole = set(_steps(incident)[before_it:]), {step.id for step in left if step.part_of is None}
    assert whole <= done <= {step.id for step in left}
    words = {name: "of release 1" if name in plan.stores else before[name] for name in before}
    assert _words(sandbox) == words
    assert head(sandbox.target.application.repository) == (sandbox.commit if plan.checks_out else sandbox.bad)
    kept = [(path / name / "a").read_text() for path in _safety(sandbox) for name in plan.stores]
    assert kept == ["of release 2"] * len(plan.stores)
    record = incident.rollback()
    assert record is not None
    assert record.verdict == Verdict.PASSED
    assert not (incident.folder / "unfinished.json").exists()
    assert maintained is None or not maintained.on


def _does_not_start(services: Any, **_: Any) -> None:  # noqa: ANN401 - a stand-in
    if tuple(services) == ("database-server",):
        raise ActionFailed(what="start", expected="b", observed="dead", source="d", hint="e")


def test_a_service_of_the_release_is_stopped_first_and_removed_by_name_also_when_resumed(
    sandbox: Sandbox, incident: Incident
) -> None:
    plan = replace(PLANS["emergency"](sandbox), removed=("converter",))
    there = {"converter": (), **sandbox.engine.containers()}
    sandbox.engine.containers.return_value = there
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(plan, incident, StepId(Step.REMOVE, "converter"))
    assert call(["converter"], deadline=ANY) in sandbox.control.stop.mock_calls
    sandbox.control.remove.assert_not_called()
    sandbox.run(plan, incident)
    sandbox.control.remove.assert_called_once_with("converter", deadline=ANY)


@pytest.mark.parametrize("mended", [True, False], ids=["its proxy is restarted", "it has no proxy"])
def test_a_service_that_users_do_not_reach_is_not_passed(
    sandbox: Sandbox, incident: Incident, *, mended: bool
) -> None:
    stale = True
    restarted: list[str] = []

    def start(services: Iterable[str], **_: object) -> None:
        nonlocal stale
        restarted.extend(services)
        stale = False

    sandbox.control.start.side_effect = start
    application = serve(sandbox)
    for path in ("/", "/api/v1/health/check"):
        application.answers[f"GET {path}"] = lambda asked: asked.reply(502 if stale else 200, {})
    proxy = '\n[application.requests]\nservice = "frontend"\n' if mended else ""
    sandbox.profile.write_text(sandbox.profile.read_text() + proxy)
    sandbox.target = load_target(sandbox.profile)
    if mended:
        assert sandbox.run(plan_service(sandbox.target, "backend"), incident).verdict == Verdict.PASSED
    else:
        with pytest.raises(ActionFailed, match=r"(?s)observed 502 at /.*\nHINT: .*restart frontend"):
            sandbox.run(plan_service(sandbox.target, "backend"), incident)
    assert restarted == (["frontend"] if mended else [])


def test_a_store_that_does_not_start_is_not_overwritten(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.control.start.side_effect = _does_not_start
    with pytest.raises(ActionFailed, match="observed dead"):
        sandbox.run(PLANS["database"](sandbox), incident)
    assert _words(sandbox)["mysql"] == "of release 2"


@dataclass
class StoppedStore(WordStore):
    """A store that is kept and restored while it does not run."""

    stopped = True

    def keep_safe(self, folder: Path, *, up: bool, backup: Path) -> Kept:
        """Keep the words, and whether it ran."""
        kept = self.back_up(folder)
        (folder.parent / f"{self.name} was {'up' if up else 'down'}").touch()
        return kept


def test_one_that_need_not_run_is_kept_as_it_lies_and_restored(sandbox: Sandbox, incident: Incident) -> None:
    before = sandbox.keepers["mysql"]
    sandbox.keepers["mysql"] = StoppedStore("mysql", "mysql", before.words, dead=True)
    sandbox.control.start.side_effect = _does_not_start
    with pytest.raises(RecordsUnknown):
        sandbox.run(PLANS["database"](sandbox), incident)
    assert _words(sandbox)["mysql"] == "of release 1"
    (safety,) = _safety(sandbox)
    assert (safety / "mysql" / "a").read_text() == "of release 2"
    assert (safety / "mysql was down").exists()
    assert "its records cannot be asked for" in (incident.folder / "journal.jsonl").read_text()


class UnloadedStore(StoppedStore):
    """A store of which something has to be loaded before it can be exported."""

    def load(self) -> list[str]:
        return ["words"]


@pytest.mark.parametrize("down", [False, True])
def test_what_is_not_loaded_is_loaded_to_be_exported_unless_the_store_is_down(
    sandbox: Sandbox, incident: Incident, *, down: bool
) -> None:
    before = sandbox.keepers["mysql"]
    sandbox.keepers["mysql"] = UnloadedStore("mysql", "mysql", before.words, dead=down)
    sandbox.control.start.side_effect = _does_not_start if down else None
    with pytest.raises(RecordsUnknown) if down else nullcontext():
        sandbox.run(PLANS["database"](sandbox), incident)
    said = "mysql: words was not loaded, and is now, to be exported"
    assert (said in (incident.folder / "journal.jsonl").read_text()) is not down


def test_a_disk_that_is_full_is_said_and_nothing_is_overwritten(
    sandbox: Sandbox, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(taking, "write_whole", full)
        with pytest.raises(ActionFailed, match=r"backup: expected .*, observed No space left on device"):
            sandbox.run(PLANS["database"](sandbox), incident)
    assert list((sandbox.target.folders.backups / "safety").iterdir()) == []
    assert set(_words(sandbox).values()) == {"of release 2"}
    (sandbox.target.folders.backups / "safety").rmdir()
    (sandbox.target.folders.backups / "safety").touch()
    with pytest.raises(ActionFailed, match=r"backup: expected .*, observed File exists"):
        sandbox.run(PLANS["database"](sandbox), incident)
    assert set(_words(sandbox).values()) == {"of release 2"}


def test_one_that_is_ended_before_its_success_is_recorded_is_there_to_go_on_with(
    sandbox: Sandbox, incident: Incident, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Incident, "write_rollback", end)
        with pytest.raises(KeyboardInterrupt):
            sandbox.run(PLANS["service"](sandbox), incident)
    (left,) = unfinished_of(sandbox.target.folders.incidents, sandbox.target.name)
    assert left.incident.id == incident.id
    assert sandbox.run(PLANS["service"](sandbox), incident).verdict == Verdict.PASSED
    assert unfinished_of(sandbox.target.folders.incidents, sandbox.target.name) == []


def test_a_wider_rollback_leaves_nothing_to_go_on_with(sandbox: Sandbox, incident: Incident) -> None:
    with pytest.raises(KeyboardInterrupt):
        sandbox.run(PLANS["database"](sandbox), incident, interrupt=StepId(Step.BACK_UP, "mysql"))
    wider = sandbox.new_incident()
    sandbox.run(PLANS["emergency"](sandbox), wider)
    assert unfinished_of(sandbox.target.folders.incidents, sandbox.target.name) == []
    assert incident.id in (wider.folder / "journal.jsonl").read_text()
    assert incident.rollback_verdicts() == [Verdict.FAILED]


def _ended(name: str, image_id: str) -> RecordedContainer:
    return RecordedContainer(
        name, f"t-{name}-1", "t/python:current", image_id, None, None, (), completed=True
    )


@pytest.mark.parametrize("kind", ["full", "emergency"])
@pytest.mark.parametrize("now", ["another image", "another environment", "gone", "as it was"])
def test_what_ends_by_itself_is_re_created_first_where_it_ran_otherwise(
    sandbox: Sandbox, incident: Incident, kind: str, now: str
) -> None:
    """A deployment made it again as the release has it: so it does its work again as recorded."""
    key = new_configuration_key(sandbox.target)
    recorded = replace(facts(sandbox.commit), surroundings=Surroundings(key.id))
    ended = (_ended("weights", image("backend")), _ended("topics", f"sha256:{'f' * 64}"))
    whole = replace(recorded, containers=(*recorded.containers, *ended))
    sandbox.save(whole)
    if now != "gone":
        there = Deployed(None, image("worker" if now == "another image" else "backend"))
        if now == "another environment":
            there = replace(there, private={"environment MODE": SecretStr("of release 2")})
        sandbox.engine.containers.return_value["weights"] = (there,)
    plan = PLANS[kind](sandbox)
    assert dict(plan.completing) == {"weights": image("backend")}
    assert any("re-creates weights, which end" in changes for _, changes in outline(sandbox.target, plan))
    sandbox.run(plan, incident)
    first, *others = sandbox.control.recreate.call_args_list
    assert bool(first.kwargs.get("completes")) is (now != "as it was")
    if now != "as it was":
        assert first.args[0] == {"weights": image("backend")}
        assert first.kwargs["replicas"] == {"weights": 1}
    assert all("weights" not in call.args[0] and not call.kwargs.get("completes") for call in others)


def test_a_service_has_as_many_containers_as_at_the_capture_again(
    sandbox: Sandbox, incident: Incident
) -> None:
    recorded = facts(sandbox.commit)
    one = next(container for container in recorded.containers if container.service == "backend")
    more = tuple(replace(one, name=f"{one.name[:-1]}{number}") for number in (2, 3))
    whole = replace(recorded, containers=(*recorded.containers, *more))
    sandbox.save(whole)
    sandbox.run(plan_service(sandbox.target, "backend"), incident)
    (up,) = sandbox.control.recreate.call_args_list
    assert up.kwargs["replicas"] == {"backend": 3}
    assert whole.replicas(["a later one"]) == {}, "it is not scaled to none"
