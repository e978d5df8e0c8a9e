"""Live users of the first application, LAYRA: they chat, and upload."""

from __future__ import annotations

import json
import secrets
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

import httpx2

from rollproof.application.client import event_data
from staging.rehearsal.live_users import NAMES, UPLOADS, User, Write
from staging.target.operators import Operators

BASES = 4
"""The user who comes back makes a knowledge base with every so many visits: a collection more in Milvus."""


class WritePlace(StrEnum):
    """Where a write is held: a store, and a part of its collection's name."""

    USERS = "mysql/users"
    CONVERSATIONS = "mongodb/conversations"
    FILES = "mongodb/files"
    ORIGINALS = "minio/minio-file"


@dataclass(slots=True)
class LayraUser(User):
    """A user who chats; the one who comes back goes on with one conversation, and uploads."""

    API: ClassVar[str] = "/api/v1"
    base: str = ""
    conversation: str = ""
    awaited: str = ""
    """The mark of a file that was uploaded, and not seen in a list yet."""

    def visit(self) -> None:
        """Ask once."""
        self.sign_up()
        self.log_in()
        self.ask(self.begin())

    def settle(self) -> None:
        """Make a knowledge base, and begin the conversation."""
        self.sign_up()
        self.log_in()
        self.base, self.conversation = self.create_knowledge_base(), self.begin()
        self.ask(self.conversation)

    def come_back(self, times: int) -> None:
        """Go on with the conversation."""
        self.log_in()
        self.ask(self.conversation)
        if self.base not in self.knowledge_bases():
            # A rollback removes what was made after the backup.
            self.base, self.awaited = self.create_knowledge_base(), ""
        if self.awaited and self.lists(self.base, self.awaited):
            self.awaited = ""
        if not self.awaited and times % BASES == 0:
            self.base = self.create_knowledge_base()
        if times % UPLOADS == 0:
            self.awaited = self.upload(self.base)

    @staticmethod
    def held(place: str, operators: Operators) -> str:
        """Return all that a store holds of live users in `place`, as text."""
        records: Sequence[object]
        match place:
            case WritePlace.USERS:
                records = operators.sql("SELECT username FROM users WHERE username LIKE %s", (f"{NAMES}%",))
            case WritePlace.ORIGINALS:
                found = operators.s3.list_objects(place.partition("/")[2], prefix=NAMES, recursive=True)
                records = [one.object_name for one in found]
            case _:
                collection = operators.mongodb["mongodb"][place.partition("/")[2]]
                records = list(collection.find({"username": {"$regex": f"^{NAMES}"}}))
        return "\n".join(map(str, records))

    def sign_up(self) -> None:
        """Create the account."""
        body = {"username": self.name, "email": f"{self.name}@example.org", "password": self.password}
        with self.account.write(WritePlace.USERS, self.name):
            self.client.post("/auth/register", json=body).raise_for_status()

    def log_in(self) -> None:
        """Log in, for the requests that follow."""
        form = {"username": self.name, "password": self.password}
        answer = self.client.post("/auth/login", data=form).raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def begin(self) -> str:
        """Begin a conversation with the user's selected model; return its id."""
        settings = self.client.get(f"/config/{self.name}/selected").raise_for_status()
        conversation = f"{self.name}_{uuid.uuid4()}"
        body = {
            "conversation_id": conversation,
            "username": self.name,
            "conversation_name": "of a visit",
            "chat_model_config": {**settings.json()["select_model_config"], "base_used": []},
        }
        with self.account.write(WritePlace.CONVERSATIONS, conversation):
            self.client.post("/chat/conversations", json=body).raise_for_status()
        return conversation

    def ask(self, conversation: str) -> None:
        """Ask a question, and read the answer to its end.

        Raises:
            httpx2.HTTPError: it was refused, or its stream broke off.
        """
        mark = secrets.token_hex(8)
        body = {"conversation_id": conversation, "user_message": f"What do the otters wear in {mark}?"}
        with self.account.write(WritePlace.CONVERSATIONS, mark):
            answer = self.client.post("/sse/chat", json=body).raise_for_status()
            kinds = [json.loads(data)["type"] for data in event_data([answer.content])]
            if kinds[:1] != ["file_used"] or kinds[-1:] != ["token"]:
                raise httpx2.RemoteProtocolError(f"events {Counter(kinds)}")

    def create_knowledge_base(self) -> str:
        """Create a knowledge base; return its id."""
        body = {"username": self.name, "knowledge_base_name": "Otters"}
        self.client.post("/base/knowledge_base", json=body).raise_for_status()
        return self.knowledge_bases()[-1]

    def knowledge_bases(self) -> list[str]:
        """Return the ids of the user's knowledge bases, the newest last."""
        bases = self.client.get(f"/base/users/{self.name}/knowledge_bases").raise_for_status().json()
        return [str(base["knowledge_base_id"]) for base in sorted(bases, key=lambda base: base["created_at"])]

    def upload(self, base: str) -> str:
        """Upload a small text to the knowledge base; return the name of the file, without its suffix."""
        mark = f"note{secrets.token_hex(8)}"
        text = f"Note {mark}. Otters wear a coat of two layers, which keeps the water out.\n"
        with self.account.write(WritePlace.ORIGINALS, mark):
            files = {"files": (f"{mark}.txt", text.encode(), "text/plain")}
            self.client.post(f"/base/upload/{base}", files=files).raise_for_status()
        return mark

    def lists(self, base: str, mark: str) -> bool:
        """Search the knowledge base for a file; whoever sees it there relies on it."""
        body = {"keyword": mark, "page": 1, "page_size": 10}
        answer = self.client.post(f"/base/knowledge_bases/{base}/files", json=body).raise_for_status()
        found = bool(answer.json()["total"])
        self.account.acknowledged += [Write(WritePlace.FILES, mark)] * found
        return found
