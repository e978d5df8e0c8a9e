"""What an account may do, from the words of SHOW GRANTS."""

import pytest

from rollproof.stores.mysql.keeper import FOREIGN_DEFINER
from rollproof.stores.mysql.privileges import NEEDED, parsed


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


def test_a_partly_revoked_privilege_is_missing() -> None:
    held = parsed(
        (
            f"GRANT {', '.join(sorted(NEEDED))} ON *.* TO `operator`@`%`",
            "REVOKE DROP ON `imagedb`.* FROM `operator`@`%`",
        )
    )
    assert held.missing(["imagedb", "other"]) == ["DROP on imagedb"]


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
