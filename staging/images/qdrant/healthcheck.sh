#!/bin/sh
# Healthy: the collections, which the server has opened, are listed to the operator's key.
set -eu
printf 'header = "api-key: %s"\n' "$(cat /run/secrets/qdrant_operator)" |
  curl --silent --show-error --fail --max-time 4 --config - http://127.0.0.1:6333/collections
