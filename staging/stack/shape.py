"""A shape: how the stack is deployed, friendly to whoever verifies it or as strangers deploy theirs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

_STORES = ("mysql", "mongodb", "redis", "milvus", "qdrant", "minio", "kafka")


class Shape(StrEnum):
    """The shape of a stack: its compose files, its stores, its profile and its application's releases."""

    USUAL = "usual"
    """Labels on every image, a port for every store, accounts with the rights that each needs."""

    STRANGER = "stranger"
    """No label, no port, migrations that are generated at start, containers that are meant to end."""

    @property
    def profile(self) -> Path:
        """The profile of the first slot's target, in the checkout."""
        return Path("targets") / ("staging.toml" if self is Shape.USUAL else f"{self}.toml")

    @property
    def stores(self) -> tuple[str, ...]:
        """The compose services of the stores."""
        return (*_STORES, "kafka-host") if self is Shape.USUAL else _STORES

    def files(self, folder: Path) -> list[Path]:
        """The compose files in `folder`, in the order in which compose merges them."""
        own = [] if self is Shape.USUAL else [folder / f"compose.{self}.yaml"]
        return [folder / "compose.yaml", *own]
