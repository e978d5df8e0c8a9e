#!/bin/sh
# Initialise the data directory once, with the superuser `operator`, then become the server. Where an application
# is named by POSTGRES_DB, its database and the accounts `app`, which owns it, and `reader` are made too.
set -eu
data=/var/lib/postgresql/data
mkdir -p "$data" /run/postgresql
chown postgres:postgres "$data" /run/postgresql
chmod 700 "$data"
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
if [ ! -f "$data/PG_VERSION" ]; then
  cp /run/secrets/postgresql_operator /run/password
  chown postgres /run/password
  as_postgres initdb --pgdata="$data" --username=operator --pwfile=/run/password --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=trust --auth-host=scram-sha-256 > /dev/null
  rm /run/password
  echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
  if [ -n "${POSTGRES_DB:-}" ]; then
    as_postgres pg_ctl start --wait --silent --pgdata="$data" --options="-c listen_addresses=''"
    # The application's account may not create the extension.
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username=operator --dbname=postgres <<SQL
CREATE ROLE app LOGIN PASSWORD '$(cat /run/secrets/postgresql_app)';
CREATE ROLE reader LOGIN BYPASSRLS PASSWORD '$(cat /run/secrets/postgresql_reader)';
GRANT pg_read_all_data, pg_monitor TO reader;
CREATE DATABASE "$POSTGRES_DB" OWNER app;
\\connect "$POSTGRES_DB"
CREATE EXTENSION vector;
SQL
    as_postgres pg_ctl stop --wait --silent --pgdata="$data"
  fi
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups \
  postgres -D "$data" -c listen_addresses='*' -c shared_buffers=64MB "$@"
