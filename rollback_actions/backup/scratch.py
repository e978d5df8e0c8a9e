"""The scratch instance of a target: a second, empty copy of its stores next to it, while a backup is tried.

It is a separate project, made from the target's own compose files and on its containers' images. Before
anything starts, it is certain to share nothing writable with the target: no volume, no folder, no network, no
port.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.compose import ONE_OFF_LABEL, PROJECT_LABEL, SERVICE_LABEL, ComposeEngine
from rollproof.engines.compose_project import compose_words
from rollproof.engines.engine import Container, ContainerEngine, images_of
from rollproof.engines.factory import open_engine
from rollproof.errors import ActionFailed, Mismatch, UsageProblem, listed
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Engine, Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.drivers import at_place
from rollproof.stores.reach import Readable
from rollproof.stores.registry import endpoint_of
from rollproof.system.command import Deadline, run_command
from rollproof.system.file_lock import file_lock
from rollproof.system.state import made_state_folder

Configuration = Mapping[str, Any]
"""Docker compose's reading of its files: services, volumes and networks, by name."""
SUFFIX = "-scratch"
DOWN_SECONDS = 60.0
# Everything that is created has this label, with the target's project; only objects with it are ever removed.
LABEL = "rollproof.scratch"
STAND_IN = "rollproof.stand-in"
"""The label of a container that stands in for one of the application's: compose does not know its volumes."""


def require_apart(target: Configuration, scratch: Configuration, services: Sequence[str]) -> None:
    """Check that `services` of the scratch instance share nothing writable with the target.

    Raises:
        Mismatch: they do; it names everything shared.
    """
    shared = [
        *_shared_by_name("volumes", target, scratch),
        *_shared_by_name("networks", target, scratch),
        *(
            problem
            for name in closure(scratch, services)
            for problem in _shared(name, scratch["services"][name], target, scratch)
        ),
    ]
    if shared:
        raise Mismatch(
            what="scratch instance",
            expected="nothing in common with the target that can be written",
            observed=listed(list(dict.fromkeys(shared))),
            source="docker compose config",
            hint="give the scratch instance others in a compose file of its own: premigration.scratch.files",
        )


def _shared_by_name(kind: str, target: Configuration, scratch: Configuration) -> Iterator[str]:
    """Yield the objects that compose would create, and remove, under one of the target's names."""
    theirs = {found["name"] for found in (target.get(kind) or {}).values()}
    for found in (scratch.get(kind) or {}).values():
        if not found.get("external") and found["name"] in theirs:
            yield f"{kind.removesuffix('s')} {found['name']}"


def _shared(
    name: str, service: Configuration, target: Configuration, scratch: Configuration
) -> Iterator[str]:
    yield from _shared_names(name, service)
    yield from _shared_mounts(name, service, scratch)
    yield from _shared_addresses(name, service, target)
    for network in service.get("networks") or ():
        if scratch["networks"][network].get("external"):
            yield f"network {scratch['networks'][network]['name']} of {name}"
    taken = _published(target)
    for port in service.get("ports") or ():
        if str(port.get("published")) in taken:
            yield f"port {port['published']} of {name}"


def _shared_names(name: str, service: Configuration) -> Iterator[str]:
    for key in ("network_mode", "pid", "ipc"):
        if service.get(key) and service[key] not in {"none", "private", "bridge"}:
            yield f"{key} {service[key]} of {name}"
    for key in ("volumes_from", "external_links", "container_name", "extra_hosts"):
        if service.get(key):
            yield f"{key} of {name}"


def _shared_addresses(name: str, service: Configuration, target: Configuration) -> Iterator[str]:
    """Yield a service's addresses of the host, through which the target's stores can be reached."""
    for key, value in (service.get("environment") or {}).items():
        ports = set(re.findall(r":(\d+)", str(value))) & _published(target)
        if "host.docker.internal" in str(value) or ports:
            yield f"address in {key} of {name}"


def _published(target: Configuration) -> set[str]:
    return {
        str(port["published"])
        for other in target["services"].values()
        for port in other.get("ports") or ()
        if port.get("published")
    }


