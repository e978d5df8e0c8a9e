"""Finds irreversible statements of SQL. An unknown statement is not harmless."""

from __future__ import annotations

import logging
import re
from enum import IntEnum, auto

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from rollproof.migrations.column_types import narrows_charset
from rollproof.migrations.finding import Findings, short
from rollproof.migrations.known import Known, TableName
from rollproof.migrations.schema_before import Table
from rollproof.migrations.sql_changes import (
    OLD_CODE_READS,
    OLD_CODE_WRITES,
    judge_alter,
    judge_dropped_index,
)
from rollproof.migrations.sql_programs import PROGRAM, in_program
from rollproof.migrations.sql_text import Statement, Unreadable, statements

_PLACEHOLDER = re.compile(r"%s|%\(\w+\)s")
_NAME = r"(?P<table>(?:`[^`]+`|[\w$]+)(?:\s*\.\s*(?:`[^`]+`|[\w$]+))?)"
# Statements that sqlglot leaves as text, by their beginning: their effect, and why it is a loss.
_LOST_TEXTS = (
    (re.compile(r"RENAME\s+TABLES?\b", re.IGNORECASE), "RENAME of tables", OLD_CODE_READS),
    (
        re.compile(
            rf"ALTER\s+TABLE\s+{_NAME}\s.*\b(?:DROP|TRUNCATE)\s+PARTITION\b", re.IGNORECASE | re.DOTALL
        ),
        "DROP or TRUNCATE of partitions",
        "their records are gone",
    ),
)
_CONVERT = re.compile(
    rf"ALTER\s+TABLE\s+{_NAME}\s+CONVERT\s+TO\s+(?:CHARACTER\s+SET|CHARSET)\s+['\"]?(?P<charset>\w+)[^,]*",
    re.IGNORECASE | re.DOTALL,
)
_DROP_PROGRAM = re.compile(r"DROP\s+(?:PROCEDURE|FUNCTION|TRIGGER|EVENT)\b", re.IGNORECASE)
_CHANGES_DATA = re.compile(
    r"REPLACE\b(?!.*\b(?:SELECT|TABLE)\b)|(?:GRANT|REVOKE)\b", re.IGNORECASE | re.DOTALL
)
_HARMLESS_TEXTS = re.compile(
    r"(?:(?:COMMIT|BEGIN)(?:\s+WORK)?\s*\Z"
    r"|(?:START\s+TRANSACTION|LOCK\s+TABLES?|UNLOCK\s+TABLES|SHOW|DESCRIBE"
    r"|ANALYZE\s+(?:LOCAL\s+)?TABLE|CHECK\s+TABLE|OPTIMIZE\s+TABLE)\b)",
    re.IGNORECASE,
)
_HARMLESS = (exp.Select, exp.Set, exp.Transaction, exp.Commit, exp.Rollback, exp.Show)

# Functions of the server that the parser leaves as names.
_READ_NAMES = """
ADDTIME ATAN2 BENCHMARK BIN_TO_UUID BIT_COUNT CHARSET COERCIBILITY COLLATION CONNECTION_ID CONV
CURRENT_ROLE ELT EXPORT_SET FIND_IN_SET FORMAT_BYTES FROM_DAYS FOUND_ROWS GET_FORMAT GET_LOCK
INET_ATON INET_NTOA INET6_ATON INET6_NTOA INSERT INTERVAL IS_FREE_LOCK IS_USED_LOCK IS_UUID
JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH JSON_INSERT JSON_LENGTH JSON_MERGE_PATCH
JSON_MERGE_PRESERVE JSON_PRETTY JSON_QUOTE JSON_REMOVE JSON_REPLACE JSON_SEARCH JSON_SET
JSON_STORAGE_SIZE JSON_UNQUOTE JSON_VALID JSON_VALUE LAST_INSERT_ID LOCATE LTRIM MAKEDATE MAKETIME
MAKE_SET MICROSECOND MID OCT OCTET_LENGTH ORD PERIOD_ADD PERIOD_DIFF POSITION QUOTE RANDOM_BYTES
RELEASE_ALL_LOCKS RELEASE_LOCK ROW ROW_COUNT RTRIM SCHEMA SEC_TO_TIME SLEEP SOUNDEX STRCMP SUBTIME
SYSDATE SYSTEM_USER TIMEDIFF TIME_FORMAT TIME_TO_SEC TO_SECONDS UNCOMPRESS UNCOMPRESSED_LENGTH
COMPRESS USER UTC_DATE UTC_TIME UTC_TIMESTAMP UUID UUID_SHORT UUID_TO_BIN VALUES VERSION
WEIGHT_STRING YEARWEEK
"""
_READS = frozenset(_READ_NAMES.split())

