"""The scratch instance of a target: a second, empty copy of its stores next to it, while a backup is tried.

It is a separate project on the images of the target's containers. Of the target's compose files it takes over
what `_ALLOWED` names, and nothing else: volumes and networks are its own.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.compose import PROJECT_LABEL, ComposeEngine
from rollproof.engines.compose_project import compose_words
from rollproof.engines.engine import Container, ContainerEngine, images_of, open_engine
from rollproof.errors import Mismatch, UsageProblem
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Engine, Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.registry import endpoint_of, reader_at
from rollproof.system.command import Deadline, run_command
from rollproof.system.files import create_file
from rollproof.system.holder import file_lock
from rollproof.system.state import made_state_folder

Configuration = Mapping[str, Any]
"""Docker compose's reading of its files: services, volumes and networks, by name."""
SUFFIX = "-scratch"
DOWN_SECONDS = 60.0
# Everything that is created has this label, with the target's project; only objects with it are ever removed.
LABEL = "rollproof.scratch"
_ALLOWED = (
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "cpus",
    "depends_on",
    "entrypoint",
    "environment",
    "group_add",
    "healthcheck",
    "hostname",
    "init",
    "mem_limit",
    "pids_limit",
    "platform",
    "read_only",
    "secrets",
    "security_opt",
    "shm_size",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "ulimits",
    "user",
    "working_dir",
)
"""What a service of the instance has of the target's: its program, and how that runs."""


def closure(described: Configuration, services: Sequence[str]) -> list[str]:
    """Return `services` and everything that they depend on."""
    found = list(services)
    for name in found:  # which grows
        depends = described["services"][name].get("depends_on") or {}
        found += [one for one in depends if one in described["services"] and one not in found]
    return found


class ScratchControl(ComposeControl):
    """The actions on a scratch instance and its containers."""

    def __init__(self, scratch: Engine, target: Engine) -> None:
        """Control the project of `scratch`, a copy of that of `target`, whose volumes name the saved ones."""
        super().__init__(scratch)
        self._target = ComposeEngine(target.project, target.deadline_seconds)
        labels = {PROJECT_LABEL: scratch.project, LABEL: target.project}
        # What selects its objects: nothing else is ever removed.
        self._own = [f"--filter=label={name}={value}" for name, value in labels.items()]

    def create(self, limit: Deadline) -> None:
        """Create all containers, but start none."""
        create = [*self.compose(), "create", "--no-build"]
        run_command(create, what="making of the scratch instance", deadline=limit)

    def up(self, services: Sequence[str], limit: Deadline) -> None:
        """Start `services`, each after its dependencies are in the state that it asks for."""
        start = ["up", "--detach", "--no-build", "--no-recreate", "--quiet-pull", *services]
        run_command([*self.compose(), *start], what="start of the scratch instance", deadline=limit)

    def down(self) -> None:
        """Remove the whole instance, volumes included."""
        limit = Deadline(DOWN_SECONDS)
        for kind, listing, removal in (
            ("containers", ("ps", "--all"), ("rm", "--force", "--volumes")),
            ("volumes", ("volume", "ls"), ("volume", "rm")),
            ("networks", ("network", "ls"), ("network", "rm")),
        ):
            listed = ["docker", *listing, "--quiet", *self._own]
            found = run_command(listed, what=f"{kind} of the scratch instance", deadline=limit).split()
            if found:
                what = f"removal of {kind} of the scratch instance"
                run_command(["docker", *removal, *found], what=what, deadline=limit)

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of `services` equal to the tar of the target's volume at the same place."""
        services = tuple(services)
        everything = (c for found in self._target.containers().values() for c in found)
        theirs = dict(_places(everything))
        with tempfile.TemporaryDirectory(prefix="rollproof-") as renamed:
            for place, volume in _places(self._containers(services)):
                # `super().load_volumes` checks all tars, and refuses a missing one by its name.
                if place in theirs:
                    (Path(renamed) / f"{volume}.tar").symlink_to(folder / f"{theirs[place]}.tar")
            super().load_volumes(services, Path(renamed), deadline=deadline)


