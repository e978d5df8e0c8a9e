#!/bin/sh
# Initialise the data directory once, then become the server. Accounts and grants are stated again at every
# start, so a volume from an older stack gets today's passwords.
set -eu
data=/var/lib/mysql
run=/run/mysqld
secret() { cat "/run/secrets/$1"; }

mkdir -p "$data" "$run"
chown mysql:mysql "$data" "$run"
if [ -d "$data/mysql" ] && [ ! -f "$data/mysql.ibd" ]; then
  echo "data directory: expected MySQL's, observed MariaDB's (from $data)" >&2
  echo "HINT: take the stack down, volumes included, before changing servers" >&2
  exit 1
fi
if [ ! -d "$data/mysql" ]; then
  mysqld --no-defaults --initialize-insecure --user=mysql --datadir="$data"
fi

# The pattern imagedb% also covers the scratch databases that a backup is restored into.
# TRIGGER and EVENT: the server shows triggers and events only to accounts that may also make them.
umask 077
cat > "$run/accounts.sql" <<SQL
CREATE DATABASE IF NOT EXISTS imagedb CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'app'@'%' IDENTIFIED BY '$(secret mysql_app)';
ALTER USER 'app'@'%' IDENTIFIED BY '$(secret mysql_app)';
GRANT ALL ON imagedb.* TO 'app'@'%';
CREATE USER IF NOT EXISTS 'reader'@'%' IDENTIFIED BY '$(secret mysql_reader)';
ALTER USER 'reader'@'%' IDENTIFIED BY '$(secret mysql_reader)';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON \`imagedb%\`.* TO 'reader'@'%';
GRANT PROCESS, REPLICATION CLIENT, SHOW DATABASES ON *.* TO 'reader'@'%';
GRANT SHOW_ROUTINE ON *.* TO 'reader'@'%';
CREATE USER IF NOT EXISTS 'operator'@'%' IDENTIFIED BY '$(secret mysql_operator)';
ALTER USER 'operator'@'%' IDENTIFIED BY '$(secret mysql_operator)';
GRANT ALL ON \`imagedb%\`.* TO 'operator'@'%';
GRANT PROCESS, RELOAD, REPLICATION CLIENT, SHOW DATABASES ON *.* TO 'operator'@'%';
GRANT BACKUP_ADMIN, SHOW_ROUTINE, FLUSH_TABLES, CONNECTION_ADMIN, SESSION_VARIABLES_ADMIN ON *.* TO 'operator'@'%';
GRANT SET_ANY_DEFINER, ALLOW_NONEXISTENT_DEFINER ON *.* TO 'operator'@'%';
ALTER USER 'root'@'localhost' IDENTIFIED BY '$(secret mysql_root)';
SQL
chown mysql "$run/accounts.sql"

exec mysqld --no-defaults --user=mysql --datadir="$data" --socket="$run/mysqld.sock" \
  --pid-file="$run/mysqld.pid" --bind-address=0.0.0.0 --secure-file-priv=NULL --mysqlx=OFF \
  --log-bin-trust-function-creators=1 \
  --performance-schema=OFF --innodb-buffer-pool-size=64M --init-file="$run/accounts.sql" "$@"
