#!/bin/sh
# Initialise the data directory once, with the superuser `operator`, then become the server.
set -eu
data=/var/lib/postgresql/data
mkdir -p "$data" /run/postgresql
chown postgres:postgres "$data" /run/postgresql
chmod 700 "$data"
if [ ! -f "$data/PG_VERSION" ]; then
  cp /run/secrets/postgresql_operator /run/password
  chown postgres /run/password
  setpriv --reuid=postgres --regid=postgres --clear-groups \
    initdb --pgdata="$data" --username=operator --pwfile=/run/password --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=trust --auth-host=scram-sha-256 > /dev/null
  rm /run/password
  echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
fi
exec setpriv --reuid=postgres --regid=postgres --clear-groups \
  postgres -D "$data" -c listen_addresses='*' -c shared_buffers=64MB "$@"
