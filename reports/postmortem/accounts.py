"""The post-mortem's account of the data: the fate of every record. Counts only: keys are users' data."""

from __future__ import annotations

from collections.abc import Iterator

from fixtures.incident.incident import StoreAccount
from fixtures.record_names import ACCOUNTS
from fixtures.system.record_files import as_json
from reports.incident.incident_record import IncidentRecord
from reports.text.page import Page
from reports.timeline.rollback import ended_rollbacks, wanted

_MEANINGS = {
    "kept": "there before, and there now as it was",
    "restored": "written since the backup, and back as it was in the backup",
    "exported": "written since the backup, and kept in the lost window",
    "revived": "deleted since the backup, and back with the restore",
    "expired": "over by its own time",
    "unaccounted": "neither there nor exported: LOST, unless it is in the safety copy",
    "unknown": "collections that could not be read: what they held is in the safety copy",
}


def data_section(page: Page, record: IncidentRecord) -> None:
    """Write the total counts, the counts by store, and the folder that keeps the removed records."""
    page.heading("Data")
    if record.rollback is None or record.rollback.records is None:
        page.paragraph(_none(record))
    told = [one for one in ended_rollbacks(record).values() if one.records is not None]
    for rollback in told:
        if record.earlier_rollbacks:
            page.heading(f"What the {wanted(rollback.kind, rollback.names, rollback.commit)} came to", 3)
        page.table(
            ("records", "how many", "meaning"),
            ((name, f"{count:,}", _MEANINGS.get(name)) for name, count in (rollback.records or {}).items()),
            "No record is counted.",
        )
    if record.accounts and not told:
        page.paragraph("The counts of the whole are not recorded.")
    for window, accounts in record.accounts.items():
        page.heading(f"By store, {window}", 3)
        names = list(dict.fromkeys(name for one in accounts.values() for name in _counts(one)))
        rows = ((store, *(_counts(one).get(name) for name in names)) for store, one in accounts.items())
        page.table(("store", *names), rows, "No store is accounted for.")
        unknown = [text for store, one in accounts.items() for text in _unknown(store, one)]
        if unknown:
            page.paragraph("Not known:")
            page.bullets(unknown, "")
        page.paragraph(f"The first of each store that are unaccounted are named in {window}/{ACCOUNTS}.")
    _kept(page, record)


def _none(record: IncidentRecord) -> str:
    if record.rollback is None:
        return "The record has no end of a rollback: the fate of the data is unknown."
    if record.rollback.kind in {"service", "full"}:
        last = ", the last of this incident," if record.earlier_rollbacks else ""
        return f"A {record.rollback.kind} rollback{last} puts no data back."
    return "The rollback ended before the accounts: the fate of the data is unknown."


def _kept(page: Page, record: IncidentRecord) -> None:
    if record.lost_windows:
        page.paragraph(
            f"Records written since the backup are in {', '.join(record.lost_windows)}, beside this page on "
            "the rollback's machine. They are the data of users: do not attach them, or any of them, here."
        )


def _counts(account: StoreAccount) -> dict[str, str]:
    return {name: f"{count:,}" for name, count in as_json(account).items() if isinstance(count, int)}


def _unknown(store: str, account: StoreAccount) -> Iterator[str]:
    yield from (f"{store}, {name}: {reason}" for name, reason in account.unknown.items())
