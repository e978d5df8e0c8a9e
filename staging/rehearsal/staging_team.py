"""The team of the staging target: a channel that accepts messages, and a change document.

The channel stands in for a chat server: it accepts Apprise's posts, of notices and of alerts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from rollproof.errors import Problem, UsageProblem, reason_of
from rollproof.system.command import Deadline
from rollproof.team.contact_record import Alert

_DOCUMENT = """# Migration {commit}

## Expected changes

Records of every store are consolidated: duplicate documents are joined, old columns and keys are dropped, and
vectors are written again under the new names.

## Impact

No request is answered for about a minute. Searches are slower for a while after it.

## Rollback plan

`rollproof rollback emergency {known_good}`, then `pytest -m verification`.
"""


class TeamChannel(ThreadingHTTPServer):
    """The channel at a port of this machine; `titles` has the title of each message, as they come."""

    def __init__(self, port: int) -> None:
        """Listen at `port`.

        Raises:
            OSError: it is taken.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.titles: Queue[str] = Queue()

    def wait_for(self, alert: Alert, seconds: float) -> str:
        """Return the title of the next message of that kind; skip others.

        Raises:
            Problem: none comes within `seconds`.
        """
        limit = Deadline(seconds)
        while not limit.passed:
            with suppress(Empty):
                title = self.titles.get(timeout=1.0)
                if title.startswith(alert.upper()):
                    return title
        raise Problem(
            what=f"{alert} alert",
            expected=f"a message within {seconds:g} s",
            observed="none",
            source="the channel of the staging team",
            hint="read what the command above says of its channels",
        )


class _Handler(BaseHTTPRequestHandler):
    server: TeamChannel

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.server.titles.put(str(message.get("title")))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def team_channel(port: int) -> Iterator[TeamChannel]:
    """Accept messages of the team's channel at `port` during the block.

    Raises:
        UsageProblem: the channel's port is taken.
    """
    try:
        server = TeamChannel(port)
    except OSError as error:
        raise UsageProblem(
            what="channel of the staging team",
            expected=f"port {port} of 127.0.0.1 to be free",
            observed=reason_of(error),
            source="bind",
            hint="another rehearsal may be running: wait for its end",
        ) from None
    with server:
        thread = Thread(target=server.serve_forever, name="team-channel")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def write_change_document(path: Path, commit: str, known_good: str) -> None:
    """Write the change document that announces the migration to `commit`."""
    path.write_text(_DOCUMENT.format(commit=commit, known_good=known_good[:12]), encoding="utf-8")
