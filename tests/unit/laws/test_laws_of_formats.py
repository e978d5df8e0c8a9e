"""Which server reads what another one wrote: one rule, on the versions of the formats.

`+` is read, `-` is refused, `?` is not judged. A row is a writer, a column a reader.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rollproof.profile.data_formats import Fit, Marks, judge
from rollproof.profile.kinds import kinds

SIGNS = {"+": Fit.FITS, "-": Fit.REFUSED, "?": Fit.UNKNOWN}
# As RELEASE/FCV: after an upgrade, the data stay those of the release before until somebody raises the mark.
MONGODB = """
        6.0/6.0 7.0/6.0 7.0/7.0
6.0/6.0    +       +       ?
7.0/6.0    +       +       ?
7.0/7.0    -       -       +
"""
# By minor version.
OTHERS = """
     8.0 8.4 9.0
8.0   +   ?   ?
8.4   -   +   ?
9.0   -   -   +
"""
# By major version.
POSTGRESQL = """
      16.4 17.2 17.5
16.4    +    ?    ?
17.2    -    +    +
17.5    -    +    +
"""
TABLES = {
    "mongodb": MONGODB,
    "postgresql": POSTGRESQL,
    **dict.fromkeys(("mysql", "milvus", "qdrant", "redis"), OTHERS),
}


def marks(kind: str, text: str) -> Marks:
    """Return the marks of a release in a table."""
    release, _, fcv = text.partition("/")
    product = {"redis": "redis", "mysql": "mysql"}.get(kind)
    return {
        "server": f"{release}.5-0ubuntu0.24.04.1",
        **({"product": product} if product else {}),
        **({"fcv": fcv} if fcv else {}),
    }


@pytest.mark.parametrize("kind", TABLES)
def test_every_pair_is_judged_by_the_rule(kind: str) -> None:
    head, *lines = TABLES[kind].strip("\n").splitlines()
    readers = head.split()
    for line in lines:
        writer, *signs = line.split()
        found = [
            judge(kinds()[kind].format_of, marks(kind, writer), marks(kind, reader)).fit for reader in readers
        ]
        assert found == [SIGNS[sign] for sign in signs], writer


@pytest.mark.parametrize("kind", [kind for kind, known in kinds().items() if known.has_format_marks])
def test_an_unknown_version_is_not_judged(kind: str) -> None:
    known: Mapping[str, Marks] = {
        "": {"server": "8.0.1", "product": "redis"},
        "none": {},
        "other": {"server": "unstable", "product": "redis"},
    }
    for one, other in (("none", ""), ("", "none"), ("", "other"), ("other", "other")):
        assert judge(kinds()[kind].format_of, known[one], known[other]).fit is Fit.UNKNOWN


def test_the_one_product_is_not_judged_for_the_other() -> None:
    mysql: Marks = {"server": "8.4.2", "product": "mysql"}
    mariadb: Marks = {"server": "8.4.2-MariaDB", "product": "mariadb"}
    assert judge(kinds()["mysql"].format_of, mysql, mariadb).fit is Fit.UNKNOWN
