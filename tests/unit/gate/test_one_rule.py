"""Each rule of the gate is one: what `reopen` says of a rehearsal, the checks of step 5 say of it, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import product
from pathlib import Path

import pytest

from checks.premigration import test_step5_staging as step5
from fixtures.gating.evidence import Expect
from rollproof.errors import Mismatch, Problem
from rollproof.incident.rehearsals import Ending, Rehearsal
from rollproof.system.clock import Moment
from rollproof.verdict import Verdict

AskedCheck = Callable[..., None]

pytestmark = pytest.mark.usefixtures("stopped_clock")


def holds(checks: Iterable[Callable[[], None]]) -> bool:
    """Return whether all of these checks pass."""
    try:
        for check in checks:
            check()
    except (Mismatch, Problem):
        return False
    return True


def silent(_: object) -> None:
    """Note nothing."""


def test_a_rehearsal(tmp_path: Path) -> None:
    """`reopen` takes one that step 5 takes, as long as it began after the rollback."""
    seen = list[bool]()
    for migrated, rolled_back in product(Verdict, Verdict):
        ending = Ending(migrated, rolled_back, migrated, Moment.now(), (), (), (), ())
        one = Rehearsal(tmp_path, "stage", "a" * 40, "b" * 40, Moment.now(), ending)
        asked: tuple[AskedCheck, ...] = (
            step5.test_record_of_the_rehearsal_is_whole,
            step5.test_staging_was_well_after_the_migration,
            step5.test_rollback_was_rehearsed,
        )
        checks = [partial(check, one, ending, Expect([]), silent) for check in asked]
        seen.append(holds(checks))
        assert (one.fault() == "") is seen[-1], one
    assert Counter(seen)[True] == 1
