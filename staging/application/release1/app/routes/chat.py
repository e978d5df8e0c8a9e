"""`/chat`: conversations."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app import library
from app.access import Refusal, User, require_owner
from app.routes.config import ModelSettings

router = APIRouter(prefix="/chat")


class NewConversation(BaseModel):
    """Body that creates a conversation; its id is made by the client: user, `_`, UUID."""

    conversation_id: str
    username: str
    conversation_name: str = Field(max_length=200)
    chat_model_config: ModelSettings


@router.post("/conversations")
def create_conversation(body: NewConversation, user: User) -> dict[str, str]:
    """Create a conversation; the answer is the same when there is one of that id."""
    require_owner(user, body.username)
    require_owner(user, body.conversation_id)
    settings = body.chat_model_config.model_dump()
    library.create_conversation(body.conversation_id, body.username, body.conversation_name, settings)
    return {"status": "success"}


@router.get("/conversations/{conversation_id}")
def get_conversation(conversation_id: str, user: User) -> dict[str, Any]:
    """Return a conversation with its turns."""
    require_owner(user, conversation_id)
    found = library.conversation(conversation_id)
    if found is None:
        raise Refusal(404, "Conversation not found")
    found.pop("_id")
    found["chat_model_config"] = found.pop("model_config")
    return found


@router.delete("/conversations/{conversation_id}")
def delete_conversation(conversation_id: str, user: User) -> dict[str, str]:
    """Delete a conversation with its turns."""
    require_owner(user, conversation_id)
    if not library.delete_conversation(conversation_id):
        raise Refusal(404, "Conversation not found")
    return {"status": "success"}


@router.get("/users/{username}/conversations")
def list_conversations(username: str, user: User) -> list[dict[str, Any]]:
    """List a user's conversations without their turns."""
    require_owner(user, username)
    return [
        {key: found[key] for key in ("conversation_id", "conversation_name", "created_at", "last_modify_at")}
        for found in library.conversations(username)
    ]
