#!/bin/sh
# Healthy: a question is answered over TCP's own listener, and the server takes writes.
set -eu
PGPASSWORD=$(cat /run/secrets/postgresql_operator)
export PGPASSWORD
answer=$(timeout 3 psql --host=127.0.0.1 --username=operator --dbname=postgres --no-psqlrc --tuples-only \
  --no-align --command="select pg_is_in_recovery()")
if [ "$answer" != f ]; then
  echo "postgresql: expected a server that takes writes (f), observed $answer"
  exit 1
fi