def _places(containers: Iterable[Container]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield, for each volume of `containers`, the service and the place inside it, and the volume's name."""
    for container in containers:
        for mount in container.mounts:
            if mount.kind == "volume":
                yield (container.service, mount.destination), mount.name


@dataclass(frozen=True, slots=True)
class ScratchInstance:
    """A scratch instance; `target` describes it, as a profile would.

    Its containers exist; its stores run once they have been started.
    """

    target: Target
    control: ScratchControl
    limit: Deadline

    def start(self, names: Iterable[str]) -> None:
        """Start the stores `names` and their dependencies, the dependencies first.

        Raises:
            ActionFailed, Unverifiable: a store does not start before the deadline.
        """
        services = _services(self.target, names)
        if services:
            self.control.up(services, self.limit)

    def await_health(self, name: str) -> None:
        """Wait until the store `name` is healthy.

        Raises:
            ActionFailed, Unverifiable: it is not healthy before the deadline.
        """
        self.control.start(_services(self.target, [name]), deadline=self.limit.remaining)


@contextmanager
def scratch_of(target: Target, limit: Deadline) -> Iterator[ScratchInstance]:
    """Have a scratch instance of `target` while the body runs; after it, remove it with its volumes.

    Raises:
        UsageProblem: it cannot be made from the profile, or another command has one.
        ActionFailed, Unverifiable: its containers could not be created.
    """
    services = _services_of(target)
    # A user has one instance with this name, whichever checkout asks for it.
    name = f"{target.engine.project}{SUFFIX}"
    folder = made_state_folder(target.name)
    file = folder / f"{name}.json"
    with file_lock(folder / f"{name}.lock", "restore a backup next to the target"):
        engine = target.engine.model_copy(update={"kind": "compose", "project": name, "files": (file,)})
        control = ScratchControl(engine, target.engine)
        # What a killed run left; and nothing of it may be taken for what this one restores.
        control.down()
        described = _described(target, services, limit)
        file.unlink(missing_ok=True)
        try:
            with create_file(file) as stream:  # for this user alone: it holds the containers' environment
                stream.write(json.dumps(described).encode())
            control.create(limit)
            yield ScratchInstance(target.model_copy(update={"engine": engine}), control, limit)
        finally:
            control.down()
            file.unlink(missing_ok=True)


def rendered(engine: Engine, limit: Deadline) -> Configuration:
    """Return docker compose's reading of the files of `engine`.

    Raises:
        ActionFailed: it cannot read them.
    """
    text = run_command(
        [*compose_words(engine), "--profile", "*", "config", "--format", "json"],
        what="reading of compose files",
        deadline=limit,
        private=True,  # it contains the containers' environment
    )
    found: Configuration = json.loads(text)
    return found


def _services_of(target: Target) -> tuple[str, ...]:
    outside = [
        name
        for name, profile in target.stores.items()
        if profile.address is not None and profile.address.service is None
    ]
    if outside or not target.engine.files:
        raise UsageProblem(
            what="scratch instance",
            expected="compose files in engine.files, and a service for every store",
            observed=f"stores at an address of their own: {', '.join(outside)}" if outside else "no file",
            source="the profile",
            hint="only a backup of a store that compose knows can be tried next to it: waive that item",
        )
    return _services(target, target.stores)


def _services(target: Target, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for name in names for s in target.stores[name].services))


def _described(target: Target, services: Sequence[str], limit: Deadline) -> Configuration:
    """Return the compose file of the scratch instance of `services`.

    Raises:
        UsageProblem: the compose files lack one.
    """
    theirs = rendered(target.engine, limit)
    files = (*target.engine.files, *target.premigration.scratch.files)
    merged = rendered(target.engine.model_copy(update={"files": files}), limit)
    unknown = [service for service in services if service not in merged["services"]]
    if unknown:
        raise UsageProblem(
            what="services of the stores",
            expected="services of the compose files",
            observed=f"others: {', '.join(unknown)}",
            source="docker compose config",
            hint="correct engine.files, or services of the stores, in the profile",
        )
    images = images_of(open_engine(target.engine).containers(), merged["services"])
    held: dict[str, list[str]] = {}
    for profile in target.stores.values():
        for service, place in profile.mounts:
            held.setdefault(service, []).append(place)
    return described_apart(merged, services, target.engine.project, images, _published(theirs), held)


