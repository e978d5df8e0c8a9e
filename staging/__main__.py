"""The rehearsal stack's command line, behind `./run`."""

from __future__ import annotations

from reports.terminal.guard import guarded
from rollproof.cli.lazy import At, commands

COMMANDS = {
    "rehearsal": At(
        "staging.commands:rehearsal",
        "Break a staging stack by a migration, roll it back, verify it, write the record.",
    ),
    "up": At(
        "staging.commands:up",
        "Bring a staging stack up, seeded, and leave it running.",
    ),
    "down": At(
        "staging.commands:down",
        "Take the staging stack down, and the engine if `up` started it.",
    ),
    "image": At(
        "staging.commands:image",
        "Build the image of the suite from its wheel.",
    ),
    "deploy": At(
        "staging.commands:deploy",
        "Build, migrate to and start a commit of the application, on a stack that is up.",
    ),
    "faults": At(
        "staging.commands:faults",
        "Inject each data fault into a staging stack; see that its check catches it.",
    ),
    "killtest": At(
        "staging.commands:killtest",
        "Kill every rollback at every step of its journal, resume it, and compare the end.",
    ),
    "drills": At(
        "staging.commands:drills",
        "Make trouble in a staging stack under load; see that the monitor's samples tell which, and when.",
    ),
}

if __name__ == "__main__":
    raise SystemExit(guarded(commands("A staging stack: rehearse, break and verify on it.", COMMANDS)))
