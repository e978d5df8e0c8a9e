"""Every fault of every store, sent through phase 4 as `./run faults` does."""

from __future__ import annotations

from pathlib import Path

import pytest

from staging.stack.stack import Stack
from tests.stack.target.test_faults import caught


@pytest.mark.usefixtures("captured_again")
@pytest.mark.timeout(3600)
@pytest.mark.long(minutes=15)
def test_every_fault_is_caught_and_nothing_else_raises_an_alarm(stack: Stack, tmp_path: Path) -> None:
    caught(stack, tmp_path, (), 1)
