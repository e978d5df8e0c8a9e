"""All data faults, and the records that they are injected into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from staging.faults import kafka, milvus, mongodb, mysql, qdrant, redis, s3
from staging.target.operators import Operators

_MODULES = (mysql, mongodb, redis, s3, kafka, qdrant, milvus)
FAULTS = tuple(fault for module in _MODULES for fault in module.FAULTS)


@contextmanager
def planted(operators: Operators) -> Iterator[None]:
    """Provide the faults' own records in every store; remove them all at the end."""
    with ExitStack() as stack:
        for module in _MODULES:
            stack.callback(module.remove, operators)
            module.plant(operators)
        yield
