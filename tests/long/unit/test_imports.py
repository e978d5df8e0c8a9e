"""Drivers that are imported by two threads at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.stores.registry import at_place
from rollproof.system.side_by_side import each

# Whoever begins with the first gets both. A second thread that begins with the other holds what the first
# one waits for, and Python gives that one a half.
FIRST = "import time\ntime.sleep(0.3)\nfrom knot_second import late\nfound = late\n"


SECOND = "import knot_first\nlate = found = 1\n"


def test_modules_that_import_each_other_are_whole_in_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "knot_first.py").write_text(FIRST)
    (tmp_path / "knot_second.py").write_text(SECOND)
    places = ("knot_first:found", "knot_second:found")
    assert each(at_place, places, workers=2, name="import") == dict.fromkeys(places, 1)
