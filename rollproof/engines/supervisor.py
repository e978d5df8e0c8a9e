"""The processes of a Supervisor, by its XML-RPC and its configuration: each is what docker calls a container.

Its image is the working copy that it was started from, as a tree of git. http://supervisord.org/api.html
"""

from __future__ import annotations

import configparser
import hashlib
import http.client
import os
import socket
import stat
import tarfile
import time
import xmlrpc.client
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import join
from typing import Any, cast

from pydantic import SecretStr

from rollproof.engines.engine import (
    Container,
    Endpoint,
    EngineUnreached,
    Inside,
    KeyedHash,
    Mount,
    NotThere,
    RunningContainer,
    Stranger,
    Usage,
)
from rollproof.errors import Meaning, Problem, Unverifiable, reason_of
from rollproof.git.repository import git, head, top_of
from rollproof.profile.profile import Engine
from rollproof.profile.sections import Address
from rollproof.reading import read_regular
from rollproof.system.files import canonical_json

CPU_INTERVAL_SECONDS = 0.25
_LOG_BYTES = 256 * 1024
_CHUNK = 1 << 20
_MACHINE = Path("/etc/machine-id")
_PROGRAM, _ENVIRONMENT = "program:", "environment"
# http://supervisord.org/subprocess.html#process-states; one that was stopped by hand has not completed.
_STATUS = {"RUNNING": "running", "EXITED": "exited", "BACKOFF": "restarting"}
_RESTART = {"true": "always", "unexpected": "on-failure", "false": "no"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """The sections of a Supervisor's configuration file, and where its server listens."""

    file: Path
    sections: Mapping[str, Mapping[str, str]]

    @classmethod
    def of_profile(cls, profile: Engine) -> Configuration:
        """Read the configuration file that `profile` names.

        Raises:
            Unverifiable: it cannot be read, or has no server.
        """
        if len(profile.files) != 1:
            raise _wrong("engine.files", "one file, supervisord.conf", f"{len(profile.files)}", "the profile")
        (file,) = profile.files
        parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(" ;",))
        try:
            parser.read_string(read_regular(file).decode())
        except (OSError, UnicodeDecodeError) as error:
            raise _wrong(str(file), "a file that can be read", reason_of(error), "the profile") from None
        except configparser.Error as error:
            raise _wrong(str(file), "a configuration of Supervisor", str(error), "the profile") from None
        here = str(file.parent)
        return cls(
            file,
            {
                name: {key: value.replace("%(here)s", here) for key, value in parser[name].items()}
                for name in parser.sections()
            },
        )

    @property
    def programs(self) -> Mapping[str, Mapping[str, str]]:
        """The section of each program, by its name."""
        return {
            name.removeprefix(_PROGRAM): section
            for name, section in self.sections.items()
            if name.startswith(_PROGRAM)
        }

    def service_of(self, process: Mapping[str, Any]) -> str:
        """Return the program of a process: its group, or in a group of several its own name."""
        return next((one for one in (process["group"], process["name"]) if one in self.programs), "")

    def client(self, *words: str) -> tuple[str, ...]:
        """Return a command of supervisorctl for this configuration."""
        return ("supervisorctl", "-c", str(self.file), *words)

    def server(self, seconds: float) -> xmlrpc.client.ServerProxy:
        """Return the server's functions; each call has `seconds`."""
        unix, inet = self.sections.get("unix_http_server", {}), self.sections.get("inet_http_server", {})
        if not (address := unix.get("file") or inet.get("port")):
            raise _wrong(str(self.file), "[unix_http_server] or [inet_http_server]", "neither", "the profile")
        login = unix if unix.get("file") else inet
        transport = _Transport(address, seconds, (login.get("username", ""), login.get("password", "")))
        return xmlrpc.client.ServerProxy("http://supervisor", transport=transport, use_builtin_types=True)


