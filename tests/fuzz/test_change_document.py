"""A change document of anything is read in linear time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.team.change_document import ChangeDocument
from tests.fuzz.growth import TIMES, is_linear

LEAST = 5_000
PIECES = [
    *(
        "#",
        "# ",
        "## a\n",
        "# a\n",
        "\n",
        " ",
        "\t",
        "a",
        "===\n",
        "---\n",
        "```",
        "~~~\n",
        "<!--",
        "-->",
        "<",
        ">",
    ),
    *("{{", "}}", "{", "[", "]", "here]", "?", "...", "to do", "_", "*", "todo\n", "0123456789ab", "x\n"),
]


def judged(text: str) -> None:
    document = ChangeDocument(Path("x"), text, "")
    document.wrong_with(("Impact", "a"))
    document.names("0123456789abcdef0123456789abcdef01234567")


@given(
    st.lists(st.sampled_from(PIECES), max_size=2).map("".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
)
@example("# a", " ")
@example("# ", "# ")
@example("", "# a\n")
@example("", "{{")
@example("", "[")
@example("", " #")
def test_a_document_is_judged_in_linear_time(first: str, unit: str) -> None:
    small, large = (f"{first}{unit * (least // len(unit) + 1)}x" for least in (LEAST, TIMES * LEAST))
    assert is_linear(judged, small, large)


@pytest.mark.parametrize("text", ["# Impact ##", "# Impact #  ", "#  Impact", "# **Impact**:", "Impact\n---"])
def test_a_heading_has_its_words_alone(text: str) -> None:
    document = ChangeDocument(Path("x"), f"{text}\nA sentence of more than twenty characters.\n", "")
    assert document.wrong_with(("Impact",)) == []


@pytest.mark.parametrize("text", ["# Impact#", "# #Impact", "####### Impact"])
def test_marks_within_words_are_words(text: str) -> None:
    document = ChangeDocument(Path("x"), f"{text}\nA sentence of more than twenty characters.\n", "")
    assert document.wrong_with(("Impact",)) == ["Impact is missing"]
