"""Opening a store's read side by its profile. A driver is imported only when its store is first used."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rollproof.errors import Unverifiable
from rollproof.home import install_hint
from rollproof.profile.kinds import descriptor_of
from rollproof.stores.reach import ENGINE, Readable

if TYPE_CHECKING:
    from rollproof.engines.engine import ContainerEngine, Endpoint
    from rollproof.profile.sections import StoreProfile
    from rollproof.stores.reader import Reader


# Stores are asked side by side. Two threads that import one driver may each meet a half of it.
_IMPORTING = threading.RLock()


def at_place(place: str) -> Any:  # noqa: ANN401 - whatever a descriptor names
    """Import the module at `place`, ``package.module:Name``, and return the named object.

    Raises:
        Unverifiable: a package that it imports, such as its store's driver, is not installed.
    """
    try:
        with _IMPORTING, warnings.catch_warnings():
            # Kafka's library calls what Python 3.11 says is deprecated, and 3.13 no more.
            warnings.simplefilter("ignore", DeprecationWarning)
            return resolve_name(place)
    except ModuleNotFoundError as error:
        package = (error.name or place).partition(".")[0]
        if package == place.partition(".")[0]:
            raise
        raise Unverifiable(
            what=place.partition(":")[0],
            expected=f"the package {package}",
            observed="none",
            source=f"the environment {sys.prefix}",
            hint=install_hint(),
        ) from None


def reader_at(
    name: str,
    profile: StoreProfile,
    endpoint: Endpoint,
    engine: ContainerEngine | None = None,
    *,
    operator: bool = False,
) -> Reader:
    """Return the reader of the store `name` at `endpoint`, on the operator's account if `operator`."""
    if operator:
        profile = profile.model_copy(update={"reader": profile.operator})
    reader: Reader = at_place(descriptor_of(profile).reader)(Readable(name, profile, endpoint, engine=engine))
    return reader


def endpoint_of(profile: StoreProfile, engine: ContainerEngine) -> Endpoint:
    """Return the endpoint of a store now; `ENGINE` for one that is no server.

    Raises:
        Unverifiable: its service does not run, or has no address.
    """
    return ENGINE if profile.address is None else engine.resolve(profile.address)


class ReaderOpener(Protocol):
    """Opens the reader of a store by its profile: `open_reader`, or a stand-in for it."""

    def __call__(
        self, name: str, profile: StoreProfile, engine: ContainerEngine, /, *, operator: bool = False
    ) -> Reader:
        """Return the reader of the store `name`, on the operator's account if `operator`."""


ExporterOpener: TypeAlias = "Callable[[str, StoreProfile, ContainerEngine], Reader]"


def open_reader(
    name: str, profile: StoreProfile, engine: ContainerEngine, *, operator: bool = False
) -> Reader:
    """Return the reader of the store `name`, on the operator's account if `operator`."""
    return reader_at(name, profile, endpoint_of(profile, engine), engine, operator=operator)


def open_exporter(name: str, profile: StoreProfile, engine: ContainerEngine) -> Reader:
    """Return a reader of the store `name` that may export; the operator's if no other may."""
    operator = descriptor_of(profile).exports_as_operator
    return open_reader(name, profile, engine, operator=operator)
