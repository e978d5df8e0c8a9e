"""What an account may do in MySQL and MongoDB, as the server itself tells: a reader that writes is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from rollproof.stores.mongodb import reader as mongodb
from rollproof.stores.mysql import privileges as mysql
from rollproof.stores.mysql.privileges import NEEDED, parsed, shows

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
        (
            ["GRANT INSERT ON *.* TO `reader`@`%`", "REVOKE INSERT ON `imagedb`.* FROM `reader`@`%`"],
            (),
        ),
    ],
)
def test_a_reader_of_mysql(more: Sequence[str], writes: tuple[str, ...]) -> None:
    assert mysql.rights(parsed([*READING, *more]), ["imagedb"]).writes == writes


def test_an_operator_of_mysql() -> None:
    every = f"GRANT {', '.join(sorted(NEEDED))} ON `imagedb`.* TO `operator`@`%`"
    assert mysql.rights(parsed([every]), ["imagedb"]).lacks == ()
    assert mysql.rights(parsed(["GRANT ALL PRIVILEGES ON *.* TO `o`@`%`"]), ["imagedb"]).lacks == ()
    assert mysql.rights(
        parsed([every.replace("TRIGGER, ", "").replace(", TRIGGER", "")]), ["imagedb"]
    ).lacks == ("TRIGGER on imagedb",)
    assert len(mysql.rights(parsed(READING), ["imagedb"]).lacks) > 5


def test_a_grant_tells_a_dropped_database_of_mysql_from_a_hidden_one() -> None:
    held = parsed(READING)
    assert (shows(held, "imagedb"), shows(held, "other")) == (True, False)


FIND = ["find", "listCollections", "changeStream"]
WRITE = ["find", "insert", "remove", "createCollection", "createIndex", "dropCollection"]


@pytest.mark.parametrize(
    ("resource", "actions", "writes", "lacks"),
    [
        ({"db": "", "collection": ""}, FIND, 0, 5),
        ({"db": "", "collection": ""}, WRITE, 5, 0),
        ({"db": "mongodb", "collection": ""}, WRITE, 5, 0),
        ({"db": "other", "collection": ""}, WRITE, 0, 6),
        ({"db": "mongodb", "collection": "files"}, ["find", "insert"], 0, 6),
        ({"cluster": True}, ["insert"], 0, 6),
        ({"anyResource": True}, ["anyAction"], 1, 0),
    ],
)
def test_accounts_of_mongodb(
    resource: Mapping[str, object], actions: Sequence[str], writes: int, lacks: int
) -> None:
    found = mongodb.judged([{"resource": resource, "actions": actions}], ["mongodb"])
    assert (len(found.writes), len(found.lacks)) == (writes, lacks)
