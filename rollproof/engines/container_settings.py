"""The configuration of a container in the engine, made equal for equal configurations.

Differences between two containers that compose made from the same file are left out. These are ids, the host
name that an id gives, addresses that the network hands out, names of anonymous volumes, and the labels of
compose and swarm themselves. Empty values are left out too: engines write "none" as null, 0, "" or an empty
list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from rollproof.collection import Json

# The engine's API returns JSON without a schema that a type could name.
Raw = Mapping[str, Any]

ENVIRONMENT = "environment "
"""How the name of a variable of the environment begins in `private_of`."""
TASK_LABEL = "com.docker.swarm.task.id"
"""A label of each container that a swarm made."""
_ENGINES_OWN = ("com.docker.compose.", "com.docker.swarm.")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_SHORT_ID = 12
# Of ``Config``: compared elsewhere (image, labels, environment), or by whether compose was attached to it.
_ELSEWHERE = frozenset(
    {
        *("Image", "Labels", "Env", "Cmd", "Entrypoint", "Healthcheck", "Hostname", "OnBuild"),
        *("AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce"),
    }
)
# Of ``HostConfig``: mounts are in ``Mounts``, log options may hold a password, the rest is the client's.
_NOT_OF_THE_HOST = frozenset(
    {"Binds", "Mounts", "ContainerIDFile", "ConsoleSize", "LogConfig", "Annotations"}
)
_MOUNT = "mount "
_MODES = ("NetworkMode", "PidMode", "IpcMode")


def settings_of(raw: Raw, services: Mapping[str, str]) -> dict[str, Json]:
    """Return the settings of an inspected container that hold no secret, by name.

    `services` are the services of the project's containers, by id: a container's network or volumes may be
    another's.
    """
    config, host = raw["Config"], raw["HostConfig"]
    found: dict[str, Json] = {name: value for name, value in config.items() if name not in _ELSEWHERE}
    found |= {name: value for name, value in host.items() if name not in _NOT_OF_THE_HOST}
    for name in _MODES:
        kind, _, container = str(found.get(name, "")).partition(":")
        if kind == "container":
            found[name] = f"container of {services.get(container, container)}"
    # Compose names a service's container by its id there, which is another one in each new container.
    others = (str(one).partition(":") for one in host.get("VolumesFrom") or ())
    found["VolumesFrom"] = [f"container of {services.get(of, of)}{colon}{mode}" for of, colon, mode in others]
    found["Log driver"] = (host.get("LogConfig") or {}).get("Type")
    hostname = config.get("Hostname") or ""
    # A container in another's network has that one's name.
    if not any(container.startswith(hostname) for container in (str(raw["Id"]), *services)):
        found["Hostname"] = hostname
    found |= {f"{_MOUNT}{mount['Destination']}": _mount(mount) for mount in raw["Mounts"]}
    networks = (raw.get("NetworkSettings") or {}).get("Networks") or {}
    found |= {f"network {name}": _network(raw, network) for name, network in networks.items()}
    return stated(found)


def stated(found: Mapping[str, Any]) -> dict[str, Json]:
    """Return the settings `found` that are not empty, in order."""
    return {name: _plain(value) for name, value in sorted(found.items()) if not _is_empty(value)}


def private_of(raw: Raw) -> dict[str, SecretStr]:
    """Return what may hold a secret, by name: environment, command, health check, labels, log options."""
    config = raw["Config"]
    variables = (entry.partition("=") for entry in config.get("Env") or ())
    found = {f"{ENVIRONMENT}{name}": value for name, _, value in variables}
    labels = config.get("Labels") or {}
    found |= {f"label {name}": text for name, text in labels.items() if not name.startswith(_ENGINES_OWN)}
    for name, value in {
        "command": config.get("Cmd"),
        "entrypoint": config.get("Entrypoint"),
        "health check": config.get("Healthcheck"),
        "log options": (raw["HostConfig"].get("LogConfig") or {}).get("Config"),
    }.items():
        if not _is_empty(value):
            found[name] = json.dumps(value, sort_keys=True)
    return {name: SecretStr(value) for name, value in sorted(found.items())}


def is_anonymous(volume: str) -> bool:
    """Return whether the engine chose a volume's name: a container that is created again may have another."""
    return _ANONYMOUS.fullmatch(volume) is not None


def _mount(mount: Raw) -> Json:
    name = str(mount.get("Name") or mount.get("Source") or "")
    if mount["Type"] == "volume" and is_anonymous(name):
        name = "anonymous"
    return {
        "kind": mount["Type"],
        "of": name,
        "writable": bool(mount.get("RW")),
        "propagation": mount.get("Propagation") or "",
    }


def _network(raw: Raw, network: Raw) -> Json:
    aliases = {str(alias) for alias in network.get("Aliases") or ()} - {raw["Id"][:_SHORT_ID]}
    # A swarm gives each task another address, in the place where compose has a fixed one.
    given = {} if TASK_LABEL in raw["Config"]["Labels"] else network.get("IPAMConfig") or {}
    fixed = {name: value for name, value in given.items() if value}
    return _plain({"aliases": sorted(aliases), "fixed": fixed, "links": sorted(network.get("Links") or ())})


def _is_empty(value: object) -> bool:
    return value in (None, 0, "", [], {}, False)


def _plain(value: Any) -> Json:  # noqa: ANN401 - whatever the engine answers
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in sorted(value.items())}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
