#!/bin/sh
# Healthy: the application's own account may write. SET … XX on a key that is never there changes nothing, yet
# it is refused while the server is loading, paused, a replica, out of memory or unable to save.
set -eu
REDISCLI_AUTH=$(cat /run/secrets/redis_app)
export REDISCLI_AUTH
answer=$(timeout 3 redis-cli --no-auth-warning -e --user app set rollproof:health 1 xx 2>&1) || {
  echo "redis: expected the write to be accepted, observed $answer"
  exit 1
}
if [ -n "$answer" ]; then
  echo "redis: expected an empty answer, observed $answer"
  exit 1
fi
