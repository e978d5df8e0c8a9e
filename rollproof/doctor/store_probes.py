"""Each store's address and accounts: the reader sees all and cannot write, the operator can do its work.

Nothing is changed: what an account may do is told by its store's own package, see `Descriptor.rights`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from rollproof.baseline.sight import whole_sight
from rollproof.doctor.examination import REQUEST_SECONDS, Need, Spared, wrong
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Mismatch, Unverifiable, listed, reason_of, unanswered
from rollproof.home import typed
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, StoreProfile
from rollproof.stores.registry import (
    asked_by_kind,
    endpoint_of,
    open_content,
    open_rights,
    open_view,
)

# Requests of one question, and the import of a driver, in times of the deadline of one.
_REQUESTS = 2.3
_SHOWN = 4


def addresses(target: Target, engine: ContainerEngine, seconds: float) -> Iterator[Need]:
    """Yield a probe for the address of each store that has one, with `seconds` to connect."""
    for name, profile in target.stores.items():
        if profile.address is not None:
            connected = partial(_connected, name, profile, engine, seconds)
            yield Need(f"{name} address", connected, _before(profile), store=name)


def _before(profile: StoreProfile) -> tuple[str, ...]:
    """Return the probes that have to be ok before a store is asked: those of its service, if it has one."""
    address = profile.address
    return () if address is not None and address.service is None else ("engine", "project")


def _connected(name: str, profile: StoreProfile, engine: ContainerEngine, seconds: float) -> str:
    endpoint = endpoint_of(profile, engine)
    place = f"{endpoint.in_url}:{endpoint.port}"
    try:
        with closing(socket.create_connection((endpoint.host, endpoint.port), timeout=seconds)):
            return place
    except OSError as error:
        raise Unverifiable(
            what=f"address of store {name}",
            expected=f"a connection to {place}",
            observed=reason_of(error),
            source=place,
            hint=f"correct stores.{name}.address, or the way there: is the port published, and the store up?",
            means=unanswered(error),
        ) from None


def readers(target: Target, engine: ContainerEngine, seconds: float) -> Iterator[Need]:
    """Yield a probe for each store's reader: it logs in, reads real data, and nothing is hidden from it.

    A request has `seconds` at most, and no more than the profile gives it.
    """
    for name, profile in target.stores.items():
        yield _of_account(f"{name} reader", _sees, name, profile, engine, seconds)


def accounts(target: Target, engine: ContainerEngine, seconds: float) -> Iterator[Need]:
    """Yield a probe for what each store's reader must not do, and one for what its operator must."""
    for name, profile in target.stores.items():
        if descriptor_of(profile).rights or profile.reader is not None:
            yield _of_account(f"{name} read-only", _cannot_write, name, profile, engine, seconds)
        if descriptor_of(profile).rights:
            yield _of_account(f"{name} operator", _operates, name, profile, engine, seconds)


def _of_account(
    what: str,
    ask: Callable[[str, StoreProfile, ContainerEngine], str],
    name: str,
    profile: StoreProfile,
    engine: ContainerEngine,
    seconds: float,
) -> Need:
    hurried = profile.model_copy(update={"deadline_seconds": min(profile.deadline_seconds, seconds)})
    asked = partial(asked_by_kind, hurried, what, _REQUESTS * seconds, ask, name, hurried, engine)
    needs = (*_before(profile), *((f"{name} address",) if profile.address else ()))
    return Need(what, asked, needs, _REQUESTS * REQUEST_SECONDS, store=name)


def _sees(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    with closing(open_view(name, profile, engine)) as view:
        answer = view.ask()
    with open_content(name, profile, engine) as content:
        whole_sight(content, content.schemas)
    return f"{answer.server}: reads {answer.collection}"


def _cannot_write(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.reader is None:
        return "no account in the profile: whoever reaches the store may write"
    descriptor, expected = descriptor_of(profile), "an account that can only read"
    if profile.reader == profile.operator:
        sign = descriptor.recognition
        # A server with one account for everybody forgets others at a restart, unless they are in a file.
        one = isinstance(profile.reader, Account) and sign is not None and profile.reader.user == sign.common
        hint = "put one that can only read where it outlives a restart, and name it there"
        raise wrong(expected, "the operator's own", hint, kind=Spared if one else Mismatch)
    if not descriptor.rights:
        return "another account than the operator's"
    if writes := open_rights(name, profile, engine).writes:
        hint = f"revoke all but what this prints: {_grants(name)}"
        raise wrong(expected, f"one that may {listed(writes, _SHOWN)}", hint)
    return "the reader may change nothing"


def _operates(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.operator is None:
        return "no account in the profile: whoever reaches the store may write"
    if lacks := open_rights(name, profile, engine, operator=True).lacks:
        expected, hint = "an account that can back up and restore", f"grant what this prints: {_grants(name)}"
        raise wrong(expected, f"one without {listed(lacks, _SHOWN)}", hint)
    return "may back up and restore"


def _grants(name: str) -> str:
    return typed(f"grants --store {name}")
