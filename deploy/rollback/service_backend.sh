#!/bin/sh
# Put the service backend back on the image of the known-good commit: the runbook's own command.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
cd "$root"
exec "$root/.venv/bin/python" -m rollback_actions rollback service backend "$@"
