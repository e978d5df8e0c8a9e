"""The container engine's view of a target. Read-only; `rollback_actions` has the writing side."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol, cast

from pydantic import SecretStr

from rollproof.collection import Json
from rollproof.errors import Unverifiable
from rollproof.profile.sections import Address

if TYPE_CHECKING:
    from rollproof.profile.profile import Engine

IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")
HEALTHY = "healthy"
"""What the engine says of a container whose health check passes."""


class EngineUnreached(Unverifiable):
    """The engine was not reached, or did not answer in time. An engine that answers with an error was."""


class NotThere(Unverifiable):
    """The engine answered that it has no such container, or no such file in one."""


def images_of(there: Mapping[str, Sequence[Container]], services: Iterable[str]) -> dict[str, str]:
    """Return the image id of each of `services` that has a container `there`."""
    return {service: there[service][0].image_id for service in services if there.get(service)}


# Folders and files of the host that hold no data: sockets, devices, the host's time.
_NO_DATA = (
    *("*.sock", "/dev", "/dev/*", "/proc", "/proc/*", "/sys", "/sys/*"),
    *("/etc/localtime", "/etc/timezone"),
)
# The restart policies that leave alone what ended well; the engine writes "no policy" in two ways.
_STAYS_ENDED = frozenset({"", "no", "on-failure"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A resolved address, to which a client connects."""

    host: str
    port: int
    tls: bool = False
    ca: str | None = None

    @property
    def in_url(self) -> str:
        """The host as a URL has it: an address of IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Mount:
    """A container's volume or bind mount: its name (or host path) and its place inside."""

    name: str
    kind: str
    destination: str
    source: str
    writable: bool = True

    @property
    def may_hold_state(self) -> bool:
        """Whether data can be written to it and stays: a tmpfs is empty after each start."""
        of_the_host = self.kind == "bind" and any(fnmatchcase(self.source, one) for one in _NO_DATA)
        return self.writable and self.kind in {"volume", "bind"} and not of_the_host

    def at(self, place: str) -> bool:
        """Return whether it is mounted at `place`, however that is written: ``/data`` or ``/data/``."""
        return self.destination.rstrip("/") == place.rstrip("/")


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the target, as the engine describes it.

    `health` is None for a container without a health check, `pids_limit` 0 without a limit. `configuration`
    is compose's hash of the service's configuration, `restart` its restart policy. `network` is the engine's
    mode, such as ``host`` or ``container:ID``, or "" if unknown. `settings` is all that the engine was given
    of it, in words of the engine. `private` is the part that may hold secrets, such as its environment.
    `health_seconds` is the time from its start to the first answer of its health check, 0 without one.
    On a swarm, `called` is docker's own name of it, and `context` the docker context of its node, "" of the
    manager's. `update` is an update of its service that has not ended well, such as ``paused: REASON``.
    `shown_by` is the command that shows why it is not well, where that is none of docker.
    """

    id: str
    name: str
    service: str
    running: bool
    status: str
    health: str | None
    restarts: int
    restarting: bool
    oom_killed: bool
    exit_code: int
    started: str
    image: str
    image_id: str
    revision: str | None
    configuration: str | None
    pids_limit: int
    mounts: tuple[Mount, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    restart: str = ""
    settings: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, SecretStr] = field(default_factory=dict)
    health_seconds: float = 0.0
    called: str = ""
    context: str = ""
    update: str = ""
    shown_by: str = ""

    @property
    def docker(self) -> tuple[str, ...]:
        """How a command of docker about it begins."""
        return ("docker", "--context", self.context) if self.context else ("docker",)

    @property
    def completed(self) -> bool:
        """Whether it did what it was for and ended: no policy would have started it again."""
        return self.status == "exited" and self.exit_code == 0 and self.restart in _STAYS_ENDED

    @property
    def healthy(self) -> bool:
        """Whether its health check says so; without one, nothing speaks against it."""
        return self.health in {None, HEALTHY}

    @property
    def remedy(self) -> str:
        """The command to paste when it is not well: it ends a pause, or shows why."""
        return self.shown_by or self.command("unpause" if self.status == "paused" else "logs")

    def command(self, *words: str) -> str:
        """Return a command of docker about it, to paste."""
        return shlex.join((*self.docker, *words, self.called or self.name))


def mounts_at(containers: Iterable[Container], place: str) -> Iterator[Mount]:
    """Yield what each of `containers` has mounted at `place`."""
    return (mount for one in containers for mount in one.mounts if mount.at(place))


@dataclass(frozen=True, slots=True)
class RunningContainer:
    """A running container; `one_off` if it was started once, next to its service's own (``compose run``)."""

    name: str
    service: str
    one_off: bool


@dataclass(frozen=True, slots=True)
class Stranger:
    """A container that is not the target's, and the networks and volumes that it shares, in words."""

    name: str
    shares: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Inside:
    """The files of a container that its image does not bring; each content as a keyed hash, by path.

    `bound` are the files of bind mounts. `modified`, `added` and `deleted` are the differences of its own
    layer from the image, without places for short-lived files. `unread` says in words which were not read.
    """

    bound: Mapping[str, str] = field(default_factory=dict)
    modified: Mapping[str, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


KeyedHash = Callable[[str, Iterable[bytes]], str]
"""Returns a keyed hash of a content by its name; the content is given block by block."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A container's current use: bytes, percent of its own CPU allowance, processes, service."""

    memory: int
    memory_percent: float
    cpu_percent: float
    pids: int
    pids_limit: int
    service: str = ""


class ContainerEngine(Protocol):
    """Read-only view of one target's containers. Raises `Unverifiable` past its deadline."""

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Return the target's containers by service, including stopped ones."""

    def running(self) -> Sequence[RunningContainer]:
        """Return the target's running or restarting containers, including one-off ones."""

    def usage(self) -> Mapping[str, Usage]:
        """Return the resource use of each running container, by container id, in one round."""

    def insides(self, keyed: KeyedHash) -> Mapping[str, Inside]:
        """Return what is inside each of the target's containers, stopped ones too, by container id."""

    def strangers(self) -> Sequence[Stranger]:
        """Return the running containers other than the target's own, and one-off ones, that share with it."""

    def logs(self, container: str, lines: int = 50, since: float | None = None) -> str:
        """Return the last `lines` of a container's log, of those after `since`, in seconds since 1970.

        With `since`, each line begins with the engine's own timestamp, in UTC, with nine digits after the
        second.
        """

    def files(self, container: str, path: str, deadline: float) -> AbstractContextManager[Iterator[bytes]]:
        """Give a tar of the folder `path` in a container, read within `deadline` seconds; nothing runs."""

    def image_files(self, image: str, path: str, deadline: float) -> AbstractContextManager[Iterator[bytes]]:
        """Give a tar of the folder `path` in the image with the id `image`, as `files` does."""

    def id(self) -> str:
        """Return the engine's own ID, the same for as long as it keeps its data; "" if it has none."""

    def data_root(self) -> str:
        """Return the folder of the engine's data on the engine's host."""

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint at which a client on this host reaches `address`."""


def open_engine(profile: Engine) -> ContainerEngine:
    """Return the read-only view of the engine that `profile` describes."""
    return cast("ContainerEngine", resolve_name(profile.of_kind.view)(profile))
