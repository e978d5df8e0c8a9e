"""The team of the staging target: a channel that accepts messages, and a change document.

The channel stands in for a chat server: it accepts Apprise's posts, and shows them to nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from rollproof.errors import UsageProblem, reason_of

_DOCUMENT = """# Migration {commit}

## Expected changes

Records of every store are consolidated: duplicate documents are joined, old columns and keys are dropped, and
vectors are written again under the new names.

## Impact

No request is answered for about a minute. Searches are slower for a while after it.

## Rollback plan

`rollproof rollback emergency {known_good}`, then `pytest -m verification`.
"""


class _Channel(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def team_channel(port: int) -> Iterator[None]:
    """Accept messages of the team's channel at `port` during the block.

    Raises:
        UsageProblem: the channel's port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Channel)
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
            yield
        finally:
            server.shutdown()
            thread.join()


def write_change_document(path: Path, commit: str, known_good: str) -> None:
    """Write the change document that announces the migration to `commit`."""
    path.write_text(_DOCUMENT.format(commit=commit, known_good=known_good[:12]), encoding="utf-8")
