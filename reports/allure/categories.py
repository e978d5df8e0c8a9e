"""The categories of a report: the meaning of a check that did not pass, by its status and a code.

The code stands alone on the trace's last line, where the writer of the results puts it. Allure 2 and
Allure 3 both search a trace, and Allure 2 wants the expression to fit the whole trace. No sentence is
searched.
The first category that fits counts. A result without a code, from an older version, falls into *other*.
"""

from __future__ import annotations

from typing import Any

from rollproof.errors import Meaning

_WRONG = (
    *(Meaning.LATE, Meaning.DATA_LOSS, Meaning.DATA_CHANGED),
    *(Meaning.WRONG_VERSION, Meaning.RESOURCES, Meaning.SERVICE_DOWN, Meaning.OTHER),
)
_UNKNOWN = (Meaning.TIMEOUT, Meaning.UNREACHABLE, Meaning.CRASH, Meaning.OTHER)


def code_of(meaning: Meaning) -> str:
    """Return the last line of the trace of a result with that meaning.

    >>> code_of(Meaning.DATA_LOSS)
    '[means:data-loss]'
    """
    return f"[means:{meaning.value}]"


def _rule(name: str, status: str, meaning: Meaning) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": f"{name}: {meaning.replace('-', ' ')}", "matchedStatuses": [status]}
    if meaning is not Meaning.OTHER:
        rule["traceRegex"] = rf"^(?:[\s\S]*\n)?\[means:{meaning}\]$"
    return rule


CATEGORIES = (
    *(_rule("Verified wrong", "failed", meaning) for meaning in _WRONG),
    *(_rule("Could not verify", "broken", meaning) for meaning in _UNKNOWN),
    {"name": "Blocked", "matchedStatuses": ["skipped"]},
)
