"""The signs of a broker of Kafka's protocol in a compose project, and the statements for its accounts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rollproof.stores.kafka.descriptor import DESCRIPTOR, KafkaProfile
from rollproof.stores.kafka.relay import named_brokers
from rollproof.stores.reach import Reach
from rollproof.stores.recognising import Clues, Creation, Holder, Recognition, password

_ADVERTISED = ("KAFKA_ADVERTISED_LISTENERS", "KAFKA_CFG_ADVERTISED_LISTENERS", "ADVERTISED_LISTENER_URL")
_LISTENER = re.compile(r"[A-Za-z_]+://(?P<address>[^,\s]+:\d+)")


def _settings(_: Clues) -> dict[str, Any]:
    # Topics are patterns: all but the broker's own.
    # A log grows in use; nothing that was in it may be missing.
    return {"topics": ["*"], "policy": {"*": "grows"}}


def _guarded(clues: Clues) -> bool:
    protocols = clues.says("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP")
    return "SASL_" in protocols or bool(clues.says("KAFKA_SASL_ENABLED_MECHANISMS"))


def _advertised(clues: Clues) -> Sequence[str]:
    return tuple(found["address"] for found in _LISTENER.finditer(clues.says(*_ADVERTISED)))


def _greet(reach: Reach) -> str:
    """Return the addresses to which the broker sends its clients on."""
    try:
        named = named_brokers(reach)
    except (OSError, ValueError):
        return ""
    # A broker names itself at least.
    return f"Kafka, which sends its clients to {', '.join(f'{h}:{p}' for h, p in named)}" if named else ""


def _create(profile: KafkaProfile, holders: Mapping[str, Holder]) -> Creation:
    granted = DESCRIPTOR.grants(profile)
    return Creation(
        lines=[
            *(f'user_{holder.user}="{password(role)}"' for role, holder in holders.items()),
            *granted.reader,
            *granted.operator,
        ],
        fresh=(
            "These accounts log in by SASL/PLAIN, so the broker needs a listener that allows it. The lines "
            "user_… belong into its JAAS configuration, after those that are there. ACLs are in its own log."
        ),
    )


RECOGNITION = Recognition(
    name="kafka",
    images=("kafka", "cp-kafka", "cp-server", "redpanda", "tansu", "kafka-native", "warpstream_agent"),
    ports=(9092,),
    variables=("KAFKA_ADVERTISED_", "KAFKA_CFG_", "KAFKA_PROCESS_ROLES", "ADVERTISED_LISTENER_URL"),
    one_of_many=True,
    settings=_settings,
    guarded=_guarded,
    greet=_greet,
    holdings="rollproof.stores.kafka.inventory:holdings",
    advertised=_advertised,
    create=_create,
)
