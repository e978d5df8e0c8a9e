"""That a scratch broker sends its clients to itself: what it advertises is where they write."""

from __future__ import annotations

from fixtures.engines.engine import ContainerEngine
from fixtures.errors import Mismatch
from fixtures.stores.profiles import AnyStore, KafkaProfile


def require_own_broker(name: str, profile: AnyStore, engine: ContainerEngine) -> None:
    """See that a Kafka of the scratch instance names no other broker than itself; other kinds name none.

    Raises:
        Mismatch: it would send what is restored elsewhere, such as to the target.
    """
    if not isinstance(profile, KafkaProfile):
        return
    from fixtures.stores.kafka import brokers  # noqa: PLC0415 - the driver is for those who have a Kafka

    endpoint = engine.resolve(profile.address)
    own = f"{endpoint.host}:{endpoint.port}"
    named = brokers(name, profile, endpoint)
    if set(named) != {own}:
        raise Mismatch(
            what=f"brokers that the scratch instance of {name} names",
            expected=f"itself alone, {own}",
            observed=", ".join(named) or "none",
            source="its metadata",
            hint="give it an address of its own to advertise, in a file of premigration.scratch.files",
        )
