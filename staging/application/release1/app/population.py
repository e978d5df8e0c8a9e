"""The seed's users and records as plain data: the same for the same scale and corpus, on any machine."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from app import canary
from app.corpus import Document, pick
from app.identity import object_key, stable_id, stable_uuid
from app.jobs import Job

EPOCH = datetime(2025, 1, 6, 9, tzinfo=UTC)
"""Creation time of the first seeded file; each later file is one minute younger."""

USERS, FEWEST_USERS, FEWEST_FILES = 500, 20, 4


@dataclass(frozen=True)
class File:
    """A file to be seeded: its upload's job, its text and its time."""

    job: Job
    text: str
    created_at: datetime


@dataclass(frozen=True)
class KnowledgeBase:
    """A knowledge base to be seeded, with its files."""

    knowledge_base_id: str
    username: str
    name: str
    created_at: datetime
    files: list[File]


def usernames(scale: float) -> list[str]:
    """Return the seeded users' names, without the canary: 500 at scale 1, never fewer than 20."""
    return [f"user{number}" for number in range(max(FEWEST_USERS, round(USERS * scale)))]


def knowledge_bases(documents: list[Document], scale: float) -> Iterator[KnowledgeBase]:
    """Yield the canary's knowledge base, then one per topic; above scale 1, topics repeat for other users."""
    canary_files = [Document("canary", name, text) for name, text in canary.FILES.items()]
    yield _knowledge_base(canary.USERNAME, canary.KNOWLEDGE_BASE, canary.KNOWLEDGE_BASE_NAME, canary_files, 0)
    topics = [(name, list(group)) for name, group in groupby(documents, key=lambda document: document.topic)]
    users = usernames(scale)
    minute = len(canary_files)
    for copy in range(math.ceil(scale)):
        share = min(1.0, scale - copy)
        for index, (topic, available) in enumerate(topics):
            username = users[(copy * len(topics) + index) % len(users)]
            chosen = pick(available, max(FEWEST_FILES, round(len(available) * share)))
            base_id = stable_id(username, "knowledge base", topic, copy)
            yield _knowledge_base(username, base_id, topic.capitalize(), chosen, minute)
            minute += len(chosen)


def _knowledge_base(
    username: str, knowledge_base_id: str, name: str, documents: list[Document], minute: int
) -> KnowledgeBase:
    created_at = EPOCH + timedelta(minutes=minute)
    files = [
        _file(username, knowledge_base_id, document, created_at + timedelta(minutes=index))
        for index, document in enumerate(documents)
    ]
    return KnowledgeBase(knowledge_base_id, username, name, created_at, files)


def _file(username: str, knowledge_base_id: str, document: Document, created_at: datetime) -> File:
    file_id = stable_id(username, knowledge_base_id, document.filename)
    job = Job(
        task_id=stable_id(username, "task", file_id),
        username=username,
        knowledge_db_id=knowledge_base_id,
        file_id=file_id,
        filename=document.filename,
        minio_filename=object_key(username, document.filename, stable_uuid("object", file_id).hex[:24]),
    )
    return File(job, document.text, created_at)
