"""Evidence has a bound, and says what was cut."""

from __future__ import annotations

from pathlib import Path

from reports.text.room import CHECK_BYTES, INCIDENT_BYTES, Room, cut_to


def test_what_fits_is_left_as_it_is(tmp_path: Path) -> None:
    assert Room(tmp_path, 1).fit(b"\xff log", text=False) == b"\xff log"


def test_a_text_is_cut_between_characters_and_says_so(tmp_path: Path) -> None:
    body = "ü".encode() * CHECK_BYTES
    kept = Room(tmp_path, 1).fit(b"x" + body, text=True).decode()
    start, note = kept.split("\n", 1)
    assert start == "x" + "ü" * (len(start) - 1)
    assert CHECK_BYTES - 2 <= len(start.encode()) <= CHECK_BYTES
    assert note == f"[cut: the first {len(start.encode())} of {len(body) + 1} bytes]\n"


def test_what_is_not_text_is_left_out_whole(tmp_path: Path) -> None:
    kept = Room(tmp_path, 1).fit(b"\x89" * (CHECK_BYTES + 1), text=False)
    assert kept == b"left out: this is 256001 bytes, and the check's evidence has 256000 left of its room"


def test_each_check_has_its_room_and_all_have_the_incidents(tmp_path: Path) -> None:
    room, sizes = Room(tmp_path, 2), []
    for _ in range(10):
        sizes.append(len(room.fit(b"x" * CHECK_BYTES, text=True)))
        assert room.fit(b"more", text=True).startswith(b"left out")
        room.next_check()
    assert sizes[:2] == [CHECK_BYTES] * 2
    assert sizes[4:] == [sizes[4]] * 6
    assert sum(sizes) < INCIDENT_BYTES / 2 + 10 * 100


def test_what_earlier_runs_of_the_incident_left_counts(tmp_path: Path) -> None:
    (tmp_path / "a-attachment.txt").write_bytes(b"x" * INCIDENT_BYTES)
    assert Room(tmp_path, 1).fit(b"more", text=True) == (
        b"left out: this is 4 bytes, and the incident's evidence has 0 left of its room"
    )


def test_a_short_text_is_not_shortened() -> None:
    assert cut_to("abc", 3) == "abc"
    assert cut_to("abcd", 3) == "abc… [the first 3 of 4 characters]"
