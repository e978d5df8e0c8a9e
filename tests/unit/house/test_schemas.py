"""The schemas in `docs/schemas`: they are those of the records, and records are what they say."""

from __future__ import annotations

import pytest

from tests.schemas import FOLDER, schemas


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Each record's schema as it would be written, by file name."""
    return schemas()


def test_the_schemas_are_those_of_the_records(written: dict[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.schema.json")}
    assert there == written, "a record was changed: ./run schemas writes its schema again"
