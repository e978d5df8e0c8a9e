#!/bin/sh
# A replica set of one with authorization: mongod then demands a key file, even for its only member.
set -eu
mkdir -p /data/db /run/mongodb
umask 077
sha256sum < /run/secrets/mongodb_root | cut -c1-64 > /run/mongodb/keyfile
chown -R mongodb /run/mongodb
chown mongodb /data/db
accounts &
exec setpriv --reuid=mongodb --regid=mongodb --clear-groups \
  mongod --dbpath /data/db --bind_ip_all --replSet rs0 --keyFile /run/mongodb/keyfile \
  --wiredTigerCacheSizeGB 0.25 --setParameter diagnosticDataCollectionEnabled=false --quiet "$@"
