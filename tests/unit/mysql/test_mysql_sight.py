"""What an account of MySQL or MariaDB does not see, told from the words of SHOW GRANTS."""

import re

import pytest
from pydantic import SecretStr

from rollproof.collection import Json
from rollproof.profile.sections import Account, Address
from rollproof.stores.mysql.clients import SEEING_OTHERS
from rollproof.stores.mysql.connection import Flavour
from rollproof.stores.mysql.descriptor import DESCRIPTOR, MysqlProfile
from rollproof.stores.mysql.keeper import FOREIGN_DEFINER
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


def test_rights_on_single_tables_hide_the_others() -> None:
    """A new table of the migration would be neither counted nor told."""
    single = [WHOLE.replace("`shop%`.*", f"`shop`.`{name}`") for name in ("users", "orders")]
    assert "tables of shop" in _hidden("mysql", *single, ROUTINES["mysql"])


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
        "view shop.v": {"definition": ""},
        "function shop.f": {"body": None},
        "trigger shop.t": {"body": "x"},
    }
    execute = "GRANT EXECUTE ON `shop`.* TO `r`@`%`"
    seen = sight(parsed([WHOLE, execute]), "mysql", ["shop"], found)
    assert {what: right for what, right in seen.items() if right} == {
        "the body of view shop.v": "SHOW VIEW on shop.*",
        "the body of function shop.f": "SHOW_ROUTINE on *.*",
    }


def test_the_grants_that_are_printed_are_enough() -> None:
    account = Account(user="r", password=SecretStr("x"))
    profile = MysqlProfile(
        kind="mysql", address=Address(host="h", port=1), services=("mysql",), risk="low",
        databases=("sh_op",), reader=account, operator=account,
    )  # fmt: skip
    grants = DESCRIPTOR.grants(profile)
    for flavour in ("mysql", "mariadb"):
        seen = sight(parsed(_spelled(grants.reader)), flavour, ["sh_op"], {})
        assert not any(seen.values())
    # MySQL answers with the single rights where all were granted; this is the short spelling.
    held = parsed(_spelled(grants.operator))
    assert held.missing(["sh_op"]) == []
    assert held.everywhere(FOREIGN_DEFINER)
    assert held.everywhere(SEEING_OTHERS)


def _spelled(lines: tuple[str, ...]) -> list[str]:
    """Return grants as a server shows them: without the comments that only some versions execute."""
    plain = [re.sub(r"/\*\S+ (.*) \*/", r"\1", line) for line in lines]
    return [line.replace("GRANT ALL ", "GRANT ALL PRIVILEGES ") for line in plain]
