"""The order of the tests of one target: what is captured and backed up once serves as many as it can."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what uses a backup set behind what does not, and what makes the baseline old last."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    for place, item in zip(places, sorted((items[place] for place in places), key=_order), strict=True):
        items[place] = item


def _order(item: pytest.Item) -> tuple[bool, bool]:
    fixtures = getattr(item, "fixturenames", ())
    return "captured_again" in fixtures, "backup" in fixtures
