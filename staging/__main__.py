"""The rehearsal stack's command line, behind `./run`."""

from __future__ import annotations

from reports.terminal.guard import guarded
from rollproof.cli.lazy import commands, commands_in

COMMANDS = commands_in(
    "staging.commands", "rehearsal", "up", "down", "image", "deploy", "faults", "killtest", "drills"
)

if __name__ == "__main__":
    raise SystemExit(guarded(commands("A staging stack: rehearse, break and verify on it.", COMMANDS)))