# A procedure may create an event. The server takes no event in an event, and no procedure in another.
_DEEPEST = 2
_NO_DIALECT = "whose SQL it is is not known: the baseline has no such store, or several that differ"
# sqlglot warns of each statement that it leaves as text; a finding reports these here.
logging.getLogger("sqlglot").setLevel(logging.ERROR)


def lint_sql(text: str, findings: Findings, known: Known, first_line: int = 1) -> None:
    """Add the findings of the statements in `text`."""
    try:
        for statement in statements(text, first_line):
            judge(statement, findings, known)
    except Unreadable as unreadable:
        findings.unjudged(unreadable.line, "SQL", f"cannot be read, {unreadable}")


def judge(statement: Statement, findings: Findings, known: Known, depth: int = 0) -> None:
    """Add the findings of one statement; `depth` is the number of programs around it."""
    if PROGRAM.match(statement.text):
        if depth == _DEEPEST:
            findings.unjudged(statement.line, short(statement.text), "it is in too many programs to be read")
            return
        # Creating a program can be undone; its effects when it is called cannot always.
        for inner in in_program(statement):
            judge(inner, findings, known, depth + 1)
        return
    # With a delimiter of its own, a file may put several into one.
    several = statements(statement.text, statement.line) if ";" in statement.text else [statement]
    for one in several:
        try:
            _judge_one(one, findings, known)
        except SqlglotError:
            findings.unjudged(one.line, short(one.text), "it cannot be read")
        except Exception as error:  # noqa: BLE001 - the parser's tree may lack any part, or be too deep
            findings.unjudged(one.line, short(one.text), f"it cannot be read, {type(error).__name__}")


def _judge_one(statement: Statement, findings: Findings, known: Known) -> None:
    dialect = known.before.dialect
    if _judge_text(statement, findings, known):
        return
    if not dialect:
        findings.unjudged(statement.line, short(statement.text), _NO_DIALECT)
    else:
        for parsed in sqlglot.parse(_PLACEHOLDER.sub("?", statement.text), dialect=dialect):
            _judge_parsed(statement, parsed, findings, known)


def _judge_text(statement: Statement, findings: Findings, known: Known) -> bool:
    """Judge a statement that its words alone decide; return whether they did."""
    line, text = statement.line, statement.text
    for pattern, what, why in _LOST_TEXTS:
        if pattern.match(text):
            findings.lost(line, f"{what}, {short(text)}", why)
            return True
    if found := _CONVERT.fullmatch(text):
        _judge_conversion(line, found["table"].replace("`", ""), found["charset"].lower(), findings, known)
    elif _DROP_PROGRAM.match(text):
        findings.noted(line, short(text), "it can be created again")
    elif _CHANGES_DATA.match(text):
        findings.noted(line, short(text), "it changes what is there")
    else:
        return bool(_HARMLESS_TEXTS.match(text))
    return True


def _judge_conversion(line: int, named: str, charset: str, findings: Findings, known: Known) -> None:
    database, _, name = named.replace(" ", "").rpartition(".")
    what = f"CONVERT of table {named} to {charset}"
    table = known.before.table(name, database or known.database)
    if known.named(name, database) in known.made:
        return
    if table is None:
        findings.unjudged(line, what, "what the table was before is not in the baseline")
        return
    reasons = {
        reason
        for column in table.columns.values()
        if column.charset and (reason := narrows_charset(column.charset, charset))
    }
    if reasons:
        findings.lost(line, what, f"characters are lost, {', '.join(sorted(reasons))}")
    else:
        findings.noted(line, what, "each of its texts is stored anew")


