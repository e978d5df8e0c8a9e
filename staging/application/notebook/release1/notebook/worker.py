"""The worker: makes a note, and words to search for, of each uploaded file. `python -m notebook.worker`."""

import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

from psycopg import OperationalError
from redis import RedisError, ResponseError

from notebook.embedding import embed
from notebook.stores import JOBS, postgresql, read_file, valkey, words

HEARTBEAT = Path("/tmp/worker.alive")  # noqa: S108 -- the container's own tmpfs
_GROUP, _NAME = "workers", "worker"
_WAIT = 1000
"""Milliseconds."""

_log = logging.getLogger("notebook.worker")


def run() -> None:
    """Take in one file after the other, first those that an earlier run has left, until a signal ends it."""
    signal.signal(signal.SIGTERM, _end)
    try:
        valkey().xgroup_create(JOBS, _GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise
    position = "0"
    while True:
        HEARTBEAT.touch()
        try:
            answer: Any = valkey().xreadgroup(_GROUP, _NAME, {JOBS: position}, count=1, block=_WAIT)
            entries = [entry for _, found in answer for entry in found]
            for id_, job in entries:
                take_in(job["attachment"])
                valkey().xack(JOBS, _GROUP, id_)
        except (RedisError, OperationalError, OSError) as error:
            _log.warning("%r", error)
            time.sleep(1)
            continue
        if not entries:
            position = ">"


def take_in(attachment: str) -> None:
    """Make a note of a file that is still queued, in one transaction; then its words."""
    queued = "SELECT notebook_id, name FROM attachments WHERE id = %s AND progress = 'queued' FOR UPDATE"
    made = (
        "INSERT INTO notes (notebook_id, attachment_id, title, body, embedding) VALUES (%s, %s, %s, %s, %s)"
    )
    with postgresql() as connection:
        found = connection.execute(queued, (attachment,)).fetchone()
        if found is None:
            return
        notebook, name = found
        text = read_file(attachment)
        connection.execute(made, (notebook, attachment, name, text, embed(f"{name} {text}")))
        connection.execute("UPDATE attachments SET progress = 'taken in' WHERE id = %s", (attachment,))
        with words() as index:
            index.execute("INSERT INTO words VALUES (?, ?, ?)", (text, attachment, notebook))
    _log.info("%s: %s", attachment, name)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run()
