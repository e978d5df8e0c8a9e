"""The write side of a docker compose project: run, stop, start, snapshot, re-create."""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from rollback_actions.containers import volumes
from rollproof.engines.compose_project import ComposeProject
from rollproof.engines.engine import Container, ContainerEngine, Endpoint, Mount, open_engine
from rollproof.errors import ActionFailed, Problem, listed
from rollproof.profile.profile import Engine
from rollproof.profile.sections import Address
from rollproof.system.command import Deadline, run_command

POLL_SECONDS = 0.2
# Marks the processes of one `run`, so that they can be found in the container when their client is ended.
RUN_VARIABLE = "ROLLPROOF_RUN"
# Ends every process of this user that carries the mark; repeats, since a process may fork meanwhile.
KILL_SCRIPT = """
for round in 1 2 3; do
    for folder in /proc/[0-9]*; do
        if grep -q "$1" "$folder/environ" 2>/dev/null; then kill -9 "${folder#/proc/}"; fi
    done
done
"""
KILL_SECONDS = 5.0


class ComposeControl(ComposeProject):
    """The actions on the containers of one compose project. Every call has a deadline in seconds.

    Raises `ActionFailed` if a command ends with an exit code other than 0 (with the last lines of its
    standard error, secrets of `environment` removed). Raises `Unverifiable` if the engine does not answer in
    time.
    """

    def __init__(
        self,
        profile: Engine,
        engine: ContainerEngine | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the project, its compose files and its environment file from `profile`; connect to nothing.

        `engine` is that of `profile`; `sleep` waits between two looks at containers that start.
        """
        super().__init__(profile)
        self._engine = engine or open_engine(profile)
        self._sleep = sleep

    def run(
        self,
        service: str,
        command: Sequence[str],
        *,
        deadline: float,
        environment: Mapping[str, SecretStr] | None = None,
        stdin: Path | None = None,
        stdout: Path | None = None,
    ) -> str:
        """Run `command` in the container of `service`; return its output, or "" if `stdout` takes it.

        `environment` is passed through the client's environment, never on a command line. At the deadline the
        command is ended inside the container too; this needs a shell and grep there.
        """
        container = self._containers([service])[0]
        return self._run(container, command, Deadline(deadline), environment or {}, stdin, stdout)

    def run_in_each(self, service: str, command: Sequence[str], *, deadline: float) -> None:
        """Run `command` in each container of `service`, as `run` does."""
        limit = Deadline(deadline)
        for container in self._containers([service]):
            self._run(container, command, limit, {}, None, None)

    def _run(
        self,
        container: Container,
        command: Sequence[str],
        limit: Deadline,
        environment: Mapping[str, SecretStr],
        stdin: Path | None,
        stdout: Path | None,
    ) -> str:
        mark = uuid.uuid4().hex
        options = ["-e", f"{RUN_VARIABLE}={mark}"]
        for name in environment:
            options += ["-e", name]
        if stdin is not None:
            options.append("-i")
        try:
            return run_command(
                [*container.docker, "exec", *options, container.id, *command],
                what=f"{command[0]} in {container.name}",
                deadline=limit,
                environment=environment,
                stdin=stdin,
                stdout=stdout,
            )
        except ActionFailed:
            raise
        except BaseException as error:
            self._kill_inside(container, mark, error)
            raise

    def stop(self, services: Iterable[str], *, deadline: float) -> None:
        """Stop the containers of `services` and check that they are stopped.

        Each gets the grace period of its compose file; a paused one is stopped as it is.
        """
        limit = Deadline(deadline)
        services = tuple(services)
        running = [c.id for c in self._containers(services) if c.running]
        if running:
            run_command(["docker", "stop", *running], what=f"stop of {listed(services)}", deadline=limit)
        self._expect(services, "stopped", lambda c: not c.running and not c.restarting)

    def start(self, services: Iterable[str], *, deadline: float) -> None:
        """Start the containers of `services`; wait until they run and, with a health check, are healthy."""
        limit = Deadline(deadline)
        services = tuple(services)
        stopped = [c.id for c in self._containers(services) if not c.running]
        if stopped:
            run_command(["docker", "start", *stopped], what=f"start of {listed(services)}", deadline=limit)
        self._await_health(services, limit)

    def remove(self, service: str, *, deadline: float) -> None:
        """Stop and remove the containers of `service`, if there are any; their volumes stay."""
        limit = Deadline(deadline)
        found = [container.id for container in self._engine.containers().get(service, ())]
        if found:
            run_command(["docker", "stop", *found], what=f"stop of {service}", deadline=limit)
            # Without --volumes: also the anonymous ones stay.
            run_command(["docker", "rm", *found], what=f"removal of {service}", deadline=limit)

    def save_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> Sequence[Path]:
        """Write each data volume of `services` to `folder/<volume>.tar`; they must be stopped."""
        return volumes.save(self._containers(services), folder, Deadline(deadline))

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of `services` equal to its files in `folder`; the services must be stopped.

        All tars are read to their end before the first volume is changed. After a failure in the middle the
        volumes are neither old nor new: run it again.
        """
        volumes.load(self._containers(services), folder, Deadline(deadline))

    def replace_files(
        self,
        mount: Mount,
        images: Sequence[str],
        archive: Path,
        *,
        deadline: float,
        spared: Sequence[str] = (),
    ) -> None:
        """Make the files of `mount`, which no running container can write to, those in the tar `archive`.

        Its entries are below ``volume``. The first of the image ids `images` with a shell empties it, without
        the paths `spared`.
        """
        volumes.replace(mount, images, archive, Deadline(deadline), spared)

    def keep_files(self, mount: Mount, images: Sequence[str], archive: Path, *, deadline: float) -> None:
        """Write the files of `mount`, which nothing has to mount, to the tar `archive`.

        It is one that `replace_files` takes. The engine makes a container of the first of `images` for it.
        """
        volumes.keep(mount, images, archive, Deadline(deadline))

    def save_image(self, image: str, file: Path, *, deadline: float) -> None:
        """Write the image with the id `image` to `file`, which appears only when it is complete."""
        run_command(
            ["docker", "image", "save", image],
            what=f"copy of image {image}",
            deadline=Deadline(deadline),
            stdout=file,
        )

    def load_image(self, file: Path, *, deadline: float) -> None:
        """Load the image that `save_image` wrote to `file`; it has its id again, and no name.

        On a swarm, each node has it then.
        """
        limit = Deadline(deadline)
        for docker in self.engines:
            what = f"load of image {file.parent.name}"
            run_command([*docker, "image", "load", "--quiet"], what=what, deadline=limit, stdin=file)

    def recreate(
        self,
        images: Mapping[str, str],
        *,
        deadline: float,
        files: Sequence[Path] | None = None,
        replicas: Mapping[str, int] | None = None,
        completes: bool = False,
    ) -> None:
        """Re-create services by the profile's compose files on image ids, by service; wait for health.

        With `completes`, each ends when it has done its work: that is waited for.

        The compose files' names for those images point to them from then on, so that the next
        `docker compose up` finds the running images. Nothing is built or pulled, and no other service is
        touched. `files` are read in place of the profile's, as if they stood there. `replicas` are the
        numbers of containers, by service: without one, compose removes what somebody has added by
        ``--scale``.
        """
        limit = Deadline(deadline)
        self.require_images(images, deadline=limit.remaining)
        names = self._image_names(images, files, limit)
        for service, name in names.items():
            run_command(["docker", "tag", images[service], name], what=f"tag {name}", deadline=limit)
        with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
            override = Path(folder) / "images.yaml"
            override.write_text(_override({**images, **names}), encoding="utf-8")
            # COMPOSE_REMOVE_ORPHANS would have it remove whatever these files do not describe.
            create = ["up", "--detach", "--no-build", "--no-deps", "--remove-orphans=false"]
            create += [f"--scale={service}={count}" for service, count in (replicas or {}).items()]
            self._up([*self.compose(files), "--file", str(override), *create], [*images], limit)
        if completes:
            self._await(images, limit, "completed", _has_completed, "completed, exit code 0", _may_complete)
        else:
            self._await_health(images, limit)
        self._expect(
            images,
            f"images {listed(sorted(set(images.values())))}",
            lambda c: c.image_id == images[c.service],
        )

    def _up(self, command: Sequence[str], services: Sequence[str], limit: Deadline) -> None:
        """Run `docker compose up`, once more after each failure that a container still coming up explains.

        Compose gives up as soon as a container that others wait for is unhealthy, however much time is left.
        """
        force, what = ["--force-recreate"], f"re-creation of {listed(services)}"
        while True:
            try:
                run_command([*command, *force, *services], what=what, deadline=limit)
            except ActionFailed:
                force = []  # what was created by now stays
                coming_up = self._coming_up(services)
                if not coming_up:
                    raise
                self._await_health(coming_up, limit)
            else:
                return

    def _coming_up(self, services: Iterable[str]) -> list[str]:
        """Return those of `services` of which a container runs and is not healthy yet."""
        found = self._engine.containers()
        return [s for s in services if any(c.running and not c.healthy for c in found.get(s, ()))]

    def _image_names(
        self, images: Mapping[str, str], files: Sequence[Path] | None, limit: Deadline
    ) -> dict[str, str]:
        """Return the compose files' name for each service's image, if that name can move to another."""
        described = self.services(files, limit)
        names = {service: self.image_name(service, described) for service in images}
        wanted: dict[str, set[str]] = {}
        for service, name in names.items():
            wanted.setdefault(name, set()).add(images[service])
        # An id or a digest always means one image; and one name cannot mean two.
        return {s: name for s, name in names.items() if "sha256:" not in name and len(wanted[name]) == 1}

    def _await_health(self, services: Iterable[str], limit: Deadline) -> None:
        # Not `docker compose up --wait`: it fails on a service whose health check is switched off.
        # A container that ended or is paused stays unhealthy, however long the wait.
        self._await(services, limit, "healthy", _ready, "running", _may_be_ready)

    def _await(
        self,
        services: Iterable[str],
        limit: Deadline,
        wanted: str,
        arrived: Callable[[Container], bool],
        needed: str,
        may_arrive: Callable[[Container], bool],
    ) -> None:
        """Wait until all containers of `services` have `arrived`; fail once one of them cannot."""
        # All containers of the project are inspected, so once a round.
        while not all(map(arrived, found := self._containers(services))):
            if limit.passed:
                self._require(found, f"{wanted} within {limit.seconds:g} s", arrived)
            self._require(found, needed, may_arrive)
            self._sleep(POLL_SECONDS)

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint of `address` for a client on this host, now: a start can move a service."""
        return self._engine.resolve(address)

    def _containers(self, services: Iterable[str]) -> list[Container]:
        """Return the containers of `services`, each of which must have one."""
        existing = self._engine.containers()
        wanted = tuple(dict.fromkeys(services))
        missing = [service for service in wanted if service not in existing]
        if missing:
            raise ActionFailed(
                what=f"service {listed(missing)}",
                expected="a container",
                observed=f"containers of {listed([*existing]) or 'no service'}",
                source=f"project {self.profile.project}",
                hint="correct the service's name in the profile, or create its container",
            )
        return [container for service in wanted for container in existing[service]]

    def _expect(self, services: Iterable[str], expected: str, right: Callable[[Container], bool]) -> None:
        self._require(self._containers(services), expected, right)

    def _require(
        self, containers: Iterable[Container], expected: str, right: Callable[[Container], bool]
    ) -> None:
        wrong = [container for container in containers if not right(container)]
        if wrong:
            raise ActionFailed(
                what=f"containers of {listed(sorted({c.service for c in wrong}))}",
                expected=expected,
                observed=", ".join(_describe(container) for container in wrong),
                source=f"project {self.profile.project}",
                hint=wrong[0].command("logs"),
            )

    def _kill_inside(self, container: Container, mark: str, error: BaseException) -> None:
        script = ["sh", "-c", KILL_SCRIPT, "sh", f"{RUN_VARIABLE}={mark}"]
        try:
            run_command(
                [*container.docker, "exec", container.id, *script],
                what=f"end of the command in {container.name}",
                deadline=Deadline(KILL_SECONDS),
            )
        except Problem as problem:
            error.add_note(f"it may still run inside {container.name}: {problem}")


def _ready(container: Container) -> bool:
    return container.status == "running" and container.healthy


def _may_be_ready(container: Container) -> bool:
    return container.status in {"running", "restarting"}


def _has_completed(container: Container) -> bool:
    return container.completed


def _may_complete(container: Container) -> bool:
    return container.completed or container.status in {"created", "running", "restarting"}


def _describe(container: Container) -> str:
    health = f", {container.health}" if container.running and container.health else ""
    ended = "" if container.running else f" with exit code {container.exit_code}"
    return f"{container.name} {container.status}{ended}{health}, image {container.image_id[:19]}"


def _override(images: Mapping[str, str]) -> str:
    # `!reset` is compose's own YAML tag: without it, compose may build a service that has a build section.
    services = "".join(
        f"  {json.dumps(service)}: {{image: {json.dumps(image)}, build: !reset null, pull_policy: never}}\n"
        for service, image in images.items()
    )
    return f"services:\n{services}"
