"""The scratch instance of a target: its stores once more, empty, beside it, for as long as a backup is tried.

It is made from the target's own compose files as another project, on the images that the target's containers
run. Nothing is started before it is certain that it shares nothing with the target that could be written:
no volume, no folder, no network, no port.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fixtures.command import Deadline, run_command
from fixtures.engines.factory import open_engine
from fixtures.errors import Mismatch, UsageProblem, listed
from fixtures.target import Engine, Target
from rollback_actions.file_lock import file_lock
from rollback_actions.scratch_volumes import ScratchControl

SUFFIX = "-scratch"
DOWN_SECONDS = 60.0
_LOCK = ".scratch.lock"
Configuration = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scratch:
    """A scratch instance: `target` is it, as the profile would describe it.

    Its containers are there; its stores run when they have been started.
    """

    target: Target
    control: ScratchControl
    limit: Deadline

    def start(self, names: Iterable[str]) -> None:
        """Start the stores `names` and what they depend on, each after what it depends on.

        Raises:
            ActionFailed, Unverifiable: one does not start before the deadline.
        """
        services = _services(self.target, names)
        if services:
            _Compose(self.target.engine).up(services, self.limit)

    def await_health(self, name: str) -> None:
        """Wait until the store `name` is healthy.

        Raises:
            ActionFailed, Unverifiable: it is not before the deadline.
        """
        self.control.start(_services(self.target, [name]), deadline=self.limit.remaining)


@contextmanager
def scratch_of(target: Target, limit: Deadline) -> Iterator[Scratch]:
    """Have a scratch instance of `target` while the body runs; it is gone after it, with its volumes.

    Raises:
        Mismatch: it would share something with the target. UsageProblem: it cannot be made from the profile,
            or another command has one. ActionFailed, Unverifiable: it did not start.
    """
    services = _services_of(target)
    lock = file_lock(target.folders.backups / _LOCK, "restore a backup beside the target")
    with lock, tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        engine = _engine_of(target, Path(folder), services, limit)
        described = rendered(engine, limit)
        require_apart(rendered(target.engine, limit), described, services)
        compose = _Compose(engine)
        # What a killed run left; and nothing of it may be taken for what this one restores.
        compose.down()
        try:
            compose.create(services, limit)
            control = ScratchControl(engine, target.engine)
            yield Scratch(target.model_copy(update={"engine": engine}), control, limit)
        finally:
            compose.down()


def rendered(engine: Engine, limit: Deadline) -> Configuration:
    """Return what docker compose makes of the files of `engine`.

    Raises:
        ActionFailed: it cannot read them.
    """
    text = run_command(
        [*_command(engine), "--profile", "*", "config", "--format", "json"],
        what="reading of compose files",
        deadline=limit,
        private=True,  # it has what compose puts into the environment of containers
    )
    found: Configuration = json.loads(text)
    return found


def require_apart(target: Configuration, scratch: Configuration, services: Sequence[str]) -> None:
    """See that `services` of the scratch instance share nothing with the target that can be written.

    Raises:
        Mismatch: they do; it names all of it.
    """
    shared = [
        problem
        for name in _closure(scratch, services)
        for problem in _shared(name, scratch["services"][name], target, scratch)
    ]
    if shared:
        raise Mismatch(
            what="scratch instance",
            expected="nothing in common with the target that can be written",
            observed=listed(list(dict.fromkeys(shared))),
            source="docker compose config",
            hint="give the scratch instance others in a compose file of its own: premigration.scratch.files",
        )


def _shared(
    name: str, service: Configuration, target: Configuration, scratch: Configuration
) -> Iterator[str]:
    yield from _shared_names(name, service)
    yield from _shared_mounts(name, service, target, scratch)
    for network in service.get("networks") or ():
        if _is_shared("networks", network, target, scratch):
            yield f"network {scratch['networks'][network]['name']} of {name}"
    taken = {
        str(port["published"])
        for other in target["services"].values()
        for port in other.get("ports") or ()
        if port.get("published")
    }
    for port in service.get("ports") or ():
        if str(port.get("published")) in taken:
            yield f"port {port['published']} of {name}"


def _shared_names(name: str, service: Configuration) -> Iterator[str]:
    for key in ("network_mode", "pid", "ipc"):
        if service.get(key) and service[key] not in {"none", "private", "bridge"}:
            yield f"{key} {service[key]} of {name}"
    for key in ("volumes_from", "external_links", "container_name"):
        if service.get(key):
            yield f"{key} of {name}"


def _shared_mounts(
    name: str, service: Configuration, target: Configuration, scratch: Configuration
) -> Iterator[str]:
    for mount in service.get("volumes") or ():
        source = mount.get("source")
        if mount["type"] == "bind" and not mount.get("read_only"):
            yield f"folder {source} of {name}"
        if mount["type"] == "volume" and source and _is_shared("volumes", source, target, scratch):
            yield f"volume {scratch['volumes'][source]['name']} of {name}"


def _is_shared(kind: str, key: str, target: Configuration, scratch: Configuration) -> bool:
    found = scratch[kind][key]
    names = {other["name"] for other in (target.get(kind) or {}).values()}
    return bool(found.get("external")) or found["name"] in names


def _closure(described: Configuration, services: Sequence[str]) -> list[str]:
    """Return `services` and all that they depend on."""
    found: list[str] = []
    waiting = list(services)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += list(described["services"][name].get("depends_on") or {})
    return found


def _services_of(target: Target) -> tuple[str, ...]:
    outside = [name for name, profile in target.stores.items() if profile.address.service is None]
    if outside or not target.engine.files:
        raise UsageProblem(
            what="scratch instance",
            expected="compose files in engine.files, and a service for every store",
            observed=f"stores at an address of their own: {', '.join(outside)}" if outside else "no file",
            source="the profile",
            hint="a backup of a store that compose does not know cannot be tried beside it: waive that item",
        )
    return _services(target, target.stores)


def _services(target: Target, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s for name in names for s in target.stores[name].services))


def _images(target: Target, services: Sequence[str]) -> dict[str, str]:
    """Return the image ids that the target's containers run, by service."""
    running = open_engine(target.engine).containers()
    return {service: running[service][0].image_id for service in services if running.get(service)}


