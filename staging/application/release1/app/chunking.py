"""Cuts texts into overlapping windows of words."""

import re

WINDOW = 40
STRIDE = 25


def chunk(text: str) -> list[str]:
    """Cut a text into windows of 40 words that overlap by 15; white space inside a chunk is one space."""
    words = text.split()
    starts = range(0, max(1, len(words) - (WINDOW - STRIDE)), STRIDE)
    return [" ".join(words[start : start + WINDOW]) for start in starts] if words else []


def sentences(text: str) -> list[str]:
    """Split a chunk where a sentence ends; its first and last sentence may be cut by the window."""
    return [part for part in re.split(r"(?<=[.!?])\s+", text) if part]
