"""Clients of Kafka's library are closed by who opened them: a collection of garbage must find none open.

One that it finds open it ends on whatever thread it runs, and on a thread of that client itself this ends the
process: "rd_kafka_destroy() called from librdkafka owned thread".
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Endpoint
from rollproof.errors import Problem, Unverifiable
from rollproof.stores.contract import Pace
from rollproof.stores.kafka.content import Content
from rollproof.stores.kafka.inventory import Inventory, retentions
from rollproof.stores.kafka.keeper import Keeper
from rollproof.stores.kafka.view import Log, View
from rollproof.stores.reach import Readable
from rollproof.stores.writable import Writable
from tests.conftest import ROOT
from tests.unit.sandbox import stand_in
from tests.unit.stores.test_readers_reach import section

# Nobody listens there.
DEAD = Endpoint("127.0.0.1", 1)


@pytest.fixture
def readable() -> Readable:  # type: ignore[type-arg]
    return Readable("kafka", section("kafka").model_copy(update={"deadline_seconds": 0.3}), DEAD)


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _asked(readable: Readable, folder: Path) -> dict[str, Callable[[], object]]:  # type: ignore[type-arg]
    """Return everything that makes clients, by a name."""
    view, content = View(readable), Content(readable)
    control = stand_in(ComposeControl)
    keeper = Keeper(Writable("kafka", section("kafka"), DEAD, control, 0.3))  # type: ignore[arg-type]
    return {
        "ask": view.ask,
        "counts": view.counts,
        "schemas": content.schemas,
        "positions": content.positions,
        "beside": content.beside,
        "records": lambda: next(iter(content.records("topic", ("",), (0,), Pace()))),
        "retentions": lambda: retentions(readable),
        "back up": lambda: keeper.back_up(folder),
    }


def _clients() -> list[Consumer | AdminClient]:
    return [one for one in gc.get_objects() if isinstance(one, Consumer | AdminClient)]


class Never:
    """An answer of the library that does not come, to whoever waits for a time."""

    def result(self, seconds: float) -> None:
        raise TimeoutError(f"{seconds:g}")


def test_an_answer_that_does_not_come_is_given_up(readable: Readable) -> None:  # type: ignore[type-arg]
    with (
        Inventory(readable.reach, readable.reach.address) as inventory,
        pytest.raises(Unverifiable, match="the groups"),
    ):
        inventory._result(Never(), "the groups")


def test_groups_are_those_of_the_patterns(
    readable: Readable,  # type: ignore[type-arg]
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [SimpleNamespace(group_id=name) for name in ("b", "a2", "a1")]
    with Inventory(readable.reach, readable.reach.address) as inventory:
        monkeypatch.setattr(inventory, "_result", lambda *_: SimpleNamespace(valid=found))
        assert list(inventory.groups(["a*"])) == ["a1", "a2"]


@pytest.mark.parametrize("question", ["list_offsets", "delete_records"])
def test_the_questions_that_crash_the_library_are_not_asked(question: str) -> None:
    """Two of its threads look for the partitions' leaders at once: `Log` tells how else they are asked."""
    assert hasattr(AdminClient, question)
    rooms = ("checks", "fixtures", "reports", "rollback_actions", "staging", "tests")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py") if file != Path(__file__)]
    assert [file for file in files if f".{question}(" in file.read_text(encoding="utf-8")] == []


def test_every_client_is_closed_whatever_came_of_its_question(
    readable: Readable,  # type: ignore[type-arg]
    tmp_path: Path,
) -> None:
    before, kept = {id(client) for client in _clients()}, list[BaseException]()
    for name, ask in _asked(readable, tmp_path).items():
        with pytest.raises(Unverifiable) as raised:
            ask()
        # An error that is kept, as the monitor keeps its last, keeps all that its functions had.
        kept.append(raised.value)
        left = [client for client in _clients() if id(client) not in before]
        assert left, f"{name} made no client that its error keeps"
        for client in left:
            with pytest.raises(RuntimeError, match=r"(?i)closed"):
                client.list_topics(timeout=0.1)
    assert len(kept) == len(_asked(readable, tmp_path))


def test_a_log_is_gone_when_it_is_left(readable: Readable) -> None:  # type: ignore[type-arg]
    with Log(readable.reach) as log:
        gone = weakref.ref(log)
    del log
    assert gone() is None


def test_a_log_keeps_the_librarys_own_words(readable: Readable) -> None:  # type: ignore[type-arg]
    with Log(readable.reach) as log, pytest.raises(Problem, match="refused") as raised:
        log.topics(["*"])
    assert "All broker connections are down" not in str(raised.value)


def test_an_inventory_is_closed_twice_in_peace(readable: Readable) -> None:  # type: ignore[type-arg]
    with Inventory(readable.reach) as inventory:
        inventory.__exit__(None, None, None)
