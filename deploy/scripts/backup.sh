#!/bin/sh
# Back up every store of the target: the runbook's own command.
set -eu
exec "$(dirname -- "$0")/../../.venv/bin/rollproof" backup "$@"
