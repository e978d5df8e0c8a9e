"""What an account of MySQL or MariaDB may do, and what it does not see, from the words of SHOW GRANTS."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollproof.collection import Json
from rollproof.stores.mysql.connection import Flavour
from rollproof.stores.mysql.keeper import FOREIGN_DEFINER
from rollproof.stores.mysql.privileges import NEEDED, parsed, rights, shows, sight

READING = (
    "GRANT USAGE ON *.* TO `reader`@`%` IDENTIFIED BY PASSWORD '*79D0'",
    "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `imagedb`.* TO `reader`@`%`",
    "GRANT SHOW_ROUTINE, PROCESS ON *.* TO `reader`@`%`",
)


@pytest.mark.parametrize(
    ("more", "writes"),
    [
        ([], ()),
        (["GRANT INSERT ON `imagedb`.* TO `reader`@`%`"], ("INSERT on imagedb",)),
        (["GRANT DELETE ON *.* TO `reader`@`%`"], ("DELETE on imagedb",)),
        (["GRANT UPDATE ON `image%`.* TO `reader`@`%`"], ("UPDATE on imagedb",)),
        (["GRANT DROP ON `other`.* TO `reader`@`%`"], ()),
        (["GRANT ALL PRIVILEGES ON *.* TO `reader`@`%`"], ("ALL PRIVILEGES on imagedb",)),
    ],
)
def test_a_reader_of_mysql(more: Sequence[str], writes: tuple[str, ...]) -> None:
    assert rights(parsed([*READING, *more]), ["imagedb"]).writes == writes


def test_an_operator_lacks_what_a_restore_needs() -> None:
    assert len(rights(parsed(READING), ["imagedb"]).lacks) > 5


def test_a_grant_tells_a_dropped_database_of_mysql_from_a_hidden_one() -> None:
    held = parsed(READING)
    assert (shows(held, "imagedb"), shows(held, "other")) == (True, False)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("*", True),
        ("`imagedb`", True),
        ("`image%`", True),
        ("`i_agedb`", True),
        (r"`image\_db`", False),
        ("`other`", False),
    ],
)
def test_a_grant_covers_the_databases_of_its_pattern(scope: str, *, covered: bool) -> None:
    held = parsed(
        (
            "GRANT USAGE ON *.* TO `operator`@`%` IDENTIFIED BY PASSWORD '*79D0'",
            f"GRANT ALL PRIVILEGES ON {scope}.* TO `operator`@`%`",
        )
    )
    assert (held.missing(["imagedb"]) == []) is covered


def test_privileges_add_up() -> None:
    needed = sorted(NEEDED - {"TRIGGER", "EVENT"})
    held = parsed(
        (
            f"GRANT {', '.join(needed)} ON *.* TO `operator`@`%`",
            "GRANT EVENT ON `imagedb`.* TO `operator`@`%`",
            "GRANT TRIGGER ON `imagedb`.`users` TO `operator`@`%`",
        )
    )
    assert held.missing(["imagedb"]) == ["TRIGGER on imagedb"]
    assert held.missing(["other"]) == ["EVENT on other", "TRIGGER on other"]


@pytest.mark.parametrize(
    ("privileges", "may"),
    [
        ("SET_ANY_DEFINER ON *.*", True),
        ("SET USER, RELOAD ON *.*", True),
        ("RELOAD ON *.*", False),
        ("ALL PRIVILEGES ON `imagedb`.*", False),
    ],
)
def test_who_may_define_for_others(privileges: str, *, may: bool) -> None:
    held = parsed([f"GRANT {privileges} TO `operator`@`%`"])
    assert held.everywhere(FOREIGN_DEFINER) is may


WHOLE = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `shop%`.* TO `r`@`%`"
ROUTINES = {
    "mysql": "GRANT SHOW_ROUTINE ON *.* TO `r`@`%`",
    "mariadb": "GRANT SHOW CREATE ROUTINE ON `shop`.* TO `r`@`%`",
}


def _hidden(flavour: Flavour, *grants: str) -> dict[str, str]:
    return {what: right for what, right in sight(parsed(grants), flavour, ["shop"], {}).items() if right}


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_an_account_with_the_documented_grants_sees_everything(flavour: Flavour) -> None:
    seen = sight(parsed([WHOLE, ROUTINES[flavour]]), flavour, ["shop"], {})
    assert list(seen) == [f"{what} of shop" for what in ("tables", "views", "triggers", "events", "routines")]
    assert not any(seen.values())
    assert _hidden(flavour, "GRANT ALL PRIVILEGES ON *.* TO `r`@`%` WITH GRANT OPTION") == {}


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
@pytest.mark.parametrize(
    ("right", "what"),
    [
        ("SELECT", "tables"),
        ("SHOW VIEW", "views"),
        ("TRIGGER", "triggers"),
        ("EVENT", "events"),
    ],
)
def test_each_right_that_is_revoked_hides_its_objects(flavour: Flavour, right: str, what: str) -> None:
    fewer = WHOLE.replace(f"{right}, ", "").replace(f", {right}", "")
    assert fewer != WHOLE
    assert _hidden(flavour, fewer, ROUTINES[flavour]) == {f"{what} of shop": f"{right} on shop.*"}


def test_a_body_that_is_not_shown_is_hidden() -> None:
    found: dict[str, Json] = {
        "view shop.v": {"view_definition": ""},
        "function shop.f": {"routine_definition": None},
        "trigger shop.t": {"action_statement": "x"},
    }
    execute = "GRANT EXECUTE ON `shop`.* TO `r`@`%`"
    seen = sight(parsed([WHOLE, execute]), "mysql", ["shop"], found)
    assert {what: right for what, right in seen.items() if right} == {
        "the body of view shop.v": "SHOW VIEW on shop.*",
        "the body of function shop.f": "SHOW_ROUTINE on *.*",
    }
