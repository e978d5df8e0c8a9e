"""A shape: which application the stack runs, and whether it is deployed as its makers or strangers do."""

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

    NOTEBOOK = "notebook"
    """Another application: notes in PostgreSQL with pgvector, Valkey, files in a volume; alembic at start."""

    SWARM = "swarm"
    """The notebook as a stack on a swarm of two nodes."""

    @property
    def is_notebook(self) -> bool:
        """Whether the application is the notebook."""
        return self in {Shape.NOTEBOOK, Shape.SWARM}

    @property
    def built_as(self) -> Shape:
        """The shape by whose compose files the images are built."""
        return Shape.NOTEBOOK if self is Shape.SWARM else self

    @property
    def profile(self) -> Path:
        """The profile of the first slot's target, in the checkout; the swarm's is made from it."""
        return Path("staging/profiles") / ("staging.toml" if self is Shape.USUAL else f"{self.built_as}.toml")

    @property
    def stores(self) -> tuple[str, ...]:
        """The compose services of the stores."""
        if self.is_notebook:
            return "postgresql", "redis"
        return (*_STORES, "kafka-host") if self is Shape.USUAL else _STORES

    @property
    def built(self) -> tuple[str, ...]:
        """The compose services that the application's images are built for."""
        if self.is_notebook:
            return "api", "nginx"
        return ("backend", "frontend", "nginx", *(["sandbox"] if self is Shape.STRANGER else []))

    @property
    def application(self) -> tuple[str, ...]:
        """The compose services of the application, except for those that end."""
        return ("api", "worker", "nginx") if self.is_notebook else ("backend", "worker", "frontend", "nginx")

    @property
    def dispensable(self) -> str:
        """The compose service without which the application still serves what the monitor asks."""
        return "worker" if self.is_notebook else "frontend"

    def store_files(self, staging: Path) -> list[Path]:
        """The compose files of the stores in the folder `staging`, in the order of merging."""
        if self is Shape.SWARM:
            return [staging / "stack.yaml"]
        own = [] if self is Shape.USUAL else [staging / f"compose.{self}.yaml"]
        return own if self is Shape.NOTEBOOK else [staging / "compose.yaml", *own]

    def application_files(self, application: Path) -> list[Path]:
        """The compose files of the application in its work tree, in the order of merging."""
        if self is Shape.SWARM:
            return [application / "stack.yaml"]
        own = [application / f"compose.{self}.yaml"] if self is Shape.STRANGER else []
        return [application / "compose.yaml", *own]
