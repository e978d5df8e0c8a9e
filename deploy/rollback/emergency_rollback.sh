#!/bin/sh
# usage: emergency_rollback.sh <commit-hash> : the runbook's one-line emergency rollback.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m rollback_actions rollback emergency "$@"
