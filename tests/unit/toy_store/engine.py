"""A container engine that says what a target in order has: one container a service, running and healthy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from rollproof.engines.engine import Container, Endpoint, Inside, KeyedHash, RunningContainer, Stranger, Usage
from rollproof.git.repository import head
from rollproof.profile.profile import Target
from rollproof.profile.sections import Address
from tests.world.containers import container


class StandInEngine:
    """Read-only view of containers that are not there. See `ContainerEngine`."""

    def __init__(self, target: Target) -> None:
        """Say that the images are of the commit that the working copy is on."""
        self._services = target.services
        self._commit = head(target.application.repository)

    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        return {service: (self._container(service),) for service in self._services}

    def running(self) -> Sequence[RunningContainer]:
        return [RunningContainer(f"toy-{service}", service, one_off=False) for service in self._services]

    def usage(self) -> Mapping[str, Usage]:
        return {service: Usage(1_000_000, 1.0, 1.0, 1, 100) for service in self._services}

    def insides(self, _: KeyedHash) -> Mapping[str, Inside]:
        return {service: Inside() for service in self._services}

    def strangers(self) -> Sequence[Stranger]:
        return []

    def logs(self, container: str, lines: int = 50, since: float | None = None) -> str:
        return ""

    def files(self, container: str, path: str, deadline: float) -> AbstractContextManager[Iterator[bytes]]:
        raise NotImplementedError

    def id(self) -> str:
        return "toy"

    def data_root(self) -> str:
        return "/"

    def resolve(self, address: Address) -> Endpoint:
        return Endpoint(str(address.host), address.port)

    def _container(self, service: str) -> Container:
        return container(
            f"toy-{service}",
            id=service,
            service=service,
            health="healthy",
            image=f"toy/{service}:1",
            image_id=f"sha256:{service}",
            revision=self._commit,
            configuration="one",
            pids_limit=100,
            settings={"NetworkMode": "toy"},
        )
