"""Questions and answers: find the nearest files and chunks, answer with the best sentences, keep the turn."""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app import library, vectors
from app.chunking import sentences
from app.embedding import Vectors, embed
from app.identity import owner_of
from app.vectors import ChunkHit

_CHUNKS, _FILES, _SOURCES, _SENTENCES = 10, 5, 3, 3
_FILE_WEIGHT = 0.25
_WORTH = 0.5
"""Passages and sentences are used above this fraction of the best one's score."""
NO_ANSWER = "No document of the selected knowledge bases speaks of this."


@dataclass(frozen=True)
class Question:
    """A user's message in a conversation; `temp_db` names one more knowledge base, or is empty."""

    conversation_id: str
    parent_id: str
    user_message: str
    temp_db: str = ""


@dataclass(frozen=True)
class Source:
    """A chunk that the answer may use, with the library's facts about its file."""

    hit: ChunkHit
    score: float
    knowledge_base_id: str
    filename: str
    url: str


def answer(question: Question) -> Iterator[str]:
    """Yield the events of an answer as server-sent events, then append the turn to the conversation.

    Raises:
        LookupError: There is no such conversation. Like every error, it breaks a stream that has begun.
    """
    conversation = library.conversation(question.conversation_id)
    if conversation is None:
        raise LookupError(question.conversation_id)
    message_id = str(uuid.uuid4())
    sources = retrieve(question, _knowledge_bases(question, conversation))
    used = [
        {
            "knowledge_db_id": source.knowledge_base_id,
            "file_id": source.hit.chunk.file_id,
            "file_name": source.filename,
            "page_number": source.hit.chunk.page_number,
            "image_url": source.url,
            "file_url": source.url,
            "score": round(source.score, 6),
        }
        for source in sources
    ]
    yield _event(message_id, "file_used", used)
    yield _event(message_id, "thinking", f"{len(sources)} passages found.")
    text = compose(question.user_message, sources)
    for piece in text.split(" "):
        yield _event(message_id, "text", piece + " ")
    counts = {"prompt_tokens": len(question.user_message.split()), "completion_tokens": len(text.split())}
    counts["total_token"] = sum(counts.values())
    yield _event(message_id, "token", counts)
    turn = {
        "message_id": message_id,
        "parent_message": question.parent_id,
        "user_message": {"role": "user", "content": question.user_message},
        "ai_message": {"role": "assistant", "content": text},
        "temp_db": question.temp_db,
        "file_used": used,
        "status": "completed",
        "timestamp": int(time.time()),
        **counts,
    }
    library.append_turn(question.conversation_id, turn)


def retrieve(question: Question, knowledge_base_ids: list[str]) -> list[Source]:
    """Return the best chunks for a question: Milvus's hits, raised if Qdrant finds the file too.

    A hit on a page that the library does not know is a deleted file's leftover: that file's vectors are
    dropped.
    """
    (vector,) = embed([question.user_message])
    sources: list[Source] = []
    for knowledge_base_id in knowledge_base_ids:
        files = vectors.search_files(knowledge_base_id, vector, _FILES)
        for hit in vectors.search_chunks(knowledge_base_id, vector, _CHUNKS):
            page = library.page_of_file(hit.chunk.file_id, hit.chunk.image_id)
            if page is None:
                vectors.delete_file(knowledge_base_id, hit.chunk.file_id)
                continue
            score = hit.score + _FILE_WEIGHT * files.get(hit.chunk.file_id, 0.0)
            sources.append(Source(hit, score, knowledge_base_id, page["filename"], page["minio_url"]))
    best = max((source.score for source in sources), default=0.0)
    used = [source for source in sources if source.score > best * _WORTH]
    return sorted(used, key=lambda source: -source.score)[:_SOURCES]


def compose(question: str, sources: list[Source]) -> str:
    """Return the best chunk's sentences that are nearest to the question, in their own order."""
    if not sources:
        return NO_ANSWER
    candidates = sentences(sources[0].hit.chunk.text)
    (wanted,) = embed([question])
    scores: Vectors = embed(candidates) @ wanted
    ranked = [int(index) for index in np.argsort(-scores, kind="stable")[:_SENTENCES]]
    used = sorted(index for index in ranked if scores[index] > scores[ranked[0]] * _WORTH)
    return " ".join(candidates[index] for index in used) or sources[0].hit.chunk.text


def _knowledge_bases(question: Question, conversation: dict[str, Any]) -> list[str]:
    selected = [base["baseId"] for base in conversation["model_config"].get("base_used", [])]
    wanted = list(dict.fromkeys([*selected, *([question.temp_db] if question.temp_db else [])]))
    return [base for base in wanted if owner_of(base) == conversation["username"]]


def _event(message_id: str, kind: str, data: Any) -> str:  # noqa: ANN401 -- an event's data is JSON of any shape
    body = data if isinstance(data, dict) else {"data": data}
    return f"data: {json.dumps({'type': kind, **body, 'message_id': message_id})}\n\n"
