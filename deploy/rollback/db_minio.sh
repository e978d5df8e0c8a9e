#!/bin/sh
# Put the data of minio back to the backup of the known-good commit: the runbook's own command.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
# A profile is looked for where it is typed, the program here: -P leaves out what lies there.
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$root/.venv/bin/python" -P -m rollback_actions rollback database minio "$@"
