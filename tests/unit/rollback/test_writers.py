"""The watch for writers: who is one, when it fails a rollback, and what it could not see."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from rollback_actions.rollback.maintenance import watch_of
from rollproof.engines.engine import RunningContainer
from rollproof.errors import Unverifiable
from rollproof.incident.incident import Incident
from rollproof.incident.journal import Step
from rollproof.planning.plan import plan_database, plan_emergency
from rollproof.planning.writers import WriterSeen
from rollproof.stores.keeper import ConnectedClient
from tests.world.sandbox import SERVICES, Sandbox, begun

WORKER = RunningContainer("sandbox-worker-1", "worker", one_off=False)


def _runs_for_a_moment(sandbox: Sandbox, container: RunningContainer) -> Callable[[], None]:
    """Return what lets `container` run until it was looked for, and ends it again."""

    def run() -> None:
        looks, looked = iter(range(2)), Event()

        def running() -> tuple[RunningContainer, ...]:
            if next(looks, None) is not None:
                return (container,)
            looked.set()
            return ()

        sandbox.engine.running.side_effect = running
        assert looked.wait(60)

    return run


@pytest.mark.parametrize(
    ("container", "is_one"),
    [
        (WORKER, True),
        (RunningContainer("sandbox-backend-run-1", "backend", one_off=True), True),
        (RunningContainer("sandbox-migrate-run-1", "migrate", one_off=True), True),
        (RunningContainer("sandbox-exporter-1", "exporter", one_off=False), False),
        (RunningContainer("sandbox-frontend-1", "frontend", one_off=False), False),
        (RunningContainer("sandbox-database-server-run-1", "database-server", one_off=True), False),
    ],
    ids=lambda value: value.name if isinstance(value, RunningContainer) else "",
)
def test_a_container_that_runs_in_the_middle(
    sandbox: Sandbox, incident: Incident, container: RunningContainer, *, is_one: bool
) -> None:
    plan = plan_database(sandbox.target, "mysql")
    sandbox.keepers["mysql"].meanwhile = _runs_for_a_moment(sandbox, container)
    if not is_one:
        sandbox.run(plan, incident)
        return
    seen = f"observed container {container.name} of {container.service}, seen at 20"
    with pytest.raises(WriterSeen, match=seen):
        sandbox.run(plan, incident)
    assert begun(incident)[Step.WATCHED].startswith("WriterSeen: data of mysql: expected no writer while")
    # The application is not started; what is there is restored again, and nothing is kept twice.
    assert SERVICES not in [tuple(call.args[0]) for call in sandbox.control.start.call_args_list]
    assert (incident.folder / "unfinished.json").exists()
    sandbox.keepers["mysql"].meanwhile = lambda: None
    sandbox.run(plan, incident)
    assert not (incident.folder / "unfinished.json").exists()


def test_a_client_fails_it_when_every_restore_has_ended(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.keepers["redis"].meanwhile = lambda: sandbox.clients["redis"].found.append(
        ConnectedClient("app", "10.0.0.9")
    )
    with pytest.raises(WriterSeen, match=r"client app@10\.0\.0\.9 of redis, seen at 20"):
        sandbox.run(plan_emergency(sandbox.target, sandbox.commit), incident)
    assert {keeper.words["a"] for keeper in sandbox.keepers.values()} == {"of release 1"}
    sandbox.control.recreate.assert_not_called()


def test_one_that_was_stopped_may_take_a_moment_to_hang_up(sandbox: Sandbox, incident: Incident) -> None:
    gone = iter([[ConnectedClient("app", "10.0.0.9")]])
    sandbox.clients["mysql"].others = lambda: next(gone, [])  # type: ignore[method-assign]
    sandbox.run(plan_database(sandbox.target, "mysql"), incident)


def test_what_could_not_be_seen_is_said(sandbox: Sandbox, incident: Incident) -> None:
    def unreachable() -> list[ConnectedClient]:
        raise Unverifiable(what="redis", expected="an answer", observed="none", source="b", hint="c")

    sandbox.clients["mysql"].blind = True
    sandbox.clients["redis"].others = unreachable  # type: ignore[method-assign]
    sandbox.keepers["mysql"].meanwhile = _runs_for_a_moment(
        sandbox, RunningContainer("sandbox-other-1", "other", one_off=False)
    )
    record = sandbox.run(plan_emergency(sandbox.target, sandbox.commit), incident)
    assert (
        begun(incident)[Step.WATCHED] == "nobody at the containers; could not look at redis; blind at mysql"
    )
    assert list(record.blind) == ["redis", "mysql"]
    journal = (incident.folder / "journal.jsonl").read_text()
    # Once, however often it was looked at.
    for name in ("mysql", "redis"):
        assert journal.count(f"writers cannot be seen at {name}: ") == 1


def test_without_a_look_at_the_containers_there_is_no_success(sandbox: Sandbox, incident: Incident) -> None:
    def lose_the_engine() -> None:
        gone = Unverifiable(what="engine", expected="an answer", observed="none", source="b", hint="c")
        sandbox.engine.running.side_effect = gone

    sandbox.keepers["mysql"].meanwhile = lose_the_engine
    with pytest.raises(Unverifiable, match="engine"):
        sandbox.run(plan_database(sandbox.target, "mysql"), incident)


def test_a_client_on_the_operators_account_is_a_writer_too(sandbox: Sandbox, incident: Incident) -> None:
    sandbox.clients["mysql"].found.append(ConnectedClient("operator", "10.0.0.9"))
    with pytest.raises(WriterSeen, match=r"client operator@10\.0\.0\.9 of mysql, seen at 20"):
        sandbox.run(plan_database(sandbox.target, "mysql"), incident)
    assert sandbox.keepers["mysql"].words["a"] == "of release 2"


@pytest.mark.parametrize("kind", ["s3", "kafka", "qdrant", "milvus"])
def test_a_store_that_does_not_tell_is_named(sandbox: Sandbox, kind: str) -> None:
    stores = dict(sandbox.target.stores)
    stores["mysql"] = stores["mysql"].model_copy(update={"kind": kind})
    target = sandbox.target.model_copy(update={"stores": stores})
    notes: list[str] = []
    with watch_of(target, ("redis", "mysql"), sandbox.engine, notes.append, sandbox.outside) as watch:
        watch.begin()
        assert watch.end() == "nobody at the containers, redis; blind at mysql"
        assert watch.blind() == {"mysql": "a store of its kind does not list its clients"}
