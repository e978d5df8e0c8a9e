"""MySQL: the text that a row is hashed over, and what a bound between two parts means."""

from __future__ import annotations

import pytest

from rollproof.stores.mysql.rows import _cell
from rollproof.stores.mysql.table import Column, Key, between


def _column(name: str, kind: str, **other: object) -> Column:
    values: dict[str, object] = {
        "nullable": False, "digits": 10, "length": 0, "charset": None, "collation": None, "virtual": False,
        "generated": False, **other,
    }  # fmt: skip
    return Column(name=name, type=kind, **values)  # type: ignore[arg-type]


ID = _column("id", "int")
NAME = _column("na`me", "varchar", length=160, charset="utf8mb4", collation="utf8mb4_bin")
COLUMNS = {column.name: column for column in (ID, NAME)}


def test_a_bound_of_one_column() -> None:
    assert between(COLUMNS, "", "") == "TRUE"
    assert between(COLUMNS, '{"id": "5"}', '{"id": "-9"}') == "`id` >= 5 AND `id` < -9"
    assert between(COLUMNS, '{"id": "5"}', "", after=True) == "`id` > 5"
    assert between(COLUMNS, "", '{"na`me": "C3A9"}') == ("`na``me` < _utf8mb4 x'C3A9' COLLATE utf8mb4_bin")


def test_an_invalid_choice_is_not_the_empty_one() -> None:
    value = _cell(_column("x", "enum")).value
    assert [value(number, "") for number in (0, 1)] == [0, ""]


@pytest.mark.parametrize(
    "bound",
    [
        '{"id": "1 OR 1=1"}', '{"na`me": "a\' OR \'"}', '{"na`me": "C3A"}', '{"gone": "1"}', "[]", "{}",
        "1", "no",
    ],
)  # fmt: skip
def test_what_is_no_bound_is_refused(bound: str) -> None:
    """A division comes from a file."""
    with pytest.raises(ValueError, match=r"bound|key column|value|Expecting"):
        between(COLUMNS, bound, "")


def test_a_date_is_not_the_way_out_of_its_quotes() -> None:
    with pytest.raises(ValueError, match="no value of column"):
        between({"day": _column("day", "date")}, '{"day": "2024\' OR \'1"}', "")


def test_how_many_rows_can_be_between_two_bounds() -> None:
    key = Key("PRIMARY", (ID,), (ID,))
    assert key.width('{"id": "-5"}', '{"id": "10"}') == 15
    assert key.width("", '{"id": "10"}') is None
    assert Key("PRIMARY", (NAME,), (NAME,)).width('{"na`me": "61"}', '{"na`me": "62"}') is None