class _Transport(xmlrpc.client.Transport):
    """Carries calls to a Unix socket, or to HOST:PORT."""

    def __init__(self, address: str, seconds: float, login: tuple[str, str]) -> None:
        headers = []
        if login[0]:
            user = b64encode(":".join(login).encode()).decode()
            headers = [("Authorization", f"Basic {user}")]
        super().__init__(headers=headers)
        self._address, self._seconds = address, seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401 - the library's signature
        """Return a connection to the server."""
        connection: http.client.HTTPConnection
        if "/" in self._address:
            connection = _UnixConnection(self._address, self._seconds)
        else:
            name, _, port = self._address.rpartition(":")
            name = name.strip("*") or "127.0.0.1"
            connection = http.client.HTTPConnection(name, int(port), timeout=self._seconds)
        self._connection = host, connection
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Release:
    """What a program was started from: the commit and tracked files of the working copy around its folder.

    `identity` has the form of an image's id. `commit` is None where the files are not those of a commit.
    """

    folder: Path
    identity: str = ""
    commit: str | None = None
    newest: float = 0.0

    @classmethod
    def around(cls, folder: Path) -> Release:
        """Return the release in `folder`; one without identity where it is no working copy."""
        try:
            top, commit = top_of(folder), head(folder)
            names = git(top, "ls-files", "-z").split("\0")
            tree, changes = git(top, "rev-parse", "HEAD^{tree}"), git(top, "diff", "--no-ext-diff", "HEAD")
        except (Problem, OSError):
            return cls(folder)
        files = [top / name for name in names if name and (top / name).is_file()]
        newest = max((file.stat().st_mtime for file in files), default=0.0)
        digest = hashlib.sha256(f"{tree}\0{changes}".encode()).hexdigest()
        return cls(top, f"sha256:{digest}", None if changes else commit, newest)

    def at(self, started: float) -> Release:
        """Return the release of a process that was started then: unknown if a file has changed since."""
        # Supervisor counts in whole seconds.
        if not self.identity or self.newest < started + 1:
            return self
        digest = hashlib.sha256(f"{self.identity} later than {started}".encode()).hexdigest()
        return replace(self, identity=f"sha256:{digest}", commit=None)


