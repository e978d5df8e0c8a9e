"""Checks of phase 2, by their cases."""

from __future__ import annotations

import pytest

from checks.verification import test_phase2_connectivity as phase2
from fixtures.gating.evidence import Expect
from rollproof.collection import Case
from rollproof.errors import Mismatch


def test_a_search_has_to_find_records() -> None:
    files = Case("qdrant", "files")
    phase2.test_vectors_answer_a_search(files, ["1", "2"], Expect([]))
    with pytest.raises(Mismatch, match="expected at least one hit, observed 0 hits"):
        phase2.test_vectors_answer_a_search(files, [], Expect([]))
