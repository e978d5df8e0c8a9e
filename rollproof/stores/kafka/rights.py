"""The rights of an account in Kafka, by the operations that the broker itself says it is authorized to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]

from rollproof.stores.contract import Rights
from rollproof.stores.kafka.descriptor import KafkaProfile
from rollproof.stores.kafka.relay import way_to
from rollproof.stores.kafka.view import Log, settings, translated
from rollproof.stores.reach import Readable

_WRITING = (AclOperation.ALL, AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER)
# A restore deletes a topic and creates it again, with its configuration.
_NEEDED = frozenset({AclOperation.WRITE, AclOperation.DELETE, AclOperation.ALTER_CONFIGS})


def rights(readable: Readable[KafkaProfile]) -> Rights:
    """Return what the account may do to the profile's topics. See `Descriptor.rights`."""
    reach = readable.reach
    way = way_to(reach)
    with Log(reach, way) as log:
        topics = list(log.topics(readable.profile.topics))
    if not topics:
        return Rights()
    with translated(reach, "the operations of the account"), AdminClient(settings(reach, way)) as admin:
        asked = admin.describe_topics(
            TopicCollection(topics), include_authorized_operations=True, request_timeout=reach.deadline
        )
        found = {name: one.result(reach.deadline).authorized_operations for name, one in asked.items()}
    if untold := [name for name, operations in found.items() if operations is None]:
        raise reach.untold(f"the operations authorized on {untold[0]}")
    return judged(found)


def judged(found: Mapping[str, Iterable[AclOperation]]) -> Rights:
    """Return the rights in the operations of each topic."""
    held = {name: frozenset(operations) for name, operations in found.items()}
    return Rights(
        tuple(f"{one.name} on {name}" for name, them in held.items() for one in _WRITING if one in them),
        tuple(
            f"{one.name} on {name}"
            for name, them in held.items()
            if AclOperation.ALL not in them
            for one in sorted(_NEEDED - them, key=lambda one: one.name)
        ),
    )
