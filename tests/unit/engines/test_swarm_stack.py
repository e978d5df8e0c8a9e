"""What a manager's answer about a stack means: which tasks count, where to ask, what has failed."""

from __future__ import annotations

from typing import Any

import pytest

from rollback_actions.containers.swarm import stack_file, stop_options
from rollproof.engines.engine import Mount
from rollproof.engines.swarm.stack import NOWHERE, STOPPED, Node, StackState, SwarmService, Task, context_of
from rollproof.errors import Unverifiable

NODES = {
    "a": Node("a", "node-a", "ready", "10.0.0.1", ""),
    "b": Node("b", "node-b", "down", "10.0.0.2", None),
}


def service(**more: Any) -> SwarmService:  # noqa: ANN401 - as the engine writes it
    spec = {
        "Name": "shop_api",
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"ContainerSpec": {}},
    }
    return SwarmService(
        "api", {"ID": "api", "Spec": {**spec, **more.pop("spec", {})}, "UpdatedAt": "2", **more}
    )


def task(
    name: str, state: str, wanted: str = "running", made: str = "3", slot: int = 1, node: str = "a"
) -> Task:
    status = {"State": state, "Timestamp": made}
    of = {"ServiceID": "api", "Slot": slot, "NodeID": node, "CreatedAt": made}
    return Task({"ID": name, **of, "DesiredState": wanted, "Status": status})


def current(*tasks: Task, of: SwarmService | None = None) -> list[str]:
    return [one.id for one in StackState({}, tasks, NODES).current(of or service())]


@pytest.mark.parametrize(
    ("tasks", "ids"),
    [
        ([task("old", "shutdown", "shutdown"), task("new", "running", made="4")], ["new"]),
        ([task("old", "failed", "shutdown"), task("next", "ready", "ready", made="4")], ["next"]),
        ([task("old", "running", "shutdown"), task("waits", "pending", made="4", node="")], ["waits"]),
        ([task("scaled down", "shutdown", "shutdown")], []),
        ([task("ended", "complete", "shutdown")], ["ended"]),
        ([task("failed", "failed", "shutdown")], ["failed"]),
        ([task("job", "complete", "complete")], ["job"]),
        ([task("one", "running"), task("two", "running", slot=2)], ["one", "two"]),
    ],
)
def test_each_place_has_one_task(tasks: list[Task], ids: list[str]) -> None:
    assert current(*tasks) == ids


def test_a_service_that_was_stopped_has_no_failed_task() -> None:
    stopped = service(spec={"Labels": {STOPPED: "1"}})
    assert current(task("failed", "failed", "shutdown"), of=stopped) == []


def test_failures_count_since_the_service_was_changed() -> None:
    failed = [task(f"{n}", "failed", "shutdown", made=made) for n, made in enumerate(("1", "2.5", "2.7"))]
    elsewhere = task("other slot", "failed", "shutdown", slot=2)
    now = task("now", "running")
    found = StackState({}, [*failed, elsewhere, now], NODES).failures(service(), now)
    assert [one.id for one in found] == ["1", "2"]


def test_a_task_that_its_node_lost_has_not_failed_but_the_next_one_has() -> None:
    lost = [task(name, "failed", "shutdown", made=name) for name in ("3", "4")]
    for one in lost:
        one.raw["Status"]["ContainerStatus"] = {"ExitCode": 255}
    now = task("now", "running", made="5")
    assert StackState({}, [lost[0], now], NODES).failures(service(), now) == []
    assert [one.id for one in StackState({}, [*lost, now], NODES).failures(service(), now)] == ["4"]


def test_a_node_that_is_down_is_asked_while_a_task_of_it_has_not_ended() -> None:
    moved = [task("old", "running", "shutdown", node="b"), task("new", "running")]
    assert [node.name for node in StackState({}, moved, NODES).places()] == ["node-a", "node-b"]
    ended = [task("old", "shutdown", "shutdown", node="b"), task("new", "running", node="removed")]
    assert StackState({}, ended, NODES).places() == []


def test_a_node_of_which_the_profile_has_no_context_is_broken() -> None:
    assert context_of(NODES["a"]) == ""
    with pytest.raises(Unverifiable, match="node node-b of the swarm: expected the docker context"):
        context_of(NODES["b"])


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("completed", ""),
        ("rollback_completed", ""),
        ("updating", "updating: why"),
        ("paused", "paused: why"),
        ("rollback_paused", "rollback_paused: why"),
    ],
)
def test_an_update_that_has_not_ended_well_is_told(state: str, told: str) -> None:
    assert service(UpdateStatus={"State": state, "Message": "why"}).update == told
    assert service().update == ""


@pytest.mark.parametrize(
    ("constraint", "nodes"),
    [("node.hostname == node-a", ["a"]), ("node.id==b", ["b"]), ("node.hostname!=node-a", [])],
)
def test_a_service_is_pinned_to_a_node_by_its_name_or_id(constraint: str, nodes: list[str]) -> None:
    mount = {"Type": "volume", "Source": "shop_files", "Target": "/files"}
    template = {"ContainerSpec": {"Mounts": [mount]}, "Placement": {"Constraints": [constraint]}}
    one = service(spec={"TaskTemplate": template})
    assert [key for key, node in NODES.items() if one.pinned_to(node)] == nodes
    assert one.mounts == (Mount("shop_files", "volume", "/files", "shop_files"),)
    assert not service().pinned_to(NODES["a"])


def test_a_secret_is_the_same_with_and_without_its_usual_folder() -> None:
    def settings(name: str) -> Any:  # noqa: ANN401 - as the engine writes it
        secret = {"SecretID": "id", "File": {"Name": name}}
        return service(spec={"TaskTemplate": {"ContainerSpec": {"Secrets": [secret]}}}).settings

    assert settings("key") == settings("/run/secrets/key") != settings("/run/key")


def test_a_global_service_keeps_a_task_on_each_node() -> None:
    described = {"services": {"api": {"deploy": {"mode": "global"}}}}
    assert "replicas" not in stack_file(described, {"api": "i"}, {"api": 2})["services"]["api"]["deploy"]


@pytest.mark.parametrize(
    ("mode", "labels", "options"),
    [
        ({"Replicated": {"Replicas": 2}}, {}, ["--label-add", "rollproof.stopped=2", "--replicas", "0"]),
        ({"Replicated": {"Replicas": 0}}, {STOPPED: "2"}, []),
        ({"Global": {}}, {}, ["--label-add", "rollproof.stopped=all", "--constraint-add", NOWHERE]),
        ({"Global": {}}, {STOPPED: "all"}, []),
        ({"ReplicatedJob": {"TotalCompletions": 1}}, {}, []),
    ],
)
def test_a_service_is_stopped_once(mode: dict[str, Any], labels: dict[str, str], options: list[str]) -> None:
    assert stop_options(service(spec={"Mode": mode, "Labels": labels})) == options
