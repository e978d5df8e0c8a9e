"""Each probe of the monitor on the real stack: it changes for its own fault, and recovers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TypeVar, cast

import httpx2
import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Problem, Unverifiable
from rollproof.monitoring.probes.function_probe import FunctionProbe
from rollproof.monitoring.probes.probe import Probe, Reading
from rollproof.monitoring.probes.probes import probes_of
from rollproof.monitoring.probes.store_probes import ConnectionsProbe, LagProbe
from rollproof.profile.application_profile import Function
from rollproof.profile.profile import Target
from rollproof.stores.contract import Untold
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.mysql import connection as mysql
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.reach import NOBODY, Reach, Readable
from rollproof.stores.redis.descriptor import RedisProfile
from rollproof.stores.redis.reader import RedisReader
from staging.faults.mysql import document_lost
from staging.target.operators import Operators, undone
from tests.stack import container_faults as faults
from tests.stack import damage
from tests.stack.container_faults import Containers
from tests.stack.kafka_scratch import Scratch
from tests.stack.scratch_project import docker
from tests.stack.scratch_stores import changed
from tests.stack.verifier import Verifier

# As with a beat of some more than 5 s.
DEADLINE = 6.0
WAIT_SECONDS = 180.0
MAINTENANCE = "/tmp/maintenance"  # noqa: S108 - the profile's own
Found = TypeVar("Found")


@pytest.fixture(scope="module")
def watched(target: Target, verifier: Verifier) -> Target:
    """The stack, with a baseline of what it holds now."""
    folders = target.folders.model_copy(update={"baselines": verifier.folder / "baselines"})
    return target.model_copy(update={"folders": folders})


@pytest.fixture(scope="module")
def probes(watched: Target) -> Iterator[dict[str, Probe]]:
    """The probes by name, each asked once already, as by a monitor before its first beat.

    They are those of one monitor: each test leaves them well.
    """
    with ExitStack() as opened:
        made = {str(probe.id): probe for probe in probes_of(watched, DEADLINE)}
        for probe in made.values():
            opened.enter_context(closing(probe))
            asked(probe)
        yield made


def asked(probe: Probe) -> Reading | Problem:
    """Return what a probe reads, or why it does not know."""
    try:
        return probe.ask()
    except Problem as problem:
        return problem


def until(ask: Callable[[], Found], holds: Callable[[Found], bool]) -> Found:
    """Ask again and again until what is said is like that."""
    give_up = time.monotonic() + WAIT_SECONDS
    while not holds(found := ask()):
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    return found


def well(probe: Probe) -> Reading:
    """Wait until a probe is well."""
    return cast(
        "Reading", until(lambda: asked(probe), lambda said: isinstance(said, Reading) and said.ok is True)
    )


def test_all_are_well_and_health_and_page_are_as_fast_as_usual(probes: dict[str, Probe]) -> None:
    assert set(probes) >= {"requests", "records", "connections mysql", "lag kafka", "vectors milvus"}
    for probe in probes.values():
        well(probe)
    for name in ("health", "page"):
        reading = well(probes[name])
        # A busy machine is slower; a figure that is wrong altogether is further off.
        assert 0.01 < reading.figures["ratio"] < 1000


def test_requests_that_fail_and_log_ins_that_are_refused_are_counted(
    probes: dict[str, Probe], target: Target, containers: Containers
) -> None:
    probe, url = probes["requests"], str(target.application.url).rstrip("/")
    seen: dict[str, float] = {}

    def counted(**wanted: int) -> bool:
        said = asked(probe)
        figures = said.figures if isinstance(said, Reading) else {}
        for name in ("requests", "errors", "log_ins", "failed_log_ins"):
            seen[name] = seen.get(name, 0) + figures.get(name, 0)
        return {name: seen[name] for name in wanted} == wanted

    def failing(said: Reading | Problem) -> bool:
        return isinstance(said, Reading) and said.figures["errors"] > 0

    # What was asked before is not counted again.
    asked(probe)
    with httpx2.Client(base_url=url, trust_env=False, timeout=60) as user:
        for _ in range(3):
            assert user.get("/api/v1/health/check").status_code == 200
        until(lambda: counted(requests=3, errors=0), bool)
        form = {"username": target.application.canary.user, "password": uuid.uuid4().hex}
        assert 400 <= user.post("/api/v1/auth/login", data=form).status_code < 500
        until(lambda: counted(requests=4, errors=0, log_ins=1, failed_log_ins=1), bool)
        proxy = containers.of("nginx").id
        with undone(lambda: docker("exec", proxy, "rm", "-f", MAINTENANCE)):
            docker("exec", proxy, "touch", MAINTENANCE)
            for _ in range(5):
                assert user.get("/api/v1/base/nothing").status_code == 503
            said = until(lambda: asked(probe), failing)
            assert isinstance(said, Reading)
            assert not said.ok
            assert said.figures["errors"] <= 5
            assert said.figures["p95"] < 5000
    # Nothing is counted again, and what this suite itself asks is no user's.
    well(probes["health"])
    time.sleep(1)
    probe.ask()
    well(probes["health"])
    time.sleep(1)
    assert probe.ask().figures["requests"] == 0


def test_a_record_that_is_gone_is_seen_by_the_second_question(
    probes: dict[str, Probe], operators: Operators
) -> None:
    probe = probes["records"]
    before = well(probe)
    assert before.value == 0.0
    with document_lost(operators):
        readings = [asked(probe) for _ in range(2)]
        reading = readings[-1]
        assert isinstance(reading, Reading), readings
        assert (reading.ok, reading.value, reading.services) == (False, 1.0, ("mysql",)), readings
        assert "mysql/imagedb.documents 1" in reading.text
    assert well(probe).value == 0.0


def test_connections_that_run_out_are_seen(
    watched: Target, operators: Operators, engine: ContainerEngine
) -> None:
    limit = watched.severity.critical.connections.model_copy(update={"limit": 20.0})
    critical = watched.severity.critical.model_copy(update={"connections": limit})
    strict = watched.model_copy(
        update={"severity": watched.severity.model_copy(update={"critical": critical})}
    )
    profile = cast("MysqlProfile", watched.stores["mysql"])
    reach = Reach("mysql", engine.resolve(profile.address), profile.reader, 60)
    ((allowed,),) = operators.sql("SELECT @@GLOBAL.max_connections")
    many = int(allowed) // 4
    with closing(ConnectionsProbe("mysql", strict, engine, DEADLINE)) as probe:
        before = well(probe)
        assert before.value is not None
        with ExitStack() as opened:
            for _ in range(many):
                opened.enter_context(closing(mysql.connect(reach)))
            full = probe.ask()
            assert (full.ok, full.services) == (False, ("mysql",)), full
            assert full.value is not None
            assert full.value >= before.value + 100 * (many - 2) / int(allowed)
        well(probe)


def test_an_account_that_may_not_ask_is_told_apart(target: Target, engine: ContainerEngine) -> None:
    profile = cast("RedisProfile", target.stores["redis"])
    sweeper = target.application.canary.sweeper
    assert sweeper is not None
    may_not = changed(profile, reader=sweeper.account)
    with (
        closing(RedisReader(Readable("redis", may_not, engine.resolve(profile.address)))) as view,
        pytest.raises(Untold, match=r"expected \+info"),
    ):
        view.connections()


def test_a_group_that_is_behind_is_seen_and_one_that_catches_up(
    watched: Target, engine: ContainerEngine
) -> None:
    name = f"scratch_{uuid.uuid4().hex[:8]}_"
    profile = cast("KafkaProfile", watched.stores["kafka"])
    scratch = Scratch(Reach("kafka", engine.resolve(profile.address), NOBODY, 60), name)
    mine = changed(profile, topics=(f"{name}*",), groups=(scratch.group,))
    lagging = watched.model_copy(update={"stores": {**watched.stores, "kafka": mine}})
    with undone(scratch.clear), closing(LagProbe("kafka", lagging, engine, DEADLINE)) as probe:
        scratch.create(scratch.topic, 2)
        scratch.produce(scratch.topic, 1200, 2)
        assert isinstance(asked(probe), Unverifiable)
        scratch.commit(scratch.topic, {0: 0, 1: 10})
        # The broker serves an end of the log that is some seconds old.
        reading = until(probe.ask, lambda found: found.value == 1190.0)
        assert (reading.ok, reading.services) == (False, profile.services)
        assert reading.text == f"{scratch.group} is 1,190 behind"
        scratch.commit(scratch.topic, {0: 600, 1: 600})
        assert until(probe.ask, lambda found: found.value == 0.0).ok


def test_a_function_that_breaks_is_seen_where_health_and_statuses_are_well(
    watched: Target, engine: ContainerEngine, operators: Operators, probes: dict[str, Probe]
) -> None:
    """The stream ends, with status 200; its turn is not kept. Nothing of the canary stays."""

    def used() -> Reading:
        with closing(FunctionProbe(watched, Function(chat=True), engine, 60.0)) as probe:
            return probe.ask()

    before = leaves(operators)
    reading = used()
    assert (reading.ok, reading.value) == (True, 0.0), reading.text
    assert reading.text.startswith("log-in, files, chat")
    with damage.turns_refused(operators):
        broken = used()
        assert well(probes["health"]).ok
    assert (broken.ok, broken.value) == (False, 1.0)
    assert "0 turns" in broken.text
    assert used().ok
    assert leaves(operators) == before


def leaves(operators: Operators) -> tuple[int, list[object]]:
    """Return the canary's conversations, and the tokens."""
    conversations = operators.mongodb["mongodb"]["conversations"].count_documents({"username": "canary"})
    return conversations, sorted(operators.redis.scan_iter("user:canary"))


def test_what_is_down_names_its_services(probes: dict[str, Probe], containers: Containers) -> None:
    with faults.stopped(containers, "qdrant"):
        assert isinstance(asked(probes["store qdrant"]), Unverifiable)
        there = probes["containers"].ask()
        assert (there.ok, there.services) == (False, ("qdrant",))
        # A search has no answer, however soon that is known.
        assert isinstance(asked(probes["vectors qdrant"]), Unverifiable)
    for name in ("store qdrant", "containers", "vectors qdrant"):
        well(probes[name])
