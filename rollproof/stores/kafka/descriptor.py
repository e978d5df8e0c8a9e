"""The profile and descriptor of brokers that speak Kafka's protocol."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollproof.profile.recognition import Recognition, Statements
from rollproof.profile.sections import Account, Address, StoreProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Means


class KafkaProfile(StoreProfile):
    """A broker that speaks Kafka's protocol."""

    kind: Literal["kafka"]
    address: Address
    topics: Annotated[tuple[str, ...], Field(min_length=1)]
    """Patterns of the target's topics."""
    groups: tuple[str, ...] = ()
    """Consumer groups whose positions are recorded and watched."""
    reader: Account | None = None
    operator: Account | None = None

    @property
    def consumers(self) -> tuple[str, ...]:
        """The groups whose lag is watched: the name that all stores give them."""
        return self.groups


def _retain(seconds: int) -> str:
    return f"kafka-configs --alter --entity-type topics --add-config retention.ms={seconds * 1000} …"


def _grants(profile: KafkaProfile) -> Grants:
    """State the access lists of a broker with an authorizer; without one, nobody needs any."""

    def lists(account: Account | None, on_topics: str, on_groups: str, on_cluster: str) -> tuple[str, ...]:
        if account is None:
            return ("# no account in the profile: the broker's listener must let everybody in",)
        add = f"kafka-acls --add --allow-principal User:{account.user}"
        return (
            "# All topics: one that an account may not describe is left out of every answer.",
            f"{add} --topic '*' {on_topics}",
            f"{add} --group '*' {on_groups}",
            f"{add} --cluster {on_cluster}",
        )

    read = "--operation Describe --operation DescribeConfigs --operation Read"
    write = "--operation All"
    return Grants(
        reader=lists(
            profile.reader,
            read,
            "--operation Describe --operation Read",
            "--operation Describe --operation DescribeConfigs",
        ),
        operator=lists(profile.operator, write, write, write),
    )


DESCRIPTOR = Descriptor(
    profile=KafkaProfile,
    least_risk="low",
    means=lambda _: Means.LOG,
    noun="topics",
    # A message's key here is its partition and offset.
    keys=(),
    names_addresses=True,
    reader="rollproof.stores.kafka.reader:KafkaReader",
    grants=_grants,
    recognition=Recognition(
        name="kafka",
        images=("kafka", "cp-kafka", "cp-server", "redpanda", "tansu", "kafka-native", "warpstream_agent"),
        ports=(9092,),
        variables=("KAFKA_ADVERTISED_", "KAFKA_CFG_", "KAFKA_PROCESS_ROLES", "ADVERTISED_LISTENER_URL"),
        several_are_one=True,
        advertised=(
            "KAFKA_ADVERTISED_LISTENERS",
            "KAFKA_CFG_ADVERTISED_LISTENERS",
            "ADVERTISED_LISTENER_URL",
        ),
        # A log grows in use; nothing that was in it may be missing.
        settings={"topics": ["*"], "policy": {"*": "grows"}},
        guards={
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "SASL_",
            "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP": "SASL_",
            "KAFKA_SASL_ENABLED_MECHANISMS": "",
        },
        statements=Statements(
            account='user_{user}="{password}"\n{grants}',
            fresh="These accounts log in by SASL/PLAIN, so the broker needs a listener that allows it. Add "
            "the lines user_… to its JAAS configuration, after those there. ACLs are kept in the broker's "
            "own log, which a fresh broker does not have.",
        ),
    ),
    keeper="rollproof.stores.kafka.keeper:KafkaKeeper",
    retain=_retain,
)
