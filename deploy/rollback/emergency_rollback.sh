#!/bin/sh
# usage: emergency_rollback.sh <commit-hash> : the runbook's one-line emergency rollback.
set -eu
exec "$(dirname -- "$0")/../../.venv/bin/rollproof" rollback emergency "$@"