def _judge_parsed(statement: Statement, parsed: exp.Expr | None, findings: Findings, known: Known) -> None:
    line = statement.line
    if parsed is not None and (functions := _unknown_functions(parsed)):
        findings.unjudged(line, short(statement.text), f"what {', '.join(functions)} does is not known here")
    match parsed:
        case None:
            pass
        case exp.Use():
            known.database = parsed.this.name if parsed.this is not None else ""
        case exp.Alter():
            judge_alter(findings, line, parsed, known)
        case exp.Drop():
            _judge_drop(line, parsed, findings, known)
        case exp.TruncateTable():
            _judge_truncation(line, parsed, findings, known)
        case exp.Delete() | exp.Update():
            _judge_change(line, parsed, findings, known)
        case exp.Create():
            _judge_create(line, parsed, findings, known)
        case _:
            _judge_other(statement, parsed, findings, known.before.dialect)


def _unknown_functions(parsed: exp.Expr) -> list[str]:
    """Return the functions that are none of the server's own as far as is known: they may change data."""
    found = (function.name for function in parsed.find_all(exp.Anonymous))
    return sorted({name for name in found if name.upper() not in _READS})


def _judge_other(statement: Statement, parsed: exp.Expr, findings: Findings, dialect: str) -> None:
    line, text = statement.line, short(statement.text)
    if isinstance(parsed, exp.Insert):
        if parsed.args.get("conflict") is not None and isinstance(parsed.expression, exp.Values):
            findings.noted(line, text, "it changes records that are there")
        elif parsed.args.get("conflict") is not None:
            findings.unjudged(line, text, "how many records it changes is not known here")
    elif not isinstance(parsed, _HARMLESS):
        findings.unjudged(line, text, "such a statement is not known here")
    elif isinstance(parsed, exp.Set) and _for_good(parsed, dialect):
        findings.unjudged(line, text, "it changes the server for others too")
    elif isinstance(parsed, exp.Set) and "SQL_MODE" in statement.text.upper():
        findings.unjudged(line, text, "the server may read what follows otherwise than it is read here")


def _for_good(parsed: exp.Set, dialect: str) -> bool:
    kinds = {str(item.args.get("kind")).upper() for item in parsed.expressions}
    written = re.compile(r"@@(?:global|persist|persist_only)\.", re.IGNORECASE)
    return bool(kinds & {"GLOBAL", "PERSIST", "PERSIST_ONLY"} or written.search(parsed.sql(dialect=dialect)))


def _judge_truncation(line: int, parsed: exp.TruncateTable, findings: Findings, known: Known) -> None:
    for table in parsed.expressions:
        name = known.table(table)
        if name not in known.made:
            findings.lost(line, f"TRUNCATE of {name}", "its records are gone")


def _judge_drop(line: int, parsed: exp.Drop, findings: Findings, known: Known) -> None:
    kind = str(parsed.args.get("kind"))
    for dropped in parsed.args.get("tables") or ():
        name = known.table(dropped)
        what = f"DROP {kind} {name}"
        if kind == "TABLE":
            if name not in known.made and not parsed.args.get("temporary"):
                findings.lost(line, what, "its records are gone")
            known.drop(name)
        elif kind in {"DATABASE", "SCHEMA"}:
            findings.lost(line, f"DROP DATABASE {name.name or name.database}", "all that is in it is gone")
        elif kind == "INDEX":
            on = parsed.args.get("cluster")
            table = known.table(on.this) if on is not None else TableName("")
            if table not in known.made:
                judge_dropped_index(findings, line, table, name.name, known)
        elif kind == "VIEW":
            findings.noted(line, what, "it can be created again")
        else:
            findings.unjudged(line, what, "such a statement is not known here")


def _judge_change(line: int, parsed: exp.Delete | exp.Update, findings: Findings, known: Known) -> None:
    verb = "DELETE" if isinstance(parsed, exp.Delete) else "UPDATE"
    joined = parsed.find(exp.Join) is not None or bool(parsed.args.get("using"))
    targets = parsed.args.get("tables") or [parsed.this]
    named = ", ".join(str(known.table(table)) for table in targets)
    table = known.table(parsed.this)
    if len(targets) == 1 and table in known.made and not joined:
        return
    where = parsed.args.get("where")
    reach = (
        Reach.ALL if where is None else reach_of(where.this, known.before.table(table.name, table.database))
    )
    what = f"{verb} of {named} {'without a condition' if reach is Reach.ALL else 'with a condition'}"
    if verb == "UPDATE" and not joined and _only_added(parsed, table, known):
        findings.noted(line, what, "only columns that it has added")
    elif reach is Reach.ALL:
        findings.lost(line, what, "what the records held is gone")
    elif reach is Reach.UNKNOWN or joined:
        findings.unjudged(line, what, "how many records it finds is not known here")
    else:
        findings.noted(line, what, "the records that it finds do not come back by themselves")


