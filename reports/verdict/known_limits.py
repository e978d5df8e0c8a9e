"""`known-limits.md`: the known limits of the verdict, such as blind spots and waivers."""

from __future__ import annotations

from collections.abc import Iterator

from reports.text.page import escaped
from reports.verdict.summary import UNSEEN
from rollproof.baseline.facts import Facts
from rollproof.profile.profile import Target
from rollproof.verdict import RunVerdict

NOT_KNOWN = "not known: this page was made from the incident's folder, without the profile"


def limits_page(verdict: RunVerdict, target: Target | None, recorded: Facts | None) -> str:
    """Return the page; `recorded` are the facts of a readable baseline, if there is one.

    Without a `target` the page says that its part is not known.
    """
    sections = [
        ("Not covered by this run", verdict.partial),
        (UNSEEN, verdict.unseen),
        ("Waivers", (NOT_KNOWN,) if target is None else tuple(_waivers(target))),
        ("Left out by the profile", (NOT_KNOWN,) if target is None else tuple(_left_out(target))),
        ("Blind spots of the stores", tuple(_blind_spots(recorded))),
        ("Said by the checks", verdict.notes),
    ]
    page = ["# Known blind spots and waivers", ""]
    for title, texts in sections:
        page += [f"## {title}", "", *(f"- {escaped(text)}" for text in texts or ("none",)), ""]
    return "\n".join(page)


def _waivers(target: Target) -> Iterator[str]:
    for waiver in target.premigration.waivers:
        state = (
            f"until {waiver.expires}" if waiver.holds() else f"EXPIRED {waiver.expires}, so without effect"
        )
        yield f"{waiver.item}: waived by {waiver.name}, {state}: {waiver.reason}"


def _left_out(target: Target) -> Iterator[str]:
    for name in target.application.functions.undescribed():
        yield f"function {name} of the application: undescribed, so nothing that needs it was verified"
    if target.application.functions.upload and not target.application.canary.upload:
        yield "function upload of the application: application.canary.upload names no document to send"
    if target.application.functions.tokens == "none":
        yield "what a log-in leaves: unverified, since the profile says that it leaves nothing"
    for name, store in target.stores.items():
        for pattern, fields in store.exclude.items():
            yield f"{name}/{pattern}: fields not compared: {', '.join(fields)}"
        for pattern, policy in store.policy.items():
            if policy == "volatile":
                yield f"{name}/{pattern}: counted, not compared (policy volatile)"


def _blind_spots(recorded: Facts | None) -> Iterator[str]:
    if recorded is None:
        yield "not known: there is no baseline that could be read"
        return
    for name, content in recorded.contents.items():
        for spot in content.blind_spots:
            yield f"{name}: {spot}"
