"""Names and ids: their owners, and their forms in each store."""

import re
import uuid
from pathlib import PurePath

_USERNAME = re.compile(r"[A-Za-z0-9]+")


def is_username(name: str) -> bool:
    """Return True if ids can be built from this name: `-`, `_` and spaces have a meaning inside ids."""
    return _USERNAME.fullmatch(name) is not None


def owner_of(identifier: str) -> str:
    """Return an id's user: the text before its first `_`."""
    return identifier.split("_", 1)[0]


def new_id(username: str) -> str:
    """Return a fresh id that belongs to this user."""
    return f"{username}_{uuid.uuid4()}"


def stable_id(username: str, *parts: object) -> str:
    """Return the same id for the same user and parts, on any machine, at any time."""
    return f"{username}_{stable_uuid(username, *parts)}"


def stable_uuid(*parts: object) -> uuid.UUID:
    """Return the same UUID for the same parts."""
    return uuid.uuid5(uuid.NAMESPACE_URL, "/".join(str(part) for part in parts))


def vector_collection(knowledge_base_id: str) -> str:
    """Return the Milvus collection of a knowledge base."""
    return "colqwen" + knowledge_base_id.replace("-", "_")


def object_key(username: str, filename: str, suffix: str) -> str:
    """Return the S3 key of an original: user, stem, 24 hexadecimal digits, extension."""
    path = PurePath(filename)
    return f"{username}_{path.stem}_{suffix}{path.suffix}"


def point_id(file_id: str) -> str:
    """Return the Qdrant point of a file: the UUID inside the file's id."""
    return file_id.split("_", 1)[1]
