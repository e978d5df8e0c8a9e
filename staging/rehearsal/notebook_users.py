"""Live users of the application `notebook`: they write notes, ask for them, and upload."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import ClassVar

import httpx2

from staging.processes import LOOK, run
from staging.rehearsal.live_users import NAMES, UPLOADS, User, Write
from staging.target.operators import SECONDS, Operators

_FOLDER = "/var/lib/notebook"
# Where writes are held, each with the question that shows them.
ACCOUNTS, NOTES, ATTACHMENTS = "postgresql/accounts", "postgresql/notes", "postgresql/attachments"
FILES = "files/notebook"
_STATEMENTS = {
    ACCOUNTS: "SELECT name FROM public.accounts",
    NOTES: "SELECT title FROM public.notes",
    ATTACHMENTS: "SELECT name FROM public.attachments",
}


@dataclass(slots=True)
class NotebookUser(User):
    """A user who writes a note and asks for it; the one who comes back uploads, and searches."""

    API: ClassVar[str] = "/api"
    notebook: str = ""
    awaited: str = ""
    """The name of a file that was uploaded, and not found yet."""

    def visit(self) -> None:
        """Write one note."""
        self.settle()

    def settle(self) -> None:
        """Make a notebook, with a note."""
        with self.account.write(ACCOUNTS, self.name):
            self._post("/accounts", name=self.name, password=self.password)
        self._log_in()
        self.notebook = f"/notebooks/{self._post('/notebooks', title='Otters')['id']}"
        self._write()

    def come_back(self, times: int) -> None:
        """Write another note."""
        self._log_in()
        self._write()
        if self.awaited:
            found = self.client.get(
                f"{self.notebook}/files", params={"word": self.awaited}
            ).raise_for_status()
            if found.json():
                self.account.acknowledged.append(Write(NOTES, self.awaited))
                self.awaited = ""
        if times % UPLOADS == 0:
            self.awaited = self._upload()

    @staticmethod
    def held(place: str, operators: Operators) -> str:
        """Return all that a store holds of live users in `place`, as text."""
        if place == FILES:
            (api,) = operators.engine.containers()["api"]
            return run([*api.docker, "exec", api.id, "find", _FOLDER], seconds=SECONDS, hint=LOOK)
        return "\n".join(name for (name,) in operators.postgresql(_STATEMENTS[place]))

    def _log_in(self) -> None:
        token = self._post("/sessions", name=self.name, password=self.password)["token"]
        self.client.headers["Authorization"] = f"Bearer {token}"

    def _write(self) -> None:
        """Write a note, and ask for it."""
        mark = f"{NAMES}{secrets.token_hex(6)}"
        with self.account.write(NOTES, mark):
            self._post(f"{self.notebook}/notes", title=mark, body=f"In {mark} otters wear two coats.")
        answer = self._post(f"{self.notebook}/questions", question=f"What do the otters wear in {mark}?")
        if not answer["sources"]:
            raise httpx2.RemoteProtocolError("an answer without a note")

    def _upload(self) -> str:
        """Upload a small text; return its name, which is also its word."""
        mark = f"{NAMES}{secrets.token_hex(6)}"
        with self.account.write(ATTACHMENTS, mark):
            file = {"file": (mark, f"Otters wear a coat of two layers: {mark}.".encode(), "text/plain")}
            answer = self.client.post(f"{self.notebook}/attachments", files=file).raise_for_status()
        self.account.acknowledged.append(Write(FILES, answer.json()["id"]))
        return mark

    def _post(self, path: str, **body: str) -> dict[str, str]:
        return dict(self.client.post(path, json=body).raise_for_status().json())
