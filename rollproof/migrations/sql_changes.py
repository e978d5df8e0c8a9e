"""Judges the actions of one ALTER TABLE against the table's old state."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from rollproof.migrations.column_types import NotComparable, narrows, narrows_charset
from rollproof.migrations.finding import Findings
from rollproof.migrations.known import Known, TableName
from rollproof.migrations.schema_before import Column

_REFUSES = (
    (exp.UniqueColumnConstraint, "UNIQUE"),
    (exp.PrimaryKey, "PRIMARY KEY"),
    (exp.ForeignKey, "FOREIGN KEY"),
    (exp.CheckColumnConstraint, "CHECK"),
)
_FILLS = {
    exp.DefaultColumnConstraint,
    exp.AutoIncrementColumnConstraint,
    exp.ComputedColumnConstraint,
    exp.GeneratedAsIdentityColumnConstraint,
}
# What a column may be changed to without another value in any record.
_KEEPS_VALUES = (
    exp.NotNullColumnConstraint,
    exp.DefaultColumnConstraint,
    exp.AutoIncrementColumnConstraint,
    exp.CommentColumnConstraint,
    exp.OnUpdateColumnConstraint,
    exp.InvisibleColumnConstraint,
)
OLD_CODE_READS = "code of before asks for the old name"
REFUSED_COMES_IN = "records that it would refuse may come in"
OLD_CODE_WRITES = "what code of before writes may be refused"


@dataclass(frozen=True, slots=True)
class ColumnAfter:
    """A column after the migration; `nullable` and `charset` are None if the migration omits them."""

    type: str
    nullable: bool | None
    charset: str | None = None


def judge_column(
    findings: Findings,
    line: int,
    what: str,
    before: Column | None,
    after: ColumnAfter,
    default_charset: str = "",
) -> None:
    """Add the losses of a column's change: values that no longer fit, NULL, characters."""
    if before is None:
        findings.unjudged(line, what, "what the column was before is not in the baseline")
        return
    if after.type:
        try:
            if reason := narrows(before.type, after.type, before.charset):
                findings.lost(line, what, f"values are cut or changed, {reason}")
        except NotComparable as unknown:
            findings.unjudged(line, what, f"the types cannot be compared, {unknown}")
    if after.nullable is False and before.nullable is not False:
        if before.nullable is None:
            findings.unjudged(line, what, "whether NULL was allowed before is not known")
        else:
            findings.lost(line, what, f"NULL is not allowed any more, and {OLD_CODE_WRITES}")
    charset = after.charset or default_charset
    if before.charset and charset and (reason := narrows_charset(before.charset, charset)):
        findings.lost(line, what, f"characters are lost, {reason}")


def judge_alter(findings: Findings, line: int, statement: exp.Alter, known: Known) -> None:
    """Add the actions of an ALTER TABLE that cannot be undone or judged."""
    table = known.table(statement.this)
    actions = statement.args.get("actions") or []
    if table in known.made:
        # The table is new: it holds no old records.
        return
    if not actions or statement.args.get("kind") != "TABLE":
        findings.unjudged(line, f"ALTER {statement.args.get('kind')} {table}", "its action is not known here")
        return
    for action in actions:
        _judge_action(findings, line, table, action, known)


def _judge_action(findings: Findings, line: int, table: TableName, action: exp.Expr, known: Known) -> None:
    match action:
        case exp.Drop():
            _judge_drop(findings, line, table, action, known)
        case exp.ColumnDef():
            _judge_added(findings, line, table, action, known)
        case exp.ModifyColumn():
            _judge_modified(findings, line, table, action, known)
        case exp.AddConstraint():
            for constraint in action.expressions:
                judge_constraint(findings, line, table, constraint, known)
        case exp.AlterColumn():
            _judge_default(findings, line, table, action)
        case _:
            _judge_simple(findings, line, table, action)


def _judge_simple(findings: Findings, line: int, table: TableName, action: exp.Expr) -> None:
    match action:
        case exp.AlterRename():
            findings.lost(line, f"RENAME of table {table}", OLD_CODE_READS)
        case exp.RenameColumn():
            findings.lost(line, f"RENAME of column {table}.{action.this.name}", OLD_CODE_READS)
        case exp.DropPrimaryKey():
            findings.lost(line, f"DROP PRIMARY KEY of {table}", REFUSED_COMES_IN)
        case _:
            findings.unjudged(line, f"ALTER TABLE {table}", "an action of it is not known here")


def _judge_default(findings: Findings, line: int, table: TableName, action: exp.AlterColumn) -> None:
    column = f"{table}.{action.this.name}"
    if action.args.get("default") is not None:
        findings.noted(line, f"default of {column}", "it is another one")
    elif action.args.get("drop"):
        findings.lost(line, f"DROP DEFAULT of {column}", OLD_CODE_WRITES)
    else:
        findings.unjudged(line, f"ALTER of {column}", "its action is not known here")


