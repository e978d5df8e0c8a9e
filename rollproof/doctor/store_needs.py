"""Each store's accounts: the reader sees all and cannot write, the operator can do its work.

Nothing is changed: what an account may do is told by its store's own package, see `Reader.rights`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rollproof.baseline.sight import require_whole_sight
from rollproof.doctor.examination import REQUEST_SECONDS, Need, NeedState, Wrong
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import listed
from rollproof.profile.kinds import descriptor_of
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, StoreProfile
from rollproof.stores.registry import open_reader

# Requests of one question, and the import of a driver, in times of the deadline of one.
_REQUESTS = 2.3
LONG_SECONDS = 3600.0
"""For work that has no deadline of its own, such as a capture, of which each request has one."""
_SHOWN = 4
_GRANTS = "the statements that init writes, TARGET.accounts.sh, have what each account needs"


def store_needs(target: Target, engine: ContainerEngine, seconds: float) -> Iterator[Need]:
    """Yield the questions about each store. A request has `seconds`, and no more than the profile gives it.

    They ask whether its reader logs in, reads real data, and nothing is hidden from it; what the reader must
    not do; and what its operator must.
    """
    for name, profile in target.stores.items():
        address, rights = profile.address, descriptor_of(profile).reports_rights
        elsewhere = address is not None and address.service is None
        needs: tuple[str, ...] = () if elsewhere else ("engine", "project")
        asked: dict[str, Callable[[str, StoreProfile, ContainerEngine], str]] = {"reader": _sees}
        if rights or profile.reader is not None:
            asked["read-only"] = _cannot_write
        if rights:
            asked["operator"] = _operates
        hurried = profile.model_copy(update={"deadline_seconds": min(profile.deadline_seconds, seconds)})
        for what, ask in asked.items():
            answer = partial(ask, name, hurried, engine)
            yield Need(f"{name} {what}", answer, needs, _REQUESTS * REQUEST_SECONDS)


def _sees(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    with open_reader(name, profile, engine) as reader:
        answer = reader.ask()
        require_whole_sight(reader, reader.schemas)
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
        raise Wrong(expected, "the operator's own", hint, NeedState.ABSENT if one else NeedState.WRONG)
    if not descriptor.reports_rights:
        return "another account than the operator's"
    with open_reader(name, profile, engine) as reader:
        writes = reader.rights().writes
    if writes:
        hint = f"revoke that: {_GRANTS}"
        raise Wrong(expected, f"one that may {listed(writes, _SHOWN)}", hint)
    return "the reader may change nothing"


def _operates(name: str, profile: StoreProfile, engine: ContainerEngine) -> str:
    if profile.operator is None:
        return "no account in the profile: whoever reaches the store may write"
    with open_reader(name, profile, engine, operator=True) as reader:
        lacks = reader.rights().lacks
    if lacks:
        expected, hint = "an account that can back up and restore", f"grant that: {_GRANTS}"
        raise Wrong(expected, f"one without {listed(lacks, _SHOWN)}", hint)
    return "may back up and restore"
