"""The last scan of the record that a command wrote: a secret in it is an error of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rollproof.errors import ActionFailed, Mismatch, Problem
from rollproof.incident.incident import report_paths
from rollproof.redaction.redactor import Redactor


class SecretInRecord(ActionFailed):
    """The command's task is done, and its record holds a secret."""


@contextmanager
def without_leaks(folder: Path, redactor: Redactor, say: Callable[[str], None]) -> Iterator[None]:
    """Scan the record of the incident in `folder` after the body, however it ends.

    Findings are notes of the body's own error. `say` shows them if it is no `Problem` or `Mismatch`: after an
    interruption nobody reads the notes.

    Raises:
        SecretInRecord: the body ended well, and a file holds a secret or cannot be read.
    """
    try:
        yield
    except BaseException as error:
        for wrong in redactor.wrong_in(report_paths(folder)):
            error.add_note(wrong)
            if not isinstance(error, Problem | Mismatch):
                say(wrong)
        raise
    found = redactor.wrong_in(report_paths(folder))
    if found:
        raised = SecretInRecord(
            what="record of the incident",
            expected="no secret in it",
            observed=f"{len(found)} findings",
            source=str(folder),
            hint="the command itself ended well; correct each of these:",
        )
        for wrong in found:
            raised.add_note(wrong)
        raise raised
