"""A compose project as its files describe it, by what `docker compose config` renders of them."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rollproof.engines.engine import Mount
from rollproof.errors import ActionFailed, UsageProblem
from rollproof.system.command import Deadline, run_command

_SECONDS = 30.0
_ANYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Port:
    """A container's port. `published` is the host's port: a number, a range, or "" if it is not published."""

    target: int
    published: str = ""
    host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service of a compose project. `image` is "" for one that is built without a name.

    `secrets` are the files of its compose secrets, by name. `after` names the services that it depends on,
    and `completed` those of them that have to end well before. `optional` services need a compose profile
    that is not on. `mounts` are its named volumes and folders of the host.
    """

    name: str
    image: str = ""
    build: str = ""
    environment: Mapping[str, SecretStr] = field(default_factory=dict)
    command: tuple[SecretStr, ...] = ()
    ports: tuple[Port, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    after: frozenset[str] = frozenset()
    completed: frozenset[str] = frozenset()
    optional: bool = False
    mounts: tuple[Mount, ...] = ()

    @property
    def short_image(self) -> str:
        """The last part of its image's name, without tag and digest; "" without a name."""
        return self.image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()

    def value(self, *names: str) -> str:
        """Return the value of the first of these variables, or ``--options`` of the command, that is set."""
        words = " ".join(word.get_secret_value() for word in self.command)
        for name in names:
            if name.startswith("--"):
                if found := re.search(rf"{name}[ =]+[\"']?(\$+\([^)]*\)|[^\"'\s]+)", words):
                    return found[1]
            elif (secret := self.environment.get(name)) and secret.get_secret_value():
                return secret.get_secret_value()
        return ""

    def words(self) -> str:
        """Return its environment and command as one text, to look for names of services in."""
        values = (*self.environment.values(), *self.command)
        return "\n".join(value.get_secret_value() for value in values)


@dataclass(frozen=True, slots=True)
class ComposeFiles:
    """A compose project: `files` and `env_file` as compose is given them."""

    project: str
    files: tuple[Path, ...]
    env_file: Path | None
    services: Mapping[str, ComposeService]


def read_stack(files: Sequence[Path], project: str | None, env_file: Path | None) -> ComposeFiles:
    """Return the project that `files` describe, under the name that they or `project` give it.

    Services that need a compose profile are in it, whether COMPOSE_PROFILES turns them on or not.
    """
    # Resolved only as far as its folder: a link may stand for another file tomorrow.
    files = tuple(Path(os.path.abspath(file)) for file in files)  # noqa: PTH100 - keeps links
    environment = Path(os.path.abspath(env_file)) if env_file else None  # noqa: PTH100
    command = ["docker", "compose", *(["--project-name", project] if project else [])]
    command += ["--env-file", str(environment)] if environment else []
    command += [word for file in files for word in ("--file", str(file))]
    deadline = Deadline(_SECONDS)

    def rendered(*words: str) -> str:
        # Private: it contains the containers' environment.
        return run_command(
            [*command, *words], what="reading of compose files", deadline=deadline, private=True
        )

    try:
        config = json.loads(rendered("--profile", "*", "config", "--format", "json"))
        turned_on = rendered("config", "--services").split()
    except (ActionFailed, ValueError):
        # Compose's own words may quote a secret of the files: a person asks for them in his own terminal.
        raise UsageProblem(
            what="compose files",
            expected="files that compose can read",
            observed="docker compose config fails",
            source=", ".join(str(file) for file in files),
            hint="correct them, or name the file of the environment with --env-file,"
            f" until this prints nothing: {shlex.join([*command, '--profile', '*', 'config', '--quiet'])}",
        ) from None
    return stack_of(config, project or str(config["name"]), files, environment, turned_on)


def stack_of(
    config: Mapping[str, Any],
    project: str,
    files: tuple[Path, ...],
    env_file: Path | None,
    turned_on: Collection[str] = (),
) -> ComposeFiles:
    """Return the project in the answer of ``docker compose config --format json``.

    `turned_on` are services that are there although they need a compose profile.
    """
    secrets = {name: str(one.get("file") or "") for name, one in (config.get("secrets") or {}).items()}
    services = sorted((config.get("services") or {}).items())
    found = {
        name: _service(name, raw, secrets, optional=bool(raw.get("profiles")) and name not in turned_on)
        for name, raw in services
    }
    return ComposeFiles(project, files, env_file, found)


def _service(
    name: str, raw: Mapping[str, Any], secrets: Mapping[str, str], *, optional: bool
) -> ComposeService:
    after = raw.get("depends_on") or {}
    health = (raw.get("healthcheck") or {}).get("test") or ()
    words = (*(raw.get("entrypoint") or ()), *(raw.get("command") or ()), *health)
    named = [str(one["source"]) for one in raw.get("secrets") or ()]
    return ComposeService(
        name=name,
        image=str(raw.get("image") or ""),
        build=str((raw.get("build") or {}).get("context") or ""),
        environment={
            key: SecretStr("" if value is None else str(value))
            for key, value in sorted((raw.get("environment") or {}).items())
        },
        command=tuple(SecretStr(str(word)) for word in words),
        ports=tuple(_ports(raw)),
        secrets={one: secrets[one] for one in named if secrets.get(one)},
        after=frozenset(after),
        completed=frozenset(
            other for other, how in after.items() if how["condition"] == "service_completed_successfully"
        ),
        optional=optional,
        mounts=tuple(_mounts(raw)),
    )


def _mounts(raw: Mapping[str, Any]) -> Iterator[Mount]:
    for one in raw.get("volumes") or ():
        if source := str(one.get("source") or ""):  # else a volume without a name, new with each container
            yield Mount(source, str(one["type"]), str(one["target"]), source, not one.get("read_only"))


def _ports(raw: Mapping[str, Any]) -> list[Port]:
    found = []
    for one in raw.get("ports") or ():
        if one.get("protocol", "tcp") == "tcp":
            host = str(one.get("host_ip") or "")
            address = "127.0.0.1" if host in _ANYWHERE else host
            found.append(Port(int(one["target"]), str(one.get("published") or ""), address))
    known = {port.target for port in found}
    exposed = [str(one).partition("/")[0] for one in raw.get("expose") or ()]
    found += [Port(int(one)) for one in exposed if one.isdecimal() and int(one) not in known]
    return sorted(found, key=lambda port: (not port.published, port.target, port.published))
