#!/bin/bash
# Not exercised in CI. Qdrant reads its keys from the environment only.
set -eu
QDRANT__SERVICE__API_KEY=$(cat /run/secrets/qdrant_operator)
QDRANT__SERVICE__READ_ONLY_API_KEY=$(cat /run/secrets/qdrant_reader)
export QDRANT__SERVICE__API_KEY QDRANT__SERVICE__READ_ONLY_API_KEY
cd /qdrant
exec ./entrypoint.sh
