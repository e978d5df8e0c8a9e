"""The redactor of a pytest run."""

from __future__ import annotations

import pytest

from rollproof.redaction.redactor import Redactor

REDACTOR = pytest.StashKey[Redactor]()


def redactor_of(config: pytest.Config) -> Redactor:
    """Return the run's redactor, which knows the profile's secrets once the session has started."""
    return config.stash[REDACTOR]
