"""The categories of a report: the meaning of a check that did not pass, by its status and a code.

The code stands alone on the trace's last line, where the writer of the results puts it. Allure 2 and
Allure 3 both search a trace, and Allure 2 wants the expression to fit the whole trace. No sentence is
searched.
The first category that fits counts. A result without a code, from an older version, falls into *other*.
"""

from __future__ import annotations

from typing import Any

from rollproof.errors import Meaning

_CATEGORIES = (
    ("Verified wrong: late", "failed", Meaning.LATE),
    ("Verified wrong: data loss", "failed", Meaning.DATA_LOSS),
    ("Verified wrong: data changed", "failed", Meaning.DATA_CHANGED),
    ("Verified wrong: wrong version", "failed", Meaning.WRONG_VERSION),
    ("Verified wrong: resources", "failed", Meaning.RESOURCES),
    ("Verified wrong: service down", "failed", Meaning.SERVICE_DOWN),
    ("Verified wrong: other", "failed", None),
    ("Could not verify: timeout", "broken", Meaning.TIMEOUT),
    ("Could not verify: unreachable", "broken", Meaning.UNREACHABLE),
    ("Could not verify: crash", "broken", Meaning.CRASH),
    ("Could not verify: other", "broken", None),
    ("Blocked", "skipped", None),
)


def code_of(meaning: Meaning) -> str:
    """Return the last line of the trace of a result with that meaning.

    >>> code_of(Meaning.DATA_LOSS)
    '[means:data-loss]'
    """
    return f"[means:{meaning.value}]"


def _rule(name: str, status: str, meaning: Meaning | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": name, "matchedStatuses": [status]}
    if meaning is not None:
        rule["traceRegex"] = rf"^(?:[\s\S]*\n)?\[means:{meaning.value}\]$"
    return rule


CATEGORIES = tuple(_rule(*category) for category in _CATEGORIES)
