"""The containers of a stack on a swarm, read from the manager and from the engine of each node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeVar

from docker.errors import NotFound

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.container_settings import TASK_LABEL
from rollproof.engines.engine import (
    Container,
    Endpoint,
    Inside,
    KeyedHash,
    Mount,
    RunningContainer,
    Stranger,
    Usage,
)
from rollproof.engines.insides import asking
from rollproof.engines.swarm.stack import (
    NAMESPACE,
    Node,
    StackState,
    SwarmService,
    Task,
    context_of,
    read_stack,
)
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import Engine
from rollproof.profile.sections import Address
from rollproof.system.side_by_side import every

Answer = TypeVar("Answer")
_SERVICE = "com.docker.swarm.service.name"


class NodeEngine(ComposeEngine):
    """The containers of a stack on one node."""

    project_label = NAMESPACE
    one_off_label = None
    keeps_stopped = False  # a swarm deletes the containers of earlier tasks by itself

    def service_of(self, labels: Mapping[str, str]) -> str:
        """Return the service of a container with `labels`, as the stack's file names it."""
        return labels.get(_SERVICE, "").removeprefix(f"{self.project}_")

    def require(self, node: str) -> None:
        """Refuse an engine that is not that of the node with the id `node`: its containers are others."""
        with self._asking("node of the swarm") as api:
            observed = (api.info().get("Swarm") or {}).get("NodeID")
        if observed != node:
            raise Unverifiable(
                what=f"docker context {self.context}",
                expected=f"the engine of node {node}",
                observed=observed or "an engine in no swarm",
                source="engine.nodes of the profile",
                hint="compare docker node ls with: docker context ls",
            )


