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

from fixtures.command import Deadline, run_command
from fixtures.engines.factory import open_engine
from fixtures.errors import UsageProblem, listed
from fixtures.target import Engine, Target
from rollback_actions.file_lock import file_lock
from rollback_actions.scratch_apart import Configuration, closure, require_apart
from rollback_actions.scratch_volumes import ScratchControl

SUFFIX = "-scratch"
DOWN_SECONDS = 60.0
# What is made has this label, with the target's project; nothing without it is ever removed.
LABEL = "rollproof.scratch"
_PROJECT = "com.docker.compose.project"


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
    # There is one of that name on a host, whoever asks for it.
    name = f"rollproof-{target.engine.project}{SUFFIX}.lock"
    lock = file_lock(Path(tempfile.gettempdir()) / name, "restore a backup beside the target")
    with lock, tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
        described = rendered(target.engine, limit)
        engine = _engine_of(target, described, Path(folder), services)
        require_apart(described, rendered(engine, limit), services)
        compose = _Compose(engine)
        compose.require_ours(limit)
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


def _engine_of(target: Target, described: Configuration, folder: Path, services: Sequence[str]) -> Engine:
    """Return the engine profile of the scratch instance; `folder` takes the file that makes it one.

    `described` is what docker compose makes of the target's own files.
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
    override.write_text(_override(target, names, _images(target, names), volumes), encoding="utf-8")
    files = (*target.engine.files, override, *target.premigration.scratch.files)
    return target.engine.model_copy(update={"project": f"{target.engine.project}{SUFFIX}", "files": files})


def _override(
    target: Target, services: Sequence[str], images: Mapping[str, str], volumes: Sequence[str]
) -> str:
    # `!reset` and `!override` are compose's own YAML tags: what the target's files say is taken back. Labels
    # too: by these a proxy would find the scratch instance, and send it the target's requests.
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

    def require_ours(self, limit: Deadline) -> None:
        """See that whatever has the project's name was made as a scratch instance.

        Raises:
            UsageProblem: something was not.
        """
        kinds = (("container", ("ps", "--all"), ".Names"), ("volume", ("volume", "ls"), ".Name"))
        for kind, listing, name in kinds:
            form = f'{{{{{name}}}}} {{{{.Label "{LABEL}"}}}}'
            found = run_command(
                ["docker", *listing, f"--filter=label={_PROJECT}={self.engine.project}", f"--format={form}"],
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

    def down(self) -> None:
        """Remove all of it, volumes too."""
        remove = ["down", "--volumes", "--remove-orphans", "--timeout", "1"]
        run_command(
            [*_command(self.engine), "--profile", "*", *remove],
            what="end of the scratch instance",
            deadline=Deadline(DOWN_SECONDS),
        )
