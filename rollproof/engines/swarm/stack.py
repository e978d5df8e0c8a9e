"""What a manager knows of a stack: its services, their tasks, and the nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from rollproof.collection import Json
from rollproof.engines.container_settings import stated
from rollproof.engines.engine import Mount
from rollproof.engines.insides import asking
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import Engine

# The engine's API returns JSON without a schema that a type could name.
Raw = Mapping[str, Any]

NAMESPACE = "com.docker.stack.namespace"
"""The label of all that belongs to a stack; its value is the stack's name."""
IMAGE = "com.docker.stack.image"
"""The label of a service that names the image as it was last deployed; `service update` leaves it."""
STOPPED = "rollproof.stopped"
"""The label of a service that a rollback has stopped; its value is the number of replicas to start again."""
NOWHERE = "node.id==rollproof.stopped"
"""The constraint that stops a service with a task on each node, which has no number of replicas."""
# States of a task whose container has ended, as its node has reported.
_ENDED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})
_FAILED = frozenset({"complete", "failed", "rejected"})
# The exit code of a container that ran when its engine ended.
_FOUND_DEAD = 255
_WANTED = frozenset({"running", "ready", "complete"})
# States of an update that has ended well; of none there is no state.
_WELL = frozenset({"", "completed", "rollback_completed"})


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service: what the manager wants of it, and knows of it."""

    raw: Raw

    @property
    def id(self) -> str:
        """Its id, which its container has as a label."""
        return str(self.raw["ID"])

    @property
    def service(self) -> str:
        """The id of its service."""
        return str(self.raw["ServiceID"])

    @property
    def node(self) -> str:
        """The id of its node, "" while it waits for one."""
        return str(self.raw.get("NodeID") or "")

    @property
    def slot(self) -> str:
        """Which of the service's tasks it is: a number, or a node's id. Its successors have the same."""
        return str(self.raw.get("Slot") or self.node)

    @property
    def state(self) -> str:
        """What the manager last heard of it."""
        return str(self.raw["Status"]["State"])

    @property
    def said(self) -> str:
        """Its state, and why it is not another, in words."""
        reason = self.raw["Status"].get("Err")
        return f"{self.state} ({reason})" if reason else self.state

    @property
    def exit_code(self) -> int:
        """The exit code of its container, 0 if there is none."""
        return int((self.raw["Status"].get("ContainerStatus") or {}).get("ExitCode") or 0)

    @property
    def made(self) -> str:
        """When it was made; as text, these are in order."""
        return str(self.raw["CreatedAt"])

    @property
    def heard(self) -> str:
        """When the manager last heard of it, as `made`."""
        return str(self.raw["Status"]["Timestamp"])

    @property
    def ended(self) -> bool:
        """Whether its node has reported that its container has ended, or never was."""
        return self.state in _ENDED

    @property
    def wanted(self) -> bool:
        """Whether it should run, or has yet to complete."""
        return self.raw["DesiredState"] in _WANTED


@dataclass(frozen=True, slots=True)
class SwarmService:
    """One service of a stack; `name` is that of the stack's file, without the stack's own before it."""

    name: str
    raw: Raw

    @property
    def spec(self) -> Raw:
        """Its specification."""
        spec: Raw = self.raw["Spec"]
        return spec

    @property
    def mode(self) -> str:
        """How its tasks are counted: ``Replicated``, ``Global``, ``ReplicatedJob`` or ``GlobalJob``."""
        return str(next(iter(self.spec["Mode"])))

    @property
    def restart(self) -> str:
        """Its restart policy, in words of a container's: a job is not started again once it is done."""
        if self.mode.endswith("Job"):
            return "on-failure"
        condition = (self.spec["TaskTemplate"].get("RestartPolicy") or {}).get("Condition") or "any"
        return {"none": "no", "any": "always"}.get(condition, condition)

    @property
    def update(self) -> str:
        """What has not ended well of its last update or rollback, in the engine's words, or ""."""
        status = self.raw.get("UpdateStatus") or {}
        state = str(status.get("State") or "")
        return "" if state in _WELL else f"{state}: {status.get('Message', '')}"

    @property
    def changed(self) -> str:
        """When it was last changed: updated, scaled, or an update of it ended."""
        return str(self.raw["UpdatedAt"])

    @property
    def stopped(self) -> str | None:
        """The value of its label `STOPPED`, None without it."""
        return (self.spec.get("Labels") or {}).get(STOPPED)

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """The volumes and folders that its specification names, which stay when it is stopped."""
        named = self.spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or ()
        return tuple(
            Mount(one["Source"], one["Type"], one["Target"], one["Source"], not one.get("ReadOnly"))
            for one in named
            if one.get("Source")
        )

    def pinned_to(self, node: Node) -> bool:
        """Return whether its tasks can run on `node` alone, by a constraint of its placement."""
        placement = self.spec["TaskTemplate"].get("Placement") or {}
        constraints = {"".join(one.split()) for one in placement.get("Constraints") or ()}
        return bool(constraints & {f"node.hostname=={node.name}", f"node.id=={node.id}"})

    @property
    def settings(self) -> dict[str, Json]:
        """What its specification says, without its containers' configuration and what may be secret."""
        template = self.spec["TaskTemplate"]
        container = template["ContainerSpec"]
        found = {name: template.get(name) for name in ("Resources", "RestartPolicy", "Placement")}
        of_service = ("Mode", "UpdateConfig", "RollbackConfig", "EndpointSpec")
        found |= {name: self.spec.get(name) for name in of_service}
        found |= {
            "StopGracePeriod": container.get("StopGracePeriod"),
            "Configs": _named_below("/", container.get("Configs")),
            "Secrets": _named_below("/run/secrets/", container.get("Secrets")),
        }
        return stated({f"service {name}": value for name, value in found.items()})

    @property
    def configuration(self) -> str:
        """A hash of its settings, as compose has one of a service's configuration."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()

    @property
    def private(self) -> dict[str, SecretStr]:
        """Its own labels, which may hold secrets."""
        own = (NAMESPACE, IMAGE, STOPPED)
        labels = (self.spec.get("Labels") or {}).items()
        return {f"service label {name}": SecretStr(value) for name, value in labels if name not in own}


def _named_below(folder: str, references: Sequence[Raw] | None) -> list[Raw]:
    """Return references to secrets or configs, each with its file's name as seen from its usual folder.

    A stack's file that names a secret alone leaves the folder out; what compose reads of it has the folder.
    Their contents never change: another content has another id.
    """
    return [
        {**one, "File": {**one["File"], "Name": one["File"]["Name"].removeprefix(folder)}}
        if one.get("File")
        else one
        for one in references or ()
    ]


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the swarm.

    `context` is the docker context of its engine: "" is the one in use, None one that nobody named.
    """

    id: str
    name: str
    state: str
    address: str
    context: str | None


