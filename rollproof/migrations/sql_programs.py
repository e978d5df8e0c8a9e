"""The statements inside a stored program: a procedure, a function, a trigger or an event."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from rollproof.migrations.sql_text import Statement, Token, tokens

PROGRAM = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:DEFINER\s*=\s*\S+(?:\s*@\s*\S+)?\s+)?(?:AGGREGATE\s+)?"
    r"(?P<kind>PROCEDURE|FUNCTION|TRIGGER|EVENT)\b",
    re.IGNORECASE,
)
# First words of statements that change data or tables.
_VERBS = frozenset(
    [
        "ALTER",
        "CALL",
        "CREATE",
        "DELETE",
        "DO",
        "DROP",
        "EXECUTE",
        "GRANT",
        "INSERT",
        "LOAD",
        "PREPARE",
        "RENAME",
        "REPLACE",
        "REVOKE",
        "TRUNCATE",
        "UPDATE",
        "WITH",
    ]
)
# First words of statements that only read, or control the program.
_HARMLESS = frozenset(
    [
        "SELECT",
        "SET",
        "RETURN",
        "LEAVE",
        "ITERATE",
        "OPEN",
        "FETCH",
        "CLOSE",
        "SIGNAL",
        "RESIGNAL",
        "GET",
        "DECLARE",
        "END",
        "UNTIL",
        "COMMIT",
        "ROLLBACK",
        "START",
        "SAVEPOINT",
        "DEALLOCATE",
    ]
)
_STARTS = _VERBS | _HARMLESS | {"BEGIN", "IF", "CASE", "WHILE", "LOOP", "REPEAT"}
# Words that control a statement after them, each with the last word before that statement.
_UNTIL = {"IF": "THEN", "ELSEIF": "THEN", "WHEN": "THEN", "WHILE": "DO", "CASE": "WHEN"}


def in_program(statement: Statement) -> Iterator[Statement]:
    """Yield each statement in the body that may change something, and each unknown one."""
    text = statement.text
    found = PROGRAM.match(text)
    assert found is not None  # noqa: S101 - whoever calls has seen it
    every = tokens(text)
    body = _body(every, found["kind"].upper())
    part: list[Token] = []
    for token in [*every[body:], Token(";", len(text))]:
        if token.text != ";":
            part.append(token)
            continue
        inner = _stripped(part)
        if inner and inner[0].word not in _HARMLESS:
            end = token.start
            line = statement.line + text.count("\n", 0, inner[0].start)
            yield Statement(line, text[inner[0].start : end].strip())
        part = []


def _body(every: Sequence[Token], kind: str) -> int:
    """Return the number of the body's first token, or the number of all tokens if it is not found."""
    words = [token.word for token in every]
    first = 0
    if kind == "TRIGGER":
        first = next(
            (n + 2 for n in range(len(words) - 1) if words[n : n + 2] == ["EACH", "ROW"]), len(words)
        )
        if words[first : first + 1] and words[first] in {"FOLLOWS", "PRECEDES"}:
            first += 2
    elif kind == "EVENT":
        first = next((n + 1 for n, word in enumerate(words) if word == "DO"), len(words))
    else:
        depth = 0
        for first, word in enumerate(words):
            depth += {"(": 1, ")": -1}.get(word, 0)
            # After the parameters, and the return type or characteristics.
            if depth == 0 and first > 2 and word in _STARTS - {"CREATE"}:  # noqa: PLR2004 - CREATE, its kind, its name
                break
    return first


def _stripped(part: Sequence[Token]) -> Sequence[Token]:
    """Return a statement without the preceding words that only control the program."""
    words = [token.word for token in part]
    at = 0
    while at < len(words):
        word = words[at]
        if word in {"BEGIN", "LOOP", "REPEAT", "ELSE", "THEN"}:
            at += 1
        elif word in _UNTIL:
            if (end := _next(words, at + 1, {_UNTIL[word]})) is None:
                break
            at = end if word == "CASE" else end + 1
        elif word == "DECLARE" and (handler := _next(words, at, {"HANDLER"})) is not None:
            begins = _next(words, handler + 1, _STARTS)
            at = len(words) if begins is None else begins
        elif words[at + 1 : at + 2] == [":"]:
            at += 2
        else:
            break
    return part[at:]


def _next(words: Sequence[str], first: int, wanted: AbstractSet[str]) -> int | None:
    return next((number for number in range(first, len(words)) if words[number] in wanted), None)
