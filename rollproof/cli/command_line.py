"""The command line: `rollproof …`.

Exit codes are those of `rollproof.errors.ExitCode`.
"""

from __future__ import annotations

from functools import partial

from typer.core import TyperGroup

from reports.terminal.guard import guarded
from rollproof.cli.lazy import At, commands
from rollproof.errors import ExitCode
from rollproof.home import INSTALLED

ROLLBACK = {
    "service": At(
        "rollproof.cli.rollback_commands:service",
        "Restore service NAME to the known-good commit's image and configuration.",
    ),
    "database": At(
        "rollproof.cli.rollback_commands:database",
        "Restore store NAME's data from the known-good commit's backup.",
    ),
    "full": At(
        "rollproof.cli.rollback_commands:full",
        "Restore the application's code and images to COMMIT; data stays as it is.",
    ),
    "emergency": At(
        "rollproof.cli.rollback_commands:emergency",
        "Restore code, images and every store's data to COMMIT.",
    ),
    "resume": At(
        "rollproof.cli.rollback_commands:resume",
        "Resume the newest unfinished rollback, in its incident.",
    ),
    "let-in": At(
        "rollproof.cli.rollback_commands:let_in",
        "Let users in after a rollback that is verified: take off the maintenance that it left on.",
    ),
    "status": At(
        "rollproof.cli.rollback_commands:status",
        "Report how the newest rollback went, step by step, and what to do next; changes nothing.",
    ),
}
CONTACTS = {
    "run": At(
        "rollproof.cli.contact_commands:run_contacts",
        "Keep the contact clock of an incident until its post-mortem is called; T+0 is when it first began.",
    ),
    "acknowledge": At(
        "rollproof.cli.contact_commands:acknowledge_contacts",
        "Record that a contact has taken the incident, and what they decided.",
    ),
    "assessed": At(
        "rollproof.cli.contact_commands:assessed_contacts",
        "Record that the assessment is complete; the rollback's result is read from the incident.",
    ),
    "status": At(
        "rollproof.cli.contact_commands:contacts_status",
        "Report the contact flow; exit 0 only when nothing is overdue and every alert still needed arrived.",
    ),
}
COMMANDS: dict[str, At | TyperGroup] = {
    "init": At(
        "rollproof.cli.init_commands:init_command",
        "Write a profile for a compose project, and ask what it could not find out; changes nothing there.",
    ),
    "verify": At(
        "rollproof.cli.verify_commands:verify",
        "Verify the target: run the checks of the phases, in order, with pytest's options and exit codes.",
        verbatim=True,
    ),
    "backup": At(
        "rollproof.cli.state_commands:backup",
        "Back up every store in parallel, into a new backup set of the current commit.",
    ),
    "capture": At(
        "rollproof.cli.state_commands:capture_command",
        "Capture a baseline and make it current: commit, images, records, what the canary sees.",
    ),
    "save-state": At(
        "rollproof.cli.state_commands:save_state_command",
        "Write the commit of the working copy into its file of this target, before a migration.",
    ),
    "compare": At(
        "rollproof.cli.state_commands:compare_command",
        "Compare the target with BASELINE, record by record; changes nothing.",
    ),
    "grants": At(
        "rollproof.cli.state_commands:grants_command",
        "Print the grants that each store's reader and operator need; asks no store.",
    ),
    "doctor": At(
        "rollproof.cli.doctor_commands:doctor_command",
        "Examine all that this target needs, on one page, within 10 s; changes nothing.",
    ),
    "plan": At(
        "rollproof.cli.plan_commands:plan_command",
        "Decide what to do by the runbook's tree and print the exact steps; changes nothing.",
    ),
    "card": At(
        "rollproof.cli.plan_commands:card_command",
        "Print the runbook's command card, filled in for this target and this moment; changes nothing.",
    ),
    "rollback": commands(
        "Roll a target back.", ROLLBACK, ("rollback emergency v1.4.2 --target prod.toml", "rollback status")
    ),
    "monitor": At(
        "rollproof.cli.monitor_commands:monitor",
        "Watch the target on an exact beat until Ctrl-C; changes nothing.",
    ),
    "notify": At(
        "rollproof.cli.change_commands:notify_command",
        "Tell the team of the migration to COMMIT, by every channel of the profile.",
    ),
    "acknowledge": At(
        "rollproof.cli.change_commands:acknowledge_command",
        "Record that an engineer on call knows of the migration to COMMIT and will be there.",
    ),
    "gate": At(
        "rollproof.cli.gate_commands:gate",
        "Decide whether COMMIT may be promoted: exit 0 promotes. Prints one page of Markdown.",
    ),
    "rehearse": At(
        "rollproof.cli.gate_commands:rehearse",
        "Rehearse COMMIT on a staging target: gate, deployment, checks, rollback, verification, record.",
    ),
    "reopen": At(
        "rollproof.cli.change_commands:reopen_command",
        "Reopen the gate for the fix of what INCIDENT rolled back; the original stays closed.",
    ),
    "assess": At(
        "rollproof.cli.assess_commands:assess_command",
        "Assess severity within 30 s, from the monitor's samples or its own; changes nothing.",
    ),
    "respond": At(
        "rollproof.cli.respond_commands:respond",
        "Assess, decide, ask, roll back, verify: the runbook's emergency flow. Run again to resume.",
    ),
    "report": At(
        "reports.command_line:report",
        "Rebuild verdict.json, pictures, postmortem.md and report.html of an incident from its folder alone.",
    ),
    "bundle": At(
        "rollproof.cli.bundle_commands:bundle_command",
        "Pack INCIDENT into one archive, with every file's hash and without users' data.",
    ),
    "verify-bundle": At(
        "rollproof.cli.bundle_commands:verify_bundle_command",
        "Verify BUNDLE: every hash matches, nothing is missing, added or changed, and its record holds.",
    ),
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