def described_apart(
    merged: Configuration,
    services: Sequence[str],
    project: str,
    images: Mapping[str, str],
    taken: Collection[str],
    held: Mapping[str, Sequence[str]],
) -> Configuration:
    """Return a compose file of `services` and all that they depend on, which shares nothing with `project`.

    Only what `_ALLOWED` names is taken over from `merged`, compose's reading of the target's files: so
    whatever else these say, no container of the instance can reach or change the target. `images` are image
    ids by service, `taken` the ports of the host that the target has.

    The network is internal: it has no way out. A service with ports of its own, which only
    `premigration.scratch.files` can give it, is in a second one.

    `held` are the places that hold a store's data in services of the application. A container stands in for
    such a service, and is never started: at these places it has new volumes, and it has nothing else.
    """
    labels = {LABEL: project}
    names = closure(merged, services)
    found: dict[str, dict[str, Any]] = {}
    volumes: dict[str, Any] = {}
    for name in names:
        said = merged["services"][name]
        found[name] = {key: said[key] for key in _ALLOWED if said.get(key) is not None}
        found[name]["image"] = images.get(name) or said.get("image") or f"{project}-{name}"
        found[name]["volumes"] = [made for one in said.get("volumes") or () if (made := _mounted(name, one))]
        ports = [port for port in said.get("ports") or () if str(port.get("published")) not in taken]
        aliases = [alias for one in (said.get("networks") or {}).values() for alias in _aliases(one)]
        found[name]["networks"] = {"stores": {"aliases": aliases}}
        if ports:
            found[name]["ports"] = ports
            found[name]["networks"]["published"] = None
    for name, places in held.items():
        if name not in found:
            image = images.get(name) or f"{project}-{name}"
            found[name] = {"image": image, "entrypoint": ["none"], "network_mode": "none"}
            found[name]["volumes"] = [
                {"type": "volume", "source": _new(name, place), "target": place, "volume": {"nocopy": True}}
                for place in places
            ]
    for service in found.values():
        service |= {"labels": labels, "restart": "no", "pull_policy": "never"}
        volumes |= {one["source"]: None for one in service["volumes"] if one["type"] == "volume"}
    # A name that nobody has: a volume that is there already would be taken as it is.
    token = secrets.token_hex(4)
    return {
        "services": found,
        "networks": {"stores": {"internal": True, "labels": labels}, "published": {"labels": labels}},
        "volumes": {one: {"name": f"{project}{SUFFIX}-{token}-{one}", "labels": labels} for one in volumes},
        **{key: merged[key] for key in ("secrets", "configs") if merged.get(key)},
    }


def _mounted(service: str, mount: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the instance has in place of a mount: new volumes, and of the host what it only reads.

    A folder that a service can write to may hold its data: it is a new volume in the instance.
    """
    place = {"target": mount["target"]}
    new = _new(service, mount["target"])
    match mount["type"]:
        case "tmpfs":
            return dict(mount)
        case "volume":
            return {"type": "volume", "source": mount.get("source") or new, **place}
        case "bind":
            source = Path(mount["source"])
            if source.suffix == ".sock" or source.is_socket():
                return None
            if mount.get("read_only") or source.is_file():
                return {"type": "bind", "source": str(source), "read_only": True, **place}
            return {"type": "volume", "source": new, **place}
    return None


def _new(service: str, place: str) -> str:
    return f"{service}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def _aliases(network: Mapping[str, Any] | None) -> Sequence[str]:
    return (network or {}).get("aliases") or ()


def _published(described: Configuration) -> set[str]:
    """Return the ports of the host that the services of `described` take."""
    ports = (port for one in described["services"].values() for port in one.get("ports") or ())
    return {str(port["published"]) for port in ports if port.get("published")}


def require_own_address(name: str, profile: StoreProfile, engine: ContainerEngine) -> None:
    """Check that a store of the scratch instance sends its clients only to itself.

    Raises:
        Mismatch: it would send restored data elsewhere, such as to the target.
    """
    if not descriptor_of(profile).names_addresses:
        return
    endpoint = endpoint_of(profile, engine)
    own = f"{endpoint.host}:{endpoint.port}"
    with reader_at(name, profile, endpoint) as reader:
        named = reader.addresses()
    if set(named) != {own}:
        raise Mismatch(
            what=f"servers that the scratch instance of {name} names",
            expected=f"itself alone, {own}",
            observed=", ".join(named) or "none",
            source="its metadata",
            hint="give it an address of its own to advertise, in a file of premigration.scratch.files",
        )
