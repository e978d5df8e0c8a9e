"""What an account may do, from the words of SHOW GRANTS."""

from typing import cast

import pytest
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from fixtures.stores.mysql import privileges
from rollback_actions.stores.mysql import grants as mysql_grants


def _grants(monkeypatch: pytest.MonkeyPatch, *texts: str) -> mysql_grants.Grants:
    monkeypatch.setattr(privileges, "rows", lambda *_: [(text,) for text in texts])
    return mysql_grants.read_grants(cast("Connection[Cursor]", None), "mariadb")


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
def test_a_grant_covers_the_databases_of_its_pattern(
    monkeypatch: pytest.MonkeyPatch, scope: str, *, covered: bool
) -> None:
    grants = _grants(
        monkeypatch,
        "GRANT USAGE ON *.* TO `operator`@`%` IDENTIFIED BY PASSWORD '*79D0'",
        f"GRANT ALL PRIVILEGES ON {scope}.* TO `operator`@`%`",
    )
    assert (mysql_grants.missing(grants, ["imagedb"]) == []) is covered


def test_privileges_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = sorted(privileges.NEEDED - {"TRIGGER", "EVENT"})
    grants = _grants(
        monkeypatch,
        f"GRANT {', '.join(needed)} ON *.* TO `operator`@`%`",
        "GRANT EVENT ON `imagedb`.* TO `operator`@`%`",
        "GRANT TRIGGER ON `imagedb`.`users` TO `operator`@`%`",
    )
    assert mysql_grants.missing(grants, ["imagedb"]) == ["TRIGGER on imagedb"]
    assert mysql_grants.missing(grants, ["other"]) == ["EVENT on other", "TRIGGER on other"]


@pytest.mark.parametrize(
    ("privileges", "may"), [("SET_ANY_DEFINER", True), ("SET USER, RELOAD", True), ("RELOAD", False)]
)
def test_who_may_define_for_others(monkeypatch: pytest.MonkeyPatch, privileges: str, *, may: bool) -> None:
    grants = _grants(monkeypatch, f"GRANT {privileges} ON *.* TO `operator`@`%`")
    assert mysql_grants.may_define_for_others(grants) is may
