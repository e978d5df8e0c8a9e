"""`/sse`: answers, as server-sent events."""

from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app import chat
from app.access import User, require_owner

router = APIRouter(prefix="/sse")


class ChatMessage(BaseModel):
    """Body of a question."""

    conversation_id: str
    parent_id: str = ""
    user_message: str = Field(min_length=1, max_length=8000)
    temp_db: str = ""


@router.post("/chat")
def ask(body: ChatMessage, user: User) -> StreamingResponse:
    """Answer a question. The status is 200 before anything is known; an error breaks the stream."""
    require_owner(user, body.conversation_id)
    if body.temp_db:
        require_owner(user, body.temp_db)
    return _stream(chat.answer(chat.Question(**body.model_dump())))


def _stream(events: Iterator[str]) -> StreamingResponse:
    # The proxy in front must hand on each event as it comes.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
