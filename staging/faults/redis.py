"""Faults of Redis: in the faults' own keys, of each type, and in the application's sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from redis import Redis

from staging.faults.fault import Fault, Inject, both
from staging.target.operators import Operators, undone

PREFIX = "faults:"
KEYS = f"0:{PREFIX}*"
"""The collection's name, which is the profile's pattern."""
TEXT, NUMBER, LIST, SET, HASH, SCORES, STREAM, EXPIRING = (
    PREFIX + name for name in ("text", "number", "list", "set", "hash", "scores", "stream", "expiring")
)
_FAR = 4_000_000_000


def plant(operators: Operators) -> None:
    """Make the faults' own keys, whatever became of them."""
    remove(operators)
    redis = operators.redis
    redis.set(TEXT, "Zürich")
    redis.set(NUMBER, "10")
    redis.rpush(LIST, "a", "b", "c")
    redis.sadd(SET, "a", "b", "c")
    redis.hset(HASH, mapping={"name": "Zürich", "count": "10"})
    redis.zadd(SCORES, {"a": 1 / 3, "b": 2.0})
    redis.xadd(STREAM, {"job": "a"}, id="1-1")
    redis.set(EXPIRING, "x", exat=_FAR)


def remove(operators: Operators) -> None:
    """Remove the faults' own keys."""
    for key in operators.redis.scan_iter(f"{PREFIX}*"):
        operators.redis.delete(key)


@contextmanager
def key_gone(operators: Operators, pattern: str) -> Iterator[None]:
    """Delete one key of a pattern for the block; the server's own dump brings it back."""
    redis = operators.redis
    key = next(iter(redis.scan_iter(pattern)))
    written: Any = redis.dump(key)
    left = redis.pttl(key)
    redis.delete(key)
    with undone(lambda: redis.restore(key, max(0, int(left)), written, replace=True)):
        yield


def _own(*acts: Callable[[Redis], object]) -> Inject:
    return both(lambda operators: [act(operators.redis) for act in acts], plant)


_fault = partial(Fault, "redis")
FAULTS = (
    _fault("key lost", "content", KEYS, _own(lambda r: r.delete(TEXT))),
    _fault("key added", "count", KEYS, _own(lambda r: r.set(f"{PREFIX}added", "x"))),
    _fault("key renamed", "content", KEYS, _own(lambda r: r.rename(TEXT, f"{PREFIX}renamed"))),
    _fault("bit flipped", "content", KEYS, _own(lambda r: r.setbit(TEXT, 7, 1 - r.getbit(TEXT, 7)))),
    _fault("trailing space", "content", KEYS, _own(lambda r: r.append(TEXT, " "))),
    _fault("number written otherwise", "content", KEYS, _own(lambda r: r.set(NUMBER, "10.0"))),
    _fault("list in another order", "content", KEYS, _own(lambda r: r.lmove(LIST, LIST, "LEFT", "RIGHT"))),
    _fault(
        "set member replaced", "content", KEYS, _own(lambda r: r.srem(SET, "a"), lambda r: r.sadd(SET, "A"))
    ),
    _fault(
        "hash field renamed",
        "content",
        KEYS,
        _own(lambda r: r.hdel(HASH, "name"), lambda r: r.hset(HASH, "title", "Zürich")),
    ),
    _fault("last digit of a score", "content", KEYS, _own(lambda r: r.zadd(SCORES, {"a": 1 / 3 + 2**-54}))),
    _fault(
        "type changed", "content", KEYS, _own(lambda r: r.delete(SET), lambda r: r.rpush(SET, "a", "b", "c"))
    ),
    _fault("never expires", "content", KEYS, _own(lambda r: r.persist(EXPIRING))),
    _fault("stream entry lost", "content", KEYS, _own(lambda r: r.xdel(STREAM, "1-1"))),
    _fault("session lost", "content", "0:*", lambda operators: key_gone(operators, "token:*")),
)
