"""What an account of MySQL or MariaDB does not see, told from the words of SHOW GRANTS."""

import pytest

from rollproof.collection import Json
from rollproof.stores.mysql.connection import Flavour
from rollproof.stores.mysql.privileges import parsed, sight

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


def test_a_partial_revoke_of_a_global_right_counts() -> None:
    everywhere = WHOLE.replace("`shop%`", "*")
    revoked = "REVOKE TRIGGER ON `shop`.* FROM `r`@`%`"
    assert _hidden("mysql", everywhere, ROUTINES["mysql"], revoked) == {
        "triggers of shop": "TRIGGER on shop.*"
    }
    other = revoked.replace("shop", "other")
    assert _hidden("mysql", everywhere, ROUTINES["mysql"], other) == {}


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