class SupervisorEngine:
    """The processes of one Supervisor: see `ContainerEngine`.

    Supervisor has neither health checks nor images, networks, limits or layers: what cannot be asked is
    `lacks` of its kind.
    """

    def __init__(self, profile: Engine) -> None:
        """Connect to nothing yet; each later question has the profile's deadline."""
        self._profile = profile

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Return the processes by program, stopped ones too."""
        configuration = Configuration.of_profile(self._profile)
        folders = {name: self._folder(configuration, name) for name in configuration.programs}
        releases = {folder: Release.around(folder) for folder in set(folders.values())}
        found: dict[str, list[Container]] = {}
        for process in self._processes(configuration):
            if service := configuration.service_of(process):
                release = releases[folders[service]]
                release = release.at(float(process["start"])) if process["pid"] else release
                one = self._container(configuration, service, process, release)
                found.setdefault(service, []).append(one)
        return {service: tuple(sorted(found[service], key=lambda c: c.name)) for service in sorted(found)}

    def _folder(self, configuration: Configuration, program: str) -> Path:
        return configuration.file.parent / configuration.programs[program].get("directory", "")

    def _processes(self, configuration: Configuration) -> Sequence[Mapping[str, Any]]:
        with self._asking(configuration, "processes") as server:
            return cast("Sequence[Mapping[str, Any]]", server.supervisor.getAllProcessInfo())

    def _container(
        self, configuration: Configuration, service: str, process: Mapping[str, Any], release: Release
    ) -> Container:
        section, state = configuration.programs[service], str(process["statename"])
        name = process["name"] if process["name"] == service else f"{process['group']}:{process['name']}"
        environment = section.get(_ENVIRONMENT, "")
        return Container(
            id=f"{self._profile.project}/{name}",
            name=name,
            service=service,
            running=state == "RUNNING",
            status=_STATUS.get(state, state.lower()),
            health=None,
            restarts=0,
            restarting=state == "BACKOFF",
            oom_killed=False,
            exit_code=int(process["exitstatus"]),
            started=datetime.fromtimestamp(process["start"], UTC).isoformat(),
            image=str(release.folder),
            image_id=release.identity,
            revision=release.commit,
            configuration=hashlib.sha256(canonical_json(dict(section))).hexdigest(),
            pids_limit=0,
            mounts=tuple(
                Mount(folder, "bind", folder, folder)
                for one, _, folder in (place.partition(":") for place in self._profile.places)
                if one == service
            ),
            network="host",
            restart=_RESTART.get(section.get("autorestart", "unexpected"), ""),
            settings={key: value for key, value in section.items() if key != _ENVIRONMENT},
            private={_ENVIRONMENT: SecretStr(environment)} if environment else {},
            shown_by=join(configuration.client("tail", name)),
        )

    def running(self) -> Sequence[RunningContainer]:
        """Return the processes that run or are started again."""
        found = [one for several in self.containers().values() for one in several]
        return [RunningContainer(c.name, c.service, False) for c in found if c.running or c.restarting]

    def usage(self) -> Mapping[str, Usage]:
        """Return the use of each running process and its children, in percent of this machine."""
        configuration = Configuration.of_profile(self._profile)
        services = {
            int(process["pid"]): (process, service)
            for process in self._processes(configuration)
            if process["pid"] and (service := configuration.service_of(process))
        }
        before = {pid: _ticks(pid) for pid in services}
        time.sleep(CPU_INTERVAL_SECONDS)
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        ticks = os.sysconf("SC_CLK_TCK") * CPU_INTERVAL_SECONDS * (os.cpu_count() or 1)
        found = {}
        for pid, (process, service) in services.items():
            name = process["name"] if process["name"] == service else f"{process['group']}:{process['name']}"
            memory, pids = _memory(pid)
            cpu = 100 * max(_ticks(pid) - before[pid], 0) / ticks
            key = f"{self._profile.project}/{name}"
            found[key] = Usage(memory, 100 * memory / whole, cpu, pids, 0, service)
        return found

    def insides(self, keyed: KeyedHash) -> Mapping[str, Inside]:
        """Return nothing: a process has no files of its own."""
        return {}

    def strangers(self) -> Sequence[Stranger]:
        """Return none: every process of the machine shares its network."""
        return ()

    def logs(self, container: str, lines: int = 50, since: float | None = None) -> str:
        """Return the last `lines` of a process's standard output; none after `since`: it has no times."""
        if since is not None:
            return ""
        with self._asking(Configuration.of_profile(self._profile), f"log of {container}") as server:
            text, *_ = cast("list[Any]", server.supervisor.tailProcessStdoutLog(container, 0, _LOG_BYTES))
        return "\n".join(str(text).splitlines()[-lines:])

    @contextmanager
    def files(self, container: str, path: str, deadline: float) -> Iterator[Iterator[bytes]]:
        """Give a tar of the folder or file `path` of this machine, as docker would of a container's."""
        if not os.path.lexists(path):
            raise NotThere(
                what=f"files of {container}",
                expected=f"a file or folder {path}",
                observed="none",
                source="this machine",
                hint="correct engine.places and the store's `held` in the profile",
            )
        end = time.monotonic() + deadline

        def in_time() -> Iterator[bytes]:
            for chunk in _tar_of(Path(path)):
                if time.monotonic() > end:
                    raise TimeoutError("it was not read to its end")
                yield chunk

        try:
            yield in_time()
        except OSError as error:
            raise Unverifiable(
                what=f"files of {path} of {container}",
                expected=f"all read within {deadline:g} s",
                observed=reason_of(error) if error.errno else str(error),
                source="this machine",
                hint=f"see whether this user may read them: ls -la {path}",
            ) from None

    def image_files(self, image: str, path: str, deadline: float) -> AbstractContextManager[Iterator[bytes]]:
        """Raise `Unverifiable`: a release has no image."""
        what = f"files of {path} in image {image[:19]}"
        raise _wrong(what, "an engine with images", "Supervisor", f"within {deadline:g} s")

    def id(self) -> str:
        """Return the machine and the identifier of the Supervisor on it."""
        with self._asking(Configuration.of_profile(self._profile), "ID") as server:
            name = str(server.supervisor.getIdentification())
        machine = _MACHINE.read_text(encoding="ascii").strip() if _MACHINE.exists() else socket.gethostname()
        return f"{name}@{machine}"

    def data_root(self) -> str:
        """Return the folder of Supervisor's configuration."""
        return str(Configuration.of_profile(self._profile).file.parent)

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint of `address`: a program's port is one of this machine."""
        host = address.host or "127.0.0.1"
        return Endpoint(host, address.port, address.tls, str(address.ca) if address.ca else None)

    @contextmanager
    def _asking(self, configuration: Configuration, what: str) -> Iterator[xmlrpc.client.ServerProxy]:
        """Give the server for one question."""
        source, hint = f"Supervisor of {configuration.file}", join(configuration.client("status"))
        seconds = self._profile.deadline_seconds
        try:
            with configuration.server(seconds) as server:
                yield server
        except (xmlrpc.client.Error, http.client.HTTPException, OSError) as error:
            refused = isinstance(error, xmlrpc.client.Error)
            kind = Unverifiable if refused else EngineUnreached
            raise kind(
                what=what,
                expected=f"an answer within {seconds:g} s",
                observed=reason_of(error)
                if isinstance(error, OSError)
                else f"{type(error).__name__}: {error}",
                source=source,
                hint=hint,
                means=Meaning.OTHER if refused else Meaning.UNREACHABLE,
            ) from None


