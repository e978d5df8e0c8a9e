"""The schemas in `docs/schemas`: they are those of the records, and records are what they say."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from tests.schemas import FOLDER, RECORDS, schemas


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Each record's schema as it would be written, by file name."""
    return schemas()


def test_the_schemas_are_those_of_the_records(written: dict[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.schema.json")}
    assert there == written, "a record was changed: ./run schemas writes its schema again"


@pytest.mark.parametrize("name", [name for name, (kind, _) in RECORDS.items() if is_dataclass(kind)])
def test_a_schema_names_each_field(written: dict[str, str], name: str) -> None:
    kind, _ = RECORDS[name]
    assert is_dataclass(kind)
    for field in fields(kind):
        assert f'"{field.name}": {{' in written[f"{name}.schema.json"]


def test_the_page_names_each_schema() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert not [name for name, (_, files) in RECORDS.items() if f"| `{name}` | {files} |" not in page]
