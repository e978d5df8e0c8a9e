"""`/base`: knowledge bases and the files in them."""

import math
import re
import uuid
from typing import Any

from fastapi import APIRouter, UploadFile
from pydantic import BaseModel, Field

from app import accounts, jobs, library, objects, vectors
from app.access import Refusal, User, require_owner
from app.identity import new_id, object_key
from app.jobs import Job

router = APIRouter(prefix="/base")


class NewKnowledgeBase(BaseModel):
    """Body that creates a knowledge base."""

    username: str
    knowledge_base_name: str = Field(min_length=1, max_length=200)


class FileQuery(BaseModel):
    """Body that asks for a page of a knowledge base's files."""

    keyword: str = ""
    page: int = Field(default=1, ge=1)
    page_size: int = Field(default=10, ge=1, le=100)


@router.get("/users/{username}/knowledge_bases")
def list_knowledge_bases(username: str, user: User) -> list[dict[str, Any]]:
    """List a user's knowledge bases."""
    require_owner(user, username)
    return [
        {
            "knowledge_base_id": base["knowledge_base_id"],
            "knowledge_base_name": base["knowledge_base_name"],
            "created_at": base["created_at"],
            "last_modify_at": base["last_modify_at"],
            "file_number": len(base["files"]),
        }
        for base in library.knowledge_bases(username)
    ]


@router.post("/knowledge_base")
def create_knowledge_base(body: NewKnowledgeBase, user: User) -> dict[str, str]:
    """Create an empty knowledge base."""
    require_owner(user, body.username)
    knowledge_base_id = new_id(user)
    library.create_knowledge_base(knowledge_base_id, user, body.knowledge_base_name)
    vectors.create_collection(knowledge_base_id)
    return {"status": "success"}


@router.delete("/knowledge_base/{knowledge_base_id}")
def delete_knowledge_base(knowledge_base_id: str, user: User) -> dict[str, str]:
    """Delete a knowledge base with everything that belongs to it."""
    _existing(knowledge_base_id, user)
    for document in library.delete_knowledge_base(knowledge_base_id):
        objects.remove(document["minio_filename"])
    accounts.forget_documents(knowledge_base_id)
    vectors.drop_collection(knowledge_base_id)
    return {"status": "success"}


@router.post("/upload/{knowledge_base_id}")
def upload(knowledge_base_id: str, files: list[UploadFile], user: User) -> dict[str, Any]:
    """Store originals and queue a job for each."""
    _existing(knowledge_base_id, user)
    task_id = new_id(user)
    queued: list[Job] = []
    for file in files:
        name = file.filename or "unnamed.txt"
        key = object_key(user, name, uuid.uuid4().hex[:24])
        objects.put(key, file.file.read())
        queued.append(Job(task_id, user, knowledge_base_id, new_id(user), name, key))
    jobs.open_task(task_id, user, len(queued))
    jobs.send([(job.file_id.encode(), jobs.encode(job), -1) for job in queued])
    return {
        "task_id": task_id,
        "knowledge_db_id": knowledge_base_id,
        "files": [job.filename for job in queued],
    }


@router.post("/knowledge_bases/{knowledge_base_id}/files")
def list_files(knowledge_base_id: str, body: FileQuery, user: User) -> dict[str, Any]:
    """Return a page of a knowledge base's files, those whose name holds the keyword."""
    base = _existing(knowledge_base_id, user)
    pattern = re.compile(re.escape(body.keyword), re.IGNORECASE)
    found = [file for file in base["files"] if pattern.search(file["filename"])]
    start = (body.page - 1) * body.page_size
    return {
        "data": found[start : start + body.page_size],
        "total": len(found),
        "page": body.page,
        "page_size": body.page_size,
        "total_pages": math.ceil(len(found) / body.page_size),
    }


def _existing(knowledge_base_id: str, user: str) -> dict[str, Any]:
    require_owner(user, knowledge_base_id)
    base = library.knowledge_base(knowledge_base_id)
    if base is None:
        raise Refusal(404, "Knowledge base not found")
    return base
