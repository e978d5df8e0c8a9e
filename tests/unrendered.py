"""Pytest plugin for runs that need no report.html: to make it takes longer than most runs."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Hide the report's renderer from the run, as on a machine without Node."""
    # Imported late: pytest rewrites the assertions of a plugin only if the conftest names it first.
    from reports.run import record  # noqa: PLC0415

    patch = pytest.MonkeyPatch()
    patch.setattr(record, "installed_allure", lambda: None)
    config.add_cleanup(patch.undo)
