"""Knowledge bases, files, conversations and model settings, in MongoDB."""

from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING

from app.connections import MongoDocument, mongodb

PAGES = "images"
"""The field of a file's document that lists its pages."""


def build_indexes() -> None:
    """Build the indexes that the application relies on; called when it starts.

    Raises:
        pymongo.errors.OperationFailure: Documents break a unique index, or an index of that name differs.
    """
    database = mongodb()
    unique = {
        "knowledge_bases": "knowledge_base_id",
        "files": "file_id",
        "conversations": "conversation_id",
        "model_config": "username",
    }
    for collection, field in unique.items():
        database[collection].create_index(field, unique=True)
    database["knowledge_bases"].create_index([("username", ASCENDING), ("last_modify_at", DESCENDING)])
    database["files"].create_index("knowledge_db_id")
    database["conversations"].create_index([("username", ASCENDING), ("last_modify_at", DESCENDING)])


def create_knowledge_base(knowledge_base_id: str, username: str, name: str) -> None:
    """Store an empty knowledge base."""
    now = datetime.now(UTC)
    mongodb()["knowledge_bases"].insert_one(
        {
            "knowledge_base_id": knowledge_base_id,
            "knowledge_base_name": name,
            "username": username,
            "files": [],
            "created_at": now,
            "last_modify_at": now,
            "is_delete": False,
        }
    )


def knowledge_base(knowledge_base_id: str) -> MongoDocument | None:
    """Return a knowledge base, or None."""
    return mongodb()["knowledge_bases"].find_one({"knowledge_base_id": knowledge_base_id, "is_delete": False})


def knowledge_bases(username: str) -> list[MongoDocument]:
    """Return a user's knowledge bases, the latest changed first."""
    found = mongodb()["knowledge_bases"].find({"username": username, "is_delete": False})
    return list(found.sort("last_modify_at", DESCENDING))


def delete_knowledge_base(knowledge_base_id: str) -> list[MongoDocument]:
    """Delete a knowledge base with its files' documents, and return these documents."""
    database = mongodb()
    files = list(database["files"].find({"knowledge_db_id": knowledge_base_id}))
    database["files"].delete_many({"knowledge_db_id": knowledge_base_id})
    database["knowledge_bases"].delete_one({"knowledge_base_id": knowledge_base_id})
    return files


def add_file(document: MongoDocument) -> None:
    """Store a file's document and list it in its knowledge base; doing it twice changes nothing."""
    database = mongodb()
    database["files"].replace_one({"file_id": document["file_id"]}, document, upsert=True)
    listed = {
        key: document[key] for key in ("file_id", "filename", "minio_filename", "minio_url", "created_at")
    }
    database["knowledge_bases"].update_one(
        {"knowledge_base_id": document["knowledge_db_id"], "files.file_id": {"$ne": document["file_id"]}},
        {"$push": {"files": listed}, "$set": {"last_modify_at": datetime.now(UTC)}},
    )


def page_of_file(file_id: str, image_id: str) -> MongoDocument | None:
    """Return the file's document with only this page in its list, or None if either is missing."""
    return mongodb()["files"].find_one(
        {"file_id": file_id, f"{PAGES}.images_id": image_id},
        {"file_id": 1, "filename": 1, "minio_url": 1, "knowledge_db_id": 1, f"{PAGES}.$": 1},
    )


def create_conversation(conversation_id: str, username: str, name: str, settings: dict[str, Any]) -> None:
    """Store a conversation without turns; an existing conversation stays unchanged."""
    now = datetime.now(UTC)
    mongodb()["conversations"].update_one(
        {"conversation_id": conversation_id},
        {
            "$setOnInsert": {
                "username": username,
                "conversation_name": name,
                "model_config": settings,
                "turns": [],
                "created_at": now,
                "last_modify_at": now,
                "is_delete": False,
            }
        },
        upsert=True,
    )


def conversation(conversation_id: str) -> MongoDocument | None:
    """Return a conversation with its turns, or None."""
    return mongodb()["conversations"].find_one({"conversation_id": conversation_id, "is_delete": False})


def conversations(username: str) -> list[MongoDocument]:
    """Return a user's conversations without their turns, the latest changed first."""
    found = mongodb()["conversations"].find({"username": username, "is_delete": False}, {"turns": 0})
    return list(found.sort("last_modify_at", DESCENDING))


def append_turn(conversation_id: str, turn: MongoDocument) -> None:
    """Append a turn to a conversation.

    Raises:
        LookupError: There is no such conversation.
    """
    changed = mongodb()["conversations"].update_one(
        {"conversation_id": conversation_id},
        {"$push": {"turns": turn}, "$set": {"last_modify_at": datetime.now(UTC)}},
    )
    if changed.matched_count != 1:
        raise LookupError(conversation_id)


def delete_conversation(conversation_id: str) -> bool:
    """Delete a conversation; return False if it did not exist."""
    return mongodb()["conversations"].delete_one({"conversation_id": conversation_id}).deleted_count == 1


def model_config(username: str) -> MongoDocument | None:
    """Return a user's model settings, or None."""
    return mongodb()["model_config"].find_one({"username": username})


def new_model_config(username: str, model: dict[str, Any]) -> MongoDocument:
    """Return the model settings of a user with one model, which is selected."""
    return {"username": username, "selected_model": model["model_id"], "models": [model]}


def save_model_config(document: MongoDocument) -> None:
    """Store a user's model settings."""
    mongodb()["model_config"].replace_one({"username": document["username"]}, document, upsert=True)
