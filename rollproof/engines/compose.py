"""Containers of a docker compose project, read through the engine's API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from docker import APIClient
from docker.errors import NotFound

from rollproof.engines.container_settings import is_anonymous, private_of, resource_of, settings_of
from rollproof.engines.engine import (
    HEALTHY,
    Connection,
    Container,
    Endpoint,
    Inside,
    Mount,
    RunningContainer,
    Seal,
    SharedResource,
    Stranger,
    Usage,
)
from rollproof.engines.insides import inside
from rollproof.engines.own_sessions import is_own_session
from rollproof.engines.questions import asking
from rollproof.errors import Meaning, Unverifiable
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
    """The containers of compose project `project`; one-off ones (``compose run``) only where stated."""

    def __init__(self, project: str, deadline_seconds: float, changing: Sequence[str] = ()) -> None:
        """Connect to nothing yet; each later question has its own connection and `deadline_seconds`.

        `changing` are patterns ``SERVICE:PATH`` of files that containers may change in themselves.
        """
        self.project = project
        self.deadline_seconds = deadline_seconds
        self._changing = [pattern.partition(":")[::2] for pattern in changing]

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Return the project's containers by service, including stopped ones."""
        found: dict[str, list[Container]] = {}
        every = self._inspected()
        services = {str(raw["Id"]): _service(raw) for raw in every}
        for raw in every:
            container = _container(raw, services)
            found.setdefault(container.service, []).append(container)
        return {service: tuple(sorted(found[service], key=lambda c: c.name)) for service in sorted(found)}

    def running(self) -> Sequence[RunningContainer]:
        """Return the containers of the project that run or restart, one-off ones included."""
        wanted = {"label": [f"{PROJECT_LABEL}={self.project}"], "status": ["running", "restarting"]}
        with self._asking("running containers") as api:
            listed = api.containers(filters=wanted)
        return [
            RunningContainer(
                name=_listed_name(summary),
                service=str(summary["Labels"].get(SERVICE_LABEL, "")),
                one_off=summary["Labels"].get(ONE_OFF_LABEL) == "True",
            )
            for summary in listed
        ]

    def sessions(self, services: Collection[str], since: str | None) -> tuple[Sequence[Connection], str]:
        """Return the sessions begun in containers of `services` since a time, and the engine's time now."""
        with self._asking("sessions in containers") as api:
            now = f"{_time_of(api):.9f}"
            if since is None:
                return (), now
            wanted = {
                "type": ["container"],
                "event": ["exec_create"],
                "label": [f"{PROJECT_LABEL}={self.project}"],
            }
            # The SDK's own call has no deadline.
            answer = api.get(
                f"{api.base_url}/events",
                params={"since": since, "until": now, "filters": json.dumps(wanted)},
                timeout=self.deadline_seconds,
            )
            answer.raise_for_status()
            found = []
            for event in map(json.loads, answer.text.splitlines()):
                container, about = event["Actor"]["ID"], event["Actor"]["Attributes"]
                if about.get(SERVICE_LABEL) not in services:
                    continue
                command = _command(api, about["execID"])
                if is_own_session(container, command) or _is_health_check(api, container, command):
                    continue
                found.append(Connection(command[0] if command else "a program", about["name"]))
        return found, now

    def usage(self) -> Mapping[str, Usage]:
        """Return the resource use of each running container, by container id, in one round.

        The CPU figure is the mean over `CPU_INTERVAL_SECONDS`.
        """
        with self._asking("resource use") as api:
            running = [raw for raw in self._inspect_all(api) if raw["State"]["Running"]]
            first = self._each(running, lambda raw: _reading(api, raw))
            time.sleep(CPU_INTERVAL_SECONDS)
            second = self._each(running, lambda raw: _reading(api, raw))
        return {
            raw["Id"]: _usage(raw, before, after)
            for raw, before, after in zip(running, first, second, strict=True)
            if before is not None and after is not None
        }

    def insides(self, seal: Seal) -> Mapping[str, Inside]:
        """Return what is inside each container of the project, stopped ones too, by container id."""
        seconds = self.deadline_seconds * INSIDE_DEADLINES
        with asking("files of containers", self.project, seconds) as api:
            every = self._inspect_all(api)
            ask = lambda raw: inside(api, raw, seal, self._ignored(_service(raw)))  # noqa: E731
            found = self._each(every, ask, seconds)
        return {raw["Id"]: one for raw, one in zip(every, found, strict=True)}

    def _ignored(self, service: str) -> list[str]:
        return [path for of, path in self._changing if fnmatchcase(service, of)]

    def shared_resources(self) -> Mapping[str, SharedResource]:
        """Return the networks and volumes that the project's containers use, by ``network NAME`` and so on.

        Without the engine's own networks, and volumes that it named: a new container has others.
        """
        with self._asking("networks and volumes") as api:
            networks: dict[str, set[str]] = {}
            volumes: set[str] = set()
            for summary in self._listed(api):
                for name, one in _networks(summary).items():
                    # By its ID: several may have one name. A container that never started knows none.
                    networks.setdefault(name, set()).add(one.get("NetworkID") or name)
                volumes |= {name for name in _volumes(summary) if not is_anonymous(name)}
            found: dict[str, SharedResource] = {}
            for name in sorted(networks.keys() - _EVERYBODYS):
                for number, there in enumerate(_there(api.inspect_network, networks[name]), start=1):
                    found[f"network {name}" if number == 1 else f"network {name} ({number})"] = there
            for name in sorted(volumes):
                found |= {f"volume {name}": one for one in _there(api.inspect_volume, [name])}
        return found

    def strangers(self) -> Sequence[Stranger]:
        """Return the running containers beside the project's own that share something with it, by name."""
        with self._asking("containers beside the project") as api:
            networks = api.networks(filters={"label": f"{PROJECT_LABEL}={self.project}"})
            volumes = api.volumes(filters={"label": f"{PROJECT_LABEL}={self.project}"})["Volumes"] or ()
            every = api.containers(filters={"status": ["running", "restarting", "paused"]})
        shared = {f"network {network['Name']}" for network in networks}
        shared |= {f"volume {volume['Name']}" for volume in volumes}
        own = {summary["Id"] for summary in every if self._is_own(summary)}
        # What compose calls external has no label of the project.
        everybodys = {f"network {name}" for name in _EVERYBODYS}
        shared |= {use for summary in every if summary["Id"] in own for use in _uses(summary)} - everybodys
        shared |= {f"network of container {container}" for container in own}
        found = [
            Stranger(_listed_name(summary), tuple(sorted(_uses(summary) & shared)))
            for summary in every
            if summary["Id"] not in own
        ]
        return sorted((one for one in found if one.shares), key=lambda one: one.name)

    def _is_own(self, summary: Raw) -> bool:
        # Images that compose builds have the label too, and so has what somebody runs from them by hand.
        labels = summary["Labels"] or {}
        return labels.get(PROJECT_LABEL) == self.project and labels.get(ONE_OFF_LABEL) == "False"

    def logs(self, container: str, lines: int = 50) -> str:
        """Return the last `lines` of the log of `container`, by id or name, for evidence."""
        with self._asking(f"log of {container}") as api:
            log: bytes = api.logs(container, tail=lines)
        return log.decode(errors="replace")

    def logs_since(self, container: str, since: float, most: int) -> str:
        """Return the log of `container`, given by id or name, since `since`, at most its last `most` lines.

        Each line begins with the engine's timestamp. The engine need not read more lines, however long the
        log is.
        """
        with self._asking(f"log of {container}") as api:
            log: bytes = api.logs(container, timestamps=True, tail=most, since=since if since > 0 else None)
        return log.decode(errors="replace")

    @contextmanager
    def files(self, container: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in `container`, by id or name, as the engine sends it.

        All of it is read within `deadline` seconds. Nothing runs in the container, which may be stopped.
        """
        what = f"files of {path} in {container[:12]}"
        with asking(what, self.project, deadline) as api:
            stream, _ = api.get_archive(container, path)
            with closing(stream):
                yield _in_time(stream, time.monotonic() + deadline)

    @contextmanager
    def image_files(self, image: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder `path` in the image with the id `image`, as the engine sends it.

        All of it is read within `deadline` seconds. The engine shows an image's files through a container
        alone. It makes one, of no project, which is never started, and is removed at the end.
        """
        with asking(f"files of {path} in image {image[:19]}", self.project, deadline) as api:
            made = api.create_container(
                image,
                command=["never started"],
                labels=NO_PROJECT,
                network_disabled=True,
            )
            try:
                stream, _ = api.get_archive(made, path)
                with closing(stream):
                    yield _in_time(stream, time.monotonic() + deadline)
            finally:
                api.remove_container(made, v=True, force=True)

    def ahead(self) -> float:
        """Return the seconds by which the clock of the engine's host is ahead of this machine's.

        Right to half the time that the answer takes. Its containers have the same clock: the kernel's.
        """
        with self._asking("clock") as api:
            before = time.time()
            told = _moment(api.info()["SystemTime"]).timestamp()
            return told - (before + time.time()) / 2

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
            # The listing tells places too: no container is inspected.
            everything = self._listed(api)
        instances = [summary for summary in everything if _listed_service(summary) == service]
        source = f"containers of project {self.project}"
        if not instances:
            existing = sorted({_listed_service(summary) for summary in everything})
            raise Unverifiable(
                what=f"service {service}",
                expected="a container of that service",
                observed=f"services {', '.join(existing)}" if existing else "no container at all",
                source=source,
                hint="correct the service's name in the profile, or start the project",
                means=Meaning.UNREACHABLE,
            )
        running = [summary for summary in instances if summary["State"] in RUNNING]
        if not running:
            raise Unverifiable(
                what=f"service {service}",
                expected="a running container",
                observed=", ".join(f"{_listed_name(one)} {one['State']}" for one in instances),
                source=source,
                hint=f"docker logs {_listed_name(instances[0])}",
                means=Meaning.UNREACHABLE,
            )
        place = _published(running[0], port) or _inside(running[0], port)
        if place is None:
            raise Unverifiable(
                what=f"address of service {service}",
                expected=f"port {port} published, or a network address",
                observed="neither",
                source=f"container {_listed_name(running[0])}",
                hint="publish the port on 127.0.0.1, or give host and port in the profile",
            )
        return place

    def _asking(self, what: str) -> AbstractContextManager[APIClient]:
        return asking(what, self.project, self.deadline_seconds)

    def _inspected(self) -> list[Raw]:
        with self._asking("containers") as api:
            return self._inspect_all(api)

    def _listed(self, api: APIClient) -> list[Raw]:
        labels = [f"{PROJECT_LABEL}={self.project}", f"{ONE_OFF_LABEL}=False"]
        listed: list[Raw] = api.containers(all=True, filters={"label": labels})
        return listed

    def _inspect_all(self, api: APIClient) -> list[Raw]:
        def inspect(summary: Raw) -> Raw | None:
            try:
                found: Raw = api.inspect_container(summary["Id"])
            except NotFound:
                return None  # removed since the listing: as if listed a moment later
            return found

        return [raw for raw in self._each(self._listed(api), inspect) if raw is not None]

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


def _in_time(stream: Iterable[bytes], end: float) -> Iterator[bytes]:
    """Yield what `stream` yields, until the monotonic time `end`."""
    for chunk in stream:
        if time.monotonic() > end:
            raise TimeoutError("it was not read to its end")
        yield chunk


def _command(api: APIClient, session: str) -> list[str]:
    """Return a session's command; empty if the engine has forgotten it."""
    try:
        process = api.exec_inspect(session)["ProcessConfig"]
    except NotFound:
        return []
    return [process["entrypoint"], *(process["arguments"] or ())]


def _time_of(api: APIClient) -> float:
    """Return the time of the engine's host, in seconds since 1970; of another host in whole seconds."""
    if api.base_url.startswith("http+docker"):
        return time.time()  # by a socket of this host
    return parsedate_to_datetime(api.get(f"{api.base_url}/_ping").headers["Date"]).timestamp()


def _is_health_check(api: APIClient, container: str, command: Sequence[str]) -> bool:
    """Return whether `command` is the health check of a container as the engine runs it."""
    try:
        configuration = api.inspect_container(container)["Config"]
    except NotFound:
        return False
    kind, *words = (configuration.get("Healthcheck") or {}).get("Test") or [""]
    shell = (configuration.get("Shell") or ["/bin/sh", "-c"]) if kind == "CMD-SHELL" else []
    return kind in {"CMD", "CMD-SHELL"} and [*shell, *words] == list(command)


def _reading(api: APIClient, raw: Raw) -> Raw | None:
    """Return one reading of a container's counters, or None if it has stopped since the listing."""
    try:
        reading: Raw = api.stats(raw["Id"], stream=False, one_shot=True)
        if "usage" in reading.get("memory_stats", {}):
            return reading
        if not api.inspect_container(raw["Id"])["State"]["Running"]:
            return None
    except NotFound:
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


def _service(raw: Raw) -> str:
    return str(raw["Config"]["Labels"][SERVICE_LABEL])


def _listed_name(summary: Raw) -> str:
    # One that is being removed may have lost its names.
    return str((summary["Names"] or [summary["Id"][:12]])[0]).lstrip("/")


def _listed_service(summary: Raw) -> str:
    return str(summary["Labels"][SERVICE_LABEL])


def _container(raw: Raw, services: Mapping[str, str]) -> Container:
    state, host, labels = raw["State"], raw["HostConfig"], raw["Config"]["Labels"]
    return Container(
        id=raw["Id"],
        name=_name(raw),
        service=_service(raw),
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
    answers = health.get("Log") or []
    runs = state["Running"] and not state.get("Paused")
    unasked = health.get("Status") == "unhealthy" and not health.get("FailingStreak", 1)
    if runs and unasked and answers and answers[-1]["ExitCode"] == 0:
        return HEALTHY
    status: str | None = health.get("Status")
    return status


# The engine's own networks, which no project has for itself.
_EVERYBODYS = frozenset({"bridge", "host", "none"})


def _there(inspect: Callable[[str], Raw], names: Iterable[str]) -> list[SharedResource]:
    """Return those of `names` that are there; a completed container may name one that is gone."""
    found = {}
    for name in names:
        with suppress(NotFound):
            raw = inspect(name)
            found[raw.get("Id") or name] = resource_of(raw)
    # Their IDs are others once they are made anew: in the order of what they are.
    return sorted(found.values(), key=lambda one: str(sorted(one.settings.items())))


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
    networks = summary["NetworkSettings"]["Networks"] or {}
    for kind in ("IPAddress", "GlobalIPv6Address"):
        for name in sorted(networks):
            if networks[name].get(kind):
                return networks[name][kind], port
    return None


def _usage(raw: Raw, before: Raw, after: Raw) -> Usage:
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
    )


def _cpu_percent(before: Raw, after: Raw, cores: float) -> float:
    used = after["cpu_stats"]["cpu_usage"]["total_usage"] - before["cpu_stats"]["cpu_usage"]["total_usage"]
    elapsed = (_moment(after["read"]) - _moment(before["read"])).total_seconds()
    return 100 * used / (elapsed * 1e9 * cores) if elapsed > 0 else 0.0


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _allowance(host: Raw, host_cores: int) -> float:
    """Return the number of cores that a container may use."""
    allowed = [float(host_cores)]
    if host.get("NanoCpus"):
        allowed.append(host["NanoCpus"] / 1e9)
    if (host.get("CpuQuota") or 0) > 0:
        allowed.append(host["CpuQuota"] / (host.get("CpuPeriod") or 100_000))
    if host.get("CpusetCpus"):
        allowed.append(float(_cores_in(host["CpusetCpus"])))
    return min(allowed)


def _cores_in(cpuset: str) -> int:
    """Count the cores in a list such as ``0-2,5``."""
    bounds = [part.partition("-") for part in cpuset.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in bounds)
