"""Reaching a store: its address, account and deadline, and the errors when that fails.

Readers are given a `Readable`: it holds the reader's account, and no secret of the operator's, unless
`rollproof.stores.registry` opens a store as its operator. Checks are given a whole profile without those
secrets, by `target_for_readers`.
"""

from __future__ import annotations

import errno
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic

from pydantic import SecretStr

from rollproof.engines.engine import ContainerEngine, Endpoint
from rollproof.errors import Meaning, Unverifiable, unanswered
from rollproof.profile.sections import Account, ApiKey
from rollproof.profile.store_descriptor import Profile
from rollproof.stores.contract import Withheld

if TYPE_CHECKING:
    from rollproof.profile.profile import Target

# The endpoint of a store that is no server.
ENGINE = Endpoint("container engine", 0)
# The account for a store without authentication.
NOBODY = Account(user="nobody", password=SecretStr(""))


# Errors of writing to a full or read-only file system; a connection never fails with these.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@dataclass(frozen=True, slots=True)
class Reach:
    """One account's access to one store. `deadline`, in seconds, holds for one call of a view or keeper.

    `limit` is where it comes from.
    """

    store: str
    endpoint: Endpoint
    account: Account
    deadline: float
    limit: str = "deadline_seconds of this store in the profile"

    @property
    def address(self) -> str:
        """Host and port, as in error texts; a store that is no server has no port."""
        return f"{self.endpoint.in_url}:{self.endpoint.port}" if self.endpoint.port else self.endpoint.host

    @property
    def url(self) -> str:
        """Its address for HTTP, without a path."""
        return f"{'https' if self.endpoint.tls else 'http'}://{self.address}"

    def failed(
        self,
        observed: object,
        *,
        expected: str | None = None,
        hint: str | None = None,
        means: Meaning | None = None,
    ) -> Unverifiable:
        """Return the error for a missing or unexpected answer.

        `observed` may be a driver's exception: its words are kept without the password, and it tells whether
        the store timed out. A caller that gives words alone gives their meaning as `means`.
        """
        if means is None:
            means = unanswered(observed) if expected is None else Meaning.OTHER
        if isinstance(observed, OSError) and observed.errno in _FULL:
            expected, hint = "room for its data on this host", "free some space, or name another folder"
        words = str(observed) or type(observed).__name__
        secret = self.account.password.get_secret_value()
        if secret:  # replacing an empty text would insert the word between all letters
            words = words.replace(secret, "[redacted]")
        return Unverifiable(
            what=f"store {self.store} as {self.account.user}",
            expected=expected or f"an answer within {self.deadline:g} s",
            observed=" ".join(words.split()),
            source=self.address,
            hint=hint or "see that the store runs, that its address is right and that the account may log in",
            means=means,
        )

    def withheld(self, right: str) -> Withheld:
        """Return the error for a fact that the store tells only to an account with `right`."""
        return Withheld(
            what=f"store {self.store} as {self.account.user}",
            expected=right,
            observed="an account without it",
            source=self.address,
            hint="grant it to the reader of the profile: it changes nothing",
        )

    def start(self) -> Countdown:
        """Start the clock of one call."""
        return Countdown(self)


@dataclass(frozen=True, slots=True)
class Countdown:
    """The rest of the deadline during a call of several requests."""

    reach: Reach
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds left; raises `Unverifiable` when the deadline has passed."""
        left = self.started + self.reach.deadline - time.monotonic()
        if left <= 0:
            raise self.reach.failed(
                f"more than {self.reach.deadline:g} s",
                hint=f"raise {self.reach.limit} if the store is healthy and only large",
                means=Meaning.TIMEOUT,
            )
        return left


def release(version: str) -> tuple[int, int]:
    """Return the major and minor number of a server's version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def account_of(identity: Account | ApiKey | None) -> Account:
    """Return the account for `identity`: itself, one for an API key, or `NOBODY`."""
    if isinstance(identity, ApiKey):
        return Account(user="the holder of the key", password=identity.key)
    return identity or NOBODY


def _without_secret(identity: Account | ApiKey | None) -> Account | ApiKey | None:
    """Return the operator's identity without its secret: commands written for the operator name it."""
    if isinstance(identity, ApiKey):
        return ApiKey(key=SecretStr(""))
    return identity and Account(user=identity.user, password=SecretStr(""))


def for_readers(profile: Profile) -> Profile:
    """Return `profile` without the operator's secret: for everything that keeps one to read."""
    return profile.model_copy(update={"operator": _without_secret(profile.operator)})


def target_for_readers(target: Target) -> Target:
    """Return `target` without the secrets of its stores' operators."""
    return target.model_copy(
        update={"stores": {name: for_readers(store) for name, store in target.stores.items()}}
    )


@dataclass(frozen=True, slots=True)
class Readable(Generic[Profile]):
    """One store as given to its readers. `profile.operator` has no secret in it.

    `engine` is for a store that is no server: it is read through the containers.
    """

    store: str
    profile: Profile
    endpoint: Endpoint
    engine: ContainerEngine | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Remove the operator's secret."""
        object.__setattr__(self, "profile", for_readers(self.profile))

    @property
    def reach(self) -> Reach:
        """The reader's access to the store."""
        account = account_of(self.profile.reader)
        return Reach(self.store, self.endpoint, account, self.profile.deadline_seconds)
