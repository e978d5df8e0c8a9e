#!/bin/sh
# Put the data of mongodb back to the backup of the known-good commit: the runbook's own command.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m rollback_actions rollback database mongodb "$@"
