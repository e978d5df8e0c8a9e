"""What is true of Qdrant alone: a replay stops at the first line that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.keeping.qdrant import Qdrant
from tests.stack.keeping.records import exported, replayed, wanted_of
from tests.stack.scratch_stores import SECRET

pytestmark = pytest.mark.of("qdrant")


@pytest.mark.usefixtures("commands")
def test_a_replay_stops_at_the_first_line_that_is_refused(subject: Qdrant, tmp_path: Path) -> None:
    subject.clear()
    made = subject.exported["named vectors"](subject)
    with subject.place.content() as content, subject.place.export() as export:
        records = exported(export, made.name, wanted_of(content, made.name), tmp_path)
        refused = replayed(export, made.name, records, tmp_path, subject.environment(SECRET, tmp_path))
        assert refused.stderr.count("curl: ") == 1
        without = replayed(export, made.name, records, tmp_path, {})
        assert "with the line api-key" in without.stderr
