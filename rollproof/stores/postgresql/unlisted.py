"""Roles, settings and slots of a PostgreSQL server, which are in no database; an account's rights."""

from __future__ import annotations

from typing import Any

from rollproof.stores.contract import Rights, Unlisted
from rollproof.stores.postgresql.client import MAINTENANCE, PostgresqlSession, rows
from rollproof.stores.postgresql.schema import settings

# Of a role no password; of settings those that somebody has set, in a file, on a command line or for a
# database, without this session's own; of neither settings nor subscriptions what may hold a password.
_COMPARED = f"""
SELECT 'role ' || r.rolname, to_jsonb(r) - ARRAY['oid', 'rolname', 'rolpassword'] || jsonb_build_object(
  'rolconfig', {settings("r.rolconfig")},
  'member_of', (SELECT jsonb_object_agg(g.rolname, CASE WHEN m.admin_option THEN 'WITH ADMIN OPTION' END)
    FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid WHERE m.member = r.oid))
FROM pg_roles AS r WHERE r.rolname !~ '^pg_'
UNION ALL SELECT 'setting ' || name, to_jsonb(setting) FROM pg_settings
WHERE source NOT IN ('default', 'override', 'session', 'client') AND context <> 'internal'
AND name !~ '_(conninfo|command)$'
UNION ALL SELECT 'replication slot ' || slot_name, jsonb_build_object('type', slot_type, 'plugin', plugin,
  'database', database) FROM pg_replication_slots WHERE NOT temporary
UNION ALL SELECT 'prepared transaction ' || gid, jsonb_build_object('owner', owner, 'database', database)
FROM pg_prepared_xacts
UNION ALL SELECT 'subscription ' || subname, jsonb_build_object('owner', pg_get_userbyid(subowner),
  'enabled', subenabled, 'publications', subpublications, 'slot', subslotname)
FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1
"""
_DATABASES = """
SELECT 'database ' || datname FROM pg_database
WHERE NOT datistemplate AND datname <> ALL (ARRAY[current_database(), %s]) ORDER BY 1
"""
# Tables that the account may change, by a grant or as their owner, and where it may make others.
_WRITES = """
SELECT privilege || ' on ' || n.nspname || '.' || c.relname FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND has_table_privilege(c.oid, privilege)
UNION ALL SELECT 'CREATE on schema ' || nspname FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE') ORDER BY 1
"""
SUPERUSER = "SUPERUSER"


def read_unlisted(session: PostgresqlSession) -> Unlisted:
    """Return what all databases of the server share, and the names of the others."""
    outside = tuple(name for (name,) in rows(session, _DATABASES, [MAINTENANCE]))
    return Unlisted(dict[str, Any](rows(session, _COMPARED)), outside)


def rights(session: PostgresqlSession) -> Rights:
    """Return what the account may change, and what it lacks to restore."""
    ((superuser,),) = rows(session, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if superuser:
        return Rights((SUPERUSER,))
    return Rights(tuple(name for (name,) in rows(session, _WRITES)), (SUPERUSER,))