@dataclass(frozen=True, slots=True)
class StackState:
    """The services of a stack by id, its tasks, and the nodes by id, as the manager knows them."""

    services: Mapping[str, SwarmService]
    tasks: Sequence[Task]
    nodes: Mapping[str, Node]

    def current(self, service: SwarmService) -> Iterator[Task]:
        """Yield the task of each slot of a service: the wanted one, or the last one if it ended by itself.

        A slot whose last task was shut down is none any more: the service has fewer replicas now.
        """
        slots: dict[str, list[Task]] = {}
        for task in self.tasks:
            if task.service == service.raw["ID"]:
                slots.setdefault(task.slot or task.id, []).append(task)
        for _, tasks in sorted(slots.items()):
            newest = max(tasks, key=lambda task: (task.wanted, task.made))
            if newest.wanted or (newest.state in _FAILED and service.stopped is None):
                yield newest

    def failures(self, service: SwarmService, of: Task) -> list[Task]:
        """Return the tasks that failed in the slot of a task since its service was last changed, in order.

        One that a node has lost with its power is none. An engine that finds a container dead when it starts
        says so by an exit code that a program may have too: of several, only one is left out.
        """
        before = [one for one in self.tasks if (one.service, one.slot) == (of.service, of.slot)]
        failed = [one for one in before if one.id != of.id and one.state in _FAILED]
        failed = sorted((one for one in failed if one.heard >= service.changed), key=lambda one: one.heard)
        lost = [one for one in failed if one.exit_code == _FOUND_DEAD]
        return [one for one in failed if one not in lost[:1]]

    def places(self) -> list[Node]:
        """Return the nodes where a container of the stack may run.

        Also those that the manager calls down: it has given their tasks to other nodes, and cannot say that
        theirs have ended. One that somebody has removed from the swarm is none.
        """
        names = {task.node for task in self.tasks if not task.ended}
        return [self.nodes[name] for name in sorted(names & self.nodes.keys())]


def read_stack(profile: Engine) -> StackState:
    """Return what the manager knows of the stack of `profile`."""
    of_stack = {"label": f"{NAMESPACE}={profile.project}"}
    with asking("services and tasks", profile.project, profile.deadline_seconds) as api:
        own = (api.info().get("Swarm") or {}).get("NodeID") or ""
        services = api.services(filters=of_stack)  # type: ignore[no-untyped-call]
        tasks = api.tasks(filters=of_stack)  # type: ignore[no-untyped-call]
        nodes = api.nodes()
    prefix = f"{profile.project}_"
    return StackState(
        {raw["ID"]: SwarmService(raw["Spec"]["Name"].removeprefix(prefix), raw) for raw in services},
        [Task(raw) for raw in tasks],
        {raw["ID"]: _node(raw, profile, own) for raw in nodes},
    )


def _node(raw: Raw, profile: Engine, own: str) -> Node:
    name = str(raw["Description"]["Hostname"])
    # A manager writes its own address elsewhere than others'.
    managed = (raw.get("ManagerStatus") or {}).get("Addr", "").rpartition(":")[0]
    address = managed or str(raw["Status"].get("Addr") or "")
    context = "" if raw["ID"] == own else profile.nodes.get(name)
    return Node(raw["ID"], name, str(raw["Status"]["State"]), address, context)


def context_of(node: Node) -> str:
    """Return the docker context of a node; refuse a node of which the profile has none."""
    if node.context is None:
        raise Unverifiable(
            what=f"node {node.name} of the swarm",
            expected="the docker context of its engine",
            observed=f"none; the manager calls it {node.state}",
            source="engine.nodes of the profile",
            hint=f"docker context create {node.name} --docker host=ssh://…; then, in [engine] of the profile:"
            f' nodes = {{"{node.name}" = "{node.name}"}}',
            means=Meaning.UNREACHABLE,
        )
    return node.context
