"""Redaction is linear in its text, whatever a user, a commit or an application wrote into it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.redaction.redactor import Redactor
from rollproof.redaction.shapes import SHAPES

SECRET = "hunter2-Rosebud-AB12-xyz-0123456789-QQ"  # noqa: S105 - a canary
LEAST = 4_000
BEGIN = "-----BEGIN PRIVATE KEY-----\n"
_WORDS = sorted({shape.word for shape in SHAPES})
TRIGGERS = [*_WORDS, "eyJ", "AKIA", BEGIN, "@", "...", SECRET[:12], SECRET[-12:]]
BETWEEN = [
    *(
        "",
        *" =:@.-/{\\\t\N{HORIZONTAL ELLIPSIS}",
        "://",
        "a:",
        "a/",
        "=a/@",
        "a@b.",
        "a@b.cc ",
        "a.",
        "A" * 16,
    ),
    *('="', "='x", ":'", "=x(", "=x;", "=!", "%20", "%3a", "\\u", '\\"', "\\n", "'a'", "\x1b[0", "\x1b[0m"),
    *(": digest ", ": digest [redacted] ", ": basic ", "=aaaa1.", ": a@", "=[redacted]"),
]
ENDS = ["", "(", "@", " x", "'", "\n-----END"]


TIMES = 8
"""How much larger the large text is: linear work grows 8 times, quadratic work 64 times."""
_BOUND = 3 * TIMES
_RUNS = 3
# Less is the cost of a call, not of its text.
_LEAST_SECONDS = 0.0005


def is_linear(small: str, large: str) -> bool:
    """Return whether redaction grows as its text does; `large` is `TIMES` times `small`."""
    redact = Redactor([SECRET]).text
    least = max(_LEAST_SECONDS, min(_spent(redact, small) for _ in range(_RUNS)))
    return any(_spent(redact, large) <= _BOUND * least for _ in range(_RUNS))


def _spent(redact: Callable[[str], str], text: str) -> float:
    """Return the processor's seconds, which other processes do not change."""
    began = time.process_time()
    redact(text)
    return time.process_time() - began


def repeated(unit: str, least: int) -> str:
    return unit * (least // len(unit) + 1)


@pytest.mark.parametrize(
    "trigger", ["http://", "http://a:b/", "%3a%2f%2fa%3ab", "a@b.cc", f"{BEGIN}\n", "password=x("]
)
def test_text_that_was_slow_is_redacted_in_linear_time(trigger: str) -> None:
    assert is_linear(repeated(trigger, LEAST), repeated(trigger, TIMES * LEAST))


@given(
    st.sampled_from(TRIGGERS),
    st.lists(st.sampled_from(BETWEEN), max_size=2),
    st.sampled_from(ENDS),
    st.booleans(),
)
@example("eyJ", [], "", True)
@example("authorization", [": digest [redacted] "], "", True)
@example("cookie", [":"], "", True)
@example("://", ["a:", "a/"], " x", True)
@example("username", [" "], "", False)
@example("x-amz-credential", ["=[redacted]"], "", True)
def test_redaction_is_linear(
    trigger: str,
    between: list[str],
    end: str,
    again: bool,  # noqa: FBT001 - made up
) -> None:
    """A trigger and what follows it, both repeated, or the trigger once."""
    unit = "".join([*([trigger] if again else []), *between]) or " "
    first = "" if again else trigger
    small, large = (f"{first}{repeated(unit, least)}{end}" for least in (LEAST, TIMES * LEAST))
    assert is_linear(small, large)
