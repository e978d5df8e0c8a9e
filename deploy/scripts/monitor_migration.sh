#!/bin/sh
# Watch the target on an exact beat while it is migrated: the runbook's own command.
set -eu
exec "$(dirname -- "$0")/../../.venv/bin/rollproof" monitor "$@"
