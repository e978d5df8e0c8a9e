"""A PostgreSQL database's objects: their definitions, as far as a restore gives them back; counts of rows.

Where the server words a definition itself (``pg_get_…def``), its words are compared, in the one form of
`definitions`. Names in them are qualified, since sessions have an empty search path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rollproof.stores.postgresql.client import PostgresqlSession, quoted_table, rows
from rollproof.stores.tables import Schemas, first_difference

LARGE_OBJECTS = "pg_catalog.pg_largeobject_metadata"
"""The table of large objects; it is one of the database's tables if there are any."""
ORDER = "attinhcount = 0, attnum"
"""The order of a table's columns: inherited ones first, as a restore makes them."""
# The server itself names a foreign key's parts, by the partitions that there are when it is made.
_CONSTRAINT = """
CASE WHEN o.contype = 'f' AND o.conparentid <> 0 THEN pg_get_constraintdef(o.oid) ELSE o.conname END
"""
# Names of objects, without those of the server itself.
_OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_KINDS = {"p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
_CASES = " ".join(f"WHEN '{kind}' THEN '{name} '" for kind, name in _KINDS.items())
_NAME = f"CASE c.relkind {_CASES} ELSE '' END || n.nspname || '.' || c.relname AS \"of\""
_IN_CLASS = "pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"


def owned(owner: str, acl: str, kind: str) -> str:
    """Return the expressions of an object's owner, and of its rights in one order; by default it has all."""
    every = f"unnest(coalesce({acl}, acldefault('{kind}', {owner}))) AS one"
    rights = f"(SELECT array_agg(one::text ORDER BY one::text) FROM {every})"
    return f"pg_get_userbyid({owner}) AS owner, {rights} AS rights"


def settings(config: str) -> str:
    """Return the expression of settings; of those that are the application's own, secrets too, a hash."""
    hashed = "split_part(one, '=', 1) || '=sha256:' || encode(sha256(convert_to(one, 'UTF8')), 'hex')"
    own = "strpos(split_part(one, '=', 1), '.') > 0"
    return f"(SELECT jsonb_agg(CASE WHEN {own} THEN {hashed} ELSE one END) FROM unnest({config}) AS one)"


def _of_users(catalogue: str, oid: str) -> str:
    """Return the condition for an object that no extension brought."""
    return (
        f"NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = '{catalogue}'::regclass"
        f" AND e.objid = {oid} AND e.deptype = 'e')"
    )


_LARGE = f"c.oid = '{LARGE_OBJECTS}'::regclass AND EXISTS (SELECT FROM {LARGE_OBJECTS})"
_CLASS = f"({_OWN} AND {_of_users('pg_class', 'c.oid')} OR {_LARGE})"
_TABLES = f"""
SELECT n.nspname || '.' || c.relname FROM {_IN_CLASS} WHERE c.relkind = 'r' AND {_CLASS}
"""
_RELATIONS = f"""
SELECT {_NAME}, {owned("c.relowner", "c.relacl", "r")}, c.relpersistence AS persistence,
  c.reloptions AS options, c.relrowsecurity AS row_security, c.relforcerowsecurity AS forced_row_security,
  c.relreplident AS replica_identity, m.amname AS access_method, s.spcname AS tablespace,
  pg_get_partkeydef(c.oid) AS partitioned_by, pg_get_expr(c.relpartbound, c.oid) AS partition,
  (SELECT array_agg(inhparent::regclass::text ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid)
    AS inherits,
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END AS definition,
  c.relispopulated AS populated, obj_description(c.oid, 'pg_class') AS comment
FROM {_IN_CLASS} LEFT JOIN pg_am AS m ON m.oid = c.relam
LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_CLASS}
"""
_PARTS: Mapping[str, str] = {
    "columns": f"""
SELECT {_NAME}, a.attname AS name, row_number() OVER (PARTITION BY c.oid ORDER BY {ORDER}) AS position,
  format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required, a.attidentity AS identity,
  a.attgenerated AS generated, pg_get_expr(d.adbin, d.adrelid) AS "default", a.attstorage AS storage,
  a.attcompression AS compression,
  (SELECT array_agg(one::text ORDER BY one::text) FROM unnest(a.attacl) AS one) AS rights,
  NULLIF(a.attcollation, 0)::regcollation::text AS collation, col_description(c.oid, a.attnum) AS comment
FROM {_IN_CLASS} JOIN pg_attribute AS a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {_CLASS}
""",
    "constraints": f"""
SELECT {_NAME}, {_CONSTRAINT} AS name, pg_get_constraintdef(o.oid) AS definition, o.convalidated AS validated,
  o.condeferrable AS deferrable, o.condeferred AS deferred,
  (SELECT array_agg(DISTINCT t.tgenabled) FROM pg_trigger AS t WHERE t.tgconstraint = o.oid) AS enabled
FROM {_IN_CLASS} JOIN pg_constraint AS o ON o.conrelid = c.oid WHERE {_CLASS}
""",
    "indexes": f"""
SELECT {_NAME}, x.relname AS name, pg_get_indexdef(i.indexrelid) AS definition, i.indisvalid AS valid,
  i.indisunique AS unique, i.indisprimary AS primary, i.indisclustered AS clustered,
  i.indisreplident AS replica_identity, x.reloptions AS options,
  (SELECT array_agg(a.attname ORDER BY k.place) FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
    LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
    WHERE k.place <= i.indnkeyatts) AS columns
FROM {_IN_CLASS} JOIN pg_index AS i ON i.indrelid = c.oid JOIN pg_class AS x ON x.oid = i.indexrelid
WHERE {_CLASS}
""",
    "triggers": f"""
SELECT {_NAME}, t.tgname AS name, pg_get_triggerdef(t.oid) AS definition, t.tgenabled AS enabled
FROM {_IN_CLASS} JOIN pg_trigger AS t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal AND {_CLASS}
""",
    "policies": f"""
SELECT {_NAME}, p.polname AS name, p.polcmd AS command, p.polpermissive AS permissive,
  (SELECT array_agg(r::regrole::text ORDER BY r::regrole::text) FROM unnest(p.polroles) AS r) AS roles,
  pg_get_expr(p.polqual, p.polrelid) AS uses, pg_get_expr(p.polwithcheck, p.polrelid) AS checks
FROM {_IN_CLASS} JOIN pg_policy AS p ON p.polrelid = c.oid WHERE {_CLASS}
""",
}
_OBJECTS: Mapping[str, str] = {
    "database": f"""
SELECT '' AS "of", {owned("d.datdba", "d.datacl", "d")}, d.datconnlimit AS connections,
  pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
  d.datlocprovider AS provider,
  (SELECT jsonb_object_agg(coalesce(r.rolname, ''), {settings("s.setconfig")}) FROM pg_db_role_setting AS s
    LEFT JOIN pg_roles AS r ON r.oid = s.setrole WHERE s.setdatabase = d.oid) AS settings
FROM pg_database AS d WHERE d.datname = current_database()
""",
    "schema": f"""
SELECT n.nspname AS "of", {owned("n.nspowner", "n.nspacl", "n")}
FROM pg_namespace AS n WHERE {_OWN} AND {_of_users("pg_namespace", "n.oid")}
""",
    "extension": """
SELECT e.extname AS "of", e.extversion AS version, n.nspname AS schema,
  CASE WHEN NOT r.rolsuper THEN r.rolname END AS owner
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
JOIN pg_roles AS r ON r.oid = e.extowner
""",
    "sequence": f"""
SELECT n.nspname || '.' || c.relname AS "of", {owned("c.relowner", "c.relacl", "s")},
  format_type(s.seqtypid, -1) AS type, s.seqstart AS start, s.seqincrement AS increment, s.seqmin AS least,
  s.seqmax AS most, s.seqcache AS cached, s.seqcycle AS cycles,
  (SELECT d.refobjid::regclass || '.' || quote_ident(a.attname) FROM pg_depend AS d
    JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')) AS owned_by
FROM {_IN_CLASS} JOIN pg_sequence AS s ON s.seqrelid = c.oid WHERE {_CLASS}
""",
    "type": f"""
SELECT n.nspname || '.' || t.typname AS "of", t.typtype AS kind, {owned("t.typowner", "t.typacl", "T")},
  t.typnotnull AS required, t.typdefault AS default,
  NULLIF(t.typbasetype, 0)::regtype::text AS base, t.typtypmod AS limits,
  (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid) AS labels,
  (SELECT jsonb_object_agg(conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE contypid = t.oid)
    AS constraints,
  (SELECT array_agg(attname || ' ' || format_type(atttypid, atttypmod) ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = t.typrelid AND NOT attisdropped) AS attributes,
  (SELECT rngsubtype::regtype::text FROM pg_range WHERE rngtypid = t.oid) AS range_of
FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_class AS c ON c.oid = t.typrelid
WHERE t.typtype IN ('e', 'd', 'c', 'r') AND (c.relkind IS NULL OR c.relkind = 'c')
AND {_OWN} AND {_of_users("pg_type", "t.oid")}
""",
    "function": f"""
SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS "of",
  {owned("p.proowner", "p.proacl", "f")},
  CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END AS definition
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE {_OWN} AND {_of_users("pg_proc", "p.oid")}
""",
    "publication": """
SELECT p.pubname AS "of", p.puballtables AS everything, p.pubinsert AS inserts, p.pubupdate AS updates,
  p.pubdelete AS deletes, p.pubtruncate AS truncates,
  (SELECT jsonb_object_agg(r.prrelid::regclass, pg_get_expr(r.prqual, r.prrelid)) FROM pg_publication_rel AS r
    WHERE r.prpubid = p.oid) AS tables,
  (SELECT jsonb_object_agg(r.pnnspid::regnamespace, true) FROM pg_publication_namespace AS r
    WHERE r.pnpubid = p.oid) AS schemas
FROM pg_publication AS p
""",
    # How the server orders texts: an index that was made by another version of it is wrong.
    "collation": """
SELECT '(database)' AS "of", d.datcollversion AS recorded,
  pg_database_collation_actual_version(d.oid) AS actual
FROM pg_database AS d WHERE d.datname = current_database()
UNION ALL
SELECT l.oid::regcollation::text, l.collversion, pg_collation_actual_version(l.oid) FROM pg_collation AS l
WHERE l.oid IN (SELECT a.attcollation FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
  WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm')) AND l.collname NOT IN ('default', 'C', 'POSIX')
""",
}


def read_schemas(session: PostgresqlSession) -> Schemas:
    """Return every table by ``schema.table``, and every other object by its kind and name, sorted."""
    found: Schemas = dict(_read(session, _RELATIONS))
    for kind, query in _PARTS.items():
        for name, row in _read(session, query):
            if name in found:  # of an index's own columns, there is nothing
                parts: dict[str, Any] = found[name].setdefault(kind, {})  # type: ignore[assignment]
                parts[row.pop("name")] = row
    for kind, query in _OBJECTS.items():
        found |= {f"{kind} {name}".rstrip(): row for name, row in _read(session, query)}
    return dict(sorted(found.items()))


def _read(session: PostgresqlSession, query: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for (row,) in rows(session, f"SELECT to_jsonb(one) FROM ({query}) AS one"):
        yield row.pop("of"), settled(row)


def tables(session: PostgresqlSession) -> list[str]:
    """Return the database's tables, and the partitions of others, as ``schema.table``, sorted."""
    return sorted(name for (name,) in rows(session, _TABLES))


def count_rows(session: PostgresqlSession, names: Sequence[str]) -> dict[str, int]:
    """Return the exact numbers of rows of tables by ``schema.table``, all as of one moment."""
    with session.transaction():
        return {
            name: rows(session, f"SELECT count(*) FROM ONLY {quoted_table(name)}")[0][0] for name in names
        }


def extensions(schemas: Schemas) -> dict[str, dict[str, Any]]:
    """Return the version and schema of each extension, by its name."""
    return {name.split(" ", 1)[1]: one for name, one in schemas.items() if name.startswith("extension ")}


def difference(kept: Schemas, observed: Schemas) -> str | None:
    """Return the first object that differs, in words, or None.

    A restore builds indexes by the collations of now, leaves out an index that was never finished, and has
    foreign keys switched on. Of an extension the server may have another version alone, and its owner may not
    be allowed to make it again.
    """
    return first_difference(_as_restored(kept), _as_restored(observed))


def _as_restored(schemas: Schemas) -> Schemas:
    found: dict[str, Any] = {name: one for name, one in schemas.items() if not name.startswith("collation ")}
    for name, one in found.items():
        if name.startswith("extension "):
            found[name] = {**one, "version": None, "owner": None}
        if "indexes" in one:
            valid = {index: facts for index, facts in one["indexes"].items() if facts["valid"]}
            found[name] = {**one, "indexes": valid}
        if "columns" in one and "constraints" in one:  # of a table, not of a domain
            on = {key: {**facts, "enabled": None} for key, facts in one["constraints"].items()}
            found[name] = {**found[name], "constraints": on}
    return found


_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bARRAY\[|[^][(),'"A]+|.""", re.DOTALL)
_CAST = re.compile(r"""\)::((?:"(?:[^"]|"")*"|[\w. ]|\([\d,]+\))+)\[\]""")


def settled(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return `value` with all texts in it as the server words them from the second reading on."""
    if isinstance(value, dict):
        return {name: settled(one) for name, one in value.items()}
    return _settled(value) if isinstance(value, str) and "(ARRAY[" in value else value


def _settled(text: str) -> str:
    # Brackets that are open: each with what stands in it, at its commas.
    opened, position = [("", [""])], 0
    while found := _PIECE.match(text, position):
        piece, position = found[0], found.end()
        if piece in ("(", "[", "ARRAY["):
            opened.append((piece, [""]))
            continue
        if piece == ",":
            opened[-1][1].append("")
            continue
        if piece in (")", "]") and len(opened) > 1:
            bracket, items = opened.pop()
            piece = f"{bracket}{','.join(items)}{piece}"
            cast = _CAST.match(text, position)
            if bracket == "ARRAY[" and opened[-1] == ("(", [""]) and cast:
                opened.pop()
                position = cast.end()
                piece = f"ARRAY[{', '.join(f'({item.strip()})::{cast[1]}' for item in items)}]"
        opened[-1][1][-1] += piece
    return "".join(bracket + ",".join(items) for bracket, items in opened)