def _engine_of(target: Target, folder: Path, services: Sequence[str], limit: Deadline) -> Engine:
    """Return the engine profile of the scratch instance; `folder` takes the file that makes it one."""
    described = rendered(target.engine, limit)["services"]
    unknown = [service for service in services if service not in described]
    if unknown:
        raise UsageProblem(
            what="services of the stores",
            expected="services of the compose files",
            observed=f"others: {', '.join(unknown)}",
            source="docker compose config",
            hint="correct engine.files, or services of the stores, in the profile",
        )
    override = folder / "scratch.yaml"
    names = _closure({"services": described}, services)
    override.write_text(_override(names, _images(target, names)), encoding="utf-8")
    files = (*target.engine.files, override, *target.premigration.scratch.files)
    return target.engine.model_copy(update={"project": f"{target.engine.project}{SUFFIX}", "files": files})


def _override(services: Sequence[str], images: Mapping[str, str]) -> str:
    # `!reset` is compose's own YAML tag: what the target's files say is taken back.
    lines = ["services:"]
    for service in services:
        lines += [
            f"  {json.dumps(service)}:",
            "    ports: !reset []",
            "    container_name: !reset null",
            "    build: !reset null",
            '    restart: "no"',
            "    pull_policy: never",
        ]
        if service in images:
            lines.append(f"    image: {json.dumps(images[service])}")
    return "\n".join([*lines, ""])


def _command(engine: Engine) -> list[str]:
    environment = ["--env-file", str(engine.env_file)] if engine.env_file else []
    files = [option for file in engine.files for option in ("--file", str(file))]
    # Compose takes relative paths from the first file's folder.
    folder = ["--project-directory", str(engine.files[0].parent)]
    return ["docker", "compose", "--project-name", engine.project, *folder, *environment, *files]


@dataclass(frozen=True, slots=True)
class _Compose:
    """What docker compose does for a scratch instance."""

    engine: Engine

    def create(self, services: Sequence[str], limit: Deadline) -> None:
        """Make the containers of `services`, and start none."""
        create = ["create", "--no-build", *services]
        run_command([*_command(self.engine), *create], what="making of the scratch instance", deadline=limit)

    def up(self, services: Sequence[str], limit: Deadline) -> None:
        """Start `services`, each when those that it depends on are as it asks."""
        start = ["up", "--detach", "--no-build", "--no-recreate", "--quiet-pull", *services]
        run_command([*_command(self.engine), *start], what="start of the scratch instance", deadline=limit)

    def down(self) -> None:
        """Remove all of it, volumes too."""
        remove = ["down", "--volumes", "--remove-orphans", "--timeout", "1"]
        run_command(
            [*_command(self.engine), "--profile", "*", *remove],
            what="end of the scratch instance",
            deadline=Deadline(DOWN_SECONDS),
        )