def _tar_of(folder: Path) -> Iterator[bytes]:
    """Yield a tar of a folder or file, its entries below its name; a file may grow or shrink meanwhile."""
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            status = path.lstat()
            link = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
        except FileNotFoundError:
            continue  # removed since it was listed
        info = tarfile.TarInfo(str(path.relative_to(folder.parent)))
        info.mode, info.mtime = stat.S_IMODE(status.st_mode), status.st_mtime
        info.uid, info.gid, info.linkname = status.st_uid, status.st_gid, link
        kinds = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
        kind = kinds.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            continue  # a socket or pipe holds nothing
        info.type, info.size = kind, status.st_size if kind == tarfile.REGTYPE else 0
        yield info.tobuf(tarfile.PAX_FORMAT)
        if kind == tarfile.REGTYPE:
            yield from _exactly(path, info.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _exactly(path: Path, size: int) -> Iterator[bytes]:
    """Yield `size` bytes of a file, or as many as it has and zeros, up to the end of a block of a tar."""
    left = size
    with path.open("rb") as content:
        while left and (chunk := content.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk
    if rest := left + -size % tarfile.BLOCKSIZE:
        yield bytes(rest)


def _wrong(what: str, expected: str, observed: str, source: str) -> Unverifiable:
    hint = "name the file that supervisord was started with: engine.files in the profile"
    return Unverifiable(what=what, expected=expected, observed=observed, source=source, hint=hint)


def _family(pid: int) -> list[int]:
    """Return a process and its descendants, those that are still there."""
    found, waiting = list[int](), [pid]
    while waiting:
        found.append(one := waiting.pop())
        with suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Return the bytes that a process and its descendants have in memory, and their number."""
    pages, family = 0, _family(pid)
    for one in family:
        with suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(family)


def _ticks(pid: int) -> int:
    """Return the processor's time that a process and its descendants have used. See proc_pid_stat(5)."""
    total = 0
    for one in _family(pid):
        with suppress(OSError):
            fields = (
                Path(f"/proc/{one}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
            )
            total += sum(map(int, fields.split()[11:13]))
    return total