def _judge_drop(findings: Findings, line: int, table: TableName, action: exp.Drop, known: Known) -> None:
    kind = str(action.args.get("kind"))
    for dropped in action.args.get("tables") or ():
        what = f"DROP {kind} {table}.{dropped.name}"
        if kind == "COLUMN":
            if not known.has_added(table, dropped.name):
                findings.lost(line, what, "its values are gone")
        elif kind in {"INDEX", "KEY"}:
            judge_dropped_index(findings, line, table, dropped.name, known)
        elif kind in {"FOREIGN KEY", "CONSTRAINT", "CHECK"}:
            findings.lost(line, what, REFUSED_COMES_IN)
        else:
            findings.unjudged(line, what, "its action is not known here")


def judge_dropped_index(findings: Findings, line: int, table: TableName, index: str, known: Known) -> None:
    """Add the loss from dropping an index: a unique index has refused records."""
    found = known.before.table(table.name, table.database)
    what = f"DROP INDEX {table}.{index}"
    if found is None:
        findings.unjudged(line, what, "whether it is unique is not in the baseline")
    elif index.lower() in found.unique:
        findings.lost(line, what, "it is unique, and records that it would refuse may come in")
    else:
        findings.noted(line, what, "it can be built again")


def _judge_added(
    findings: Findings, line: int, table: TableName, column: exp.ColumnDef, known: Known
) -> None:
    known.add(table, column.name, unless_there=bool(column.args.get("exists")))
    kinds = {type(constraint.kind) for constraint in column.args.get("constraints") or ()}
    if not _nullable(column, unsaid=True) and not kinds & _FILLS:
        findings.lost(line, f"ADD COLUMN {table}.{column.name} NOT NULL without a default", OLD_CODE_WRITES)
    elif exp.UniqueColumnConstraint in kinds and exp.DefaultColumnConstraint in kinds:
        findings.lost(line, f"ADD COLUMN {table}.{column.name} UNIQUE with a default", OLD_CODE_WRITES)


def _nullable(column: exp.ColumnDef, *, unsaid: bool) -> bool:
    for constraint in column.args.get("constraints") or ():
        if isinstance(constraint.kind, exp.NotNullColumnConstraint):
            return bool(constraint.kind.args.get("allow_null"))
        if isinstance(constraint.kind, exp.PrimaryKeyColumnConstraint):
            return False
    return unsaid


def _judge_modified(
    findings: Findings, line: int, table: TableName, action: exp.ModifyColumn, known: Known
) -> None:
    column = action.this
    old = action.args.get("rename_from")
    name = old.name if old is not None else column.name
    if known.has_added(table, name):
        return
    what = f"MODIFY of column {table}.{name}"
    if old is not None and old.name.lower() != column.name.lower():
        findings.lost(line, f"RENAME of column {table}.{name} to {column.name}", OLD_CODE_READS)
    charset = ""
    for constraint in column.args.get("constraints") or ():
        match constraint.kind:
            case exp.CharacterSetColumnConstraint():
                charset = constraint.kind.this.name.lower()
            case exp.CollateColumnConstraint():
                charset = charset or constraint.kind.this.name.lower().partition("_")[0]
            case exp.UniqueColumnConstraint() | exp.PrimaryKeyColumnConstraint():
                findings.lost(line, f"{what} UNIQUE", OLD_CODE_WRITES)
            case exp.ComputedColumnConstraint() | exp.GeneratedAsIdentityColumnConstraint():
                findings.lost(line, f"{what} GENERATED", "its values are computed anew")
            case kind if not isinstance(kind, _KEEPS_VALUES):
                findings.unjudged(line, what, "a property of it is not known here")
    found = known.before.table(table.name, table.database)
    before = known.before.column(table.name, name, table.database)
    kinds = {type(constraint.kind) for constraint in column.args.get("constraints") or ()}
    if before is not None and before.filled and before.nullable is False and not kinds & _FILLS:
        findings.lost(line, f"{what} without a default", OLD_CODE_WRITES)
    after = ColumnAfter(
        type=column.kind.sql(dialect=known.before.dialect) if column.kind is not None else "",
        nullable=_nullable(column, unsaid=True),
        charset=charset or None,
    )
    # A column without a character set gets its table's.
    default = (found.charset or "") if found is not None else ""
    judge_column(findings, line, what, before, after, default)


def judge_constraint(
    findings: Findings, line: int, table: TableName, constraint: exp.Expr, known: Known
) -> None:
    """Add the records that an added constraint or index would refuse."""
    if table in known.made:
        return
    parts = constraint.expressions if isinstance(constraint, exp.Constraint) else [constraint]
    for part in parts:
        kind = next((words for type_, words in _REFUSES if isinstance(part, type_)), None)
        if kind is not None:
            findings.lost(line, f"ADD {kind} to {table}", OLD_CODE_WRITES)
        elif not isinstance(part, exp.IndexColumnConstraint):
            findings.unjudged(line, f"ADD of a constraint to {table}", "its kind is not known here")