def _shared_mounts(name: str, service: Configuration, scratch: Configuration) -> Iterator[str]:
    for mount in service.get("volumes") or ():
        source = mount.get("source")
        if mount["type"] == "bind" and (not mount.get("read_only") or str(source).endswith(".sock")):
            yield f"folder {source} of {name}"
        if mount["type"] != "volume" or not source:
            continue
        volume = scratch["volumes"][source]
        if volume.get("external"):
            yield f"volume {volume['name']} of {name}"
        elif place := _elsewhere(volume):
            yield f"volume {source} of {name}, which is {place}"


def _elsewhere(volume: Configuration) -> str:
    """Return the place of a volume's data if it is outside the engine's own folders, else ""."""
    options = volume.get("driver_opts") or {}
    if volume.get("driver", "local") != "local":
        return f"of driver {volume['driver']}"
    return (
        "" if options.get("type", "tmpfs") == "tmpfs" else f"at {options.get('device', 'a place of its own')}"
    )


def closure(described: Configuration, services: Sequence[str]) -> list[str]:
    """Return `services` and everything that they depend on."""
    found: list[str] = []
    waiting = list(services)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += list(described["services"][name].get("depends_on") or {})
    return found


class ScratchControl(ComposeControl):
    """The actions on the containers of a scratch instance."""

    def __init__(self, scratch: Engine, target: Engine) -> None:
        """Control the project of `scratch`; saved volumes are named as those of `target`."""
        super().__init__(scratch)
        self._target = ComposeEngine(target.project, target.deadline_seconds)

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of `services` equal to the tar of the target's volume at the same place."""
        services = tuple(services)
        everything = (c for found in self._target.containers().values() for c in found)
        theirs = dict(_places(everything))
        with tempfile.TemporaryDirectory(prefix="rollproof-") as renamed:
            for place, volume in _places(self._containers(services)):
                if place not in theirs:
                    raise _no_counterpart(place)
                # `super().load_volumes` checks all tars, and refuses a missing one by its name.
                (Path(renamed) / f"{volume}.tar").symlink_to(folder / f"{theirs[place]}.tar")
            super().load_volumes(services, Path(renamed), deadline=deadline)


def _places(containers: Iterable[Container]) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield, for each volume of `containers`, the service and the place inside it, and the volume's name."""
    for container in containers:
        for mount in container.mounts:
            if mount.kind == "volume":
                yield (container.service, mount.destination), mount.name


def _no_counterpart(place: tuple[str, str]) -> ActionFailed:
    service, destination = place
    return ActionFailed(
        what=f"volume of {service} at {destination}",
        expected="one of the target's at the same place",
        observed="none",
        source="containers of the target",
        hint="the scratch instance must mount its volumes where the target does",
    )


@dataclass(frozen=True, slots=True)
class Scratch:
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
            _Compose(self.target.engine).up(services, self.limit)

    def await_health(self, name: str) -> None:
        """Wait until the store `name` is healthy.

        Raises:
            ActionFailed, Unverifiable: it is not healthy before the deadline.
        """
        self.control.start(_services(self.target, [name]), deadline=self.limit.remaining)


@contextmanager
def scratch_of(target: Target, limit: Deadline) -> Iterator[Scratch]:
    """Have a scratch instance of `target` while the body runs; after it, remove it with its volumes.

    Raises:
        Mismatch: it would share something with the target. UsageProblem: it cannot be made from the profile,
            or another command has one. ActionFailed, Unverifiable: it did not start.
    """
    services = _services_of(target)
    # A user has one instance with this name, whichever checkout asks for it.
    file = made_state_folder(target.name) / f"{target.engine.project}{SUFFIX}.lock"
    lock = file_lock(file, "restore a backup beside the target")
    with lock, tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        described = rendered(target.engine, limit)
        engine = _engine_of(target, described, Path(folder), services)
        scratch = rendered(engine, limit)
        require_apart(described, scratch, services)
        compose = _Compose(engine)
        compose.require_ours(limit)
        compose.require_none_of_others(scratch, limit)
        # What a killed run left; and nothing of it may be taken for what this one restores.
        compose.down()
        try:
            compose.create(services, limit)
            _stand_in(target, engine, limit)
            control = ScratchControl(engine, target.engine)
            yield Scratch(target.model_copy(update={"engine": engine}), control, limit)
        finally:
            compose.down()


