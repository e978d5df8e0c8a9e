"""Limits an incident's evidence: a record too large to send to a colleague helps nobody."""

from __future__ import annotations

EVIDENCE_BYTES = 64_000
"""The most bytes of one attachment."""
TRACE_CHARACTERS = 16_000


def cut_evidence(body: bytes, *, text: bool) -> bytes:
    """Return `body`; of a longer text its first part, and of other longer bytes a note."""
    if len(body) <= EVIDENCE_BYTES:
        return body
    if not text:
        return f"left out: {len(body)} bytes, and {EVIDENCE_BYTES} are kept of an attachment".encode()
    start = body[:EVIDENCE_BYTES].decode(errors="ignore").encode()
    return start + f"\n[cut: the first {len(start)} of {len(body)} bytes]\n".encode()


def cut_to(text: str, most: int) -> str:
    """Return `text`, or its first `most` characters and a note of its length."""
    return text if len(text) <= most else f"{text[:most]}… [the first {most} of {len(text)} characters]"
