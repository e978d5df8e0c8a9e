"""Each store's address and accounts: the reader sees all and cannot write, the operator can do its work.

Nothing is changed: what an account may do is told by its store's own package, see `Descriptor.rights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path, PurePosixPath

from rollproof.baseline.sight import whole_sight
from rollproof.doctor.connecting import CONNECT_SECONDS, require_connection
from rollproof.doctor.examination import Probe, Spared
from rollproof.engines.address import engine_is_here
from rollproof.engines.engine import Container, ContainerEngine
from rollproof.errors import Mismatch, listed
from rollproof.home import typed
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, StoreProfile
from rollproof.profile.store_descriptor import Initial
from rollproof.reading import read_regular
from rollproof.stores.registry import (
    asked_by_kind,
    endpoint_of,
    open_content,
    open_rights,
    open_view,
)

SHORT_SECONDS = 3.0
"""The deadline of one request here: a page is waited for."""
# Requests of one question, and the import of a driver, in times of the deadline of one.
_REQUESTS = 2.3
_LARGEST_SCRIPT = 1024 * 1024
_MOST_SCRIPTS = 200
_SHOWN = 4


def addresses(target: Target, engine: ContainerEngine, patience: float = 1.0) -> Iterator[Probe]:
    """Yield a probe for the address of each store that has one."""
    for name, profile in target.stores.items():
        if profile.address is not None:
            needs = ("engine", "project") if profile.address.service is not None else ()
            connected = partial(_connected, name, profile, engine, patience * CONNECT_SECONDS)
            yield Probe(f"{name} address", connected, needs, store=name)


def _connected(name: str, profile: StoreProfile, engine: ContainerEngine, seconds: float) -> str:
    endpoint = endpoint_of(profile, engine)
    place = f"{endpoint.in_url}:{endpoint.port}"
    require_connection(
        endpoint.host,
        endpoint.port,
        seconds,
        what=f"address of store {name}",
        source=place,
        hint=f"correct stores.{name}.address, or the way there: is the port published, and the store up?",
    )
    return place


def readers(target: Target, engine: ContainerEngine, seconds: float = SHORT_SECONDS) -> Iterator[Probe]:
    """Yield a probe for each store's reader: it logs in, reads real data, and nothing is hidden from it.

    A request has `seconds` at most, and no more than the profile gives it.
    """
    for name, profile in target.stores.items():
        yield _of_account(f"{name} reader", _sees, name, profile, engine, seconds)


def accounts(target: Target, engine: ContainerEngine, seconds: float = SHORT_SECONDS) -> Iterator[Probe]:
    """Yield a probe for what each store's reader must not do, and one for what its operator must."""
    for name, profile in target.stores.items():
        if descriptor_of(profile).rights:
            yield _of_account(f"{name} read-only", _cannot_write, name, profile, engine, seconds)
            yield _of_account(f"{name} operator", _operates, name, profile, engine, seconds)


def _of_account(
    what: str,
    ask: Callable[[str, StoreProfile, ContainerEngine], str],
    name: str,
    profile: StoreProfile,
    engine: ContainerEngine,
    seconds: float,
) -> Probe:
    hurried = profile.model_copy(update={"deadline_seconds": min(profile.deadline_seconds, seconds)})
    # Several requests, and the time to import a driver.
    whole = _REQUESTS * seconds
    asked = partial(asked_by_kind, hurried, what, whole, ask, name, hurried, engine)
    address = profile.address
    elsewhere = address is not None and address.service is None
    needs = (*(() if elsewhere else ("engine", "project")), *((f"{name} address",) if address else ()))
    return Probe(what, asked, needs, whole, store=name)


def _sees(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    with closing(open_view(name, profile, engine)) as view:
        answer = view.ask()
    with open_content(name, profile, engine) as content:
        whole_sight(content, content.schemas)
    return f"{answer.server}: reads {answer.collection}"


def _cannot_write(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.reader is None:
        return "no account in the profile: whoever reaches the store may write"
    initial, reader = descriptor_of(profile).initial, profile.reader
    common = isinstance(reader, Account) and reader == profile.operator and reader.user in initial.users
    if initial.forgets and common:
        raise Spared(
            what=f"reader of {name}",
            expected="an account that can only read",
            observed="the operator's own",
            source=f"stores.{name}.reader of the profile",
            hint="put one that can only read where it outlives a restart, and name it there",
        )
    rights = open_rights(name, profile, engine)
    if rights.writes:
        raise Mismatch(
            what=f"rights of the reader of {name}",
            expected="an account that can only read",
            observed=f"one that may {listed(rights.writes, _SHOWN)}",
            source=f"stores.{name}.reader of the profile",
            hint=f"revoke all but what this prints: {_grants(name)}",
        )
    return "the reader may change nothing"


def _operates(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    fresh = _in_fresh_server(name, profile, engine)
    if profile.operator is None:
        return "no account in the profile: whoever reaches the store may write"
    rights = open_rights(name, profile, engine, operator=True)
    if rights.lacks:
        raise Mismatch(
            what=f"rights of the operator of {name}",
            expected="an account that can back the store up and restore it",
            observed=f"one without {listed(rights.lacks, _SHOWN)}",
            source=f"stores.{name}.operator of the profile",
            hint=f"grant what this prints: {_grants(name)}",
        )
    return f"may back up and restore; {fresh}"


def _grants(name: str) -> str:
    return typed(f"grants --store {name}")


def _in_fresh_server(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    """Return in words whether the accounts are there in a server that begins without data, as far as is told.

    Raises:
        Mismatch: what makes accounts there can be read, and makes one of these not.
    """
    initial = descriptor_of(profile).initial
    service = profile.address.service if profile.address else None
    container = next(iter(engine.containers().get(service, ())), None) if service else None
    users = {one.user for one in (profile.reader, profile.operator) if isinstance(one, Account)}
    users -= {*initial.users, *(_variables(container, initial) if container else ())}
    if not users:
        return "in a fresh server too"
    scripts = list(_scripts(container, initial)) if container else []
    # A name in a script may still not make an account: that a restore works there, the gate's trial shows.
    absent = sorted(user for user in users if not any(user.encode() in text for text in scripts))
    if not scripts or not absent:
        said = f"{', '.join(sorted(users))} in a fresh server"
        return f"{said}: named by what is mounted" if scripts else f"{said}: not told by what is mounted"
    raise Mismatch(
        what=f"accounts of {name} in a fresh server",
        expected=f"{', '.join(sorted(users))} named by what is mounted at {', '.join(initial.places)}",
        observed=f"{', '.join(absent)} in none of {len(scripts)} files",
        source=f"mounts of {container.name if container else service}",
        hint=f"add what this prints to a file there, with a password: {_grants(name)}",
    )


def _variables(container: Container, initial: Initial) -> Iterator[str]:
    for variable in initial.variables:
        value = container.private.get(f"environment {variable}")
        if value is not None:
            yield value.get_secret_value()


def _scripts(container: Container, initial: Initial) -> Iterator[bytes]:
    """Yield the files of this host that are mounted where accounts are made; nothing of another host's."""
    for mount in container.mounts if engine_is_here() else ():
        inside = PurePosixPath(mount.destination)
        if mount.kind == "bind" and any(inside.is_relative_to(place) for place in initial.places):
            source = Path(mount.source)
            found = sorted(source.iterdir()) if source.is_dir() else [source]
            for path in found[:_MOST_SCRIPTS]:
                # A file that cannot be read tells nothing.
                with suppress(OSError):
                    yield read_regular(path, _LARGEST_SCRIPT)
