"""The actions on a target's containers. The read side is `fixtures.engines`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from fixtures.engines.compose_project import EngineImages
from fixtures.engines.engine import Endpoint, Mount
from fixtures.target.sections import Address


class ContainerControl(EngineImages, Protocol):
    """Write side of a container engine. Every call has a deadline in seconds.

    Raises `ActionFailed` if a command ends with an exit code other than 0 (with the last lines of its
    standard error, secrets of `environment` removed). Raises `Unverifiable` if the engine does not answer in
    time.
    """

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
        """Run `command` in the running container of `service`.

        Returns its output, or "" if `stdout` takes it.
        `environment` is passed through the client's environment, never on a command line.
        """
        ...

    def stop(self, services: Iterable[str], *, deadline: float) -> None:
        """Stop the containers of `services` and check that they are stopped."""
        ...

    def start(self, services: Iterable[str], *, deadline: float) -> None:
        """Start the containers of `services`; wait until they run and, with a health check, are healthy."""
        ...

    def save_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> Sequence[Path]:
        """Write each data volume of `services` to `folder/<volume>.tar`; they must be stopped or paused."""
        ...

    def copy_volumes(
        self, services: Iterable[str], folder: Path, *, pause: float, deadline: float
    ) -> float | None:
        """Write each data volume of `services`, which run, to `folder`, as of one moment.

        Their containers are paused once, for at most `pause` seconds. Return for how many, or None if that is
        too short for what changes in the volumes: nothing is written then.
        """
        ...

    def load_volumes(self, services: Iterable[str], folder: Path, *, deadline: float) -> None:
        """Make each data volume of `services` equal to its files in `folder`; they must be stopped."""
        ...

    def replace_files(self, mount: Mount, images: Sequence[str], archive: Path, *, deadline: float) -> None:
        """Make the files of `mount`, which no running container can write to, those in the tar `archive`.

        Its entries are below ``volume``. The first of the image ids `images` with a shell empties the mount.
        """
        ...

    def save_image(self, image: str, file: Path, *, deadline: float) -> None:
        """Write the image with the id `image` to `file`, which appears only when it is complete."""
        ...

    def load_image(self, file: Path, *, deadline: float) -> None:
        """Load the image that `save_image` wrote to `file`; it has its id again, and no name."""
        ...

    def described(self, *, deadline: float, files: Sequence[Path] | None = None) -> frozenset[str]:
        """Return the services in `files`, or in the profile's, after compose could read these as they are."""
        ...

    def up(
        self,
        services: Iterable[str],
        images: Mapping[str, str],
        *,
        deadline: float,
        files: Sequence[Path] | None = None,
        completes: bool = False,
    ) -> None:
        """Re-create `services` by the profile's compose files on the image ids `images`; wait for health.

        If it `completes`, each ends when it has done its work: that is waited for. The compose files' names
        for those images point to them from then on. `files` are read in place of the profile's, as if they
        stood there.
        """
        ...

    def resolve(self, address: Address) -> Endpoint:
        """Return the endpoint of `address` for a client on this host, now: a start can move a service."""
        ...
