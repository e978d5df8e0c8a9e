#!/bin/bash
# Not exercised in CI. A replica set of one with authorization, on the official image: accounts through mongosh.
set -eu
mkdir -p /run/mongodb
(umask 077 && sha256sum < /run/secrets/mongodb_root | cut -c1-64 > /run/mongodb/keyfile)
chown -R mongodb:mongodb /run/mongodb /data/db
(
  for _ in $(seq 120); do
    timeout 30 mongosh --quiet --host 127.0.0.1 --file /rollproof/mongodb-accounts.js && exit 0
    sleep 1
  done
  echo "accounts: expected root, app, reader and operator, observed the errors above" >&2
) &
exec gosu mongodb mongod --dbpath /data/db --bind_ip_all --replSet rs0 --keyFile /run/mongodb/keyfile
