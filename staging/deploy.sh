#!/bin/sh
# Deploy a commit of the application on the staging stack: the command that a migration's rehearsal runs.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m staging deploy "$@"
