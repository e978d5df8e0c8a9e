"""The section of a recognised store, as a profile has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from rollproof.init.accounts import OPERATOR, READER, Holder, holders_of
from rollproof.init.parts import Found
from rollproof.profile.kinds import kinds
from rollproof.profile.mistakes import UNANSWERED
from rollproof.profile.sections import Account, ApiKey, StoreProfile


def section_of(found: Found, holdings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section of a store without accounts, with `UNANSWERED` for what it needs and nobody knows.

    `holdings` are keys as the server lists them, which win over compose's.
    """
    descriptor, sign = kinds()[found.kind], found.sign
    listed = {
        name: [one.partition(":")[0].strip() for one in found.clues.value(*variables).split(",")]
        for name, variables in sign.listed.items()
        if found.clues.value(*variables) not in {"", "admin"}
    }
    section: dict[str, Any] = {
        "kind": found.kind,
        "address": {"service": found.clues.service, "port": found.port},
        "services": list(found.services),
        "risk": descriptor.least_risk,
        **sign.settings,
        **listed,
        **{name: one for name, one in holdings.items() if one},
    }
    for name, about in descriptor.profile.model_fields.items():
        if about.is_required() and name not in section and name not in {READER, OPERATOR}:
            section[name] = [UNANSWERED]
    return section


def accounts_of(found: Found, *, guarded: bool) -> dict[str, Holder]:
    """Return the accounts of a store's section by role; none for a server that asks nobody."""
    fields = kinds()[found.kind].profile.model_fields
    required = any(fields[role].is_required() for role in (READER, OPERATOR))
    return holders_of(found.sign, found.clues) if guarded or required else {}


def profile_of(section: Mapping[str, Any], found: Found, *, guarded: bool) -> StoreProfile:
    """Return the section as the suite reads it, without any secret."""
    nothing = SecretStr("")
    accounts = {
        role: Account(user=one.user, password=nothing) if one.user else ApiKey(key=nothing)
        for role, one in accounts_of(found, guarded=guarded).items()
    }
    profile: StoreProfile = kinds()[found.kind].profile(**section, **accounts)
    return profile
