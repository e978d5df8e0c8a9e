"""All data faults, and the records that they are injected into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase

from rollproof.errors import UsageProblem
from staging.faults import (
    kafka_faults,
    milvus_faults,
    mongodb_faults,
    mysql_faults,
    qdrant_faults,
    redis_faults,
    s3_faults,
)
from staging.faults.fault import Fault
from staging.target.operators import Operators

_MODULES = (mysql_faults, mongodb_faults, redis_faults, s3_faults, kafka_faults, qdrant_faults, milvus_faults)
FAULTS: tuple[Fault, ...] = tuple(each for module in _MODULES for each in module.fault.faults)

NOT_MADE = {
    "kafka": "compaction, and records deleted before an offset: not tried on Tansu",
    "minio": "locks and access lists of single objects, which the reader does not compare",
    "qdrant": "shards, replicas and quantization, which the stand-in does not have; a damaged graph",
    "milvus": "replicas and resource groups, which one node does not have; a field that was NULL",
}
"""Faults of a store that are not covered, and the reason."""


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own records in every store; remove them all at the end."""
    with ExitStack() as stack:
        for module in _MODULES:
            stack.enter_context(module.planted(operators))
        yield


def chosen(patterns: Sequence[str]) -> list[Fault]:
    """Return the faults whose names match shell-style `patterns`, or all faults without a pattern.

    Raises:
        UsageProblem: a pattern matches no fault.
    """
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in FAULTS):
            raise UsageProblem(
                what="fault",
                expected="a name or a shell-style pattern of names, such as mysql-*",
                observed=pattern,
                source="the command line",
                hint=f"names: {', '.join(each.name for each in FAULTS)}",
            )
    if not patterns:
        return list(FAULTS)
    return [each for each in FAULTS if any(fnmatchcase(each.name, pattern) for pattern in patterns)]
