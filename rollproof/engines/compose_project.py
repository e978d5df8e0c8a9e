"""A compose project as its files describe it, and the images that its engine has. Reads alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollproof.engines.container_settings import ENVIRONMENT
from rollproof.engines.engine import Container
from rollproof.errors import UsageProblem
from rollproof.profile.profile import Engine
from rollproof.system.command import Deadline, run_command


def compose_words(profile: Engine, replaced: Sequence[Path] | None = None) -> list[str]:
    """Return how each `docker compose` of a project begins; `replaced` are read for its files."""
    environment = ["--env-file", str(profile.env_file)] if profile.env_file else []
    read = profile.files if replaced is None else replaced
    files = [option for file in read for option in ("--file", str(file))]
    # Compose takes relative paths from the first file's folder, wherever a copy of that file stands.
    folder = ["--project-directory", str(profile.files[0].parent)] if profile.files else []
    return ["docker", "compose", "--project-name", profile.project, *folder, *environment, *files]


class ComposeProject:
    """The files of one compose project, and the images of its engine."""

    def __init__(self, profile: Engine) -> None:
        """Take the project, its compose files and its environment file from `profile`; connect to nothing."""
        self.profile = profile

    def require_images(self, images: Mapping[str, str], *, deadline: float) -> None:
        """Check that the image ids `images`, by service, exist in the engine; of a swarm, on each node."""
        limit = Deadline(deadline)
        for docker in self.engines:
            for service, image in images.items():
                inspect = [*docker, "image", "inspect", "--format", "{{.Id}}", "--", image]
                run_command(inspect, what=f"look for the image of {service}, {image}", deadline=limit)

    @property
    def engines(self) -> Sequence[Sequence[str]]:
        """How a command of docker begins for each engine: the one in use, and a swarm's other nodes."""
        return [["docker"], *(["docker", "--context", context] for context in self.profile.nodes.values())]

    def image_ids(self, *, deadline: float) -> frozenset[str]:
        """Return the ids of all images that the engine has; of a swarm, each of its nodes."""
        limit = Deadline(deadline)
        found = [
            run_command(
                [*docker, "image", "ls", "--all", "--quiet", "--no-trunc"],
                what="list of the engine's images",
                deadline=limit,
            )
            for docker in self.engines
        ]
        return frozenset.intersection(*(frozenset(listed.split()) for listed in found))

    def described(self, *, deadline: float, files: Sequence[Path] | None = None) -> frozenset[str]:
        """Return the services in the compose files, of every profile, after compose could read these.

        `files` are read in place of the profile's, as if they stood there.
        """
        read = run_command(
            [*self.compose(files), "--profile", "*", "config", "--services"],
            what="reading of compose files",
            deadline=Deadline(deadline),
            private=True,  # its errors may quote the containers' environment
        )
        return frozenset(read.split())

    def services(self, files: Sequence[Path] | None, limit: Deadline) -> Mapping[str, Mapping[str, object]]:
        """Return what `files`, or the profile's, say of each service, in compose's own terms."""
        services: Mapping[str, Mapping[str, object]]
        services = json.loads(self.configuration(limit, files=files))["services"]
        return services

    def configuration(self, limit: Deadline, *services: str, files: Sequence[Path] | None = None) -> str:
        """Return what compose reads of `services` and their dependencies, by default of all, as its JSON."""
        return run_command(
            [*self.compose(files), "config", "--format", "json", *services],
            what="reading of compose files",
            deadline=limit,
            private=True,  # it contains the containers' environment
        )

    def image_name(self, service: str, described: Mapping[str, Mapping[str, object]]) -> str:
        """Return the name of a service's image, as its compose files or compose itself chose it."""
        return str(described.get(service, {}).get("image") or f"{self.profile.project}-{service}")

    def next_start(
        self, there: Mapping[str, Sequence[Container]], *, deadline: float
    ) -> Mapping[str, Sequence[str]]:
        """Return how `docker compose up` would change services: images, and environments without values.

        Compose's own hash tells more, but `config --hash` of most versions leaves environment files out
        (docker/compose#14001).
        """
        from docker.errors import NotFound  # noqa: PLC0415 - the engine's SDK only where it is used

        from rollproof.engines.insides import asking  # noqa: PLC0415

        described = self.services(None, Deadline(deadline))
        found: dict[str, list[str]] = {}
        with asking("images of the compose files", self.profile.project, deadline) as api:
            for service in sorted(described.keys() & there.keys()):
                name = self.image_name(service, described)
                try:
                    image = api.inspect_image(name)  # type: ignore[no-untyped-call]
                except NotFound:
                    image = {"Id": "no image here"}
                environment: Any = described[service].get("environment") or {}
                for container in there[service]:
                    if image["Id"] != container.image_id:
                        text = f"{service}: {name} is {image['Id'][:19]}, not {container.image_id[:19]}"
                    elif changed := _changed(environment, image["Config"].get("Env") or (), container):
                        text = f"{service}: environment {', '.join(changed)}"
                    else:
                        continue
                    if text not in found.setdefault(service, []):  # replicas differ alike
                        found[service].append(text)
        return found

    def compose(self, replaced: Sequence[Path] | None = None) -> list[str]:
        """Return how each `docker compose` of this project begins; refuse a profile without compose files."""
        if not self.profile.files:
            raise UsageProblem(
                what="compose files",
                expected="those that the services are created from",
                observed="none",
                source="engine.files of the profile",
                hint='add files = ["…/compose.yaml"] to [engine]',
            )
        return compose_words(self.profile, replaced)


def _changed(said: Mapping[str, str | None], of_image: Sequence[str], container: Container) -> list[str]:
    """Return the variables of `container` that differ from what compose and the image say."""
    is_in = {
        name.removeprefix(ENVIRONMENT): value.get_secret_value()
        for name, value in container.private.items()
        if name.startswith(ENVIRONMENT)
    }
    # Compose doubles each dollar in what it shows, and hands the client's own proxies on to containers.
    would = {name: value for name, _, value in (one.partition("=") for one in of_image)}
    would |= {name: (value or "").replace("$$", "$") for name, value in said.items()}
    names = {name for name in would.keys() | is_in.keys() if would.get(name, "") != is_in.get(name, "")}
    return sorted(name for name in names if name in would or not name.lower().endswith("_proxy"))