class SwarmEngine:
    """The containers of stack `project`: see `ContainerEngine`.

    A container has the name of its place: ``shop_api.2`` is the second of service ``shop_api``, whatever task
    it is of. A place without a container has one that does not run, whose status says why. A service with no
    place, such as one that is scaled to 0, has one too. Each node where a container of the stack may run has
    to answer, also one that the manager calls down.
    """

    def __init__(self, profile: Engine) -> None:
        """Connect to nothing yet; each later question has its own connections and deadlines."""
        self._profile = profile
        self._own = self._node_engine("")

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Return the stack's containers by service; those of no place any more while they run."""
        return self._containers_of(read_stack(self._profile))

    def _containers_of(self, stack: StackState) -> Mapping[str, tuple[Container, ...]]:
        there = [one for found in self._of_nodes(stack, _all_of) for one in found]
        by_task = {one.labels[TASK_LABEL]: one for one in there}
        found: dict[str, tuple[Container, ...]] = {}
        for service in sorted(stack.services.values(), key=lambda one: one.name):
            tasks = list(stack.current(service))
            placed = [self._placed(stack, service, task, by_task.get(task.id)) for task in tasks]
            ids = {task.id for task in tasks}
            old = [one for one in there if one.service == service.name and one.labels[TASK_LABEL] not in ids]
            placed += [one for one in old if one.running]
            found[service.name] = tuple(placed) or (self._stopped(service),)
        return found

    def running(self) -> Sequence[RunningContainer]:
        """Return the containers of the stack that run, on any node."""
        return [one for found in self._of_nodes(None, NodeEngine.running) for one in found]

    def usage(self) -> Mapping[str, Usage]:
        """Return each running container's use, by id."""
        return {key: one for found in self._of_nodes(None, NodeEngine.usage) for key, one in found.items()}

    def insides(self, keyed: KeyedHash) -> Mapping[str, Inside]:
        """Return what is inside each container of the stack that runs, by container id."""
        found = self._of_nodes(None, lambda node: node.insides(keyed))
        return {key: inside for one in found for key, inside in one.items()}

    def strangers(self) -> Sequence[Stranger]:
        """Return the running containers of others that share something with the stack, on any node."""
        return [one for found in self._of_nodes(None, NodeEngine.strangers) for one in found]

    def logs(self, container: str, lines: int = 50, since: float | None = None) -> str:
        """Return the last `lines` of the log of `container`, by id or name, after `since`."""
        one = self._found(container, read_stack(self._profile))
        return self._node_engine(one.context).logs(one.id, lines, since)

    @contextmanager
    def files(self, container: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in `container`, by id or name, as its node sends it.

        What is mounted there is kept with a backup, and put back by the manager's engine. So each service
        that mounts it has to be pinned to that node: elsewhere, a task has another volume of the same name.
        It is read also where the service is stopped, and the swarm has deleted its containers.
        """
        stack, place = read_stack(self._profile), PurePosixPath(path)
        one = self._found(container, stack)
        held = [
            mount for mount in one.mounts if mount.may_hold_state and place.is_relative_to(mount.destination)
        ]
        if held:
            self._require_on_own_node(held, stack)
        if held and not one.running:
            mounted = [f"{mount.name}:{mount.destination}" for mount in held]
            with self._own.image_files(one.image_id, path, deadline, mounted) as chunks:
                yield chunks
            return
        with self._node_engine(one.context).files(one.id, path, deadline) as chunks:
            yield chunks

    @contextmanager
    def image_files(self, image: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in the image with the id `image`, which this node has."""
        with self._own.image_files(image, path, deadline) as chunks:
            yield chunks

    def id(self) -> str:
        """Return the ID of the manager's engine, which has the lock too."""
        return self._own.id()

    def data_root(self) -> str:
        """Return the folder of the data of the manager's engine."""
        return self._own.data_root()

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint of `address` on a node that publishes it, for a client on this host."""
        if address.service is None:
            return self._own.resolve(address)
        stack = read_stack(self._profile)
        service = next((one for one in stack.services.values() if one.name == address.service), None)
        running = (
            [] if service is None else [task for task in stack.current(service) if task.state == "running"]
        )
        if service is None or not running:
            raise Unverifiable(
                what=f"service {address.service}",
                expected="a running task",
                observed="no such service" if service is None else "none",
                source=f"services of stack {self._profile.project}",
                hint=f"docker stack ps {self._profile.project}",
                means=Meaning.UNREACHABLE,
            )
        ports = (service.raw.get("Endpoint") or {}).get("Ports") or ()
        public = next((one["PublishedPort"] for one in ports if one["TargetPort"] == address.port), None)
        if public is None:
            raise Unverifiable(
                what=f"address of service {address.service}",
                expected=f"port {address.port} published: an overlay network is not reached from here",
                observed="not published",
                source=f"service {service.name}",
                hint="publish the port, or give host and port in the profile",
            )
        host = stack.nodes[running[0].node].address
        return Endpoint(host, int(public), address.tls, str(address.ca) if address.ca else None)

    def _node_engine(self, context: str) -> NodeEngine:
        profile = self._profile
        return NodeEngine(profile.project, profile.deadline_seconds, profile.changing, context)

    def _of_nodes(self, stack: StackState | None, ask: Callable[[NodeEngine], Answer]) -> list[Answer]:
        """Return the answer of each node where a container of the stack may run; each has to answer."""
        places = (stack or read_stack(self._profile)).places()

        def answer(node: Node) -> Answer:
            engine = self._node_engine(context_of(node))
            engine.require(node.id)
            return ask(engine)

        return list(every(answer, places, name="nodes").values()) if places else []

    def _require_on_own_node(self, held: Sequence[Mount], stack: StackState) -> None:
        names = {mount.name for mount in held}
        own = next(node for node in stack.nodes.values() if node.context == "")
        users = [one for one in stack.services.values() if any(mount.name in names for mount in one.mounts)]
        loose = [str(one.spec["Name"]) for one in users if not one.pinned_to(own)]
        if loose:
            raise Unverifiable(
                what=f"files in {', '.join(sorted(names))}",
                expected=f"each service that mounts them on {own.name} alone, whose engine is in use",
                observed=f"no constraint that pins {', '.join(sorted(loose))} there",
                source=f"services of stack {self._profile.project}",
                hint=f"docker service update --constraint-add node.hostname=={own.name} {loose[0]};"
                " and the same in its file",
            )

    def _found(self, container: str, stack: StackState) -> Container:
        every = [one for found in self._containers_of(stack).values() for one in found]
        named = next((one for one in every if container in {one.id, one.name, one.called}), None)
        if named is None:
            raise Unverifiable(
                what=f"container {container}",
                expected=f"one of stack {self._profile.project}",
                observed=", ".join(one.name for one in every) or "none",
                source="nodes of the swarm",
                hint=f"docker stack ps {self._profile.project}",
            )
        return named

    def _placed(
        self, stack: StackState, service: SwarmService, task: Task, container: Container | None
    ) -> Container:
        node = stack.nodes.get(task.node)
        by_node = node.name if node is not None and not task.raw.get("Slot") else task.slot
        name = f"{service.spec['Name']}.{by_node}"
        failures = stack.failures(service, task)
        if container is None:
            said = "gone, which the manager calls running" if task.state == "running" else task.said
            return replace(
                self._stopped(service),
                id=task.id,
                name=name,
                status=", after ".join([said, *(one.said for one in failures[-1:])]),
                exit_code=task.exit_code,
                restarts=len(failures),
                restarting=bool(failures) and not task.ended,
            )
        return replace(
            container,
            name=name,
            called=container.name,
            restarts=len(failures),
            restarting=bool(failures) and task.state != "running",
            restart=service.restart,
            configuration=service.configuration,
            settings={**container.settings, **service.settings},
            private={**container.private, **service.private},
            update=service.update,
        )

    def _stopped(self, service: SwarmService) -> Container:
        """Return what stands for a container of a service that has none."""
        template = service.spec["TaskTemplate"]["ContainerSpec"]
        image = str(template["Image"])
        return Container(
            id=str(service.raw["ID"]),
            name=str(service.spec["Name"]),
            service=service.name,
            running=False,
            status="without a task",
            health=None,
            restarts=0,
            restarting=False,
            oom_killed=False,
            exit_code=0,
            started="",
            image=image,
            image_id=self._image_id(image),
            revision=None,
            configuration=None,
            pids_limit=0,
            mounts=service.mounts,
            labels=template.get("Labels") or {},
            restart=service.restart,
            settings=service.settings,
            private=service.private,
            update=service.update,
        )

    def _image_id(self, image: str) -> str:
        """Return the id of the image of that name on the manager's node, "" if that node has none."""
        with asking(f"image {image}", self._profile.project, self._profile.deadline_seconds) as api:
            try:
                return str(api.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]
            except NotFound:
                return ""


def _all_of(node: NodeEngine) -> list[Container]:
    return [one for found in node.containers().values() for one in found]
