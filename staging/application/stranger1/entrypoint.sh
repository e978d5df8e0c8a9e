#!/bin/sh
# Migrate, then become the command.
set -eu
python -m app.migrate
exec "$@"
