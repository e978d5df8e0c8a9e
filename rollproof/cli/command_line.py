"""The command line: `rollproof …`.

Exit codes are those of `rollproof.errors.ExitCode`.
"""

from __future__ import annotations

from functools import partial

from typer.core import TyperGroup

from reports.terminal.guard import guarded
from rollproof.cli.lazy import At, commands, commands_in
from rollproof.errors import ExitCode
from rollproof.home import INSTALLED

ROLLBACK = commands_in(
    "rollproof.cli.rollback_commands",
    *("service", "database", "full", "emergency", "resume", "let-in", "status"),
)
CONTACTS = commands_in("rollproof.cli.contact_commands:_contacts", "run", "acknowledge", "assessed", "status")
COMMANDS: dict[str, At | TyperGroup] = {
    **commands_in("rollproof.cli.init_commands:_command", "init"),
    "verify": At("rollproof.cli.verify_commands:verify", verbatim=True),
    **commands_in(
        "rollproof.cli.state_commands:_command", "backup", "capture", "save-state", "compare", "grants"
    ),
    **commands_in("rollproof.cli.doctor_commands:_command", "doctor"),
    **commands_in("rollproof.cli.plan_commands:_command", "plan", "card"),
    "rollback": commands(
        "Roll a target back.", ROLLBACK, ("rollback emergency v1.4.2 --target prod.toml", "rollback status")
    ),
    **commands_in("rollproof.cli.rollback_commands", "replay"),
    **commands_in("rollproof.cli.monitor_commands", "monitor"),
    **commands_in("rollproof.cli.change_commands:_command", "notify", "acknowledge"),
    **commands_in("rollproof.cli.gate_commands", "gate", "rehearse"),
    **commands_in("rollproof.cli.change_commands:_command", "reopen"),
    **commands_in("rollproof.cli.assess_commands:_command", "assess"),
    **commands_in("rollproof.cli.respond_commands", "respond"),
    **commands_in("reports.command_line", "report"),
    **commands_in("rollproof.cli.bundle_commands:_command", "bundle", "verify-bundle"),
    "contacts": commands(
        "Alert people of an incident by the runbook's contact flow.", CONTACTS, ("contacts status",)
    ),
}
EXAMPLES = ("capture --target prod.toml", "verify phase1 --target prod.toml", "rollback status --help")


def main() -> ExitCode:
    """Run the command line."""
    line = commands(
        "Prove that a rollback really rolled back: back up, capture a baseline, roll back, verify.\n\n"
        "A profile describes the target: --target, or ROLLPROOF_TARGET. Where no profile names a folder,\n"
        f"incidents are those of the {'working folder' if INSTALLED else 'checkout'}; "
        "tools and locks are in ~/.local/state/rollproof.\n"
        "--version prints the version.",
        COMMANDS,
        EXAMPLES,
    )
    return guarded(partial(line, prog_name="rollproof"))
