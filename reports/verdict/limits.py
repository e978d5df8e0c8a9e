"""The known limits of a verdict that only a run of checks knows: waivers, exclusions, blind spots."""

from __future__ import annotations

from collections.abc import Iterator

from rollproof.baseline.facts import Facts
from rollproof.baseline.uncovered import uncovered
from rollproof.profile.profile import Target
from rollproof.profile.sections import Policy


def known_limits(target: Target, recorded: Facts | None) -> Iterator[str]:
    """Yield them; `recorded` are the facts of a readable baseline, if there is one."""
    yield from _left_out(target)
    for waiver in target.premigration.waivers:
        state = f"until {waiver.expires}" if waiver.holds() else f"EXPIRED {waiver.expires}, without effect"
        yield f"{waiver.item}: waived by {waiver.name}, {state}: {waiver.reason}"
    if recorded is None:
        yield "blind spots of the stores: not known, there is no baseline that could be read"
        return
    for check, reason in uncovered(target, recorded):
        yield f"{check}: not covered: {reason}"
    for name, content in recorded.contents.items():
        for spot in content.blind_spots:
            yield f"blind spot of {name}: {spot}"


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
            if not policy.compares_content:
                yield f"{name}/{pattern}: counted, not compared (policy volatile)"
            if policy is Policy.DELETES:
                yield f"{name}/{pattern}: some records may be gone unnoticed (policy deletes)"
