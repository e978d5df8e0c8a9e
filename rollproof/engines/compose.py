"""Containers of a docker compose project, read through the engine's API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Self, TypeVar

from docker import APIClient
from docker.errors import NotFound

from rollproof.engines.container_settings import private_of, settings_of
from rollproof.engines.engine import (
    HEALTHY,
    Container,
    Endpoint,
    Inside,
    KeyedHash,
    Mount,
    RunningContainer,
    Stranger,
    Usage,
)
from rollproof.engines.host import engine_is_here
from rollproof.engines.insides import asking, inside
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.profile import Engine
from rollproof.profile.sections import Address
from rollproof.system.side_by_side import Workers

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
CONFIGURATION_LABEL = "com.docker.compose.config-hash"
REVISION_LABEL = "org.opencontainers.image.revision"
NO_PROJECT = {PROJECT_LABEL: "", SERVICE_LABEL: ""}
"""Labels of a container that is of no project: an image that compose built hands its own on."""

# States of a listed container that its inspection calls running.
RUNNING = frozenset({"running", "paused", "restarting"})
# The engine's own networks, which no project has for itself.
_EVERYBODYS = frozenset({"bridge", "host", "none", "ingress"})
# Time between two readings of the CPU clock: long enough for a stable figure, short enough for a check.
CPU_INTERVAL_SECONDS = 0.25
THREADS = 16
# Reading the files inside containers may take so many times the deadline of other questions.
INSIDE_DEADLINES = 4

# The engine's API returns JSON without a schema that a type could name.
Raw = Mapping[str, Any]
Item = TypeVar("Item")
Result = TypeVar("Result")


class ComposeEngine:
    """The containers of compose project `project`: see `ContainerEngine`. One-off ones only where stated."""

    project_label = PROJECT_LABEL
    one_off_label: str | None = ONE_OFF_LABEL
    keeps_stopped = True

    def __init__(
        self, project: str, deadline_seconds: float, changing: Sequence[str] = (), context: str = ""
    ) -> None:
        """Connect to nothing yet; each later question has its own connection and `deadline_seconds`.

        `changing` are patterns ``SERVICE:PATH`` of files that containers may change in themselves. `context`
        is the docker context to ask, by default the one in use.
        """
        self.project = project
        self.deadline_seconds = deadline_seconds
        self.context = context
        self._changing = [pattern.partition(":")[::2] for pattern in changing]

    @classmethod
    def of_profile(cls, profile: Engine) -> Self:
        """Return the engine that `profile` describes."""
        return cls(profile.project, profile.deadline_seconds, profile.changing)

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Return the project's containers by service, including stopped ones."""
        with self._asking("containers") as api:
            every = self._inspect_all(api)
        services = {str(raw["Id"]): self.service_of(raw["Config"]["Labels"]) for raw in every}
        found: dict[str, list[Container]] = {}
        for raw in every:
            one = _container(raw, services, self.context)
            found.setdefault(one.service, []).append(one)
        return {service: tuple(sorted(found[service], key=lambda c: c.name)) for service in sorted(found)}

    def running(self) -> Sequence[RunningContainer]:
        """Return the containers of the project that run or restart, one-off ones included."""
        of_project = [f"{self.project_label}={self.project}"]
        wanted = {"label": of_project, "status": ["running", "restarting"]}
        with self._asking("running containers") as api:
            listed = api.containers(filters=wanted)
        return [
            RunningContainer(
                name=_listed_name(summary),
                service=self.service_of(summary["Labels"]),
                one_off=summary["Labels"].get(self.one_off_label) == "True",
            )
            for summary in listed
        ]

    def usage(self) -> Mapping[str, Usage]:
        """Return each running container's use, by id; CPU is the mean over `CPU_INTERVAL_SECONDS`."""
        with self._asking("resource use") as api:
            running = [raw for raw in self._inspect_all(api) if raw["State"]["Running"]]
            first = self._each(running, lambda raw: _reading(api, raw))
            time.sleep(CPU_INTERVAL_SECONDS)
            second = self._each(running, lambda raw: _reading(api, raw))
        return {
            raw["Id"]: _usage(raw, before, after, self.service_of(raw["Config"]["Labels"]))
            for raw, before, after in zip(running, first, second, strict=True)
            if before is not None and after is not None
        }

    def insides(self, keyed: KeyedHash) -> Mapping[str, Inside]:
        """Return what is inside each container of the project, stopped ones too, by container id."""
        seconds = self.deadline_seconds * INSIDE_DEADLINES

        def ask(raw: Raw) -> Inside:
            service = self.service_of(raw["Config"]["Labels"])
            changing = [path for of, path in self._changing if fnmatchcase(service, of)]
            return inside(api, raw, keyed, changing, here=not self.context and engine_is_here())

        with asking("files of containers", self.project, seconds, self.context) as api:
            every = [raw for raw in self._inspect_all(api) if self.keeps_stopped or raw["State"]["Running"]]
            found = self._each(every, ask, seconds)
        return {raw["Id"]: one for raw, one in zip(every, found, strict=True)}

    def strangers(self) -> Sequence[Stranger]:
        """Return the running containers of others that share something with the project, by name."""
        with self._asking("containers outside the project") as api:
            every = api.containers(all=True)
        own = [summary for summary in every if self._is_own(summary)]
        shared = {use for summary in own for use in _uses(summary)}
        shared -= {f"network {name}" for name in _EVERYBODYS}
        shared |= {f"network of container {summary['Id']}" for summary in own}
        found = [
            Stranger(_listed_name(summary), tuple(sorted(_uses(summary) & shared)))
            for summary in every
            if summary["State"] in RUNNING and not self._is_own(summary)
        ]
        return sorted((one for one in found if one.shares), key=lambda one: one.name)

    def _is_own(self, summary: Raw) -> bool:
        # An image that compose built hands its label on to what somebody runs from it by hand.
        labels = summary["Labels"] or {}
        own = labels.get(self.project_label) == self.project
        return own and (self.one_off_label is None or labels.get(self.one_off_label) == "False")

    def service_of(self, labels: Mapping[str, str]) -> str:
        """Return the service of a container with `labels`, "" of one that has none."""
        return labels.get(SERVICE_LABEL, "")

    def logs(self, container: str, lines: int = 50, since: float | None = None) -> str:
        """Return the last `lines` of the log of `container`, by id or name, after `since`."""
        with self._asking(f"log of {container}") as api:
            log: bytes = api.logs(container, timestamps=since is not None, tail=lines, since=since or None)
        return log.decode(errors="replace")

    @contextmanager
    def files(self, container: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in `container`, by id or name, as the engine sends it."""
        with (
            asking(f"files of {path} in {container[:12]}", self.project, deadline, self.context) as api,
            _archive(api, container, path, deadline) as chunks,
        ):
            yield chunks

    @contextmanager
    def image_files(
        self, image: str, path: str, deadline: float, mounted: Sequence[str] = ()
    ) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in the image with the id `image`, as the engine sends it.

        The engine shows an image's files through a container alone. It makes one, of no project, which is
        never started, and is removed at the end. `mounted` are volumes that it has, ``VOLUME:PLACE``.
        """
        with asking(f"files of {path} in image {image[:19]}", self.project, deadline, self.context) as api:
            made = api.create_container(
                image,
                command=["never started"],
                labels=NO_PROJECT,
                network_disabled=True,
                host_config=api.create_host_config(binds=[f"{one}:ro" for one in mounted]),
            )
            try:
                with _archive(api, made, path, deadline) as chunks:
                    yield chunks
            finally:
                api.remove_container(made, v=True, force=True)

    def id(self) -> str:
        """Return the engine's own ID; "" of one that makes up another for each answer, as Podman does."""
        with self._asking("ID") as api:
            first, second = (str(api.info().get("ID") or "") for _ in range(2))
        return first if first == second else ""

    def data_root(self) -> str:
        """Return the folder, on the engine's host, that holds images, containers and local volumes."""
        with self._asking("data root") as api:
            return str(api.info()["DockerRootDir"])

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint at which a client on this host reaches `address`."""
        if address.service is None:
            if address.host is None:
                raise ValueError("an address has a host or a service")
            host, port = address.host, address.port
        else:
            host, port = self._place(address.service, address.port)
        return Endpoint(host, port, address.tls, str(address.ca) if address.ca else None)

    def _place(self, service: str, port: int) -> tuple[str, int]:
        with self._asking("containers") as api:
            # The listing has the places: no container is inspected.
            every = self._listed(api)
        instances = [summary for summary in every if self.service_of(summary["Labels"]) == service]
        running = next((summary for summary in instances if summary["State"] in RUNNING), None)
        if running is None:
            states = ", ".join(f"{_listed_name(one)} {one['State']}" for one in instances)
            others = ", ".join(sorted({self.service_of(summary["Labels"]) for summary in every}))
            raise Unverifiable(
                what=f"service {service}",
                expected="a running container",
                observed=states or (f"services {others}" if others else "no container at all"),
                source=f"containers of project {self.project}",
                hint="start the service, or correct its name in the profile: docker ps --all",
                means=Meaning.UNREACHABLE,
            )
        place = _published(running, port) or _inside(running, port)
        if place is None:
            raise Unverifiable(
                what=f"address of service {service}",
                expected=f"port {port} published, or a network address",
                observed="neither",
                source=f"container {_listed_name(running)}",
                hint="publish the port on 127.0.0.1, or give host and port in the profile",
            )
        return place

    def _asking(self, what: str) -> AbstractContextManager[APIClient]:
        return asking(what, self.project, self.deadline_seconds, self.context)

    def _listed(self, api: APIClient) -> list[Raw]:
        labels = [f"{self.project_label}={self.project}"]
        labels += [f"{self.one_off_label}=False"] if self.one_off_label else []
        listed: list[Raw] = api.containers(all=True, filters={"label": labels})
        return listed

    def _inspect_all(self, api: APIClient) -> list[Raw]:
        # One that was removed since the listing is as if listed a moment later.
        found = self._each(self._listed(api), lambda one: _if_there(api.inspect_container, one["Id"]))
        return [raw for raw in found if raw is not None]

    def _each(
        self, items: Iterable[Item], ask: Callable[[Item], Result], seconds: float | None = None
    ) -> list[Result]:
        """Put the same question for all `items` concurrently, within one deadline."""
        limit = self.deadline_seconds if seconds is None else seconds
        try:
            with Workers(THREADS, "engine") as workers:
                return list(workers.in_order(ask, items, seconds=limit))
        except TimeoutError:
            raise TimeoutError("no answer for some of the containers") from None


def _if_there(ask: Callable[[str], Raw], name: str) -> Raw | None:
    """Return the engine's answer, or None if it has no `name`."""
    try:
        return ask(name)
    except NotFound:
        return None


@contextmanager
def _archive(api: APIClient, container: Any, path: str, seconds: float) -> Iterator[Iterator[bytes]]:  # noqa: ANN401 - as the SDK has it
    end = time.monotonic() + seconds

    def in_time() -> Iterator[bytes]:
        for chunk in stream:
            if time.monotonic() > end:
                raise TimeoutError("it was not read to its end")
            yield chunk

    stream, _ = api.get_archive(container, path)
    with closing(stream):
        yield in_time()


def _reading(api: APIClient, raw: Raw) -> Raw | None:
    """Return one reading of a container's counters, or None if it has stopped since the listing."""
    try:
        reading: Raw = api.stats(raw["Id"], stream=False, one_shot=True)
    except NotFound:
        return None
    if "usage" in reading.get("memory_stats", {}):
        return reading
    now = _if_there(api.inspect_container, raw["Id"])
    if now is None or not now["State"]["Running"]:
        return None
    raise Unverifiable(
        what=f"memory of {_name(raw)}",
        expected="figures of its control group",
        observed="none",
        source="container engine",
        hint="see that the kernel's memory controller is on: docker info",
    )


def _name(raw: Raw) -> str:
    return str(raw["Name"]).lstrip("/")


def _listed_name(summary: Raw) -> str:
    # One that is being removed may have lost its names.
    return str((summary["Names"] or [summary["Id"][:12]])[0]).lstrip("/")


def _container(raw: Raw, services: Mapping[str, str], context: str = "") -> Container:
    state, host, labels = raw["State"], raw["HostConfig"], raw["Config"]["Labels"]
    return Container(
        id=raw["Id"],
        name=_name(raw),
        service=services[raw["Id"]],
        running=state["Running"],
        status=state["Status"],
        health=_health(state),
        restarts=raw["RestartCount"],
        restarting=state["Restarting"],
        oom_killed=state["OOMKilled"],
        exit_code=state["ExitCode"],
        started=state["StartedAt"],
        image=raw["Config"]["Image"],
        image_id=raw["Image"],
        revision=labels.get(REVISION_LABEL),
        configuration=labels.get(CONFIGURATION_LABEL),
        pids_limit=_pids_limit(host),
        mounts=tuple(_mount(mount) for mount in raw["Mounts"]),
        labels=dict(labels),
        network=host.get("NetworkMode") or "",
        restart=(host.get("RestartPolicy") or {}).get("Name") or "",
        settings=settings_of(raw, services),
        private=private_of(raw),
        health_seconds=_first_answer(raw["Config"].get("Healthcheck") or {}),
        context=context,
    )


def _first_answer(check: Raw) -> float:
    """Return the seconds from a container's start to the first answer of its health check, 0 without one.

    Of nanoseconds, where 0 is the engine's default. https://docs.docker.com/reference/dockerfile/#healthcheck
    """
    if check.get("Test") in (None, [], ["NONE"]):
        return 0.0
    interval = check.get("Interval") or 30e9
    return (check.get("StartInterval") or 5e9 if check.get("StartPeriod") else interval) / 1e9


def _health(state: Raw) -> str | None:
    """Return what the health check says; None without one.

    At a pause the engine asks no more, and calls the container unhealthy from then on until it asks again, an
    interval after the pause. Meanwhile the last answer counts.
    """
    health = state.get("Health") or {}
    status: str | None = health.get("Status")
    last = (health.get("Log") or [{"ExitCode": 1}])[-1]
    unasked = status == "unhealthy" and not health.get("FailingStreak", 1) and last["ExitCode"] == 0
    return HEALTHY if unasked and state["Running"] and not state.get("Paused") else status


def _networks(summary: Raw) -> Mapping[str, Raw]:
    """Return what a listed container has of each of its networks, by name."""
    found: Mapping[str, Raw] = (summary.get("NetworkSettings") or {}).get("Networks") or {}
    return found


def _volumes(summary: Raw) -> list[str]:
    """Return the names of the volumes of a listed container."""
    return [mount["Name"] for mount in summary.get("Mounts") or () if mount.get("Name")]


def _uses(summary: Raw) -> set[str]:
    """Return the networks and volumes of a listed container, in words."""
    mode = str((summary.get("HostConfig") or {}).get("NetworkMode") or "")
    found = {f"network {name}" for name in _networks(summary)}
    found |= {f"volume {name}" for name in _volumes(summary)}
    return found | ({f"network of {mode.replace(':', ' ')}"} if mode.startswith("container:") else set())


def _mount(raw: Raw) -> Mount:
    source = str(raw.get("Source", ""))
    return Mount(
        name=str(raw.get("Name") or source),
        kind=str(raw["Type"]),
        destination=str(raw["Destination"]),
        source=source,
        writable=bool(raw.get("RW", True)),
    )


def _pids_limit(host: Raw) -> int:
    # The engine writes "no limit" as null, 0 or -1.
    return max(int(host.get("PidsLimit") or 0), 0)


# A port at all addresses of one family is not published at those of the other.
_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def _published(summary: Raw, port: int) -> tuple[str, int] | None:
    # An engine leaves out an empty address.
    bindings = [
        (str(binding.get("IP", "")), int(binding["PublicPort"]))
        for binding in summary["Ports"] or ()
        if (binding["PrivatePort"], binding["Type"]) == (port, "tcp") and binding.get("PublicPort")
    ]
    for host, public in sorted(bindings, key=lambda place: ":" in place[0]):  # IPv4 first
        return _LOOPBACK.get(host, host), public
    return None


def _inside(summary: Raw, port: int) -> tuple[str, int] | None:
    if summary["HostConfig"]["NetworkMode"] == "host":
        return "127.0.0.1", port
    networks = [one for _, one in sorted(_networks(summary).items())]
    hosts = [one.get(kind) for kind in ("IPAddress", "GlobalIPv6Address") for one in networks]
    return next(((host, port) for host in hosts if host), None)


def _usage(raw: Raw, before: Raw, after: Raw, service: str) -> Usage:
    # Each reading has this figure; asking the engine for it costs as much as all other questions.
    host_cores = int(after["cpu_stats"]["online_cpus"])
    memory = after["memory_stats"]
    # As in `docker stats`: page cache that the kernel may drop at once does not count as used.
    figures = memory.get("stats", {})
    idle_cache = figures.get("total_inactive_file", figures.get("inactive_file", 0))
    used = max(memory["usage"] - idle_cache, 0)
    # For a container without a limit, the engine reports the host's memory here.
    limit = memory.get("limit") or 0
    return Usage(
        memory=used,
        memory_percent=100 * used / limit if limit else 0.0,
        cpu_percent=_cpu_percent(before, after, _allowance(raw["HostConfig"], host_cores)),
        pids=after.get("pids_stats", {}).get("current", 0),
        pids_limit=_pids_limit(raw["HostConfig"]),
        service=service,
    )


def _cpu_percent(before: Raw, after: Raw, cores: float) -> float:
    used = after["cpu_stats"]["cpu_usage"]["total_usage"] - before["cpu_stats"]["cpu_usage"]["total_usage"]
    elapsed = (_moment(after["read"]) - _moment(before["read"])).total_seconds()
    return 100 * used / (elapsed * 1e9 * cores) if elapsed > 0 else 0.0


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _allowance(host: Raw, host_cores: int) -> float:
    """Return the number of cores that a container may use."""
    quota = (host.get("CpuQuota") or 0) / (host.get("CpuPeriod") or 100_000)
    limits = (host.get("NanoCpus") or 0) / 1e9, quota, float(_cores_in(host.get("CpusetCpus") or ""))
    return min([float(host_cores), *(limit for limit in limits if limit > 0)])


def _cores_in(cpuset: str) -> int:
    """Count the cores in a list such as ``0-2,5``; "" has none."""
    bounds = [part.partition("-") for part in cpuset.split(",") if part]
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)
