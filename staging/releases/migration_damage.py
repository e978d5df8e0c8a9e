"""The damage of release 2's migration, store by store, which a rollback has to undo.

The migration is `staging/application/release2/app/migrations/consolidation.py`. It reports success, and the
health endpoint says UP before, during and after it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage; `count_changes` is True if counting records would show it."""

    store: str
    collection: str
    wrong: str
    count_changes: bool


KNOWN_DAMAGE = (
    Damage("mysql", "users", "hashed_password is password_digest; every hash is cut to 50 characters", False),
    Damage("mysql", "users", "a column locale was added", False),
    Damage(
        "mysql",
        "documents",
        "of files that share the last part of their name, all but the newest are gone",
        True,
    ),
    Damage("mysql", "alembic_version", "at revision 9b7d20e4c6a1, which release 1 does not know", False),
    Damage("mongodb", "files", "the field images is called pages in every document", False),
    Damage("mongodb", "model_config", "the unique index on username is gone", False),
    Damage(
        "mongodb", "model_config", "one user's settings are there twice: release 1 then does not start", True
    ),
    Damage("mongodb", "conversations", "all are deleted: seconds were compared with milliseconds", True),
    Damage("minio", "Text", "its originals lie under other keys; the old keys have delete markers", False),
    Damage("minio", "Quality", "20 originals are overwritten with nothing", False),
    Damage("milvus", "Concurrency", "re-created with metric L2: a chat that searches it breaks", False),
    Damage("milvus", "Files", "re-created with its first 10 rows", True),
    Damage(
        "milvus", "Lighthouse handbook", "re-created with the features of each vector in reverse order", False
    ),
    Damage("qdrant", "files", "re-created with 10 points, all others are gone", True),
    Damage(
        "qdrant", "files", "distance Dot, not Cosine; payload field knowledge_base_id is called kb_id", False
    ),
    Damage("redis", "tokens", "all are gone: every session gets 404", True),
    Damage(
        "kafka", "task_generation", "re-created with 3 partitions: messages and group offsets are lost", True
    ),
    Damage("kafka", "task_generation", "25 messages that no worker can process", True),
)
"""`collection` names a table, collection, topic, or the knowledge base whose objects or vectors it is."""
