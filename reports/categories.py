"""What a check that did not pass means: the categories of a report, told by status and message.

The first that fits counts. Regular expressions are such as JavaScript, Java and Python have in common:
Allure 3 searches with them, and Allure 2 wants them to fit the whole message.
"""

from __future__ import annotations

from typing import Any

_LOSS = (
    r"volume .*: expected mounted by a container",
    r"store .*: expected records in the collection that was asked",
    r"collection .*: expected vectors, as in the baseline",
    r"collection .*observed no such collection",
    r"records in .* \(-\d+\) \(from",
    r"records of .*: expected those of the baseline.*observed missing",
    r"files of the canary's knowledge base: .*observed missing: (?!none; added)",
    r"references of ",
    r".* of .*: expected there, as in the baseline",
)
_CHANGED = (
    r"search in ",
    r"owner of the canary's token",
    r"files of the canary's knowledge base",
    r"documents that the chat's answer is grounded in",
    r"records (in|of) .* of .*: expected (those of the baseline|\d)",
    r"collections of .* that the baseline does not know",
    r"schema of ",
    r"what .* has and the baseline does not know",
    r"neighbours of golden query",
    r"positions of ",
)
_RESOURCES = (
    r"(memory|CPU|processes) of ",
    r"free \w+ of ",
    r"container .*observed OOMKilled",
)
_DOWN = (
    r"containers? of service ",
    r"container .*: expected running",
    r"(health|restarts|resources) of ",
    r"health endpoint: ",
    r"contradiction: ",
    r"stores: expected all up",
    r"collection .*: expected loaded",
    r"chat: ",
    r"application: expected a status of success",
)
_LATE = (r"late: (phase\d|verification): ", r"late: downtime, ", r"latency of the health endpoint: ")
_TIMEOUT = (
    r".*observed (none after|more than) [\d.e+-]+ s",
    r".*[Tt]im(ed|e)[ -]?out",
    r".*[Dd]eadline [Ee]xceeded",
)
_UNREACHABLE = (
    r".*: expected (an|a whole) answer within ",
    r"service .*: expected a (running container|container of that service)",
    r".*[Cc]onnection (refused|reset|aborted)",
)
# What the suite says itself has both sides of a mismatch; what it never foresaw does not.
_CRASH = (r"the worker that ran it died", r"no result: ", r"(?!.*: expected )")


def _rule(name: str, status: str, patterns: tuple[str, ...] = ()) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": name, "matchedStatuses": [status]}
    if patterns:
        # The first line is the message; a hint, and a diff of pytest's, may follow.
        rule["messageRegex"] = rf"^(?:{'|'.join(patterns)})[\s\S]*"
    return rule


CATEGORIES: tuple[dict[str, Any], ...] = (
    _rule("Verified wrong: late", "failed", _LATE),
    _rule("Verified wrong: data loss", "failed", _LOSS),
    _rule("Verified wrong: data changed", "failed", _CHANGED),
    _rule("Verified wrong: resources", "failed", _RESOURCES),
    _rule("Verified wrong: service down", "failed", _DOWN),
    _rule("Verified wrong: other", "failed"),
    _rule("Could not verify: timeout", "broken", _TIMEOUT),
    _rule("Could not verify: unreachable", "broken", _UNREACHABLE),
    _rule("Could not verify: crash", "broken", _CRASH),
    _rule("Could not verify: other", "broken"),
    _rule("Blocked", "skipped"),
)
