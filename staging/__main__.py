"""The rehearsal stack's command line, behind `./run`."""

from __future__ import annotations

from functools import partial

from reports.terminal.guard import guarded
from staging.commands import app

if __name__ == "__main__":
    raise SystemExit(guarded(partial(app, prog_name="staging")))
