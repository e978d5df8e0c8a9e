"""The toy store as it is where its distribution is installed, for tests in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.profile.kinds import kinds

INSTALLED = Path(__file__).parent / "installed"


@pytest.fixture(scope="package", autouse=True)
def installed() -> Iterator[None]:
    """Let the kind be found while the tests of this folder run; others do not know it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(INSTALLED)])
        kinds.cache_clear()
        yield
    kinds.cache_clear()
