"""A planned migration: its document, and the record of notifications and acknowledgements.

The record is kept in the hash-chained journal of the change: `rollback_actions.contacts.contacts` writes it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollproof.errors import Mismatch, Unverifiable, reason_of
from rollproof.incident.incident import change_folder
from rollproof.incident.journal import records_of, verify_journal
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.record_names import JOURNAL
from rollproof.system.clock import Moment

# After each attempt to notify a channel.
NOTIFIED = "notified"
ACKNOWLEDGED = "acknowledged"
# Maximum difference between the clocks of two machines.
CLOCKS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Notification:
    """The result of notifying one channel; `document` is the change document's SHA-256 at that time.

    `reason` says why it was not delivered.
    """

    sequence: int
    at: Moment
    channel: str
    delivered: bool
    document: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The statement that `name` knows of the migration and will be there; `user` on `host` recorded it."""

    sequence: int
    at: Moment
    name: str
    user: str
    host: str


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """The records of one migration in the journal `source`, in order."""

    source: Path
    notifications: Sequence[Notification] = ()
    acknowledgements: Sequence[Acknowledgement] = ()

    @property
    def latest(self) -> Notification | None:
        """The newest delivered notification."""
        return next((one for one in reversed(self.notifications) if one.delivered), None)

    def why_not_notified(self, channel: str, document: str) -> str:
        """Return why `channel` has not taken a message about the change document `document`, "" if it has."""
        ours = [one for one in self.notifications if one.channel == channel]
        delivered = [one for one in ours if one.delivered]
        if any(one.document == document for one in delivered):
            return ""
        if delivered:
            return "was notified before the change document was edited"
        return f"did not take it: {ours[-1].reason}" if ours else "was never tried as it is in the profile"

    def why_void(self, said: Acknowledgement, on_call: Sequence[str], seconds: float) -> str:
        """Return why an acknowledgement does not count, "" if it does: it is valid for `seconds`."""
        if on_call and said.name not in on_call:
            return "is by somebody who is not on call"
        if self.latest is None or said.sequence < self.latest.sequence:
            return "came before the team's latest notification"
        age = said.at.seconds_ago()
        if age < -CLOCKS_SECONDS:
            return f"is dated {-age / 60:.0f} min ahead of this clock: set both clocks"
        return f"is {age / 60:.0f} min old, not at most {seconds / 60:.0f}" if age > seconds else ""


def change_journal_path(target: Target, migration: str) -> Path:
    """Return the path of the journal of the migration to commit `migration`."""
    return change_folder(target.folders.incidents, target.name, migration) / JOURNAL


def read_change(target: Target, migration: str) -> ChangeRecord:
    """Return the record of the migration to commit `migration`.

    Records of another migration or target do not count, even if this journal holds them.
    """
    path = change_journal_path(target, migration)
    ours = [
        one
        for one in verify_journal(path)
        if (one.get("migration"), one.get("target")) == (migration, target.name)
    ]
    return ChangeRecord(
        source=path,
        notifications=records_of(Notification, NOTIFIED, ours),
        acknowledgements=records_of(Acknowledgement, ACKNOWLEDGED, ours),
    )


LEAST_CHARACTERS = 20
LEAST_DIGITS = 12
LARGEST_BYTES = 1024 * 1024
_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*)")
_FENCED = re.compile(r"(?ms)^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)")
_COMMENT = re.compile(r"(?s)<!--.*?(?:-->|\Z)")
_DRESSING = " \t*_`:#"  # characters that may surround a heading's words
# A line with this beginning is still to be written, whatever its rest.
_UNWRITTEN = re.compile(r"(?i)[\s>*+_`\[\]#-]*(?:to[ -]?do|tbd|tba|tbc|fixme|xxx+|n/a|to be \w+)\b")


@dataclass(frozen=True, slots=True)
class ChangeDocument:
    """The document at `path`, and the SHA-256 of its bytes."""

    path: Path
    text: str
    digest: str

    def names(self, commit: str) -> bool:
        """Return whether it names `commit`, by its full id or by at least `LEAST_DIGITS` of its digits."""
        found = re.findall(
            rf"(?i)(?<![0-9a-z])[0-9a-f]{{{LEAST_DIGITS},{len(commit)}}}(?![0-9a-z])", self.text
        )
        return any(commit.startswith(one.lower()) for one in found)

    def wrong_with(self, sections: Sequence[str]) -> list[str]:
        """Return the errors in `sections`, in words."""
        found = list(_sections(_COMMENT.sub("", self.text)))
        wrong = []
        for wanted in sections:
            texts = [_words(text) for heading, text in found if heading.casefold() == wanted.casefold()]
            said = max(texts, key=len, default="")
            if not texts:
                wrong.append(f"{wanted} is missing")
            elif len(said) < LEAST_CHARACTERS:
                wrong.append(f"{wanted} says no more than {said!r}" if said else f"{wanted} says nothing")
        return wrong


def read_document(target: Target) -> ChangeDocument:
    """Return the change document of `target`."""
    path, observed = target.premigration.team.document, "no file that the profile names"
    try:
        content = b"" if path is None else read_regular(path, LARGEST_BYTES)
        text = content.decode()
        observed = observed if path is None else "an empty file"
    except (FileNotFoundError, NotADirectoryError):
        text, observed = "", "no such file"
    except (OSError, UnicodeDecodeError) as error:
        raise Unverifiable(
            what="change document",
            expected="a file of UTF-8 text that can be read",
            observed=reason_of(error),
            source=str(path),
            hint="correct its permissions or its encoding",
        ) from None
    if path is None or not text.strip():
        raise Mismatch(
            what="change document",
            expected="what changes, what that may do, and how it is rolled back, in Markdown",
            observed=observed,
            source=str(path or "premigration.team.document in the profile"),
            hint="write it, and name it in the profile, before the team is notified",
        )
    return ChangeDocument(path, text, hashlib.sha256(content).hexdigest())


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading with the text below it, down to the next heading of its level or a higher one."""
    lines = _FENCED.sub(lambda code: code[0].replace("#", " "), text).splitlines()
    headings = [(number, found) for number, line in enumerate(lines) if (found := _HEADING.fullmatch(line))]
    for number, heading in headings:
        level = len(heading[1])
        ends = [other for other, one in headings if other > number and len(one[1]) <= level]
        below = lines[number + 1 : min(ends, default=len(lines))]
        yield heading[2].strip(_DRESSING), "\n".join(line for line in below if not _HEADING.fullmatch(line))


def _words(text: str) -> str:
    """Return the words of a text, without unwritten lines and lines of marks alone."""
    kept = (line for line in text.splitlines() if re.search(r"\w", line) and not _UNWRITTEN.match(line))
    return " ".join(" ".join(kept).split())
