"""Evidence has a bound, and says what was cut."""

from __future__ import annotations

from reports.text.cut import EVIDENCE_BYTES, cut_evidence, cut_to


def test_what_fits_is_left_as_it_is() -> None:
    assert cut_evidence(b"\xff log", text=False) == b"\xff log"


def test_a_text_is_cut_between_characters_and_says_so() -> None:
    body = "ü".encode() * EVIDENCE_BYTES
    kept = cut_evidence(b"x" + body, text=True).decode()
    start, note = kept.split("\n", 1)
    assert start == "x" + "ü" * (len(start) - 1)
    assert EVIDENCE_BYTES - 2 <= len(start.encode()) <= EVIDENCE_BYTES
    assert note == f"[cut: the first {len(start.encode())} of {len(body) + 1} bytes]\n"


def test_what_is_not_text_is_left_out_whole() -> None:
    kept = cut_evidence(b"\x89" * (EVIDENCE_BYTES + 1), text=False)
    assert kept == b"left out: 64001 bytes, and 64000 are kept of an attachment"


def test_a_short_text_is_not_shortened() -> None:
    assert cut_to("abc", 3) == "abc"
    assert cut_to("abcd", 3) == "abc… [the first 3 of 4 characters]"
