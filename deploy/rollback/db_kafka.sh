#!/bin/sh
# Put the data of kafka back to the backup of the known-good commit: the runbook's own command.
set -eu
exec "$(dirname -- "$0")/../../.venv/bin/rollproof" rollback database kafka "$@"