def _stand_in(target: Target, scratch: Engine, limit: Deadline) -> None:
    """Create a container for each service of the application whose mounts hold a store's data.

    It is never started. At the places of these mounts it has new volumes, and it has nothing else.
    """
    places: dict[str, list[str]] = {}
    for profile in target.stores.values():
        for service, place in profile.mounts:
            places.setdefault(service, []).append(place)
    if not places:
        return
    images = images_of(open_engine(target.engine).containers(), places)
    for service, held in places.items():
        if service not in images:
            raise ActionFailed(
                what=f"stand-in of {service}",
                expected="a container of it, whose image the stand-in has",
                observed="none",
                source=f"project {target.engine.project}",
                hint="create its container",
            )
        labels = {
            PROJECT_LABEL: scratch.project,
            SERVICE_LABEL: service,
            ONE_OFF_LABEL: "False",
            LABEL: target.engine.project,
            STAND_IN: target.engine.project,
        }
        options = [f"--label={name}={value}" for name, value in labels.items()]
        options += [f"--mount=type=volume,destination={place},volume-nocopy" for place in held]
        options += ["--pull=never", "--network=none", "--entrypoint=none", "--restart=no"]
        name = f"{scratch.project}-{service}-stand-in"
        create = ["docker", "create", "--name", name, *options, images[service]]
        run_command(create, what=f"stand-in of {service}", deadline=limit)


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
            hint="only a backup of a store that compose knows can be tried beside it: waive that item",
        )
    return _services(target, target.stores)


def _services(target: Target, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for name in names for s in target.stores[name].services))


def _engine_of(target: Target, described: Configuration, folder: Path, services: Sequence[str]) -> Engine:
    """Return the engine profile of the scratch instance; its override file is written into `folder`.

    `described` is docker compose's reading of the target's own files.
    """
    unknown = [service for service in services if service not in described["services"]]
    if unknown:
        raise UsageProblem(
            what="services of the stores",
            expected="services of the compose files",
            observed=f"others: {', '.join(unknown)}",
            source="docker compose config",
            hint="correct engine.files, or services of the stores, in the profile",
        )
    override = folder / "scratch.yaml"
    names = closure(described, services)
    volumes = [name for name, found in (described.get("volumes") or {}).items() if not found.get("external")]
    images = images_of(open_engine(target.engine).containers(), names)
    override.write_text(_override(target, names, images, volumes), encoding="utf-8")
    files = (*target.engine.files, override, *target.premigration.scratch.files)
    return target.engine.model_copy(update={"project": f"{target.engine.project}{SUFFIX}", "files": files})


