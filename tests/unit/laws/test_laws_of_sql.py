"""A file of SQL is divided as it was put together, whatever its statements quote and its comments say."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollproof.migrations.sql_text import Unreadable, statements, tokens

# What would end a statement, or begin a comment or a quotation, if it were not quoted.
SIGNS = [";", "//", "$$", "--", "-- x", "/*", "*/", "#", "\n", "DELIMITER $$", "a", " ", "é"]
quoted_text = st.lists(st.sampled_from(SIGNS), max_size=4).map("".join)
quotations = st.one_of(
    st.tuples(quoted_text, st.sampled_from(["", "''", "\\'", '"', "`"])).map(
        lambda text: f"'{text[0]}{text[1]}{text[0]}'"
    ),
    st.tuples(quoted_text, st.sampled_from(["", '""', '\\"', "'"])).map(
        lambda text: f'"{text[0]}{text[1]}{text[0]}"'
    ),
    st.tuples(quoted_text, st.sampled_from(["", "``", "'", '"'])).map(
        lambda text: f"`{text[0]}{text[1]}{text[0]}`"
    ),
)
words = st.sampled_from(["SELECT", "x1", "tbl.col", "@v", "(", ")", ",", "=", "-", "*", "42", "begin", "éa"])
# Between two pieces: room, or a comment, which is room to the server.
comment_text = st.lists(st.sampled_from([";", "$$", "'", '"', "`", "--", "x", " "]), max_size=3).map("".join)
spaces = st.one_of(
    st.sampled_from([" ", "\n", "\t", " \n "]),
    comment_text.map(lambda text: f" /* {text} */ "),
    comment_text.map(lambda text: f" -- {text}\n"),
    comment_text.map(lambda text: f" # {text}\n"),
)


@dataclass(frozen=True)
class Made:
    """A statement: its pieces, and its text, in which something stands after each of them."""

    pieces: tuple[str, ...]
    text: str


def _made(pairs: list[tuple[str, str]]) -> Made:
    return Made(tuple(piece for piece, _ in pairs), "".join(f"{piece}{space}" for piece, space in pairs))


made = st.lists(st.tuples(words | quotations, spaces), min_size=1, max_size=6).map(_made)
# Of a program: what is a delimiter elsewhere is one of its signs.
program = st.lists(st.tuples(words | quotations | st.just(";"), spaces), min_size=1, max_size=8).map(_made)


def told(text: str) -> list[list[str]]:
    """Return the tokens of each statement."""
    return [[token.text for token in tokens(statement.text)] for statement in statements(text)]


def expected(every: list[Made]) -> list[list[str]]:
    return [[token.text for piece in one.pieces for token in tokens(piece)] for one in every]


@given(st.lists(made, max_size=4), st.booleans())
def test_statements_come_apart_where_they_were_joined(every: list[Made], last: bool) -> None:  # noqa: FBT001 - made up
    assert told(";".join(one.text for one in every) + ";" * last) == expected(every)


@given(st.lists(st.tuples(st.sampled_from([";", "$$", "//", "|"]), program), max_size=4))
def test_a_delimiter_of_the_file_s_own_divides_it(every: list[tuple[str, Made]]) -> None:
    text, wanted = "", []
    for delimiter, one in every:
        found = one
        if delimiter == ";":
            pairs = [(piece, " ") for piece in one.pieces if piece != ";"]
            found = _made(pairs or [("x1", " ")])
        text += f"DELIMITER {delimiter}\n{found.text}{delimiter}\n"
        wanted.append(found)
    assert told(text) == expected(wanted)


@given(st.lists(made, min_size=1, max_size=4), st.lists(spaces, min_size=4, max_size=4), st.integers(1, 9))
def test_a_statement_begins_in_its_line(every: list[Made], before: list[str], first: int) -> None:
    text, lines = "", []
    for one, space in zip(every, before, strict=False):
        text += space
        lines.append(first + text.count("\n"))
        text += f"{one.text};"
    assert [statement.line for statement in statements(text, first)] == lines


@given(st.lists(made, max_size=2), st.sampled_from(["'", '"', "`", "/*", "/*!40101 "]))
def test_what_does_not_end_is_no_statement(every: list[Made], opening: str) -> None:
    text = "".join(f"{one.text};" for one in every)
    found = statements(f"{text}{opening} x ;")
    assert [[token.text for token in tokens(next(found).text)] for _ in every] == expected(every)
    with pytest.raises(Unreadable, match="does not end"):
        list(found)