def _only_added(parsed: exp.Expr, table: TableName, known: Known) -> bool:
    return bool(parsed.expressions) and all(
        isinstance(assigned, exp.EQ) and known.has_added(table, assigned.this.name)
        for assigned in parsed.expressions
    )


def _judge_create(line: int, parsed: exp.Create, findings: Findings, known: Known) -> None:
    kind = str(parsed.args.get("kind"))
    if kind == "INDEX":
        table = known.table(parsed.this.args["table"])
        if parsed.args.get("unique") and table not in known.made:
            findings.lost(line, f"CREATE UNIQUE INDEX on {table}", OLD_CODE_WRITES)
    elif kind == "TABLE":
        table = known.table(parsed.this)
        if parsed.args.get("replace") and table not in known.made:
            findings.lost(line, f"CREATE OR REPLACE TABLE {table}", "the records of the one before are gone")
        else:
            known.make(table, unless_there=bool(parsed.args.get("exists")))
    elif kind == "VIEW":
        if parsed.args.get("replace"):
            findings.noted(line, f"CREATE OR REPLACE VIEW {parsed.this.name}", "it can be created again")
    elif kind not in {"DATABASE", "SCHEMA"}:
        findings.unjudged(line, f"CREATE {kind}", "such a statement is not known here")


_TEXTS = ("char", "text", "enum", "set")


class Reach(IntEnum):
    """The records that a condition finds, from few to all."""

    SOME = auto()  # those that have a value which is written there
    UNKNOWN = auto()  # any number of them, all included
    ALL = auto()


def reach_of(condition: exp.Expr, table: Table | None) -> Reach:
    """Return the reach of a condition on the records of `table`, None if it is unknown."""
    match condition:
        case exp.Paren():
            return reach_of(condition.this, table)
        case exp.And() | exp.Or():
            parts = reach_of(condition.this, table), reach_of(condition.expression, table)
            return min(parts) if isinstance(condition, exp.And) else max(parts)
        case _:
            return _reach_of_one(condition, table)


def _reach_of_one(condition: exp.Expr, table: Table | None) -> Reach:
    if condition.find(exp.Column, exp.Subquery, exp.Select) is None:
        # It holds for every record, or for none.
        return Reach.ALL
    match condition:
        case exp.EQ() | exp.NullSafeEQ() | exp.GTE() | exp.LTE() if condition.this == condition.expression:
            return Reach.ALL
        case exp.EQ() | exp.NullSafeEQ():
            sides = (condition.this, condition.expression), (condition.expression, condition.this)
            named = any(_names(column, [value], table) for column, value in sides)
            return Reach.SOME if named else Reach.UNKNOWN
        case exp.In() if condition.args.get("query") is None and condition.expressions:
            return Reach.SOME if _names(condition.this, condition.expressions, table) else Reach.UNKNOWN
        case _:
            return Reach.UNKNOWN


def _names(column: exp.Expr, values: list[exp.Expr], table: Table | None) -> bool:
    """Return whether a column must have one of some values that are written there, or handed over."""
    if not isinstance(column, exp.Column):
        return False
    known = table.columns.get(column.name.lower()) if table is not None else None
    text = known is not None and any(kind in known.type for kind in _TEXTS)
    return all(_is_written(value, text=text) for value in values)


def _is_written(value: exp.Expr, *, text: bool) -> bool:
    if isinstance(value, exp.Neg):
        value = value.this
    if isinstance(value, exp.Placeholder | exp.Parameter):
        return True
    # Beside a number the server reads a text as one, 0 for most.
    return isinstance(value, exp.Literal | exp.Boolean) and (not text or bool(value.args.get("is_string")))
