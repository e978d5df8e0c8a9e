#!/bin/sh
# Watch the target on an exact beat while it is migrated: the runbook's own command.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m rollback_actions monitor "$@"
