"""`/sse`: answers and the progress of tasks, as server-sent events."""

import json
import time
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app import chat, jobs
from app.access import Refusal, User, require_owner

router = APIRouter(prefix="/sse")

_TASK_DEADLINE = 300.0
_BEAT = 0.25


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


@router.get("/task/{username}/{task_id}")
def follow(username: str, task_id: str, user: User) -> StreamingResponse:
    """Tell the progress of a task until it has ended, 5 minutes at most."""
    require_owner(user, username)
    require_owner(user, task_id)
    if not jobs.task(task_id):
        raise Refusal(404, "Task not found")
    return _stream(_progress(task_id))


def _progress(task_id: str) -> Iterator[str]:
    last: dict[str, str] = {}
    end = time.monotonic() + _TASK_DEADLINE
    while time.monotonic() < end:
        state = jobs.task(task_id)
        if state != last:
            last = state
            total, processed = int(state.get("total", 0)), int(state.get("processed", 0))
            event = {
                "event": "progress",
                "status": state.get("status", "expired"),
                "progress": round(100 * processed / total) if total else 0,
                "total": total,
                "processed": processed,
                "message": state.get("message", ""),
            }
            yield f"data: {json.dumps(event)}\n\n"
        if last.get("status") != "processing":
            return
        time.sleep(_BEAT)
    yield f"data: {json.dumps({'event': 'progress', 'status': 'timeout', 'message': 'Still processing'})}\n\n"


def _stream(events: Iterator[str]) -> StreamingResponse:
    # The proxy in front must hand on each event as it comes.
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)
