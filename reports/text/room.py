"""Limits an incident's evidence: a record too large to send to a colleague helps nobody."""

from __future__ import annotations

from pathlib import Path

CHECK_BYTES = 256_000
# The page has 4 MB without evidence, and holds each byte again, encoded as 4/3 bytes.
INCIDENT_BYTES = 1_500_000
TRACE_CHARACTERS = 16_000
_LEFT_OUT = "left out: this is {size} bytes, and {whose} evidence has {left} left of its room"


class Room:
    """Cuts attachments to the room left for the check and the incident, with a note in the attachment."""

    def __init__(self, results: Path, workers: int) -> None:
        """Count the attachments in the folder `results`; each of `workers` has its share of the rest."""
        used = sum(path.stat().st_size for path in results.glob("*-attachment*") if path.is_file())
        self._of_incident = max(INCIDENT_BYTES - used, 0) // workers
        self._of_check = CHECK_BYTES

    def next_check(self) -> None:
        """Give the next check its full room."""
        self._of_check = CHECK_BYTES

    def fit(self, body: bytes, *, text: bool) -> bytes:
        """Return `body`, a text's part that has room, or a note that it was left out."""
        left = min(self._of_check, self._of_incident)
        if len(body) <= left:
            kept = body
        elif text and left:
            start = body[:left].decode(errors="ignore").encode()
            kept = start + f"\n[cut: the first {len(start)} of {len(body)} bytes]\n".encode()
        else:
            whose = "the check's" if self._of_check <= self._of_incident else "the incident's"
            kept = _LEFT_OUT.format(size=len(body), whose=whose, left=left).encode()
        self._of_check = max(self._of_check - len(kept), 0)
        self._of_incident = max(self._of_incident - len(kept), 0)
        return kept


def cut_to(text: str, most: int) -> str:
    """Return `text`, or its first `most` characters and a note of its length."""
    return text if len(text) <= most else f"{text[:most]}… [the first {most} of {len(text)} characters]"
