#!/bin/sh
# Put the service frontend back on the image of the known-good commit: the runbook's own command.
set -eu
exec "$(dirname -- "$0")/../../.venv/bin/rollproof" rollback service frontend "$@"
