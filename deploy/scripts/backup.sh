#!/bin/sh
# Back up every store of the target: the runbook's own command.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m rollback_actions backup "$@"
