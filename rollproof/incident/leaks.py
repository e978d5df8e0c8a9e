"""A command's last look at the record that it wrote: a secret in it is an error of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollproof.errors import ActionFailed, Problem
from rollproof.incident.incident import report_paths
from rollproof.redaction.redactor import Redactor


class SecretInRecord(ActionFailed):
    """The command's task is done, and its record holds a secret."""


@contextmanager
def without_leaks(folder: Path, redactor: Redactor) -> Iterator[None]:
    """Scan the record of the incident in `folder` after the body; add findings to the body's own problem.

    Raises:
        SecretInRecord: the body ended well, and a file holds a secret or cannot be read.
    """
    try:
        yield
    except Problem as problem:
        for wrong in redactor.wrong_in(report_paths(folder)):
            problem.add_note(wrong)
        raise
    found = redactor.wrong_in(report_paths(folder))
    if found:
        raised = SecretInRecord(
            what="record of the incident",
            expected="no secret in it",
            observed=f"{len(found)} findings",
            source=str(folder),
            hint="the command itself ended well; see to each of these:",
        )
        for wrong in found:
            raised.add_note(wrong)
        raise raised
