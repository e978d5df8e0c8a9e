#!/bin/sh
# State the accounts, then become the server. Passwords reach Redis as SHA-256, in a file on a tmpfs.
set -eu
run=/run/redis
mkdir -p /data "$run"
chown redis /data "$run"
digest() { printf '%s' "$(cat "/run/secrets/$1")" | sha256sum | cut -c1-64; }
umask 077
# The default user cannot log in. It has every right all the same: Redis loads its append-only file as this user,
# and without rights drops each transaction in it, silently.
cat > "$run/accounts.acl" <<ACL
user default off resetpass ~* &* +@all
user app on #$(digest redis_app) ~* &* +@all -@admin +info
user reader on #$(digest redis_reader) ~* resetchannels +@read +@connection -@admin -@dangerous +info +keys +config|get +lastsave +slowlog|get +acl|whoami +function|list
user operator on #$(digest redis_operator) ~* &* +@all
user canary on #$(digest redis_canary) ~token:* ~user:canary resetchannels +unlink +exists +select +ping +hello +auth
ACL
chown redis "$run/accounts.acl"
exec setpriv --reuid=redis --regid=redis --clear-groups \
  redis-server --dir /data --bind 0.0.0.0 --protected-mode no --aclfile "$run/accounts.acl" \
  --appendonly yes --save "60 1" "$@"
