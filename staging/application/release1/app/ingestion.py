"""Turns an original into searchable chunks: one file at a time in the worker, in bulk in the seed."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import accounts, library, objects, vectors
from app.chunking import chunk
from app.embedding import Vectors, centroid, embed
from app.identity import stable_id, vector_collection
from app.jobs import Job
from app.vectors import Chunk


@dataclass(frozen=True)
class Ingested:
    """A file, ready for each store."""

    chunks: list[Chunk]
    embeddings: Vectors
    document: dict[str, Any]
    record: accounts.DocumentRecord


def prepare(job: Job, content: bytes, created_at: datetime, url: str) -> Ingested:
    """Cut and embed an original, and build its records.

    Raises:
        ValueError: The original is not text, or is empty.
    """
    texts = chunk(content.decode())
    if not texts:
        raise ValueError(f"{job.filename}: expected text, observed none")
    chunks = [
        Chunk(stable_id(job.username, job.file_id, number), job.file_id, number, text)
        for number, text in enumerate(texts, start=1)
    ]
    pages = [
        {
            "images_id": chunk.image_id,
            "minio_filename": job.minio_filename,
            "minio_url": url,
            "page_number": chunk.page_number,
        }
        for chunk in chunks
    ]
    document = {
        "file_id": job.file_id,
        "username": job.username,
        "knowledge_db_id": job.knowledge_db_id,
        "filename": job.filename,
        "minio_filename": job.minio_filename,
        "minio_url": url,
        library.PAGES: pages,
        "created_at": created_at,
        "last_modify_at": created_at,
        "is_delete": False,
    }
    record = accounts.DocumentRecord(
        job.file_id,
        job.username,
        job.knowledge_db_id,
        job.filename,
        len(content),
        hashlib.sha256(content).hexdigest(),
        created_at.replace(tzinfo=None),
    )
    return Ingested(chunks, embed(texts), document, record)


def ingest(job: Job) -> int:
    """Make a stored original searchable, and return its number of chunks.

    Vectors come first and the document that names them last, so that a hit always has its document.
    """
    content = objects.get(job.minio_filename)
    ready = prepare(job, content, datetime.now(UTC).replace(microsecond=0), objects.url(job.minio_filename))
    vectors.delete_file(job.knowledge_db_id, job.file_id)
    vectors.insert_chunks(vector_collection(job.knowledge_db_id), ready.chunks, ready.embeddings)
    point = vectors.file_point(job.file_id, job.knowledge_db_id, job.filename, centroid(ready.embeddings))
    vectors.insert_files([point])
    accounts.record_documents([ready.record])
    library.add_file(ready.document)
    return len(ready.chunks)
