#!/bin/sh
# Deploy a commit of the application on the staging stack: what a rehearsal of a migration runs.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m staging deploy "$@"
