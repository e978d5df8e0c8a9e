"""What was redacted holds no secret, and stays as it is when it is redacted again."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.redaction.redactor import Redactor
from tests.long.unit.test_linear import BETWEEN, SECRET, TRIGGERS


@given(st.lists(st.sampled_from([*TRIGGERS, *BETWEEN, SECRET]), max_size=12).map("".join))
@example("first_name: a@'a'")
def test_what_was_redacted_holds_no_secret_and_stays(text: str) -> None:
    redactor = Redactor([SECRET])
    once = redactor.text(text)
    assert SECRET not in once
    assert redactor.text(once) == once
