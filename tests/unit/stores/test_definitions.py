"""PostgreSQL's words for a definition: one form of what it says at first, and of what it has read back."""

from __future__ import annotations

import pytest

from rollproof.stores.postgresql.definitions import settled


@pytest.mark.parametrize(
    ("at_first", "read_back"),
    [
        (
            "CHECK (ANY ((ARRAY['a'::character varying, 'it''s, [x]'::character varying])::text[]))",
            "CHECK (ANY (ARRAY[('a'::character varying)::text, ('it''s, [x]'::character varying)::text]))",
        ),
        ('f((ARRAY[g(a, b), c[1]])::"T [x]"[])', 'f(ARRAY[(g(a, b))::"T [x]", (c[1])::"T [x]"])'),
    ],
)  # fmt: skip
def test_a_list_has_one_form(at_first: str, read_back: str) -> None:
    assert settled({"definition": at_first, "valid": True}) == {"definition": read_back, "valid": True}
    assert settled(read_back) == read_back


@pytest.mark.parametrize(
    "text",
    ["ANY ('(ARRAY[1])::text[]')", "$$it's ( (ARRAY[1 $$", "(ARRAY[1] || a)::text[]"],
)
def test_all_else_stays(text: str) -> None:
    assert settled(text) == text
