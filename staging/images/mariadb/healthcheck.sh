#!/bin/sh
# Healthy: the application's own account reads its database, and the server accepts writes.
# (mariadb-admin ping would be content with "Access denied".)
set -eu
MYSQL_PWD=$(cat /run/secrets/mysql_app)
export MYSQL_PWD
answer=$(timeout 3 mariadb --no-defaults --host=127.0.0.1 --user=app --connect-timeout=3 \
  --skip-column-names --batch imagedb --execute \
  "select concat(@@read_only, count(*) >= 0) from information_schema.tables where table_schema = database()")
if [ "$answer" != OFF1 ]; then
  echo "mariadb: expected a writable server (OFF1), observed $answer"
  exit 1
fi
