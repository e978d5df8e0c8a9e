"""Every rollback killed at every step of its journal, and resumed: the walk of `./run killtest`.

It is divided into shares, each of which may run on its own stack. A share of three kills the first step, the
fourth, the seventh and so on, after one rollback without a kill.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from reports.terminal.progress import Progress
from staging.kills.kill import Killer
from staging.kills.walk import walk
from staging.kills.wreckage import STORES
from staging.rounds import Round

# Into how many shares each action's steps are divided; about so many minutes each share takes.
SHARES = {
    "service": (1, 4),
    **{f"database {store}": (2, 6) for store in STORES},
    "full": (1, 7),
    "emergency": (8, 9),
}


@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    ("action", "first", "shares"),
    [
        pytest.param(
            action,
            first,
            shares,
            id=f"{action.replace(' ', '-')}-{first + 1}-of-{shares}",
            marks=pytest.mark.long(minutes=minutes),
        )
        for action, (shares, minutes) in SHARES.items()
        for first in range(shares)
    ],
)
def test_rollbacks_that_are_killed_end_as_those_that_were_not(
    killer: Killer, tmp_path: Path, action: str, first: int, shares: int
) -> None:
    found, picked = Round("kills", tmp_path / "kills.json"), list[str]()

    def share(steps: Sequence[str]) -> Sequence[str]:
        picked.extend(sorted(steps)[first::shares])
        return picked

    with Progress() as progress:
        walk(killer, [action], share, progress, found)
    assert found.passed, found.results
    assert [kill.facts["step"] for kill in found.results if kill.facts] == picked
