"""What reads a store holds no secret of its operator, wherever one looks in it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FunctionType, ModuleType

import pytest
from pydantic import SecretStr

from rollproof.engines.engine import Endpoint
from rollproof.incident.samples import ProbeKind
from rollproof.monitoring.probes.probes import probes_of
from rollproof.profile.kinds import kinds
from rollproof.profile.profile import Target
from rollproof.profile.sections import Account, Address, ApiKey, StoreProfile
from rollproof.stores.reach import target_for_readers
from rollproof.stores.registry import reader_at

READER, OPERATOR = "secret-of-the-reader", "secret-of-the-operator"
NOWHERE = Endpoint("127.0.0.1", 9)
NEEDED = {
    **dict.fromkeys(("databases", "buckets", "topics", "together"), ("one",)),
    "held": ("one:/data",),
    "address": Address(host="127.0.0.1", port=9),
    "services": ("one",),
}


def section(kind: str) -> StoreProfile:
    section = kinds()[kind].profile

    def identity(role: str, secret: str) -> Account | ApiKey:
        if "ApiKey" in str(section.model_fields[role].annotation):
            return ApiKey(key=SecretStr(secret))
        return Account(user=role, password=SecretStr(secret))

    needed = {name: value for name, value in NEEDED.items() if _wanted(section, name)}
    profile: StoreProfile = section(
        kind=kind,
        risk="high",
        reader=identity("reader", READER),
        operator=identity("operator", OPERATOR),
        **needed,
    )
    return profile


def _wanted(section: type[StoreProfile], name: str) -> bool:
    return name in section.model_fields and section.model_fields[name].is_required()


def _held(thing: object) -> set[str]:
    """Return every text that can be reached from `thing`: attributes, slots, closures, what they refer to."""
    found, seen, waiting = set[str](), set[int](), [thing]
    while waiting:
        one = waiting.pop()
        # What all of the process shares belongs to no reader.
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            found.add(one if isinstance(one, str) else one.decode(errors="replace"))
        elif isinstance(one, FunctionType):
            waiting += [one.__closure__, one.__defaults__, one.__kwdefaults__, one.__dict__]
        else:
            waiting += gc.get_referents(one)
            waiting += _slots(one)
    return found


def _slots(thing: object) -> Iterator[object]:
    for owner in type(thing).__mro__:
        names = owner.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            yield getattr(thing, name, None)


def _holds(thing: object, secret: str) -> bool:
    return any(secret in text for text in _held(thing))


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("as_operator", [False, True])
def test_what_reads_a_store_holds_no_secret_of_its_operator(kind: str, *, as_operator: bool) -> None:
    profile = section(kind)
    assert _holds(profile, OPERATOR)
    with reader_at("one", profile, NOWHERE, operator=as_operator) as reader:
        assert _holds(reader, OPERATOR) is as_operator
        assert _holds(reader, READER) is not as_operator


def test_what_a_monitor_keeps_open_holds_no_secret_of_an_operator(target: Target) -> None:
    """It stays for days, and reads a store again under an address that it looks up itself."""
    stores = {kind: section(kind) for kind in kinds()}
    watched = target.model_copy(update={"stores": stores})
    assert _holds(watched, OPERATOR)
    probes = list(probes_of(watched, 1.0))
    assert {probe.id.kind for probe in probes} >= {ProbeKind.STORE, ProbeKind.RECORDS, ProbeKind.LAG}
    assert [str(probe.id) for probe in probes if _holds(probe, OPERATOR)] == []
    assert any(_holds(probe, READER) for probe in probes)


def test_what_checks_are_given_holds_no_secret_of_an_operator(target: Target) -> None:
    whole = target.model_copy(update={"stores": {kind: section(kind) for kind in kinds()}})
    assert _holds(whole, OPERATOR)
    given = target_for_readers(whole)
    assert (_holds(given, OPERATOR), _holds(given, READER)) == (False, True)


def test_only_s3_is_exported_as_the_operator() -> None:
    """MinIO lets no reader read old versions; a second kind wants a reason as good."""
    assert [kind for kind, known in kinds().items() if known.exports_as_operator] == ["s3"]
