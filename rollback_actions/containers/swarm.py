"""The write side of a stack on Docker Swarm: stop and start its services, deploy them on recorded images."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollback_actions.containers.compose import ComposeControl
from rollproof.engines.engine import Container
from rollproof.engines.swarm.stack import IMAGE, NOWHERE, STOPPED, SwarmService, read_stack
from rollproof.errors import ActionFailed, listed
from rollproof.system.command import Deadline, run_command

POLL_SECONDS = 0.5
# A task may fail once while what it needs comes up, as a container that compose starts.
_FAILURES = 1


class SwarmControl(ComposeControl):
    """The actions on the services of one stack. Every call has a deadline in seconds.

    Raises as `ComposeControl`, and where the swarm pauses or takes back an update. Servers that are kept by
    their volumes are refused by the profile; the application's files are on the manager's node.
    """

    def stop(self, services: Iterable[str], *, deadline: float) -> None:
        """Stop the tasks of `services`, and see that no node runs one.

        A label on each service keeps its number of replicas, in the same update, for `start` after a kill.
        """
        limit = Deadline(deadline)
        wanted = tuple(services)
        for service in self._services(wanted):
            if change := stop_options(service):
                self._update(service, change, limit)
        self._await_none_runs(wanted, limit)

    def start(self, services: Iterable[str], *, deadline: float) -> None:
        """Start the tasks of `services` that `stop` has stopped; wait until all run and are healthy."""
        limit = Deadline(deadline)
        wanted = tuple(services)
        for service in self._services(wanted):
            if service.stopped is not None:
                how = ["--constraint-rm", NOWHERE]
                if service.mode == "Replicated":
                    how = ["--replicas", service.stopped]
                self._update(service, ["--label-rm", STOPPED, *how], limit)
        self._await_health(wanted, limit)

    def remove(self, service: str, *, deadline: float) -> None:
        """Remove `service`, if there is one, and see that no node runs a task of it; volumes stay."""
        limit = Deadline(deadline)
        for one in read_stack(self.profile).services.values():
            if one.name == service:
                name = str(one.spec["Name"])
                run_command(["docker", "service", "rm", name], what=f"removal of {name}", deadline=limit)
        self._await_none_runs([service], limit)

    def save_image(self, image: str, file: Path, *, deadline: float) -> None:
        """Write the image with the id `image` to `file`, from the first node that has it."""
        limit = Deadline(deadline)
        for docker in self.engines:
            try:
                inspect = [*docker, "image", "inspect", "--format", "{{.Id}}", "--", image]
                run_command(inspect, what=f"look for image {image}", deadline=limit)
            except ActionFailed as problem:
                missing = problem
            else:
                what = f"copy of image {image}"
                run_command([*docker, "image", "save", image], what=what, deadline=limit, stdout=file)
                return
        raise missing

    def recreate(
        self,
        images: Mapping[str, str],
        *,
        deadline: float,
        files: Sequence[Path] | None = None,
        replicas: Mapping[str, int] | None = None,
        completes: bool = False,
    ) -> None:
        """Deploy services by the profile's compose files on image ids, by service; wait for convergence.

        No other service is touched. Each node has to have the images: no registry is asked. As for compose,
        `files` are read in place of the profile's, and `replicas` are the numbers of tasks. With `completes`,
        each service is made again, and its end waited for.
        """
        limit = Deadline(deadline)
        self.require_images(images, deadline=limit.remaining)
        described = json.loads(self.configuration(limit, *images, files=files))
        for service in images if completes else ():
            self.remove(service, deadline=limit.remaining)
        for one in read_stack(self.profile).services.values():
            if one.name in images and IMAGE in (one.spec.get("Labels") or {}):
                # `stack deploy` sees by this label that it deployed the same image last, and leaves the
                # service on its image, whatever somebody has made of that since.
                self._update(one, ["--label-rm", IMAGE], limit)
        with tempfile.TemporaryDirectory(prefix="rollproof-") as folder:
            file = Path(folder) / "stack.json"
            file.write_text(json.dumps(stack_file(described, images, replicas or {})), encoding="utf-8")
            deploy = ["docker", "stack", "deploy", "--detach=true", "--resolve-image=never"]
            run_command(
                [*deploy, f"--compose-file={file}", self.profile.project],
                what=f"deployment of {listed([*images])}",
                deadline=limit,
            )
        if completes:
            self._await_updated(images, limit, "completed", lambda one: one.completed)
        else:
            self._await_health(images, limit)
        self._expect(images, "the recorded images", lambda one: one.image_id == images[one.service])

    def _services(self, names: Sequence[str]) -> list[SwarmService]:
        self._containers(names)  # each of which must be there
        return [one for one in read_stack(self.profile).services.values() if one.name in names]

    def _update(self, service: SwarmService, change: Sequence[str], limit: Deadline) -> None:
        name = str(service.spec["Name"])
        command = ["docker", "service", "update", "--detach=true", "--quiet", *change, name]
        run_command(command, what=f"update of service {name}", deadline=limit)

    def _await_none_runs(self, services: Sequence[str], limit: Deadline) -> None:
        while running := [one.name for one in self._engine.running() if one.service in services]:
            if limit.passed:
                raise ActionFailed(
                    what=f"containers of {listed(services)}",
                    expected=f"stopped within {limit.seconds:g} s",
                    observed=f"{listed(running)} runs",
                    source="nodes of the swarm",
                    hint=f"docker stack ps --no-trunc {self.profile.project}",
                )
            self._sleep(POLL_SECONDS)

    def _await_health(self, services: Iterable[str], limit: Deadline) -> None:
        self._await_updated(services, limit, "healthy", lambda one: one.status == "running" and one.healthy)

    def _await_updated(
        self,
        services: Iterable[str],
        limit: Deadline,
        wanted: str,
        arrived: Callable[[Container], bool],
    ) -> None:
        """Wait until all containers of `services` have `arrived`, and the swarm has ended their updates.

        Until then it may still take an update back. Fail once it has paused one, or a task fails again and
        again.
        """
        services = tuple(services)
        while True:
            found = self._containers(services)
            if all(arrived(one) and not one.update for one in found):
                return
            for one in found:
                if one.update and not one.update.startswith("updating"):
                    raise self._not_converged(one, "completed", one.update)
                if one.restarts > _FAILURES:
                    raise self._not_converged(
                        one, wanted, f"{one.restarts} failures of {one.name}, {one.status}"
                    )
            if limit.passed:
                self._require(found, f"{wanted} within {limit.seconds:g} s", arrived)
                raise self._not_converged(found[0], f"completed within {limit.seconds:g} s", found[0].update)
            self._sleep(POLL_SECONDS)

    def _not_converged(self, container: Container, expected: str, observed: str) -> ActionFailed:
        name = f"{self.profile.project}_{container.service}"
        return ActionFailed(
            what=f"update of service {name}",
            expected=expected,
            observed=observed,
            source="manager of the swarm",
            hint=shlex.join(["docker", "service", "ps", "--no-trunc", name]),
        )


def stop_options(service: SwarmService) -> list[str]:
    """Return the options of `docker service update` that stop `service`.

    There are none for a job, which ends by itself, and for a stopped service, whose label already has its
    number of tasks.
    """
    if service.mode == "Global":
        return [] if service.stopped else ["--label-add", f"{STOPPED}=all", "--constraint-add", NOWHERE]
    replicas = int((service.spec["Mode"].get("Replicated") or {}).get("Replicas") or 0)
    return ["--label-add", f"{STOPPED}={replicas}", "--replicas", "0"] if replicas else []


def stack_file(
    described: Mapping[str, Any], images: Mapping[str, str], replicas: Mapping[str, int]
) -> dict[str, Any]:
    """Return what compose reads of the services of `images`, as `docker stack deploy` takes it.

    The stack's format is older: it has no `name`, ports and sizes are numbers, and `cpus` is a text.
    """
    services = {}
    for name, image in images.items():
        service = {key: value for key, value in described["services"][name].items() if value is not None} | {
            "image": image
        }
        for key in ("build", "depends_on", "pull_policy", "container_name", "restart"):
            service.pop(key, None)
        for port in service.get("ports") or ():
            if "published" in port:
                port["published"] = int(port["published"])
        for mount in service.get("volumes") or ():
            if "size" in mount.get("tmpfs", {}):
                mount["tmpfs"]["size"] = int(mount["tmpfs"]["size"])
        deploy = dict(service.get("deploy") or {})
        for limits in (deploy.get("resources") or {}).values():
            if "cpus" in limits:
                limits["cpus"] = str(limits["cpus"])
        if name in replicas and deploy.get("mode", "replicated") == "replicated":
            deploy["replicas"] = replicas[name]
        service["deploy"] = deploy
        services[name] = service
    others = {key: value for key, value in described.items() if key not in {"name", "services"}}
    return {**others, "services": services}
