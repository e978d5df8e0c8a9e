"""The probes of what only some stores have, on stores that answer as a test tells them to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

import pytest

from rollproof.collection import Json
from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Unverifiable
from rollproof.monitoring.probes.probe import ProbeResult
from rollproof.monitoring.probes.store_probes import ConnectionsProbe, LagProbe, VectorProbe
from rollproof.profile.profile import Target, load_target
from rollproof.stores.contract import QueryAnswer
from rollproof.stores.kafka.ranges import lags
from rollproof.stores.reach import NOBODY, Reach
from tests.conftest import write_profile
from tests.world.sandbox import MYSQL
from tests.world.stores import Content as StandIn

ENGINE = cast("ContainerEngine", None)
DEADLINE = 1.0
STORES = """
[stores.kafka]
kind = "kafka"
address = {host = "127.0.0.1", port = 9}
services = ["broker"]
risk = "low"
topics = ["jobs"]
groups = ["workers"]
[stores.qdrant]
kind = "qdrant"
address = {host = "127.0.0.1", port = 9}
services = ["vectors"]
risk = "medium"
[stores.mongodb]
kind = "mongodb"
address = {host = "127.0.0.1", port = 9}
services = ["documents"]
risk = "medium"
databases = ["a"]
reader = {user = "reader", password = {file = "canary_password"}}
operator = {user = "operator", password = {file = "canary_password"}}
"""
REFUSED = Unverifiable(what="store x", expected="an answer", observed="refused", source="b", hint="c")
UNTOLD = Reach("redis", Endpoint("127.0.0.1", 9), NOBODY, 1.0).withheld("+info")
HITS = ("1", "2")


@dataclass
class Told(StandIn):
    """A store that tells what it is told to tell."""

    told: tuple[int, int] | Exception = (12, 151)
    behind: Mapping[str, int] | Exception = field(default_factory=lambda: {"workers": 3})
    collection: str = "files"
    hits: Sequence[str] | Exception | None = HITS
    opened: int = 0
    closed: int = 0
    asked: int = 0

    def connections(self) -> tuple[int, int]:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def lags(self) -> Mapping[str, int]:
        if isinstance(self.behind, Exception):
            raise self.behind
        return self.behind

    def ask(self) -> QueryAnswer:
        self.asked += 1
        return QueryAnswer("count", self.collection, 3, "1")

    def search(self, collection: str, limit: int = 5) -> Sequence[str] | None:
        assert collection == self.collection
        if isinstance(self.hits, Exception):
            raise self.hits
        return self.hits

    def close(self) -> None:
        self.closed += 1


Stores = dict[str, Told]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return load_target(write_profile(tmp_path, MYSQL + STORES))


@pytest.fixture
def stores(target: Target) -> Stores:
    return {name: Told(name, {}) for name in target.stores}


OfStore = TypeVar("OfStore", ConnectionsProbe, LagProbe, VectorProbe)


def probe_of(kind: type[OfStore], name: str, target: Target, stores: Stores) -> OfStore:
    def opened(store: str, *_: object, **__: object) -> Told:
        stores[store].opened += 1
        return stores[store]

    return kind(name, target, ENGINE, DEADLINE, open_reader=opened)


@pytest.fixture
def connections(target: Target, stores: Stores) -> ConnectionsProbe:
    return probe_of(ConnectionsProbe, "mysql", target, stores)


def test_a_store_that_is_full_names_its_services(connections: ConnectionsProbe, stores: Stores) -> None:
    reading = connections.ask()
    assert (reading.ok, reading.text, reading.services) == (True, "12 of 151 in use (7.9 %)", ())
    stores["mysql"].told = (148, 151)
    reading = connections.ask()
    assert (reading.ok, reading.services) == (False, ("database-server",))
    assert reading.value is not None
    assert reading.value > 98
    assert (stores["mysql"].opened, stores["mysql"].closed) == (1, 0)


def test_one_that_does_not_tell_this_account_has_no_figure(
    connections: ConnectionsProbe, stores: Stores
) -> None:
    stores["mysql"].told = UNTOLD
    assert connections.ask() == ProbeResult(ok=True, text="readable only with +info")
    stores["mysql"].told = REFUSED
    with pytest.raises(Unverifiable, match="observed refused"):
        connections.ask()


@pytest.fixture
def lag(target: Target, stores: Stores) -> LagProbe:
    return probe_of(LagProbe, "kafka", target, stores)


def test_the_group_that_is_furthest_behind_counts(lag: LagProbe, stores: Stores) -> None:
    reading = lag.ask()
    assert (reading.ok, reading.value, reading.services) == (True, 3.0, ())
    stores["kafka"].behind = {"workers": 1000, "others": 4}
    reading = lag.ask()
    assert (reading.ok, reading.value, reading.services) == (False, 1000.0, ("broker",))
    assert reading.text == "workers is 1,000 behind"
    assert stores["kafka"].opened == 1
    lag.close()
    assert stores["kafka"].closed == 1


def test_groups_that_nobody_knows_are_unknown(lag: LagProbe, stores: Stores) -> None:
    stores["kafka"].behind = {}
    with pytest.raises(Unverifiable, match="expected offsets of workers, observed none"):
        lag.ask()


def test_a_lag_is_what_can_still_be_read() -> None:
    positions: dict[str, Json] = {
        # Of the first, `a b` has read all but two; the second it has not begun; much of the third is gone.
        "topic jobs 0": {"begin": 0, "end": 10, "groups": {"a b": 8, "beyond": 11}},
        "topic jobs 1": {"begin": 5, "end": 9, "groups": {"beyond": 9}},
        "topic jobs 2": {"begin": 100, "end": 120, "groups": {"a b": 70, "beyond": 120}},
        "topic mail 0": {"begin": 0, "end": 50, "groups": {"mailers": 50}},
    }
    assert lags(positions) == {"a b": 2 + 4 + 20, "mailers": 0, "beyond": 0}
    assert lags({}) == {}


@pytest.fixture
def vectors(target: Target, stores: Stores) -> VectorProbe:
    return probe_of(VectorProbe, "qdrant", target, stores)


def test_a_search_that_finds_is_well_over_one_connection(vectors: VectorProbe, stores: Stores) -> None:
    for _ in range(3):
        reading = vectors.ask()
        assert (str(vectors.id), reading.ok, reading.text) == ("vectors qdrant", True, "2 hits in files")
    assert (stores["qdrant"].opened, stores["qdrant"].asked) == (1, 1)
    stores["qdrant"].hits = ()
    reading = vectors.ask()
    assert (reading.ok, reading.services) == (False, ("vectors",))


def test_a_search_without_an_answer_is_none_and_the_next_one_looks_again(
    vectors: VectorProbe, stores: Stores
) -> None:
    vectors.ask()
    store, whole = stores["qdrant"], stores["qdrant"].hits
    store.hits = REFUSED
    with pytest.raises(Unverifiable, match="observed refused"):
        vectors.ask()
    store.hits, store.collection = None, "other"
    with pytest.raises(Unverifiable, match="vectors of qdrant: expected a vector in other, observed none"):
        vectors.ask()
    store.hits = whole
    assert vectors.ask().text == "2 hits in other"
    assert store.opened == 2
