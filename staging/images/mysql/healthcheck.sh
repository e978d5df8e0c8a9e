#!/bin/sh
# Healthy: the application's own account reads its database, and the server accepts writes.
# (mysqladmin ping would be content with "Access denied".)
set -eu
MYSQL_PWD=$(cat /run/secrets/mysql_app)
export MYSQL_PWD
answer=$(timeout 3 mysql --no-defaults --host=127.0.0.1 --user=app --connect-timeout=3 \
  --skip-column-names --batch imagedb --execute \
  "select concat(@@read_only, count(*) >= 0) from information_schema.tables where table_schema = database()")
if [ "$answer" != 01 ]; then
  echo "mysql: expected a writable server (01), observed $answer"
  exit 1
fi