def _override(
    target: Target, services: Sequence[str], images: Mapping[str, str], volumes: Sequence[str]
) -> str:
    # `!reset` and `!override` are compose's own YAML tags: they remove the target's settings. Labels are
    # removed too: a proxy would find the scratch instance by them, and send it the target's requests.
    label = f"{{{json.dumps(LABEL)}: {json.dumps(target.engine.project)}}}"
    lines = ["volumes:", *(f"  {json.dumps(name)}: {{labels: !override {label}}}" for name in volumes)]
    lines = [*(lines if volumes else ()), "services:"]
    for service in services:
        lines += [
            f"  {json.dumps(service)}:",
            "    ports: !reset []",
            "    container_name: !reset null",
            "    build: !reset null",
            f"    labels: !override {label}",
            "    deploy: {restart_policy: !reset null}",
            '    restart: "no"',
            "    pull_policy: never",
        ]
        if service in images:
            lines.append(f"    image: {json.dumps(images[service])}")
    return "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class _Compose:
    """The docker compose commands for a scratch instance."""

    engine: Engine

    def create(self, services: Sequence[str], limit: Deadline) -> None:
        """Create the containers of `services`, but start none."""
        create = ["create", "--no-build", *services]
        run_command(
            [*compose_words(self.engine), *create], what="making of the scratch instance", deadline=limit
        )

    def up(self, services: Sequence[str], limit: Deadline) -> None:
        """Start `services`, each after its dependencies are in the state that it asks for."""
        start = ["up", "--detach", "--no-build", "--no-recreate", "--quiet-pull", *services]
        run_command(
            [*compose_words(self.engine), *start], what="start of the scratch instance", deadline=limit
        )

    def require_ours(self, limit: Deadline) -> None:
        """Check that every object with the project's name was made as a scratch instance.

        Raises:
            UsageProblem: an object was not.
        """
        kinds = (("container", ("ps", "--all"), ".Names"), ("volume", ("volume", "ls"), ".Name"))
        for kind, listing, name in kinds:
            form = f'{{{{{name}}}}} {{{{.Label "{LABEL}"}}}}'
            found = run_command(
                [
                    "docker",
                    *listing,
                    f"--filter=label={PROJECT_LABEL}={self.engine.project}",
                    f"--format={form}",
                ],
                what=f"listing of {kind}s",
                deadline=limit,
            )
            others = [words[0] for words in map(str.split, found.splitlines()) if len(words) == 1]
            if others:
                raise UsageProblem(
                    what="scratch instance",
                    expected=f"a project {self.engine.project} that nobody else has",
                    observed=f"{kind} {listed(others)}, which is no scratch instance's",
                    source="container engine",
                    hint="another project has that name: give one of the two another",
                )

    def require_none_of_others(self, scratch: Configuration, limit: Deadline) -> None:
        """Check that no volume or network that `down` would remove by its name belongs to somebody else.

        Raises:
            UsageProblem: one does; one of the profile's files gives it that name.
        """
        for kind in ("volume", "network"):
            described = (scratch.get(f"{kind}s") or {}).values()
            ours = {found["name"] for found in described if not found.get("external")}
            there = run_command(
                ["docker", kind, "ls", f'--format={{{{.Name}}}} {{{{.Label "{PROJECT_LABEL}"}}}}'],
                what=f"listing of {kind}s",
                deadline=limit,
            )
            projects = {
                name: project for name, _, project in (line.partition(" ") for line in there.splitlines())
            }
            others = sorted(name for name in ours & set(projects) if projects[name] != self.engine.project)
            if others:
                raise UsageProblem(
                    what="scratch instance",
                    expected=f"{kind}s of its own, since it removes them",
                    observed=f"{kind} {listed(others)}, which it did not make",
                    source="container engine",
                    hint="give it another name in the file of premigration.scratch.files that names it",
                )

    def down(self) -> None:
        """Remove the whole instance, volumes included."""
        limit = Deadline(DOWN_SECONDS)
        own = [f"--filter=label={PROJECT_LABEL}={self.engine.project}", f"--filter=label={STAND_IN}"]
        stand_ins = run_command(["docker", "ps", "--all", "--quiet", *own], what="stand-ins", deadline=limit)
        if stand_ins:
            remove = ["docker", "rm", "--force", "--volumes", *stand_ins.split()]
            run_command(remove, what="end of the stand-ins", deadline=limit)
        remove = ["down", "--volumes", "--remove-orphans", "--timeout", "1"]
        run_command(
            [*compose_words(self.engine), "--profile", "*", *remove],
            what="end of the scratch instance",
            deadline=limit,
        )


def require_own_address(name: str, profile: StoreProfile, engine: ContainerEngine) -> None:
    """Check that a store of the scratch instance sends its clients only to itself.

    Raises:
        Mismatch: it would send restored data elsewhere, such as to the target.
    """
    addresses = descriptor_of(profile).addresses
    if not addresses:
        return
    endpoint = endpoint_of(profile, engine)
    own = f"{endpoint.host}:{endpoint.port}"
    named = at_place(addresses)(Readable(name, profile, endpoint))
    if set(named) != {own}:
        raise Mismatch(
            what=f"servers that the scratch instance of {name} names",
            expected=f"itself alone, {own}",
            observed=", ".join(named) or "none",
            source="its metadata",
            hint="give it an address of its own to advertise, in a file of premigration.scratch.files",
        )
