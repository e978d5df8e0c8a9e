"""Faults of Redis: in the faults' own keys, of each type; `staging.faults.fault_trial` has their policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from staging.faults.fault import Register
from staging.target.operators import Operators, undone

fault = Register("redis")
PREFIX = "faults:"
# The collection's name, which is the profile's pattern.
KEYS = f"0:{PREFIX}*"
TEXT, NUMBER, LIST, SET, HASH, SCORES, STREAM, EXPIRING = (
    PREFIX + name for name in ("text", "number", "list", "set", "hash", "scores", "stream", "expiring")
)
_DAYS = 30 * 24 * 3600


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own keys."""
    redis = operators.redis

    def remove() -> None:
        for key in redis.scan_iter(f"{PREFIX}*"):
            redis.delete(key)

    remove()
    with undone(remove):
        redis.set(TEXT, "Zürich")
        redis.set(NUMBER, "10")
        redis.rpush(LIST, "a", "b", "c")
        redis.sadd(SET, "a", "b", "c")
        redis.hset(HASH, mapping={"name": "Zürich", "count": "10"})
        redis.zadd(SCORES, {"a": 1 / 3, "b": 2.0})
        redis.xadd(STREAM, {"job": "a"}, id="1-1")
        redis.set(EXPIRING, "x", ex=_DAYS)
        yield


@contextmanager
def _kept(operators: Operators, key: str) -> Iterator[None]:
    """Put a key back at the end from the server's own dump, with its remaining time to live."""
    redis = operators.redis
    written, left = redis.dump(key), redis.pttl(key)

    def put_back() -> None:
        if isinstance(written, bytes):
            redis.restore(key, max(0, int(left)), written, replace=True)

    with undone(put_back):
        yield


@fault.content(KEYS)
def key_lost(operators: Operators) -> Iterator[None]:
    """One key is gone."""
    with _kept(operators, TEXT):
        operators.redis.delete(TEXT)
        yield


@fault.count(KEYS)
def key_added(operators: Operators) -> Iterator[None]:
    """One key is there that was not."""
    added = f"{PREFIX}added"
    with undone(lambda: operators.redis.delete(added)):
        operators.redis.set(added, "x")
        yield


@fault.content(KEYS)
def key_renamed(operators: Operators) -> Iterator[None]:
    """One key has another name: the count is as before."""
    renamed = f"{PREFIX}renamed"
    with undone(lambda: operators.redis.rename(renamed, TEXT)):
        operators.redis.rename(TEXT, renamed)
        yield


@fault.content(KEYS)
def bit_flipped(operators: Operators) -> Iterator[None]:
    """One bit of a text is another."""
    with _kept(operators, TEXT):
        operators.redis.setbit(TEXT, 7, 1 - operators.redis.getbit(TEXT, 7))
        yield


@fault.content(KEYS)
def trailing_space(operators: Operators) -> Iterator[None]:
    """A text has a space at its end."""
    with _kept(operators, TEXT):
        operators.redis.append(TEXT, " ")
        yield


@fault.content(KEYS)
def number_written_otherwise(operators: Operators) -> Iterator[None]:
    """A number is written with a point."""
    with _kept(operators, NUMBER):
        operators.redis.set(NUMBER, "10.0")
        yield


@fault.content(KEYS)
def list_in_another_order(operators: Operators) -> Iterator[None]:
    """A list has its first item at its end."""
    with _kept(operators, LIST):
        operators.redis.lmove(LIST, LIST, "LEFT", "RIGHT")
        yield


@fault.content(KEYS)
def set_member_replaced(operators: Operators) -> Iterator[None]:
    """A set has another member in place of one: its size is as before."""
    with _kept(operators, SET):
        operators.redis.srem(SET, "a")
        operators.redis.sadd(SET, "A")
        yield


@fault.content(KEYS)
def hash_field_renamed(operators: Operators) -> Iterator[None]:
    """A field of a hash has another name."""
    with _kept(operators, HASH):
        operators.redis.hdel(HASH, "name")
        operators.redis.hset(HASH, "title", "Zürich")
        yield


@fault.content(KEYS)
def last_digit_of_a_score(operators: Operators) -> Iterator[None]:
    """A score of a sorted set is the next larger number."""
    with _kept(operators, SCORES):
        operators.redis.zadd(SCORES, {"a": 1 / 3 + 2**-54})
        yield


@fault.content(KEYS)
def type_changed(operators: Operators) -> Iterator[None]:
    """A set is a list of the same members."""
    with _kept(operators, SET):
        operators.redis.delete(SET)
        operators.redis.rpush(SET, "a", "b", "c")
        yield


@fault.content(KEYS)
def never_expires(operators: Operators) -> Iterator[None]:
    """A key that was to expire stays for ever."""
    with _kept(operators, EXPIRING):
        operators.redis.persist(EXPIRING)
        yield


@fault.content(KEYS)
def stream_entry_lost(operators: Operators) -> Iterator[None]:
    """The only entry of a stream is gone; the key is still there."""
    with _kept(operators, STREAM):
        operators.redis.xdel(STREAM, "1-1")
        yield


@fault.content("0:*")
def session_lost(operators: Operators) -> Iterator[None]:
    """Somebody who was logged in is not any more."""
    key = next(iter(operators.redis.scan_iter("token:*"))).decode()
    with _kept(operators, key):
        operators.redis.delete(key)
        yield
